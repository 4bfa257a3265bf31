/*
 * findings.h: what was wrong (contract I4): which consumer used a module in a way that the standard forbids,
 * with the stack of the act and of what led to it.
 *
 * These functions are called only while the journal is open. They change no answer: they look at a call
 * before and after. With mode = observe they keep count themselves, since there the module answers; and they
 * tell of what may crash before the module is called (observe.h).
 */
#ifndef P11SHIM_FINDINGS_H
#define P11SHIM_FINDINGS_H

#include "record/tell.h"

/*
 * To be called around a recorded call. words: those of the call, as the consumer gave them. No lock may be
 * held.
 */
void findings_before(struct view *view, unsigned function, const uintptr_t *words,
                     struct call_snapshot *snapshot);
void findings_after(struct view *view, unsigned function, const uintptr_t *words, CK_RV rv,
                    struct call_snapshot *snapshot);

/* The door saw a dlclose of that module, from whatever code. */
void findings_closed(const struct module *module);

/* The module is gone from memory. kept: until now the shim had held it, since it was initialised. */
void findings_unloaded(const struct module *module, bool kept);

/* At the very end of the process: tells which views never finalised. */
void findings_at_exit(void);

#endif
