/*
 * versions.c: a consumer bound to one version of dlsym, dlopen and dlclose:
 * built with OLD for the first one of the machine, else for GLIBC_2.34.
 * Old binaries and new ones must both reach the shim.
 */
#include "doors.h"

#ifdef OLD
#define VERSION FIRST_VERSION
#else
#define VERSION "GLIBC_2.34"
#endif

__asm__(".symver bound_dlsym, dlsym@" VERSION);
__asm__(".symver bound_dlopen, dlopen@" VERSION);
__asm__(".symver bound_dlclose, dlclose@" VERSION);
void *bound_dlsym(void *handle, const char *name);
void *bound_dlopen(const char *name, int flags);
int bound_dlclose(void *handle);

int main(void)
{
	void *module = bound_dlopen(DOORS "/libdoor-module.so", RTLD_NOW);
	int (*plain)(void);

	if (!module)
		return 1;
	plain = (int (*)(void))bound_dlsym(module, "door_plain");
	CHECK(plain && plain() == 11, "door_plain");
	printf("dlsym from %s\n", object_of((void *)bound_dlsym));
	printf("C_GetFunctionList from %s\n", object_of(bound_dlsym(module, "C_GetFunctionList")));
	CHECK(bound_dlclose(module) == 0, "dlclose");
	return door_failures != 0;
}
