/*
 * consumer.c: a library that uses a PKCS #11 module, see consumer.h. Built
 * several times under several names. It keeps no state but the tag, and makes
 * no tail call, so that whoever looks at return addresses sees this object.
 */
#include "consumer.h"

static char tag;

static void *load(const char *path)
{
	void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL);

	return module;
}

static int unload(void *module)
{
	int result = dlclose(module);

	return result;
}

static void *symbol(void *module, const char *name)
{
	void *found = dlsym(module, name);

	return found;
}

static CK_RV ask_list(void *module, CK_FUNCTION_LIST **list)
{
	CK_C_GetFunctionList get_list = (CK_C_GetFunctionList)(uintptr_t)dlsym(module, "C_GetFunctionList");
	CK_RV rv = get_list ? get_list(list) : CKR_GENERAL_ERROR;

	return rv;
}

static CK_RV ask_interface(void *module, const char *name, CK_VERSION *version, CK_INTERFACE **interface,
                           CK_FLAGS flags)
{
	CK_C_GetInterface get = (CK_C_GetInterface)(uintptr_t)dlsym(module, "C_GetInterface");
	CK_RV rv = get ? get((CK_UTF8CHAR *)(uintptr_t)name, version, interface, flags) : CKR_GENERAL_ERROR;

	return rv;
}

static CK_RV ask_interfaces(void *module, CK_INTERFACE *interfaces, CK_ULONG *count)
{
	CK_C_GetInterfaceList get = (CK_C_GetInterfaceList)(uintptr_t)dlsym(module, "C_GetInterfaceList");
	CK_RV rv = get ? get(interfaces, count) : CKR_GENERAL_ERROR;

	return rv;
}

static CK_FUNCTION_LIST *list(void *module)
{
	CK_FUNCTION_LIST *found = NULL;

	return ask_list(module, &found) == CKR_OK ? found : NULL;
}

static void *list_3(void *module, int major, int minor)
{
	CK_VERSION version = {(CK_BYTE)major, (CK_BYTE)minor};
	CK_INTERFACE *interface = NULL;

	if (ask_interface(module, "PKCS 11", major ? &version : NULL, &interface, 0) != CKR_OK)
		return NULL;
	return interface->pFunctionList;
}

static CK_RV initialise(CK_FUNCTION_LIST *list)
{
	CK_C_INITIALIZE_ARGS args = {.flags = CKF_OS_LOCKING_OK};

	return list->C_Initialize(&args);
}

static CK_RV finalise(CK_FUNCTION_LIST *list)
{
	return list->C_Finalize(NULL);
}

static CK_RV open_session(CK_FUNCTION_LIST *list, CK_SLOT_ID slot, CK_SESSION_HANDLE *session)
{
	return list->C_OpenSession(slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, &tag, NULL, session);
}

static CK_RV login(CK_FUNCTION_LIST *list, CK_SESSION_HANDLE session, const char *pin)
{
	return list->C_Login(session, CKU_USER, (CK_UTF8CHAR *)(uintptr_t)pin, strlen(pin));
}

static CK_RV find_key(CK_FUNCTION_LIST *list, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE *key)
{
	CK_OBJECT_CLASS class = CKO_PRIVATE_KEY;
	CK_ATTRIBUTE template = {CKA_CLASS, &class, sizeof class};
	CK_ULONG found = 0;
	CK_RV rv = list->C_FindObjectsInit(session, &template, 1), end;

	if (rv != CKR_OK)
		return rv;
	rv = list->C_FindObjects(session, key, 1, &found);
	end = list->C_FindObjectsFinal(session);
	if (rv != CKR_OK || end != CKR_OK)
		return rv != CKR_OK ? rv : end;
	return found ? CKR_OK : CKR_USER_NOT_LOGGED_IN;
}

static CK_RV sign(CK_FUNCTION_LIST *list, CK_SESSION_HANDLE session, const void *data, CK_ULONG size,
                  CK_BYTE *signature, CK_ULONG *signature_size)
{
	CK_MECHANISM mechanism = {CKM_SHA256_RSA_PKCS, NULL, 0};
	CK_OBJECT_HANDLE key;
	CK_RV rv = find_key(list, session, &key);

	if (rv == CKR_OK)
		rv = list->C_SignInit(session, &mechanism, key);
	if (rv == CKR_OK)
		rv = list->C_Sign(session, (CK_BYTE *)(uintptr_t)data, size, signature, signature_size);
	return rv;
}

__attribute__((visibility("default"))) const struct consumer consumer = {
        .tag = &tag,
        .load = load,
        .unload = unload,
        .symbol = symbol,
        .ask_list = ask_list,
        .ask_interface = ask_interface,
        .ask_interfaces = ask_interfaces,
        .list = list,
        .list_3 = list_3,
        .initialise = initialise,
        .finalise = finalise,
        .open = open_session,
        .login = login,
        .sign = sign,
};
