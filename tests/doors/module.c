/*
 * module.c: the smallest PKCS#11 module: no slots, and most entries NULL.
 * NAME tells one copy from another (C_GetInfo's description). A copy built
 * with INTERFACES also has the entry points of version 3.0.
 */
#include "doors.h"
#include "standard/pkcs11.h"

#ifndef NAME
#define NAME "module"
#endif
#define EXPORT __attribute__((visibility("default")))

/* A host points it at a counter of its own to see the module unloaded. */
EXPORT int *door_module_unloaded;

static int initialised;

EXPORT int door_plain(void);
EXPORT int door_plain(void)
{
	return 11;
}

EXPORT CK_RV C_Initialize(CK_VOID_PTR arguments);
EXPORT CK_RV C_Initialize(CK_VOID_PTR arguments)
{
	(void)arguments;
	if (__atomic_exchange_n(&initialised, 1, __ATOMIC_SEQ_CST))
		return CKR_CRYPTOKI_ALREADY_INITIALIZED;
	return CKR_OK;
}

static CK_RV module_finalize(CK_VOID_PTR reserved)
{
	(void)reserved;
	if (!__atomic_exchange_n(&initialised, 0, __ATOMIC_SEQ_CST))
		return CKR_CRYPTOKI_NOT_INITIALIZED;
	return CKR_OK;
}

static CK_RV module_get_info(CK_INFO_PTR info)
{
	if (!__atomic_load_n(&initialised, __ATOMIC_SEQ_CST))
		return CKR_CRYPTOKI_NOT_INITIALIZED;
	memset(info, 0, sizeof(*info));
	info->cryptokiVersion.major = 2;
	info->cryptokiVersion.minor = 40;
	memset(info->manufacturerID, ' ', sizeof(info->manufacturerID));
	memset(info->libraryDescription, ' ', sizeof(info->libraryDescription));
	memcpy(info->libraryDescription, NAME, strlen(NAME));
	return CKR_OK;
}

static CK_RV module_get_slot_list(CK_BBOOL present, CK_SLOT_ID_PTR list, CK_ULONG_PTR count)
{
	(void)present, (void)list;
	*count = 0;
	return CKR_OK;
}

EXPORT CK_RV C_GetFunctionList(CK_FUNCTION_LIST_PTR_PTR list);

static CK_FUNCTION_LIST functions = {
        .version = {2, 40},
        .C_Initialize = C_Initialize,
        .C_Finalize = module_finalize,
        .C_GetInfo = module_get_info,
        .C_GetFunctionList = C_GetFunctionList,
        .C_GetSlotList = module_get_slot_list,
};

EXPORT CK_RV C_GetFunctionList(CK_FUNCTION_LIST_PTR_PTR list)
{
	if (!list)
		return CKR_ARGUMENTS_BAD;
	*list = &functions;
	return CKR_OK;
}

#ifdef INTERFACES
static CK_FUNCTION_LIST_3_0 functions_3_0 = {
        .version = {3, 0},
        .C_Initialize = C_Initialize,
        .C_Finalize = module_finalize,
        .C_GetInfo = module_get_info,
        .C_GetFunctionList = C_GetFunctionList,
        .C_GetSlotList = module_get_slot_list,
};

static CK_UTF8CHAR standard[] = "PKCS 11";
static CK_INTERFACE interface_3_0 = {standard, &functions_3_0, 0};

EXPORT CK_RV C_GetInterface(CK_UTF8CHAR_PTR name, CK_VERSION_PTR version, CK_INTERFACE_PTR_PTR found,
                            CK_FLAGS flags);
EXPORT CK_RV C_GetInterface(CK_UTF8CHAR_PTR name, CK_VERSION_PTR version, CK_INTERFACE_PTR_PTR found,
                            CK_FLAGS flags)
{
	(void)version, (void)flags;
	if (name && strcmp((char *)name, (char *)standard))
		return CKR_FUNCTION_FAILED;
	*found = &interface_3_0;
	return CKR_OK;
}
#endif

__attribute__((destructor)) static void unloaded(void)
{
	if (door_module_unloaded)
		++*door_module_unloaded;
}
