/*
 * early.c: a library whose constructor looks symbols up, in a module too. As
 * a dependency of a program its constructor runs before those of any preload
 * library; as a plugin it runs while the dynamic linker holds its lock.
 */
#include "doors.h"
#include "standard/pkcs11.h"

int door_early(void);

static int answers;

int door_early(void)
{
	return answers;
}

__attribute__((constructor)) static void early(void)
{
	CK_FUNCTION_LIST_PTR functions = NULL;
	CK_C_GetFunctionList get;
	void *module;

	answers += dlsym(RTLD_DEFAULT, "puts") != NULL;
	answers += dlsym(RTLD_NEXT, "getenv") != NULL;
	answers += dlsym(RTLD_DEFAULT, "door_early") == (void *)door_early;
	answers += dlsym(RTLD_DEFAULT, "door_nothing") == NULL && dlerror();
	module = dlopen(DOORS "/libdoor-module.so", RTLD_NOW);
	if (!module)
		return;
	get = (CK_C_GetFunctionList)dlsym(module, "C_GetFunctionList");
	answers += get && get(&functions) == CKR_OK && functions;
	answers += functions && functions->C_Initialize(NULL) == CKR_OK;
	answers += functions && functions->C_Finalize(NULL) == CKR_OK;
	answers += dlclose(module) == 0;
}
