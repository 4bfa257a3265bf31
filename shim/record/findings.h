/*
 * findings.h: what was wrong (contract I4): who used a module in a way that the
 * standard forbids, with the stack of the act and of what led to it.
 *
 * All of it is only called where the journal is open. Changes no answer: it looks
 * at a call before and after. With mode = observe it keeps count itself, since
 * there the module answers; and it tells of what may crash before the module is
 * called.
 */
#ifndef P11SHIM_FINDINGS_H
#define P11SHIM_FINDINGS_H

#include "record/tell.h"

/* Around a recorded call. words: as the consumer gave them. No lock may be held. */
void findings_before(struct view *view, unsigned function, const uintptr_t *words,
                     struct call_snapshot *snapshot);
void findings_after(struct view *view, unsigned function, const uintptr_t *words, CK_RV rv,
                    struct call_snapshot *snapshot);

/* A dlclose of that module, by whoever (the door saw it). */
void findings_closed(const struct module *module);

/* The module is gone from memory; kept: until now the shim had held it, initialised as it was. */
void findings_unloaded(const struct module *module, bool kept);

/* At the very end of the process: who never finalised. */
void findings_at_exit(void);

#endif
