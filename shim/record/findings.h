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

#include "core/module.h"
#include "core/view.h"
#include "record/journal.h"

/* What a call looked like before it was carried out. */
struct looked {
	struct standing standing; /* unless it is one of many, and went well */
	struct moment now;
	unsigned sessions;
	struct moment session; /* who opened one of those */
};

/* Around a recorded call. words: as the consumer gave them. No lock may be held. */
void findings_before(struct view *view, unsigned function, const uintptr_t *words, struct looked *looked);
void findings_after(struct view *view, unsigned function, const uintptr_t *words, CK_RV rv,
                    struct looked *looked);

/* The last C_Finalize of a module is about to be called, perhaps while calls are inside. */
void findings_in_flight(const struct view *view);

/* Calls are still inside though they were waited for. */
void findings_never_came_back(const struct view *view, unsigned inside);

/* A dlclose of that module, by whoever (the door saw it). */
void findings_closed(const struct module *module);

/* The module is gone from memory; kept: until now the shim had held it, initialised as it was. */
void findings_unloaded(const struct module *module, bool kept);

/* At the very end of the process: who never finalised. */
void findings_at_exit(void);

#endif
