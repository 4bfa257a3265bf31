/*
 * runpath.c LIBRARY...: each of these libraries (finder.c) opens libdoor-found.so
 * in the ways that depend on the caller.
 */
#include "doors.h"

static void report(const char *how, void *handle)
{
	int (*found)(void) = handle ? (int (*)(void))dlsym(handle, "door_found") : NULL;

	printf("  %s: %s\n", how, handle ? (found && found() == 7 ? "found" : "another file") : dlerror());
	CHECK(found, "%s", how);
	if (handle)
		dlclose(handle);
}

static void ask(const char *path)
{
	void *library = need_library(path);
	void *(*by_dlopen)(const char *, int) = (void *(*)(const char *, int))dlsym(library, "door_open");
	void *(*by_dlmopen)(const char *, int) = (void *(*)(const char *, int))dlsym(library, "door_dlmopen");

	printf("%s\n", object_of((void *)by_dlopen));
	report("bare name", by_dlopen("libdoor-found.so", RTLD_NOW));
	report("bare name by dlmopen", by_dlmopen("libdoor-found.so", RTLD_NOW));
	report("$ORIGIN", by_dlopen("$ORIGIN/deep/libdoor-found.so", RTLD_LAZY));
	CHECK(!by_dlopen("libdoor-nowhere.so", RTLD_NOW), "libdoor-nowhere.so is somewhere");
	printf("  missing: %s\n", dlerror());
	dlclose(library);
}

int main(int argc, char **argv)
{
	int i;

	for (i = 1; i < argc; i++)
		ask(argv[i]);
	CHECK(!dlopen("libdoor-found.so", RTLD_NOW), "the program itself has no way to libdoor-found.so");
	printf("from the program: %s\n", dlerror());
	return door_failures != 0;
}
