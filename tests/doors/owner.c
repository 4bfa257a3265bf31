/*
 * owner.c: a symbol belongs to the object that defines it, whatever handle
 * dlsym was asked with.
 */
#include "doors.h"
#include "standard/pkcs11.h"

static CK_FUNCTION_LIST_PTR list_of(void *handle)
{
	CK_C_GetFunctionList get = (CK_C_GetFunctionList)dlsym(handle, "C_GetFunctionList");
	CK_FUNCTION_LIST_PTR functions = NULL;

	CHECK(get && get(&functions) == CKR_OK && functions, "no function list");
	return functions;
}

static const char *name_of(void *list)
{
	CK_FUNCTION_LIST_PTR functions = list;
	static char name[33];
	char *blank;
	CK_INFO info, *of = &info;

	if (!functions || functions->C_Initialize(NULL) != CKR_OK || functions->C_GetInfo(of) != CKR_OK ||
	    functions->C_Finalize(NULL) != CKR_OK)
		return "unusable";
	memcpy(name, of->libraryDescription, 32);
	blank = strchr(name, ' ');
	if (blank)
		*blank = '\0';
	return name;
}

/* The wrapper's dependency is the module itself, for one consumer one list. */
static void in_a_dependency(void)
{
	void *module = need_library(DOORS "/libdoor-module.so");
	void *wrapper = need_library(DOORS "/libdoor-wrapper.so");
	CK_FUNCTION_LIST_PTR direct = list_of(module), through = list_of(wrapper);

	printf("through the wrapper: %s, %s list\n", name_of(through), direct == through ? "one" : "another");
	dlclose(wrapper);
	dlclose(module);
}

/*
 * A module without C_GetInterface on top of one with it: the lookup finds the
 * lower module's, and that is whose functions it gives.
 */
static void interface_of_a_dependency(void)
{
	void *upper = need_library(DOORS "/libdoor-upper.so");
	CK_C_GetInterface get = (CK_C_GetInterface)dlsym(upper, "C_GetInterface");
	CK_INTERFACE_PTR found = NULL;

	CHECK(get && get(NULL, NULL, &found, 0) == CKR_OK && found, "no interface");
	printf("upper's list: %s\n", name_of(list_of(upper)));
	printf("interface through upper: %s\n", found ? name_of(found->pFunctionList) : "none");
	dlclose(upper);
}

static void not_a_module(void)
{
	static const char *const names[] = {"C_Initialize", "C_Sign", "C_GetInterface", "C_Unheard",
	                                    "C_Login"};
	void *library = need_library(DOORS "/libdoor-notmodule.so");
	const void *(*own)(const char *) = (const void *(*)(const char *))dlsym(library, "door_own");
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(*names); i++)
		CHECK(dlsym(library, names[i]) == own(names[i]),
		      "%s of a library that is no module is from %s", names[i],
		      object_of(dlsym(library, names[i])));
	printf("not a module: C_Initialize answers %lu\n",
	       ((CK_C_Initialize)dlsym(library, "C_Initialize"))(NULL));
	dlclose(library);
}

/* Defined by the library itself, while C_GetFunctionList is a dependency's. */
static void half_a_module(void)
{
	void *library = need_library(DOORS "/libdoor-half.so");
	CK_C_Initialize initialize = (CK_C_Initialize)dlsym(library, "C_Initialize");

	printf("half a module: C_Initialize from %s answers %lu\n", object_of((void *)initialize),
	       initialize(NULL));
	dlclose(library);
}

int main(void)
{
	in_a_dependency();
	interface_of_a_dependency();
	not_a_module();
	half_a_module();
	return door_failures != 0;
}
