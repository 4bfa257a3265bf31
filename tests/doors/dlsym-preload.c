/*
 * dlsym-preload.c: another interposer of dlsym, written the way most are (a
 * plain C wrapper that chains on to the next dlsym). It counts two names, to
 * tell whether it is still in the chain.
 */
#include "doors.h"

int door_dlsym_plain(void);
int door_dlsym_module(void);

static int plain, module;

int door_dlsym_plain(void)
{
	return plain;
}

int door_dlsym_module(void)
{
	return module;
}

void *dlsym(void *restrict handle, const char *restrict name)
{
	static void *(*next)(void *, const char *);
	void *(*libc)(void *, const char *);

	if (!next) {
		libc = (void *(*)(void *, const char *))dlvsym(RTLD_NEXT, "dlsym", FIRST_VERSION);
		next = (void *(*)(void *, const char *))libc(RTLD_NEXT, "dlsym");
	}
	plain += !strcmp(name, "door_plain");
	module += !strcmp(name, "C_GetFunctionList");
	return next(handle, name);
}
