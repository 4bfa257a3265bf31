/*
 * tiny.c: tiny.so, a module for what the mock cannot do.
 *
 *   - It has two interfaces of version 3.0, with and without
 *     CKF_INTERFACE_FORK_SAFE, one of 2.40, and the list of C_GetFunctionList.
 *     The C_GetInfo of each answers a number of its own.
 *   - Its C_GetInterfaceList fills what it has and claims to have LONG_MAX.
 *   - It has an ELF destructor but imports nothing to register an exit handler
 *     with. A call after that ends the process with status 3.
 *   - It may be interrupted and copied by a fork anywhere: all that it knows is
 *     a few atomic words.
 */
#include "standard/pkcs11.h"
#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

static atomic_bool initialised, destroyed;
static atomic_ulong sessions;
static atomic_int finalised;

static void enter(const char *name)
{
	if (!destroyed)
		return;
	dprintf(STDOUT_FILENO, "module: %s after its end\n", name);
	_exit(3);
}

__attribute__((destructor)) static void destroy(void)
{
	destroyed = true;
	dprintf(STDOUT_FILENO, "module: destroyed, finalised %d\n", (int)finalised);
}

static CK_RV initialise(CK_VOID_PTR args)
{
	(void)args;
	enter("C_Initialize");
	return atomic_exchange(&initialised, true) ? CKR_CRYPTOKI_ALREADY_INITIALIZED : CKR_OK;
}

static CK_RV finalise(CK_VOID_PTR reserved)
{
	(void)reserved;
	enter("C_Finalize");
	finalised++;
	return atomic_exchange(&initialised, false) ? CKR_OK : CKR_CRYPTOKI_NOT_INITIALIZED;
}

static CK_RV open_session(CK_SLOT_ID slot, CK_FLAGS flags, CK_VOID_PTR application, CK_NOTIFY notify,
                          CK_SESSION_HANDLE_PTR session)
{
	(void)slot;
	(void)flags;
	(void)application;
	(void)notify;
	enter("C_OpenSession");
	*session = ++sessions;
	return CKR_OK;
}

static CK_RV close_session(CK_SESSION_HANDLE session)
{
	(void)session;
	enter("C_CloseSession");
	return CKR_OK;
}

static CK_RV close_all_sessions(CK_SLOT_ID slot)
{
	(void)slot;
	enter("C_CloseAllSessions");
	return CKR_OK;
}

#define INFO(n)                                       \
	static CK_RV info_##n(CK_INFO_PTR info)       \
	{                                             \
		(void)info;                           \
		enter("C_GetInfo");                   \
		return CKR_VENDOR_DEFINED | (CK_RV)n; \
	}
INFO(0)
INFO(1)
INFO(2)
INFO(3)

EXPORT CK_RV C_GetFunctionList(CK_FUNCTION_LIST_PTR_PTR list);
EXPORT CK_RV C_GetInterfaceList(CK_INTERFACE_PTR interfaces, CK_ULONG_PTR count);
EXPORT CK_RV C_GetInterface(CK_UTF8CHAR_PTR name, CK_VERSION_PTR version, CK_INTERFACE_PTR_PTR interface,
                            CK_FLAGS flags);

#define LIST(major, minor, n)                                                                  \
	{                                                                                      \
		.version = {major, minor}, .C_Initialize = initialise, .C_Finalize = finalise, \
		.C_GetInfo = info_##n, .C_GetFunctionList = C_GetFunctionList,                 \
		.C_OpenSession = open_session, .C_CloseSession = close_session,                \
		.C_CloseAllSessions = close_all_sessions                                       \
	}
static CK_FUNCTION_LIST_3_0 plain = LIST(3, 0, 0), fork_safe = LIST(3, 0, 1);
static CK_FUNCTION_LIST old = LIST(2, 40, 2), own = LIST(2, 40, 3);

static CK_UTF8CHAR standard[] = "PKCS 11", vendor[] = "Vendor";
static CK_INTERFACE offers[] = {
        {standard, &plain, 0},  {standard, &fork_safe, CKF_INTERFACE_FORK_SAFE},
        {NULL, &plain, 0},      {standard, NULL, 0},
        {vendor, (void *)3, 0}, {standard, &old, 0},
};

CK_RV C_GetFunctionList(CK_FUNCTION_LIST_PTR_PTR list)
{
	enter("C_GetFunctionList");
	*list = &own;
	return CKR_OK;
}

CK_RV C_GetInterfaceList(CK_INTERFACE_PTR interfaces, CK_ULONG_PTR count)
{
	if (interfaces && *count < sizeof offers / sizeof offers[0])
		return CKR_BUFFER_TOO_SMALL;
	if (interfaces)
		memcpy(interfaces, offers, sizeof offers);
	*count = LONG_MAX;
	return CKR_OK;
}

CK_RV C_GetInterface(CK_UTF8CHAR_PTR name, CK_VERSION_PTR version, CK_INTERFACE_PTR_PTR interface,
                     CK_FLAGS flags)
{
	(void)name;
	*interface = version && version->major == 2    ? &offers[5]
	             : flags & CKF_INTERFACE_FORK_SAFE ? &offers[1]
	                                               : &offers[0];
	return CKR_OK;
}
