/*
 * unload.c: dlclose is real: a library, and a module that nobody left
 * initialised, is unmapped at its last dlclose, not at exit.
 */
#include "doors.h"
#include "standard/pkcs11.h"

/* touch: 0 do not look, 1 look the getter up, 2 call it, 3 initialise and finalise. */
static void unload(int touch)
{
	void *module = need_library(DOORS "/libdoor-module.so");
	int **counter = (int **)dlsym(module, "door_module_unloaded");
	CK_FUNCTION_LIST_PTR functions = NULL;
	CK_C_GetFunctionList get;
	int unloaded = 0;

	*counter = &unloaded;
	if (touch >= 1)
		get = (CK_C_GetFunctionList)dlsym(module, "C_GetFunctionList");
	if (touch >= 2)
		CHECK(get(&functions) == CKR_OK, "C_GetFunctionList");
	if (touch >= 3)
		CHECK(functions->C_Initialize(NULL) == CKR_OK && functions->C_Finalize(NULL) == CKR_OK,
		      "C_Initialize, C_Finalize");
	CHECK(dlopen(DOORS "/libdoor-module.so", RTLD_NOW | RTLD_NOLOAD) == module, "RTLD_NOLOAD");
	CHECK(!dlclose(module) && !unloaded, "unloaded with one reference left");
	CHECK(!dlclose(module), "dlclose");
	printf("touched %d: %s\n", touch, unloaded == 1 ? "unloaded" : "still there");
	CHECK(unloaded == 1, "unloaded %d times", unloaded);
	CHECK(!dlopen(DOORS "/libdoor-module.so", RTLD_NOW | RTLD_NOLOAD),
	      "RTLD_NOLOAD after the last dlclose");
}

int main(void)
{
	int touch;

	for (touch = 0; touch <= 3; touch++)
		unload(touch);
	for (touch = 0; touch <= 3; touch++)
		unload(touch);
	return door_failures != 0;
}
