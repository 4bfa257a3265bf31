/*
 * callers.h: every call of calls.def with the types of the standard, out of an array
 * of words: callers[CALL_C_Sign](words) calls list->C_Sign.
 */
#ifndef TRACE_CALLERS_H
#define TRACE_CALLERS_H

#include "each.h"

static CK_FUNCTION_LIST_3_2 *list;

#define PLACE(pair) PLACE_ pair
#define PLACE_(type, name) at_##name
#define TAKE(pair) TAKE_ pair
#define TAKE_(type, name) (type) words[at_##name]

#define CALL(name, route, ...)                              \
	static CK_RV call_##name(const uintptr_t *words)    \
	{                                                   \
		enum { EACH(PLACE, __VA_ARGS__) };          \
		return list->name(EACH(TAKE, __VA_ARGS__)); \
	}
#define P PAIR
#include "standard/calls.def"

static CK_RV (*const callers[CALLS])(const uintptr_t *) = {
#define CALL(name, ...) call_##name,
#include "standard/calls.def"
};

#endif
