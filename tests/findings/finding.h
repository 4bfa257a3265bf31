/*
 * finding.h: what the sample programs beside it share. Each makes one mistake of
 * contract I4, in a function whose name says which, so that the stacks of a finding
 * can be checked by name:
 *
 *   PROGRAM MODULE [VARIANT]
 *
 * The program itself is one consumer of the module, guest.so (guest.h) another.
 * Exit status 0 unless the mistake could not even be made.
 */
#ifndef FINDING_H
#define FINDING_H

#include "standard/pkcs11.h"
#include <dlfcn.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* CKR_OK, or CKR_CRYPTOKI_ALREADY_INITIALIZED where another consumer was first. */
#define MUST(expression)                                                                  \
	do {                                                                              \
		CK_RV rv_ = (expression);                                                 \
		if (rv_ != CKR_OK && rv_ != CKR_CRYPTOKI_ALREADY_INITIALIZED) {           \
			fprintf(stderr, "%s:%d: 0x%lx\n", __FILE__, __LINE__, (long)rv_); \
			exit(2);                                                          \
		}                                                                         \
	} while (0)

#define CHECK(condition)                                                                    \
	do {                                                                                \
		if (!(condition)) {                                                         \
			fprintf(stderr, "%s:%d: not %s\n", __FILE__, __LINE__, #condition); \
			exit(2);                                                            \
		}                                                                           \
	} while (0)

static inline void *load_module(const char *path)
{
	void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL);

	if (!module) {
		fprintf(stderr, "%s\n", dlerror());
		exit(2);
	}
	return module;
}

static inline CK_FUNCTION_LIST *list_of(void *module)
{
	CK_C_GetFunctionList get = (CK_C_GetFunctionList)(uintptr_t)dlsym(module, "C_GetFunctionList");
	CK_FUNCTION_LIST *list = NULL;

	CHECK(get);
	MUST(get(&list));
	return list;
}

static inline int is_variant(int argc, char **argv, const char *name)
{
	return strcmp(argc > 2 ? argv[2] : "", name) == 0;
}

/* A slot with a token, and the PIN of its user: $TOKEN_LABEL and $TOKEN_PIN, or what the mock has. */
static inline CK_SLOT_ID some_slot(CK_FUNCTION_LIST *list)
{
	const char *label = getenv("TOKEN_LABEL");
	CK_SLOT_ID slots[64];
	CK_ULONG count = 64;

	MUST(list->C_GetSlotList(CK_TRUE, slots, &count));
	for (CK_ULONG i = 0; label && i < count; i++) {
		CK_TOKEN_INFO info;

		if (list->C_GetTokenInfo(slots[i], &info) == CKR_OK &&
		    memcmp(info.label, label, strlen(label)) == 0)
			return slots[i];
	}
	CHECK(count > 0);
	return slots[0];
}

static inline CK_UTF8CHAR *some_pin(void)
{
	const char *pin = getenv("TOKEN_PIN");

	return (CK_UTF8CHAR *)(uintptr_t)(pin ? pin : "1234");
}

/* In a child, which must exit 0; the time-out of a child that hangs. */
static inline void in_child(void (*act)(void *), void *argument)
{
	int status = -1;
	pid_t child = fork();

	CHECK(child >= 0);
	if (child == 0) {
		alarm(60);
		act(argument);
		exit(0);
	}
	while (waitpid(child, &status, 0) < 0)
		CHECK(errno == EINTR);
	CHECK(status == 0);
}

#endif
