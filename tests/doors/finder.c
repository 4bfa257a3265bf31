/*
 * finder.c: a library that opens others by the names it is given. Where they
 * are is written in its own RUNPATH or RPATH, so the answer depends on glibc
 * seeing this object as the caller of dlopen. It is also what lives in another
 * namespace for namespace.c.
 */
#include "doors.h"

typedef void *opener(const char *name, int flags);
typedef void *finder(void *handle, const char *name);

void *door_open(const char *name, int flags);
void *door_open_by(opener *open, const char *name, int flags);
void *door_find_by(finder *find, void *handle, const char *name);
void *door_dlmopen(const char *name, int flags);

void *door_open(const char *name, int flags)
{
	void *handle = dlopen(name, flags);

	return handle;
}

void *door_dlmopen(const char *name, int flags)
{
	void *handle = dlmopen(LM_ID_BASE, name, flags);

	return handle;
}

/* With the caller's dlopen instead of the one this object is bound to. */
void *door_open_by(opener *open, const char *name, int flags)
{
	void *handle = open(name, flags);

	return handle;
}

void *door_find_by(finder *find, void *handle, const char *name)
{
	void *found = find(handle, name);

	return found;
}
