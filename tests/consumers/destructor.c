/*
 * destructor.c: a consumer that leaves its module initialised, and takes leave of
 * it in an ELF destructor, where it says what it is answered.
 */
#include "standard/pkcs11.h"
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

__attribute__((visibility("default"))) void begin(const char *path);

static CK_FUNCTION_LIST *list;

void begin(const char *path)
{
	CK_C_INITIALIZE_ARGS args = {.flags = CKF_OS_LOCKING_OK};
	void *module = dlopen(path, RTLD_NOW);
	CK_C_GetFunctionList get_list =
	        module ? (CK_C_GetFunctionList)(uintptr_t)dlsym(module, "C_GetFunctionList") : NULL;

	if (get_list && get_list(&list) == CKR_OK && list->C_Initialize(&args) == CKR_OK)
		return;
	dprintf(STDERR_FILENO, "cannot begin with %s\n", path);
	_exit(2);
}

__attribute__((destructor)) static void end(void)
{
	CK_SESSION_HANDLE session;

	if (!list)
		return;
	dprintf(STDOUT_FILENO, "library: C_OpenSession 0x%lx\n",
	        list->C_OpenSession(0, CKF_SERIAL_SESSION, NULL, NULL, &session));
	dprintf(STDOUT_FILENO, "library: C_Finalize 0x%lx\n", list->C_Finalize(NULL));
}
