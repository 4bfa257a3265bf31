/*
 * parameters: every function of the standard, called on the module `answers`
 * with parameters of all kinds.
 *
 *	parameters known|null|unknown|absurd [--observe] MODULE
 *
 *	known     what a consumer passes; for each call prints what must be told of it:
 *	          {"name":"C_Logout","rv":"CKR_OK","args":{"hSession":17}}
 *	null      the same with NULL for all pointers
 *	unknown   the same with numbers that the standard has no names for
 *	absurd    each parameter in turn is something that leads nowhere, or is
 *	          impossibly large; prints how many calls there were
 *
 *	--observe   the module answers everything itself (mode = observe), so the rest
 *	            may be absurd too
 *
 * Functions that ask for lists are not among them.
 */
#include "names.h"
#include "answers.h"
#include "standard/calls.h"
#include "callers.h"
#include <dlfcn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* ---- calls.def as a table */

static const struct function {
	const char *name;
	unsigned parameters;
	struct parameter {
		const char *name;
		enum parameter_kind kind;
		bool is_pointer;
	} parameter[CALL_PARAMETERS];
} functions[CALLS] = {
#define IS_POINTER(type) _Generic((type)0, CK_ULONG : false, CK_BBOOL : false, default : true)
#define CALL(name, route, ...) \
	{#name, sizeof((struct parameter[]){__VA_ARGS__}) / sizeof(struct parameter), {__VA_ARGS__}},
#define P(type, name, kind)                               \
	{                                                 \
#name, PARAMETER_##kind, IS_POINTER(type) \
	}
#include "standard/calls.def"
};

static answers_setter *set_answer;

static bool asks_for_lists(unsigned function)
{
	return calls_is_getter(function);
}

/* ---- what is passed, and what is to be told of it */

enum set { KNOWN, NULLS, UNKNOWN };

#define HANDLE ((CK_ULONG)0x20000000000001) /* a double has no such number */

static CK_OBJECT_CLASS class = 4;        /* CKO_SECRET_KEY */
static CK_KEY_TYPE key_type = 0x1f;      /* CKK_AES */
static CK_MECHANISM_TYPE allowed = 0x40; /* CKM_SHA256_RSA_PKCS */
static CK_BBOOL true_value = CK_TRUE, false_value = CK_FALSE;
static CK_ULONG length = 32;
static CK_BYTE bytes[64];
static CK_ATTRIBUTE attributes[] = {
        {0x000, &class, sizeof class},
        {0x100, &key_type, sizeof key_type},
        {0x103, &true_value, 1},
        {0x162, &false_value, 1},
        {0x161, &length, sizeof length},
        {0x500, &allowed, sizeof allowed},
        {0x011, bytes, 32},
        {0x102, bytes, 3},
        {0x003, NULL, 0},
        {0x120, bytes, (CK_ULONG)-1},
        {0x80000123, bytes, sizeof(CK_ULONG)},
};
static CK_ULONG nameless = 0x7777;
static CK_ATTRIBUTE strange_attributes[] = {
        {0x000, &nameless, sizeof nameless},      {0x100, &nameless, sizeof nameless},
        {0x500, &nameless, sizeof nameless},      {0x100, &key_type, 3},
        {0x103, &nameless, sizeof(CK_BBOOL) + 1},
};
#define ATTRIBUTES(template) ((CK_ULONG)(sizeof template / sizeof *template))

static CK_MECHANISM mechanism = {0x1087, bytes, 40}, no_parameter = {0x80001234, NULL, 0};
static CK_C_INITIALIZE_ARGS init_args = {.flags = CKF_OS_LOCKING_OK | CKF_LIBRARY_CANT_CREATE_OS_THREADS};
static CK_ULONG handed_out = 256;

static const char *known_flags(unsigned function, uintptr_t *word)
{
	switch (function) {
	case CALL_C_OpenSession:
		*word = CKF_SERIAL_SESSION | CKF_RW_SESSION;
		return "\"CKF_SERIAL_SESSION|CKF_RW_SESSION\"";
	case CALL_C_WaitForSlotEvent:
		*word = CKF_DONT_BLOCK;
		return "\"CKF_DONT_BLOCK\"";
	case CALL_C_SessionCancel:
		*word = 0x100 | 0x800;
		return "\"CKF_ENCRYPT|CKF_SIGN\"";
	default:
		*word = 1;
		return "\"CKF_END_OF_MESSAGE\"";
	}
}

static const char *number(CK_ULONG word)
{
	static char text[32];

	snprintf(text, sizeof text, (uint64_t)word >> 53 ? "\"%lu\"" : "%lu", word);
	return text;
}

/* What of a call that did nothing is still told: sizes if they are asked for, else nothing. */
static const char *result(CK_RV rv, bool of_success)
{
	return rv == CKR_OK || (!of_success && rv == CKR_BUFFER_TOO_SMALL) ? "256" : NULL;
}

/* A number and the JSON text to be told of it; NULL: nothing. */
static const char *pass_number(unsigned function, unsigned i, enum set set, uintptr_t *word)
{
	switch (functions[function].parameter[i].kind) {
	case PARAMETER_FLAGS:
		if (set != UNKNOWN || function == CALL_C_WaitForSlotEvent)
			return known_flags(function, word);
		*word = 0x40000000 | (function == CALL_C_OpenSession ? CKF_SERIAL_SESSION : 0);
		return function == CALL_C_OpenSession ? "\"CKF_SERIAL_SESSION|0x40000000\""
		                                      : "\"0x40000000\"";
	case PARAMETER_USER_TYPE:
		*word = set == UNKNOWN ? 9 : CKU_USER;
		return set == UNKNOWN ? "\"0x9\"" : "\"CKU_USER\"";
	case PARAMETER_BOOLEAN:
		*word = set == UNKNOWN ? 0 : CK_TRUE;
		return set == UNKNOWN ? "false" : "true";
	case PARAMETER_MECHANISM_TYPE:
		*word = set == UNKNOWN ? 0x80001234 : 0x40;
		return set == UNKNOWN ? "\"0x80001234\"" : "\"CKM_SHA256_RSA_PKCS\"";
	case PARAMETER_SECRET_LENGTH:
		*word = 77;
		return NULL;
	case PARAMETER_COUNT:
		*word = set == NULLS     ? 0
		        : set == UNKNOWN ? ATTRIBUTES(strange_attributes)
		                         : ATTRIBUTES(attributes);
		return number(*word);
	case PARAMETER_OBJECT:
		*word = HANDLE + function;
		return number(*word);
	default:
		*word = 10 + i;
		return number(*word);
	}
}

/* values: the module has put them there, or the consumer has. */
static const char *attributes_told(enum set set, bool values)
{
	static char text[128];

	if (set == KNOWN)
		return "[\"CKA_CLASS=CKO_SECRET_KEY\",\"CKA_KEY_TYPE=CKK_AES\",\"CKA_SENSITIVE=true\","
		       "\"CKA_EXTRACTABLE=false\",\"CKA_VALUE_LEN=32\","
		       "\"CKA_MECHANISM_TYPE=CKM_SHA256_RSA_PKCS\",\"CKA_VALUE[32]\",\"CKA_ID[3]\","
		       "\"CKA_LABEL[0]\",\"CKA_MODULUS[unavailable]\",\"0x80000123\"]";
	if (values)
		return "[\"CKA_CLASS=0x7777\",\"CKA_KEY_TYPE=0x7777\",\"CKA_MECHANISM_TYPE=0x7777\","
		       "\"CKA_KEY_TYPE[3]\",\"CKA_SENSITIVE[2]\"]";
	snprintf(text, sizeof text,
	         "[\"CKA_CLASS[%zu]\",\"CKA_KEY_TYPE[%zu]\",\"CKA_MECHANISM_TYPE[%zu]\","
	         "\"CKA_KEY_TYPE[3]\",\"CKA_SENSITIVE[2]\"]",
	         sizeof nameless, sizeof nameless, sizeof nameless);
	return text;
}

static const char *pass_pointer(unsigned function, unsigned i, enum set set, CK_RV rv, uintptr_t *word)
{
	enum parameter_kind kind = functions[function].parameter[i].kind;

	*word = set == NULLS ? 0 : (uintptr_t)bytes;
	if (kind == PARAMETER_LABEL)
		return NULL;
	if (set == NULLS || kind == PARAMETER_RESERVED) {
		*word = 0;
		return "null";
	}
	switch (kind) {
	case PARAMETER_INIT_ARGS:
		*word = (uintptr_t)&init_args;
		return "\"CKF_LIBRARY_CANT_CREATE_OS_THREADS|CKF_OS_LOCKING_OK\"";
	case PARAMETER_SECRET:
		return "\"hidden\"";
	case PARAMETER_MECHANISM:
		*word = (uintptr_t)(set == UNKNOWN ? &no_parameter : &mechanism);
		return set == UNKNOWN ? "\"0x80001234\"" : "\"CKM_AES_GCM(40)\"";
	case PARAMETER_TEMPLATE:
		*word = (uintptr_t)(set == UNKNOWN ? strange_attributes : attributes);
		return attributes_told(set, function != CALL_C_GetAttributeValue || rv == CKR_OK);
	case PARAMETER_NEW_SLOT:
	case PARAMETER_NEW_SESSION:
	case PARAMETER_NEW_OBJECT:
		*word = (uintptr_t)&handed_out;
		return result(rv, true);
	case PARAMETER_COUNT_OUT:
	case PARAMETER_LENGTH_OUT:
	case PARAMETER_NUMBER_OUT:
	case PARAMETER_FLAGS_OUT:
		*word = (uintptr_t)&handed_out;
		return result(rv, false);
	default:
		return NULL;
	}
}

static void pass(unsigned function, enum set set, CK_RV rv, uintptr_t *words, char *told, size_t size)
{
	const struct function *f = &functions[function];
	size_t at = 0;

	told[0] = '\0';
	for (unsigned i = 0; i < f->parameters; i++) {
		const struct parameter *p = &f->parameter[i];
		const char *text = p->is_pointer ? pass_pointer(function, i, set, rv, &words[i])
		                                 : pass_number(function, i, set, &words[i]);

		if (text)
			at += (size_t)snprintf(told + at, size - at, "%s\"%s\":%s", at ? "," : "", p->name,
			                       text);
	}
}

/* In the order of the standard, but C_Finalize comes last. */
static void call_and_tell(unsigned function, enum set set, CK_RV answer)
{
	uintptr_t words[CALL_PARAMETERS];
	char told[2048];
	CK_RV rv;

	handed_out = 256;
	pass(function, set, answer, words, told, sizeof told);
	rv = callers[function](words);
	if (rv != answer) /* the shim's own answer, or of those that always work */
		pass(function, set, rv, words, told, sizeof told);
	printf("{\"name\":\"%s\",\"rv\":\"%s\",\"args\":{%s}}\n", functions[function].name, rv_name(rv),
	       told);
}

static void call_all(enum set set, CK_RV answer)
{
	set_answer(answer, 256);
	for (unsigned function = 0; function < CALLS; function++)
		if (!asks_for_lists(function) && function != CALL_C_Finalize)
			call_and_tell(function, set, answer);
	call_and_tell(CALL_C_Finalize, set, answer);
}

/* ---- absurd */

static bool observed;

/* A page that nobody may read, behind one that can be read. */
static uintptr_t guard(void)
{
	char *two = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (two == MAP_FAILED || mprotect(two + 4096, 4096, PROT_NONE))
		exit(99);
	memset(two, 0xff, 4096);
	return (uintptr_t)two + 4096;
}

/* The shim itself, like any module, writes or reads there. */
static bool must_be_right(unsigned function, unsigned i, CK_RV answer)
{
	switch (functions[function].parameter[i].kind) {
	case PARAMETER_NEW_SESSION:
		return answer == CKR_OK;
	case PARAMETER_INIT_ARGS:
		return !observed;
	case PARAMETER_FLAGS:
		return function == CALL_C_WaitForSlotEvent;
	default:
		return false;
	}
}

static unsigned long absurd_calls;

static void call_absurd(unsigned function, const uintptr_t *words)
{
	static const uintptr_t none[1], sane[] = {(uintptr_t)&init_args};

	callers[function](words);
	absurd_calls++;
	if (function == CALL_C_Finalize) {
		callers[CALL_C_Initialize](sane);
		absurd_calls++;
	}
	if (function == CALL_C_Initialize && !observed) {
		callers[CALL_C_Finalize](none);
		absurd_calls++;
	}
}

static void try_absurd(unsigned function, CK_RV answer, const uintptr_t *absurd, unsigned count)
{
	uintptr_t words[CALL_PARAMETERS], all[CALL_PARAMETERS];
	char told[2048];

	for (unsigned n = 0; n < count; n++) {
		pass(function, KNOWN, answer, all, told, sizeof told);
		for (unsigned i = 0; i < functions[function].parameters; i++) {
			pass(function, KNOWN, answer, words, told, sizeof told);
			if (must_be_right(function, i, answer))
				continue;
			words[i] = all[i] = absurd[n];
			call_absurd(function, words);
		}
		call_absurd(function, all);
	}
}

static void call_absurdly(void)
{
	static const CK_RV answers[] = {CKR_OK, CKR_BUFFER_TOO_SMALL, CKR_GENERAL_ERROR};
	static const uintptr_t sane[] = {(uintptr_t)&init_args};
	uintptr_t end = guard();
	/* half readable ones, and ones that lead from what can be read to what cannot */
	static CK_ATTRIBUTE wild[4];
	static CK_MECHANISM wild_mechanism;
	const uintptr_t absurd[] = {
	        0,
	        1,
	        4095,
	        end,
	        end - 1,
	        end - 7,
	        end - 9,
	        end - sizeof(CK_ATTRIBUTE),
	        end - sizeof(CK_ATTRIBUTE) - 8,
	        65537,
	        (uintptr_t)1 << (sizeof(uintptr_t) * 8 - 1),
	        (uintptr_t)-1,
	        (uintptr_t)-8,
	        (uintptr_t)wild,
	        (uintptr_t)&wild_mechanism,
	        (uintptr_t) & class + 1,
	};

	wild[0] = (CK_ATTRIBUTE){0x000, (void *)end, sizeof class};
	wild[1] = (CK_ATTRIBUTE){0x103, (void *)1, 1};
	wild[2] = (CK_ATTRIBUTE){0x500, (void *)(end - 7), sizeof class};
	wild[3] = (CK_ATTRIBUTE){0x011, NULL, (CK_ULONG)-2};
	wild_mechanism = (CK_MECHANISM){(CK_ULONG)-1, (void *)1, (CK_ULONG)-1};
	callers[CALL_C_Initialize](sane);
	absurd_calls++;
	for (unsigned a = 0; a < sizeof answers / sizeof *answers; a++) {
		set_answer(answers[a], 256);
		for (unsigned function = 0; function < CALLS; function++)
			if (!asks_for_lists(function))
				try_absurd(function, answers[a], absurd, sizeof absurd / sizeof *absurd);
	}
	printf("%lu\n", absurd_calls);
}

/* ---- main */

static void usage(void)
{
	fputs("usage: parameters known|null|unknown|absurd [--observe] MODULE\n", stderr);
	exit(2);
}

int main(int argc, char **argv)
{
	CK_VERSION version = {3, 2};
	CK_INTERFACE *interface = NULL;
	CK_C_GetInterface get;
	void *module;

	observed = argc == 4 && !strcmp(argv[2], "--observe");
	if (argc != 3 && !observed)
		usage();
	module = dlopen(argv[argc - 1], RTLD_NOW | RTLD_LOCAL);
	if (!module)
		usage();
	*(void **)&set_answer = dlsym(module, "answers_set");
	get = (CK_C_GetInterface)(uintptr_t)dlsym(module, "C_GetInterface");
	if (!set_answer || !get || get((CK_UTF8CHAR *)"PKCS 11", &version, &interface, 0) != CKR_OK)
		usage();
	list = interface->pFunctionList;
	if (!strcmp(argv[1], "known"))
		call_all(KNOWN, CKR_OK);
	else if (!strcmp(argv[1], "null"))
		call_all(NULLS, CKR_ARGUMENTS_BAD);
	else if (!strcmp(argv[1], "unknown"))
		call_all(UNKNOWN, CKR_BUFFER_TOO_SMALL);
	else if (!strcmp(argv[1], "absurd"))
		call_absurdly();
	else
		usage();
	return 0;
}
