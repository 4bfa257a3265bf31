/*
 * secrets: hands a module a secret wherever there is room for one, wipes it, and
 * stops in a function `ready`, so that the process can be looked through.
 *
 *	secrets [--keep] [--crash] every MODULE    all functions of list 3.2 or 2.40
 *	secrets [--crash] token MODULE             a whole life of SoftHSM's first free slot
 *
 *	--keep    one copy is not wiped: it must be found
 *	--crash   in the end, a memory fault
 *
 * Every secret contains mArKeR-of-a-secret, which itself stands nowhere in this
 * file: it is put together byte by byte in one place, and goes nowhere from there,
 * not even into a register that holds more than one byte of it. PINs are 137
 * characters long.
 */
#include "names.h"
#include "standard/calls.h"
#include "callers.h"
#include <dlfcn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define PIN_LENGTH 137

/* ---- calls.def as a table */

static const struct {
	unsigned parameters;
	enum parameter_kind kind[CALL_PARAMETERS];
} functions[CALLS] = {
#define CALL(name, route, ...) \
	{sizeof((enum parameter_kind[]){__VA_ARGS__}) / sizeof(enum parameter_kind), {__VA_ARGS__}},
#define P(type, name, kind) PARAMETER_##kind
#include "standard/calls.def"
};

/* ---- the secret, and where it lies */

static volatile unsigned char buffer[4096], kept[64];

/* The text, each letter changed; number tells one secret from another. */
static void put_secret(volatile unsigned char *to, unsigned size, unsigned number)
{
#define H(letter) (letter ^ 0x15)
	static const unsigned char hidden[] = {H('m'), H('A'), H('r'), H('K'), H('e'), H('R'), H('-'), H('o'),
	                                       H('f'), H('-'), H('a'), H('-'), H('s'), H('e'), H('c'), H('r'),
	                                       H('e'), H('t'), H('-'), H('a'), H('a'), H('.')};

	for (unsigned i = 0; i < size; i++) {
		unsigned at = i % sizeof hidden;
		unsigned char letter = hidden[at] ^ 0x15;

		to[i] = (unsigned char)(at == 19   ? letter + number / 26 % 26
		                        : at == 20 ? letter + number % 26
		                                   : letter);
	}
}

static unsigned char *secret(unsigned number)
{
	put_secret(buffer, sizeof buffer, number);
	return (unsigned char *)buffer;
}

__attribute__((noinline)) void wipe(void);
__attribute__((noinline)) void ready(void);

void wipe(void)
{
	explicit_bzero((void *)buffer, sizeof buffer);
}

void ready(void)
{
	__asm__ volatile("" ::: "memory");
}

/* ---- every function */

static CK_SESSION_HANDLE session;
static CK_ULONG ulong_out;
static CK_MECHANISM mechanism;
static CK_ATTRIBUTE template[] = {
        {0x011, NULL, 64},               /* CKA_VALUE */
        {0x123, NULL, 64},               /* CKA_PRIVATE_EXPONENT */
        {0x003, NULL, 64},               /* CKA_LABEL */
        {0x000, NULL, sizeof(CK_ULONG)}, /* CKA_CLASS: what looks like a number is told */
        {0x80000042, NULL, 64},          /* a vendor's */
        {0x80000043, NULL, sizeof(CK_ULONG)},
        {0x80000044, NULL, 1},
        {0x101, NULL, sizeof(CK_ULONG)}, /* CKA_SUBJECT */
        {0x124, NULL, sizeof(CK_ULONG)}, /* CKA_PRIME_1, as long as a number */
};
enum { ATTRIBUTES = sizeof template / sizeof *template };

static uintptr_t word_of(enum parameter_kind kind)
{
	static CK_OBJECT_CLASS class = 4;

	switch (kind) {
	case PARAMETER_SESSION:
		return session;
	case PARAMETER_SECRET_LENGTH:
		return PIN_LENGTH;
	case PARAMETER_COUNT:
		return ATTRIBUTES;
	case PARAMETER_LENGTH:
		return 64;
	case PARAMETER_FLAGS:
		return CKF_DONT_BLOCK;
	case PARAMETER_SLOT:
	case PARAMETER_OBJECT:
	case PARAMETER_MECHANISM_TYPE:
	case PARAMETER_USER_TYPE:
	case PARAMETER_BOOLEAN:
	case PARAMETER_NUMBER:
		return 1;
	case PARAMETER_RESERVED:
		return 0;
	case PARAMETER_COUNT_OUT:
	case PARAMETER_LENGTH_OUT:
		ulong_out = 64;
		return (uintptr_t)&ulong_out;
	case PARAMETER_NEW_SLOT:
	case PARAMETER_NEW_OBJECT:
	case PARAMETER_NUMBER_OUT:
	case PARAMETER_FLAGS_OUT:
		return (uintptr_t)&ulong_out;
	case PARAMETER_MECHANISM:
		mechanism = (CK_MECHANISM){0x1087, (void *)buffer, 40};
		return (uintptr_t)&mechanism;
	case PARAMETER_TEMPLATE:
		for (int i = 0; i < ATTRIBUTES; i++)
			template[i].pValue = (void *)buffer;
		template[3].pValue = &class;
		return (uintptr_t) template;
	default:
		return (uintptr_t)buffer;
	}
}

static bool keeps_the_session(unsigned function)
{
	switch (function) {
	case CALL_C_Initialize:
	case CALL_C_Finalize:
	case CALL_C_OpenSession:
	case CALL_C_CloseSession:
	case CALL_C_CloseAllSessions:
	case CALL_C_GetFunctionList:
	case CALL_C_GetInterface:
	case CALL_C_GetInterfaceList:
		return false;
	default:
		return true;
	}
}

static void call_one(unsigned function)
{
	uintptr_t words[CALL_PARAMETERS];

	secret(function);
	for (unsigned i = 0; i < functions[function].parameters; i++)
		words[i] = word_of(functions[function].kind[i]);
	callers[function](words);
	wipe();
}

/* The PINs come last, so that nobody has reason to use the stack again. */
static void call_every(unsigned count)
{
	if (list->C_Initialize(NULL) != CKR_OK ||
	    list->C_OpenSession(0, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &session) != CKR_OK)
		exit(2);
	for (unsigned function = 0; function < count; function++)
		if (keeps_the_session(function))
			call_one(function);
	call_one(CALL_C_InitToken);
	call_one(CALL_C_InitPIN);
	call_one(CALL_C_SetPIN);
	call_one(CALL_C_Login);
	if (count > CALLS_2_40)
		call_one(CALL_C_LoginUser);
}

/* ---- a token's life */

static void step(const char *what, CK_RV rv)
{
	wipe();
	printf("%s: %s\n", what, rv_name(rv));
	fflush(stdout);
}

static CK_OBJECT_HANDLE create_key(void)
{
	CK_OBJECT_CLASS class = 4; /* CKO_SECRET_KEY */
	CK_KEY_TYPE type = 0x1f;   /* CKK_AES */
	CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
	CK_ATTRIBUTE attributes[] = {
	        {0x000, &class, sizeof class},
	        {0x100, &type, sizeof type},
	        {0x011, secret(11), 32},
	        {0x104, &yes, 1},
	        {0x105, &yes, 1},
	        {0x106, &yes, 1},
	        {0x107, &yes, 1},
	        {0x103, &no, 1},
	        {0x162, &yes, 1},
	};
	CK_OBJECT_HANDLE key = 0;

	step("C_CreateObject", list->C_CreateObject(session, attributes, 9, &key));
	return key;
}

static void create_private_key(void)
{
	CK_OBJECT_CLASS class = 3; /* CKO_PRIVATE_KEY */
	CK_KEY_TYPE type = 0;      /* CKK_RSA */
	unsigned char *s = secret(12);
	CK_ATTRIBUTE attributes[] = {
	        {0x000, &class, sizeof class},
	        {0x100, &type, sizeof type},
	        {0x120, s, 128},
	        {0x122, s, 3},
	        {0x123, s, 128},
	        {0x124, s, 64},
	        {0x125, s, 64},
	        {0x126, s, 64},
	        {0x127, s, 64},
	        {0x128, s, 64},
	};
	CK_OBJECT_HANDLE key;

	step("C_CreateObject", list->C_CreateObject(session, attributes, 10, &key));
}

static void use_key(CK_OBJECT_HANDLE key)
{
	CK_ATTRIBUTE value = {0x011, (void *)buffer, 32}, label = {0x003, secret(20), 22};
	CK_MECHANISM cbc = {0x1085, (void *)(buffer + 1024), 16}, wrap = {0x2109, NULL, 0},
	             sha = {0x250, NULL, 0};
	static CK_BYTE out[512];
	CK_ULONG size = sizeof out;
	CK_OBJECT_HANDLE copy;

	step("C_SetAttributeValue", list->C_SetAttributeValue(session, key, &label, 1));
	step("C_GetAttributeValue", list->C_GetAttributeValue(session, key, &value, 1));
	secret(21);
	step("C_CopyObject", list->C_CopyObject(session, key, &label, 1, &copy));
	secret(22);
	step("C_EncryptInit", list->C_EncryptInit(session, &cbc, key));
	step("C_Encrypt", list->C_Encrypt(session, secret(23), 100, out, &size));
	secret(24);
	step("C_DecryptInit", list->C_DecryptInit(session, &cbc, key));
	step("C_Decrypt", list->C_Decrypt(session, out, size, (CK_BYTE *)buffer, &(CK_ULONG){200}));
	step("C_DigestInit", list->C_DigestInit(session, &sha));
	step("C_Digest", list->C_Digest(session, secret(25), 100, out, &(CK_ULONG){sizeof out}));
	size = sizeof out;
	step("C_WrapKey", list->C_WrapKey(session, &wrap, key, key, out, &size));
	step("C_SeedRandom", list->C_SeedRandom(session, secret(26), 40));
	step("C_GenerateRandom", list->C_GenerateRandom(session, secret(27), 40));
}

static void live(void)
{
	CK_SLOT_ID slots[16];
	CK_ULONG count = 16;
	CK_OBJECT_HANDLE key;

	list->C_Initialize(NULL);
	if (list->C_GetSlotList(CK_FALSE, slots, &count) != CKR_OK || !count)
		exit(2);
	secret(1);
	step("C_InitToken", list->C_InitToken(slots[count - 1], (CK_BYTE *)buffer, PIN_LENGTH,
	                                      (CK_UTF8CHAR *)"secrets                         "));
	count = 16;
	list->C_GetSlotList(CK_TRUE, slots, &count);
	step("C_OpenSession",
	     list->C_OpenSession(slots[0], CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &session));
	step("C_Login", list->C_Login(session, CKU_SO, secret(1), PIN_LENGTH));
	step("C_InitPIN", list->C_InitPIN(session, secret(2), PIN_LENGTH));
	step("C_Logout", list->C_Logout(session));
	step("C_Login", list->C_Login(session, CKU_USER, secret(3), PIN_LENGTH));
	step("C_Login", list->C_Login(session, CKU_USER, secret(2), PIN_LENGTH));
	secret(2);
	put_secret(buffer + 2048, PIN_LENGTH, 4);
	step("C_SetPIN",
	     list->C_SetPIN(session, (CK_BYTE *)buffer, PIN_LENGTH, (CK_BYTE *)buffer + 2048, PIN_LENGTH));
	key = create_key();
	create_private_key();
	use_key(key);
	step("C_Logout", list->C_Logout(session));
	step("C_Finalize", list->C_Finalize(NULL));
	step("C_Login", list->C_Login(session, CKU_USER, secret(4), PIN_LENGTH));
}

/* ---- main */

static unsigned get_list(const char *path)
{
	void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	CK_VERSION version = {3, 2};
	CK_INTERFACE *interface;
	CK_C_GetFunctionList get;
	CK_C_GetInterface get_interface;

	if (!module)
		return 0;
	get_interface = (CK_C_GetInterface)(uintptr_t)dlsym(module, "C_GetInterface");
	if (get_interface && get_interface((CK_UTF8CHAR *)"PKCS 11", &version, &interface, 0) == CKR_OK) {
		list = interface->pFunctionList;
		return CALLS_3_2;
	}
	get = (CK_C_GetFunctionList)(uintptr_t)dlsym(module, "C_GetFunctionList");
	return get && get((CK_FUNCTION_LIST **)&list) == CKR_OK ? CALLS_2_40 : 0;
}

int main(int argc, char **argv)
{
	static volatile int *volatile nowhere = (int *)16;
	bool keep = false, crash = false;
	unsigned count;

	for (; argc > 1 && argv[1][0] == '-'; argc--, argv++) {
		keep = keep || !strcmp(argv[1], "--keep");
		crash = crash || !strcmp(argv[1], "--crash");
	}
	if (argc != 3 || !(count = get_list(argv[2]))) {
		fputs("usage: secrets [--keep] [--crash] every|token MODULE\n", stderr);
		return 2;
	}
	if (!strcmp(argv[1], "every"))
		call_every(count);
	else
		live();
	if (keep)
		put_secret(kept, sizeof kept, 0);
	ready();
	if (crash)
		*nowhere = 0;
	return 0;
}
