/*
 * missing.c LIBRARY...: what a program sees of symbols that exist and symbols
 * that do not: found or NULL, the text of dlerror, errno. Printed for
 * comparison.
 */
#include "doors.h"

#define UNTOUCHED 4242

static const char *const names[] = {
        "C_GetFunctionList",
        "C_GetInterface",
        "C_GetInterfaceList",
        "_C_GetFunctionList",
        "C_NoSuchThing",
        "C_",
        "C_Sign",
        "C_SessionCancel",
        "C_Initialize",
        "C_LoginUser",
        "c_getfunctionlist",
        "C_GetFunctionLis",
        "C_GetFunctionList2",
        "NSC_GetFunctionList",
        "puts",
        "door_nothing",
        "",
};

static void ask(const char *where, void *handle, const char *name)
{
	const char *text;
	void *found;
	int error;

	errno = UNTOUCHED;
	found = dlsym(handle, name);
	error = errno;
	text = dlerror();
	printf("%s \"%s\": %s, errno %s, %s\n", where, name, found ? "found" : "NULL",
	       error == UNTOUCHED ? "kept" : strerror(error), text ? text : "no error");
	CHECK(!dlerror(), "a second dlerror");
}

static void ask_all(const char *where, void *handle)
{
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(*names); i++)
		ask(where, handle, names[i]);
}

int main(int argc, char **argv)
{
	void *handle;
	int i;

	ask_all("RTLD_DEFAULT", RTLD_DEFAULT);
	ask_all("RTLD_NEXT", RTLD_NEXT);
	ask_all("program", dlopen(NULL, RTLD_NOW));
	for (i = 1; i < argc; i++) {
		errno = UNTOUCHED;
		handle = dlopen(argv[i], RTLD_NOW | RTLD_LOCAL);
		if (!handle) {
			printf("%s: %s\n", argv[i], dlerror());
			continue;
		}
		ask_all(argv[i], handle);

		/* An error that nobody fetched is gone after the next success. */
		dlsym(handle, "door_nothing");
		if (dlsym(handle, "C_GetFunctionList"))
			printf("after a success: %s\n", dlerror() ? "an error" : "no error");
		printf("dlclose: %d\n", dlclose(handle));
	}
	printf("%s\n", dlopen(DOORS "/no-such-file.so", RTLD_NOW) ? "opened" : dlerror());
	printf("%s\n", dlopen(DOORS "/doors.mk", RTLD_NOW | RTLD_NOLOAD) ? "opened" : dlerror());
	return door_failures != 0;
}
