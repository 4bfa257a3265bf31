/*
 * exit-linked.c: contract C10, a program that is linked to a consumer with an ELF
 * destructor (consumers/destructor.so), which uses the module and leaves it to that.
 *
 *	exit-linked MODULE
 */
void begin(const char *path);

int main(int argc, char **argv)
{
	if (argc == 2)
		begin(argv[1]);
	return argc != 2;
}
