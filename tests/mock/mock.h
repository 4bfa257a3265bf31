/*
 * mock.h: what tests use of the mock module besides PKCS #11. The functions are
 * exported by every mock module; a test finds them with dlsym.
 *
 *   long (*get)(const char *) = dlsym(module, "mock_get");
 *   get("initialise_done");   a counter or option of options.def
 *   get("C_Sign");            calls of a function, in the process that loaded the module
 *   get("child.C_Sign");      in all other processes together
 *   get("sessions"), get("logged_in"), get("state"), get("locking"), get("flags"), get("reserved"),
 *   get("vendor_list")        facts, see mock.c
 */
#ifndef MOCK_H
#define MOCK_H

#include "standard/pkcs11.h"
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define MOCK_PIN "1234"
#define MOCK_SIGNATURE_SIZE 32
#define MOCK_VENDOR_INTERFACE "Vendor Mock"

/* The key that C_FindObjects finds on each token once logged in. */
#define MOCK_KEY(slot) (0x1000UL + (slot))

/* Lists through which a function can be reached. */
enum mock_list {
	MOCK_DIRECT, /* the exported C_* symbol itself */
	MOCK_2_40,   /* C_GetFunctionList */
	MOCK_INTERFACE_2_40,
	MOCK_3_0,
	MOCK_3_1,
	MOCK_3_2,
	MOCK_3_9,
	MOCK_LISTS
};

/* Functions, in the order of calls.def. */
enum mock_function {
#define CALL(name, ...) MOCK_##name,
#include "standard/calls.def"
	MOCK_FUNCTIONS
};

/* What `get("locking")` says: the locking that the last successful C_Initialize was given. */
enum mock_locking { MOCK_NO_LOCKING, MOCK_OS_LOCKING, MOCK_CALLBACKS, MOCK_EITHER_LOCKING };

/* What a function answers that has no behaviour here, and every function with the option echo. */
#define MOCK_ANSWER(list, function) (CKR_VENDOR_DEFINED | 0x40000UL | (CK_RV)(list) << 8 | (CK_RV)(function))

/* The last C_* call of the calling thread, other than life cycle and lists. */
struct mock_call {
	enum mock_list list;
	enum mock_function function;
	int count;
	uintptr_t words[10];
};

/* The interface "Vendor Mock" 1.0. */
struct mock_vendor_list {
	CK_VERSION version;
	CK_RV (*twice)(CK_ULONG number, CK_ULONG_PTR result);
};

long mock_get(const char *key);
void mock_set(const char *key, long value);
void mock_set_text(const char *key, const char *text); /* nest_module */
void mock_event(CK_SLOT_ID slot);                      /* something happened to the slot */
void mock_last_call(struct mock_call *call);

/* One step of the toy signature, and the signature from the last state. */
static inline uint64_t mock_digest(uint64_t state, const void *data, size_t size)
{
	const unsigned char *byte = data;

	while (size--)
		state = (state ^ *byte++) * 0x100000001b3ULL;
	return state;
}

#define MOCK_DIGEST_START 0xcbf29ce484222325ULL

static inline void mock_digest_end(uint64_t state, unsigned char signature[MOCK_SIGNATURE_SIZE])
{
	for (int i = 0; i < MOCK_SIGNATURE_SIZE; i += 8) {
		uint64_t z = state += 0x9e3779b97f4a7c15ULL;

		z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
		z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
		z ^= z >> 31;
		memcpy(signature + i, &z, 8);
	}
}

/* The signature of data by the key of a slot: what C_Sign must have returned. */
static inline void mock_signature(CK_SLOT_ID slot, const void *data, size_t size,
                                  unsigned char signature[MOCK_SIGNATURE_SIZE])
{
	mock_digest_end(mock_digest(MOCK_DIGEST_START ^ slot, data, size), signature);
}

#endif
