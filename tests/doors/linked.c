/*
 * linked.c: a program linked with its module. What it asks by RTLD_DEFAULT or
 * RTLD_NEXT is no question about a module (no real handle), so the answer is
 * the very function that it is linked to.
 */
#include "doors.h"
#include "standard/pkcs11.h"

CK_RV C_GetFunctionList(CK_FUNCTION_LIST_PTR_PTR list);

int main(void)
{
	CHECK(dlsym(RTLD_DEFAULT, "C_GetFunctionList") == (void *)C_GetFunctionList, "RTLD_DEFAULT: %s",
	      object_of(dlsym(RTLD_DEFAULT, "C_GetFunctionList")));
	CHECK(dlsym(RTLD_NEXT, "C_GetFunctionList") == (void *)C_GetFunctionList, "RTLD_NEXT: %s",
	      object_of(dlsym(RTLD_NEXT, "C_GetFunctionList")));
	printf("linked to %s\n", object_of((void *)C_GetFunctionList));
	return door_failures != 0;
}
