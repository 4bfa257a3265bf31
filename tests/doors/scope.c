/*
 * scope.c: RTLD_DEFAULT and RTLD_NEXT mean the caller's scope: a plugin that
 * was opened with RTLD_LOCAL finds itself and its dependencies, while the
 * program that opened it does not.
 */
#include "doors.h"

int main(void)
{
	void *plugin = need_library(DOORS "/libdoor-scope-plugin.so");
	void *(*by_default)(const char *) = (void *(*)(const char *))dlsym(plugin, "door_default");
	void *(*by_next)(const char *) = (void *(*)(const char *))dlsym(plugin, "door_next");

	CHECK(!dlsym(RTLD_DEFAULT, "door_only_here"), "the program sees into a local plugin");
	printf("RTLD_DEFAULT from the plugin: %s\n", object_of(by_default("door_only_here")));
	printf("RTLD_NEXT from the plugin: %s\n", object_of(by_next("door_only_here")));
	printf("RTLD_DEFAULT, everyone's: %s\n", object_of(by_default("puts")));
	dlclose(plugin);
	return door_failures != 0;
}
