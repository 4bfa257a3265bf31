/*
 * answers: a module whose functions look at none of their arguments, keep
 * nothing, and answer what they are told:
 *
 *	answers_set(rv, handle)
 *
 * rv for all but C_Initialize, C_Finalize, C_WaitForSlotEvent (which has no
 * event) and those that ask for lists. handle is what a successful C_OpenSession
 * hands out, the one function that writes anything. What passes by here leaves
 * no copy behind.
 *
 * Lists: 2.40 by C_GetFunctionList, 3.2 by C_GetInterface.
 */
#include "answers.h"
#include "standard/calls.h"
#include "each.h"
#include <stddef.h>
#include <stdint.h>

#define EXPORT __attribute__((visibility("default")))

static CK_RV answer = CKR_OK;
static CK_SESSION_HANDLE new_session = 1;
static CK_FUNCTION_LIST list;
static CK_FUNCTION_LIST_3_2 list_3_2;
static CK_INTERFACE interface = {(CK_UTF8CHAR *)"PKCS 11", &list_3_2, 0};

EXPORT void answers_set(CK_RV rv, CK_SESSION_HANDLE handle)
{
	answer = rv;
	new_session = handle;
}

static CK_RV answer_to(unsigned function, const uintptr_t *words)
{
	switch (function) {
	case CALL_C_Initialize:
	case CALL_C_Finalize:
		return CKR_OK;
	case CALL_C_WaitForSlotEvent:
		return CKR_NO_EVENT;
	case CALL_C_OpenSession:
		if (answer == CKR_OK)
			*(CK_SESSION_HANDLE *)words[4] = new_session;
		return answer;
	case CALL_C_GetFunctionList:
		*(CK_FUNCTION_LIST **)words[0] = &list;
		return CKR_OK;
	case CALL_C_GetInterface:
		*(CK_INTERFACE **)words[2] = &interface;
		return CKR_OK;
	case CALL_C_GetInterfaceList:
		if (words[0])
			*(CK_INTERFACE *)words[0] = interface;
		*(CK_ULONG *)words[1] = 1;
		return CKR_OK;
	default:
		return answer;
	}
}

#define CALL(name, route, ...)                                       \
	static CK_RV on_##name(EACH(TYPED, __VA_ARGS__))             \
	{                                                            \
		const uintptr_t words[] = {EACH(WORD, __VA_ARGS__)}; \
		return answer_to(CALL_##name, words);                \
	}
#define P PAIR
#include "standard/calls.def"

static CK_FUNCTION_LIST list = {
        .version = {2, 40},
#define CALL_2_40(name, ...) .name = on_##name,
#include "standard/calls.def"
};

static CK_FUNCTION_LIST_3_2 list_3_2 = {
        .version = {3, 2},
#define CALL(name, ...) .name = on_##name,
#include "standard/calls.def"
};

EXPORT CK_RV C_GetFunctionList(CK_FUNCTION_LIST_PTR_PTR found)
{
	return on_C_GetFunctionList(found);
}

EXPORT CK_RV C_GetInterface(CK_UTF8CHAR_PTR name, CK_VERSION_PTR version, CK_INTERFACE_PTR_PTR found,
                            CK_FLAGS flags)
{
	return on_C_GetInterface(name, version, found, flags);
}

EXPORT CK_RV C_GetInterfaceList(CK_INTERFACE_PTR found, CK_ULONG_PTR count)
{
	return on_C_GetInterfaceList(found, count);
}
