/*
 * moment.h: when something happened, on which thread, and by which calls (its stack).
 */
#ifndef P11SHIM_MOMENT_H
#define P11SHIM_MOMENT_H

#include "base/common.h"

typedef uint32_t stack_id; /* 0: unknown; record/stack.h knows the stack of a number */

struct moment {
	uint64_t at; /* nanoseconds of CLOCK_MONOTONIC; 0: never */
	int pid, tid;
	stack_id stack;
};

#endif
