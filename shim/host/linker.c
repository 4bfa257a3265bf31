/*
 * linker.c: see linker.h.
 *
 * A function is looked up when it is first used, since there is no constructor. Threads that race there find
 * and store the same pointers.
 *
 * The next function is looked up in two steps. dlvsym() by glibc's version passes over unversioned
 * interposers, so it always gives glibc's dlsym. glibc's dlsym, asked for RTLD_NEXT from here, then gives the
 * interposer that comes next after the library, so that the other interposers stay in the chain. The oldest
 * version is asked for: newer glibcs still have it, and a lookup that cannot fail never allocates an error
 * text.
 *
 * linker_next() runs for every dlsym of a host that may never have heard of PKCS #11: inside malloc, inside
 * constructors that run before the shim's would, in a signal handler, between fork and exec. It takes no
 * lock, allocates nothing and reads no environment.
 */
#include <errno.h>

#include "host/linker.h"

#if defined __x86_64__
#define GLIBC_DLSYM "GLIBC_2.2.5"
#define GLIBC_DLOPEN "GLIBC_2.2.5"
#define GLIBC_DLMOPEN "GLIBC_2.3.4"
#elif defined __i386__
#define GLIBC_DLSYM "GLIBC_2.0"
#define GLIBC_DLOPEN "GLIBC_2.1"
#define GLIBC_DLMOPEN "GLIBC_2.3.4"
#elif defined __aarch64__
#define GLIBC_DLSYM "GLIBC_2.17"
#define GLIBC_DLOPEN "GLIBC_2.17"
#define GLIBC_DLMOPEN "GLIBC_2.17"
#endif

static const char function_name[LINKER_FUNCTIONS][8] = {"dlsym", "dlopen", "dlmopen", "dlclose"};

_Atomic(void *) linker_known[LINKER_FUNCTIONS];
static _Atomic(void *) glibc[LINKER_FUNCTIONS];

UNSANITIZED static void *find_glibc(enum linker_function function)
{
	void *found = atomic_load_explicit(&glibc[function], memory_order_acquire);
	if (UNLIKELY(!found)) {
		static const char version[LINKER_FUNCTIONS][12] = {GLIBC_DLSYM, GLIBC_DLOPEN, GLIBC_DLMOPEN,
		                                                   GLIBC_DLSYM};
		int error = errno;
		found = dlvsym(RTLD_NEXT, function_name[function], version[function]);
		errno = error;
		atomic_store_explicit(&glibc[function], found, memory_order_release);
	}
	return found;
}

UNSANITIZED void *linker_find_next(enum linker_function function)
{
	void *(*glibc_dlsym)(void *, const char *) =
	        (void *(*)(void *, const char *))find_glibc(LINKER_DLSYM);
	int error = errno;
	void *found = glibc_dlsym(RTLD_NEXT, function_name[function]);
	errno = error;
	if (!found)
		found = find_glibc(function);
	atomic_store_explicit(&linker_known[function], found, memory_order_release);
	return found;
}

void *linker_dlsym(void *handle, const char *name)
{
	return ((void *(*)(void *, const char *))linker_next(LINKER_DLSYM))(handle, name);
}

void *linker_dlopen(const char *path, int flags)
{
	return ((void *(*)(const char *, int))find_glibc(LINKER_DLOPEN))(path, flags);
}

void *linker_dlmopen(long space, const char *path, int flags)
{
	return ((void *(*)(long, const char *, int))find_glibc(LINKER_DLMOPEN))(space, path, flags);
}

int linker_dlclose(void *handle)
{
	return ((int (*)(void *))find_glibc(LINKER_DLCLOSE))(handle);
}
