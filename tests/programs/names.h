/*
 * names.h: the standard's names of return values, from shim/standard/returns.def.
 */
#ifndef P11SHIM_TEST_NAMES_H
#define P11SHIM_TEST_NAMES_H

#include "standard/pkcs11.h"
#include <stdio.h>

/* The name, or the number in a buffer of this thread's own. */
static inline const char *rv_name(CK_RV rv)
{
	static _Thread_local char number[32];

	switch (rv) {
#define RETURN(name) \
	case name:   \
		return #name;
#include "standard/returns.def"
#undef RETURN
	}
	snprintf(number, sizeof(number), "CK_RV 0x%lx", rv);
	return number;
}

#endif
