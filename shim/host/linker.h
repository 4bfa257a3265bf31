/*
 * linker.h: the dynamic linker's own functions, past the shim's door and, where the comment says so, past
 * every other interposer. Only linker.c, object.c and record/stack.c use what is glibc's alone among them
 * (versions of symbols, name spaces).
 *
 * All of them may take the dynamic linker's lock: a caller holds no lock of the shim (contract A6).
 * linker_next() alone keeps errno.
 */
#ifndef P11SHIM_LINKER_H
#define P11SHIM_LINKER_H

#include <dlfcn.h>

#include "base/common.h"

/* The functions of the dynamic linker that the library has a door for. */
enum linker_function { LINKER_DLSYM, LINKER_DLOPEN, LINKER_DLMOPEN, LINKER_DLCLOSE, LINKER_FUNCTIONS };

/*
 * The next function of that name in the chain of interposers, as the host would have got it. Never NULL.
 * Every dlsym of the host comes through here, so what is known already is read on the spot.
 */
extern _Atomic(void *) linker_known[LINKER_FUNCTIONS];
void *linker_find_next(enum linker_function function);

UNSANITIZED static inline void *linker_next(enum linker_function function)
{
	void *found = atomic_load_explicit(&linker_known[function], memory_order_acquire);
	return UNLIKELY(!found) ? linker_find_next(function) : found;
}

/* The next dlsym in that chain. */
void *linker_dlsym(void *handle, const char *name);

/* glibc's own functions, past every interposer: for holding modules. */
void *linker_dlopen(const char *path, int flags);
void *linker_dlmopen(long space, const char *path, int flags);
int linker_dlclose(void *handle);

/*
 * RTLD_DEEPBIND, a flag of glibc's dlopen alone: an object that is loaded with it finds the C library's own
 * dlsym before the library's door.
 */
static inline bool linker_hides(int flags)
{
	return flags & RTLD_DEEPBIND;
}

#define LINKER_HIDES ((uintptr_t)RTLD_DEEPBIND)

#endif
