/*
 * chain.c: one ordinary lookup and one that the shim diverts; says who
 * answered and what dlsym-preload.c saw of them.
 */
#include "doors.h"

int door_dlsym_plain(void) __attribute__((weak));
int door_dlsym_module(void) __attribute__((weak));

int main(void)
{
	void *module = need_library(DOORS "/libdoor-module.so");
	void *plain = dlsym(module, "door_plain");
	void *getter = dlsym(module, "C_GetFunctionList");

	printf("door_plain from %s, other interposer %s\n", object_of(plain),
	       door_dlsym_plain && door_dlsym_plain() ? "asked" : "not asked");
	printf("C_GetFunctionList from %s, other interposer %s\n", object_of(getter),
	       door_dlsym_module && door_dlsym_module() ? "asked" : "not asked");
	dlclose(module);
	return 0;
}
