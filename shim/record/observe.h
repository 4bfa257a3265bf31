/*
 * observe.h: mode = observe. There every call goes to the module. So what may crash is told of before the
 * module is called, and history.h keeps the counts that the core keeps elsewhere.
 */
#ifndef P11SHIM_OBSERVE_H
#define P11SHIM_OBSERVE_H

#include "record/tell.h"

/* To be called around a recorded call of a view on an observed module. No lock may be held. */
void observe_before(const struct view *view, unsigned function, const uintptr_t *words,
                    struct call_snapshot *snapshot);
void observe_after(struct view *view, unsigned function, CK_RV rv, const struct call_snapshot *snapshot);

/* Which views' calls may take the fast path has changed. */
void observe_refresh(const struct module *module);

#endif
