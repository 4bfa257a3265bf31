/*
 * names.h: the standard's names of mechanisms, attributes, classes, key types,
 * user types and flags (names.def), and how an attribute's value may be shown.
 * Those of functions and return values: calls.h.
 *
 * Read-only; no locks, no allocation, nothing that a signal handler could not do.
 * The strings live as long as the process.
 */
#ifndef P11SHIM_NAMES_H
#define P11SHIM_NAMES_H

#include "base/common.h"
#include "standard/pkcs11.h"

/* "CKM_RSA_PKCS" and so on; NULL for what the standard does not know, vendors' own included. */
const char *names_mechanism(CK_ULONG mechanism);
const char *names_attribute(CK_ULONG type);
const char *names_class(CK_ULONG class);
const char *names_key_type(CK_ULONG type);
const char *names_user(CK_ULONG user);

/*
 * How an attribute's value may be shown, if its length is that of the C type below. The caller compares the
 * length.
 */
enum attribute_sort {
	ATTRIBUTE_OPAQUE,    /* not at all, only its length */
	ATTRIBUTE_BOOLEAN,   /* CK_BBOOL */
	ATTRIBUTE_CLASS,     /* CK_ULONG: names_class */
	ATTRIBUTE_KEY_TYPE,  /* CK_ULONG: names_key_type */
	ATTRIBUTE_NUMBER,    /* CK_ULONG */
	ATTRIBUTE_MECHANISM, /* CK_ULONG: names_mechanism */
};

/* OPAQUE for all types that the standard does not know. */
enum attribute_sort names_attribute_sort(CK_ULONG type);

/*
 * Writes the flags that `function` (CALL_C_OpenSession and so on) takes, by their names, as
 * "CKF_SERIAL_SESSION|CKF_RW_SESSION|0x100". For C_Initialize these are the flags of its
 * CK_C_INITIALIZE_ARGS. Flags that have no name there stand together as one number at the end. No flags at
 * all are "0".
 *
 * Writes at most size bytes, the last of them a '\0', and returns how many without that. A name that does not
 * fit is cut; NAMES_FLAGS bytes are enough for any flags.
 *
 *	char flags[NAMES_FLAGS];
 *	names_flags(CALL_C_OpenSession, args[1], flags, sizeof flags);
 */
#define NAMES_FLAGS 384
size_t names_flags(unsigned function, CK_ULONG flags, char *buffer, size_t size);

#endif
