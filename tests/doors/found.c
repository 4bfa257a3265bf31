/*
 * found.c: a library in a directory that only RUNPATH, RPATH or $ORIGIN of
 * the library that asks for it leads to.
 */
int door_found(void);

int door_found(void)
{
	return 7;
}
