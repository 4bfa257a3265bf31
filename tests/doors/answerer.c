/*
 * answerer.c LIBRARY NAME...: from which object dlsym answers each name.
 */
#include "doors.h"

int main(int argc, char **argv)
{
	void *handle;
	int i;

	if (argc < 3)
		return 2;
	handle = need_library(argv[1]);
	for (i = 2; i < argc; i++)
		printf("%s %s\n", argv[i], object_of(dlsym(handle, argv[i])));
	dlclose(handle);
	return 0;
}
