/*
 * conflicts.h: arguments of C_Initialize that do not go with those that the module was initialised with
 * (contract C8, I4).
 */
#ifndef P11SHIM_CONFLICTS_H
#define P11SHIM_CONFLICTS_H

#include "record/tell.h"

/* After a C_Initialize of the view. No lock may be held. */
void conflicts_check(const struct view *view, const uintptr_t *words, CK_RV rv,
                     const struct call_snapshot *snapshot, bool was_up);

#endif
