/*
 * scope-deep.c: the library behind scope-plugin.c; only its own dependents
 * see door_only_here.
 */
int door_only_here(void);

int door_only_here(void)
{
	return 42;
}
