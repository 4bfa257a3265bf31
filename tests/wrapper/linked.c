/*
 * linked: a program that is linked to its PKCS #11 module and looks nothing up.
 */
unsigned long C_GetFunctionList(void **list);

int main(void)
{
	void *list;
	return C_GetFunctionList(&list) != 0;
}
