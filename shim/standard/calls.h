/*
 * calls.h: calls.def as tables: the number, name and parameters of every C_*
 * function. Read-only, no locks.
 */
#ifndef P11SHIM_CALLS_H
#define P11SHIM_CALLS_H

#include "base/common.h"
#include "standard/pkcs11.h"

/* CALL_C_Initialize and so on: position in the function lists, from 0. */
enum {
#define CALL(name, ...) CALL_##name,
#include "standard/calls.def"
	CALLS
};

/* How many functions each list has: CK_FUNCTION_LIST, _3_0, _3_2. */
enum { CALLS_2_40 = CALL_C_GetInterfaceList, CALLS_3_0 = CALL_C_EncapsulateKey, CALLS_3_2 = CALLS };

#define CALL_PARAMETERS 10 /* the longest parameter list: C_UnwrapKeyAuthenticated */

/* What a parameter is: calls.def explains the kinds. */
enum parameter_kind {
	PARAMETER_NONE,
	PARAMETER_INIT_ARGS,
	PARAMETER_RESERVED,
	PARAMETER_INFO,
	PARAMETER_FUNCTION_LIST,
	PARAMETER_INTERFACE,
	PARAMETER_INTERFACES,
	PARAMETER_INTERFACE_NAME,
	PARAMETER_VERSION,
	PARAMETER_SLOT,
	PARAMETER_SESSION,
	PARAMETER_OBJECT,
	PARAMETER_NEW_SLOT,
	PARAMETER_NEW_SESSION,
	PARAMETER_NEW_OBJECT,
	PARAMETER_SLOTS,
	PARAMETER_OBJECTS,
	PARAMETER_MECHANISMS,
	PARAMETER_COUNT_OUT,
	PARAMETER_COUNT,
	PARAMETER_MECHANISM,
	PARAMETER_MECHANISM_TYPE,
	PARAMETER_TEMPLATE,
	PARAMETER_PARAMETER,
	PARAMETER_DATA_IN,
	PARAMETER_LENGTH,
	PARAMETER_DATA_OUT,
	PARAMETER_LENGTH_OUT,
	PARAMETER_SECRET,
	PARAMETER_SECRET_LENGTH,
	PARAMETER_NAME,
	PARAMETER_LABEL,
	PARAMETER_FLAGS,
	PARAMETER_FLAGS_OUT,
	PARAMETER_USER_TYPE,
	PARAMETER_BOOLEAN,
	PARAMETER_NUMBER,
	PARAMETER_NUMBER_OUT,
	PARAMETER_APPLICATION,
	PARAMETER_NOTIFY,
	PARAMETER_ASYNC,
};

/* The names lie in the tables themselves: a pointer would cost a relocation at every start. */
struct call_description {
	char name[31];
	unsigned char parameters;
	unsigned char kind[CALL_PARAMETERS]; /* enum parameter_kind */
};

extern const struct call_description calls[CALLS];

/* Does it hand out function lists? */
static inline bool calls_is_getter(unsigned function)
{
	return function == CALL_C_GetFunctionList || function == CALL_C_GetInterface ||
	       function == CALL_C_GetInterfaceList;
}

/* The number of the function with that name, or -1. Allocates nothing. */
int calls_find(const char *name);

/* The standard's name of a return value, or NULL. */
const char *calls_return_name(CK_RV rv);

/*
 * Calls function with the first `parameters` words of args. Every parameter of
 * every PKCS #11 function is one machine word in the calling conventions of
 * x86-64, i386 and aarch64 (CK_BBOOL, the only narrower one, is read from the
 * low byte), so words are enough to pass any of them on.
 */
CK_RV calls_invoke(void *function, unsigned parameters, const uintptr_t *args);

#endif
