/*
 * door.h: how a dlsym reaches us and leaves again without a trace (contract A),
 * and the dynamic linker's functions for our own use, past our own door.
 */
#ifndef P11SHIM_DOOR_H
#define P11SHIM_DOOR_H

#include <dlfcn.h>

#include "base/common.h"

/* What door/ARCH.S leaves on the stack: the words of the call. */
struct door_frame {
#ifdef __i386__
	void *caller;
	uintptr_t argument[3];
#else
	uintptr_t argument[3];
	void *caller;
#endif
};

/* The next dlsym in the chain of interposers, as the host would have got it. */
void *door_dlsym(void *handle, const char *name);

/* glibc's own, past every interposer: for holding modules. */
void *door_dlopen(const char *path, int flags);
void *door_dlmopen(long space, const char *path, int flags);
int door_dlclose(void *handle);

#endif
