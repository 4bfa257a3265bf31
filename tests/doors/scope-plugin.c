/*
 * scope-plugin.c: a plugin opened with RTLD_LOCAL which looks for symbols of
 * its own local scope by RTLD_DEFAULT, and past itself by RTLD_NEXT.
 */
#include "doors.h"

int door_only_here(void);
void *door_default(const char *name);
void *door_next(const char *name);

/* Also here, in front of the one in scope-deep.c. */
int door_only_here(void)
{
	return 41;
}

void *door_default(const char *name)
{
	void *found = dlsym(RTLD_DEFAULT, name);

	return found;
}

void *door_next(const char *name)
{
	void *found = dlsym(RTLD_NEXT, name);

	return found;
}
