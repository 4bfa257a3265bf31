/*
 * calls.c: see calls.h.
 */
#include <string.h>

#include "standard/calls.h"

#define PARAMETERS(...) (sizeof((const char[]){__VA_ARGS__}))
/*
 * This table lies in the data that is read-only after relocation. A forked child has that memory from its
 * parent, while it must fetch pages of ordinary .rodata one by one.
 */
__attribute__((section(".data.rel.ro"))) const struct call_description calls[CALLS] = {
#define CALL(name, route, ...) [CALL_##name] = {#name, PARAMETERS(__VA_ARGS__), {__VA_ARGS__}},
#define P(type, name, kind) PARAMETER_##kind
#include "standard/calls.def"
};

int calls_find(const char *name)
{
	for (int i = 0; i < CALLS; i++)
		if (strcmp(name, calls[i].name) == 0)
			return i;
	return -1;
}

static const struct {
	CK_RV value;
	char name[40];
} returns[] = {
#define RETURN(name) {name, #name},
#include "standard/returns.def"
};

const char *calls_return_name(CK_RV rv)
{
	for (size_t i = 0; i < COUNT(returns); i++)
		if (returns[i].value == rv)
			return returns[i].name;
	return rv & CKR_VENDOR_DEFINED ? "CKR_VENDOR_DEFINED" : NULL;
}

typedef uintptr_t w;

CK_RV calls_invoke(void *function, unsigned parameters, const uintptr_t *a)
{
	switch (parameters) {
	case 1:
		return ((CK_RV(*)(w))function)(a[0]);
	case 2:
		return ((CK_RV(*)(w, w))function)(a[0], a[1]);
	case 3:
		return ((CK_RV(*)(w, w, w))function)(a[0], a[1], a[2]);
	case 4:
		return ((CK_RV(*)(w, w, w, w))function)(a[0], a[1], a[2], a[3]);
	case 5:
		return ((CK_RV(*)(w, w, w, w, w))function)(a[0], a[1], a[2], a[3], a[4]);
	case 6:
		return ((CK_RV(*)(w, w, w, w, w, w))function)(a[0], a[1], a[2], a[3], a[4], a[5]);
	case 7:
		return ((CK_RV(*)(w, w, w, w, w, w, w))function)(a[0], a[1], a[2], a[3], a[4], a[5], a[6]);
	case 8:
		return ((CK_RV(*)(w, w, w, w, w, w, w, w))function)(a[0], a[1], a[2], a[3], a[4], a[5], a[6],
		                                                    a[7]);
	case 9:
		return ((CK_RV(*)(w, w, w, w, w, w, w, w, w))function)(a[0], a[1], a[2], a[3], a[4], a[5],
		                                                       a[6], a[7], a[8]);
	default:
		return ((CK_RV(*)(w, w, w, w, w, w, w, w, w, w))function)(a[0], a[1], a[2], a[3], a[4], a[5],
		                                                          a[6], a[7], a[8], a[9]);
	}
}
