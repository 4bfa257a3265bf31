/*
 * null.so: a PKCS #11 module whose functions return CKR_OK at once, so that a
 * benchmark on it measures nothing but the way there and back. It offers the
 * 2.40, 3.0 and 3.2 lists.
 *
 * null_raw_list() hands out the 2.40 list under a name that is not the
 * standard's, hence never through the shim: the direct call, in the same
 * process.
 */
#include <string.h>

#include "standard/pkcs11.h"

#define EXPORT __attribute__((visibility("default")))

/* Merged functions would jump to one another, which is not "at once". */
#if defined(__has_attribute)
#if __has_attribute(no_icf)
#define ALONE no_icf,
#endif
#endif
#ifndef ALONE
#define ALONE
#endif

#define CALL(name, route, ...)                                                           \
	__attribute__((ALONE unused, aligned(64))) static CK_RV null_##name(__VA_ARGS__) \
	{                                                                                \
		return CKR_OK;                                                           \
	}
#define P(type, name, kind) __attribute__((unused)) type name
#include "standard/calls.def"

/*
 * Proxies and managers read the answers of a few functions: these replace the
 * empty ones in the lists below. There is one slot, 0; any number of sessions,
 * of which it keeps nothing, so that opening one costs the same at all times.
 */
static CK_RV answer_get_info(CK_INFO_PTR info)
{
	memset(info, 0, sizeof(*info));
	info->cryptokiVersion = (CK_VERSION){3, 2};
	return CKR_OK;
}

__attribute__((aligned(64))) static CK_RV answer_get_slot_list(CK_BBOOL present, CK_SLOT_ID_PTR slots,
                                                               CK_ULONG_PTR count)
{
	(void)present;
	if (slots != NULL)
		slots[0] = 0;
	*count = 1;
	return CKR_OK;
}

static CK_RV answer_get_slot_info(CK_SLOT_ID slot, CK_SLOT_INFO_PTR info)
{
	(void)slot;
	memset(info, 0, sizeof(*info));
	info->flags = CKF_TOKEN_PRESENT;
	return CKR_OK;
}

static CK_RV answer_get_token_info(CK_SLOT_ID slot, CK_TOKEN_INFO_PTR info)
{
	(void)slot;
	memset(info, 0, sizeof(*info));
	info->flags = CKF_TOKEN_INITIALIZED;
	return CKR_OK;
}

static CK_SESSION_HANDLE sessions;

static CK_RV answer_open_session(CK_SLOT_ID slot, CK_FLAGS flags, CK_VOID_PTR application, CK_NOTIFY notify,
                                 CK_SESSION_HANDLE_PTR session)
{
	(void)slot, (void)flags, (void)application, (void)notify;
	*session = __atomic_add_fetch(&sessions, 1, __ATOMIC_RELAXED);
	return CKR_OK;
}

EXPORT CK_RV C_GetFunctionList(CK_FUNCTION_LIST_PTR_PTR list);
EXPORT CK_RV C_GetInterfaceList(CK_INTERFACE_PTR interfaces, CK_ULONG_PTR count);
EXPORT CK_RV C_GetInterface(CK_UTF8CHAR_PTR name, CK_VERSION_PTR version, CK_INTERFACE_PTR_PTR interface,
                            CK_FLAGS flags);
EXPORT CK_FUNCTION_LIST_PTR null_raw_list(void);

#define null_C_GetInfo answer_get_info
#define null_C_GetFunctionList C_GetFunctionList
#define null_C_GetSlotList answer_get_slot_list
#define null_C_GetSlotInfo answer_get_slot_info
#define null_C_GetTokenInfo answer_get_token_info
#define null_C_OpenSession answer_open_session
#define null_C_GetInterfaceList C_GetInterfaceList
#define null_C_GetInterface C_GetInterface

#define ENTRY(name) .name = null_##name,

static CK_FUNCTION_LIST list_2_40 = {
        .version = {2, 40},
#define CALL_2_40(name, ...) ENTRY(name)
#include "standard/calls.def"
};

static CK_FUNCTION_LIST_3_0 list_3_0 = {
        .version = {3, 0},
#define CALL_2_40(name, ...) ENTRY(name)
#define CALL_3_0(name, ...) ENTRY(name)
#include "standard/calls.def"
};

static CK_FUNCTION_LIST_3_2 list_3_2 = {
        .version = {3, 2},
#define CALL(name, ...) ENTRY(name)
#include "standard/calls.def"
};

/* Newest first: the first one is the answer where no version is asked for. */
static CK_INTERFACE interfaces[] = {
        {(CK_UTF8CHAR_PTR) "PKCS 11", &list_3_2, 0},
        {(CK_UTF8CHAR_PTR) "PKCS 11", &list_3_0, 0},
        {(CK_UTF8CHAR_PTR) "PKCS 11", &list_2_40, 0},
};

#define INTERFACES (sizeof(interfaces) / sizeof(interfaces[0]))

CK_RV C_GetFunctionList(CK_FUNCTION_LIST_PTR_PTR list)
{
	if (list == NULL)
		return CKR_ARGUMENTS_BAD;
	*list = &list_2_40;
	return CKR_OK;
}

CK_RV C_GetInterfaceList(CK_INTERFACE_PTR out, CK_ULONG_PTR count)
{
	if (count == NULL)
		return CKR_ARGUMENTS_BAD;
	if (out != NULL && *count < INTERFACES)
		return CKR_BUFFER_TOO_SMALL;
	if (out != NULL)
		memcpy(out, interfaces, sizeof(interfaces));
	*count = INTERFACES;
	return CKR_OK;
}

CK_RV C_GetInterface(CK_UTF8CHAR_PTR name, CK_VERSION_PTR version, CK_INTERFACE_PTR_PTR interface,
                     CK_FLAGS flags)
{
	if (interface == NULL || flags != 0 || (name != NULL && strcmp((const char *)name, "PKCS 11") != 0))
		return CKR_ARGUMENTS_BAD;
	for (size_t i = 0; i < INTERFACES; i++)
		if (version == NULL ||
		    memcmp(version, interfaces[i].pFunctionList, sizeof(CK_VERSION)) == 0) {
			*interface = &interfaces[i];
			return CKR_OK;
		}
	return CKR_ARGUMENTS_BAD;
}

CK_FUNCTION_LIST_PTR null_raw_list(void)
{
	return &list_2_40;
}
