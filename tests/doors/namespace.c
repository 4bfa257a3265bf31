/*
 * namespace.c: dlmopen gives the namespace that was asked for, and a caller
 * inside another namespace stays in it when it calls dlopen and dlsym, even
 * through pointers to the program's (that is, the shim's).
 */
#include "doors.h"
#include <link.h>

static Lmid_t namespace_of(void *handle)
{
	Lmid_t id = -2;

	if (!handle || dlinfo(handle, RTLD_DI_LMID, &id))
		return -2;
	return id;
}

int main(void)
{
	void *(*open_by)(void *(*)(const char *, int), const char *, int);
	void *(*find_by)(void *(*)(void *, const char *), void *, const char *);
	void *base = dlmopen(LM_ID_BASE, DOORS "/libdoor-finder-runpath.so", RTLD_NOW);
	void *other = dlmopen(LM_ID_NEWLM, DOORS "/libdoor-finder-runpath.so", RTLD_NOW);
	void *module, *inner;

	if (!base || !other) {
		printf("FAILED: %s\n", dlerror());
		return 1;
	}
	printf("base: %ld, other is new: %d\n", (long)namespace_of(base), namespace_of(other) > 0);

	open_by = (void *(*)(void *(*)(const char *, int), const char *, int))dlsym(other, "door_open_by");
	find_by = (void *(*)(void *(*)(void *, const char *), void *, const char *))dlsym(other,
	                                                                                  "door_find_by");
	CHECK(open_by && dlsym(base, "door_open_by") != (void *)open_by, "the same copy in both namespaces");

	inner = open_by(dlopen, "libdoor-found.so", RTLD_NOW);
	CHECK(inner, "dlopen from inside: %s", dlerror());
	CHECK(namespace_of(inner) == namespace_of(other), "dlopen from inside went to namespace %ld",
	      (long)namespace_of(inner));

	/* RTLD_DEFAULT is the caller's: the other namespace has a libc of its own. */
	CHECK(find_by(dlsym, RTLD_DEFAULT, "puts") != dlsym(RTLD_DEFAULT, "puts"),
	      "RTLD_DEFAULT from inside gave the program's libc");
	CHECK(find_by(dlsym, RTLD_DEFAULT, "door_open_by") == (void *)open_by,
	      "RTLD_DEFAULT from inside does not see its own library");
	CHECK(!dlsym(RTLD_DEFAULT, "door_found"), "RTLD_DEFAULT from the program sees into the namespace");

	/* A module in there, reached from out here. */
	module = dlmopen(namespace_of(other), DOORS "/libdoor-module.so", RTLD_NOW);
	CHECK(namespace_of(module) == namespace_of(other), "module in namespace %ld",
	      (long)namespace_of(module));
	CHECK(dlsym(module, "door_plain"), "door_plain in a namespace");
	CHECK(dlsym(module, "C_GetFunctionList"), "C_GetFunctionList in a namespace");
	CHECK(!dlmopen(12345, DOORS "/libdoor-module.so", RTLD_NOW), "namespace 12345");
	printf("bad namespace: %s\n", dlerror());
	CHECK(!dlclose(module) && !dlclose(inner) && !dlclose(other) && !dlclose(base), "dlclose");
	return door_failures != 0;
}
