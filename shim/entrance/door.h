/*
 * door.h: how a dlsym reaches the shim and leaves it again without a trace (contract A).
 */
#ifndef P11SHIM_DOOR_H
#define P11SHIM_DOOR_H

#include "base/common.h"

/* What door/ARCH.S leaves on the stack: the words of the call. */
struct door_frame {
#ifdef __i386__
	void *caller;
	uintptr_t argument[3];
#else
	uintptr_t argument[3];
	void *caller;
#endif
};

#endif
