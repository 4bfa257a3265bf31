/*
 * conflicts.h: arguments of C_Initialize that conflict with those with which the module was initialised
 * (contract C8, I4).
 */
#ifndef P11SHIM_CONFLICTS_H
#define P11SHIM_CONFLICTS_H

#include "record/tell.h"

/* After a C_Initialize of the view. No lock may be held. */
void conflicts_check(const struct view *view, const uintptr_t *words, CK_RV rv,
                     const struct call_snapshot *snapshot, bool was_up);

#endif
