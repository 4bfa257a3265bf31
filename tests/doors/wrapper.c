/*
 * wrapper.c: a library that is no module but depends on one, so that dlsym on
 * its handle finds the C_GetFunctionList of its dependency. Built with HALF it
 * also has a C_Initialize of its own, which is still no module's.
 */
int door_wrapper(void);

int door_wrapper(void)
{
	return 3;
}

#ifdef HALF
unsigned long C_Initialize(void *arguments);

unsigned long C_Initialize(void *arguments)
{
	(void)arguments;
	return 12345;
}
#endif
