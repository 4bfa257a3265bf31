/*
 * linked.c: a program that is linked to library.so, which uses the module
 * `linked MODULE` and leaves it to its destructor.
 */
void begin(const char *path);

int main(int argc, char **argv)
{
	if (argc == 2)
		begin(argv[1]);
	return argc != 2;
}
