/*
 * history.h: which view did what to a module, and when: the last initialise, finalise and dlclose of each
 * consumer, and logins. With mode = observe, where the core does not count, also how often each consumer has
 * the module initialised. What was wrong with that is the affair of findings.h.
 *
 * All this is kept only while the journal is open. The functions here take a lock of their own. They call
 * only the journal, and hold no lock then.
 */
#ifndef P11SHIM_HISTORY_H
#define P11SHIM_HISTORY_H

#include "core/life.h"
#include "record/journal.h"

/* A moment, and the view that acted then. */
struct who_when {
	const struct view *view; /* NULL: none */
	struct moment moment;
};

/* ---- of a consumer. A moment that never was has at = 0. */

struct moment history_initialised(const struct view *view);
struct moment history_finalised(const struct view *view);

/* Its first dlclose while it had the module initialised. */
struct moment history_closed(const struct view *view);

/* When its last C_Finalize began, as clock_at(): a call that was in flight then does not come after it. */
uint64_t history_finalising(const struct view *view);
void history_note_finalising(const struct view *view, uint64_t at);

/*
 * Does the view have the module initialised? Observed: how often, as the consumer sees it, with its parent's
 * count.
 */
unsigned history_has(const struct view *view);

/*
 * Not observed: takes from life_standing() whether the view has the module initialised; the journal is told
 * if it is news.
 */
void history_follow(struct view *view);

/* The view has finalised, but too late to count: the process is exiting. */
void history_note_left(const struct view *view);

/*
 * Observed, in a child: the module has carried its state over the fork, and the view's count is this
 * process's own from now on. The view need not finalise it.
 */
void history_note_carried_over(const struct view *view, const struct moment *now);
bool history_is_carried_over(const struct view *view);

/* really: the module itself was initialised by that; false: it was up already. */
void history_note_initialised(const struct view *view, const struct moment *now, bool really);

/*
 * entirely: the view has no count left; false: it has one less. really: the module itself was finalised by
 * that.
 */
void history_note_finalised(const struct view *view, const struct moment *now, bool entirely, bool really);

void history_note_login(const struct view *view, CK_SLOT_ID slot, const struct moment *now);

/*
 * The n-th other view that is logged in on that slot. False: there are not so many; then the entries of the
 * slot go.
 */
bool history_logged_in(const struct view *view, CK_SLOT_ID slot, unsigned n, struct who_when *other);

/* ---- of a module */

/* The view that did that last, and when. */
struct who_when history_initialised_last(const struct module *module);
struct who_when history_finalised_last(const struct module *module);

/* Observed: how often the module is initialised, as it seems; some modules count. */
unsigned history_up(const struct module *module);
void history_note_down(const struct module *module);

/* Observed: code that the shim does not see has initialised the module. */
bool history_is_foreign(const struct module *module);
void history_note_foreign(const struct module *module);

/* Observed, in a child: forgets what the parent had, since it is not in this process. */
void history_forget_parents(const struct module *module);

/* The module is gone from memory. */
void history_forget_module(const struct module *module);

/* A further dlopen of that module, and a dlclose of it, by that consumer (NULL: by an unknown one). */
void history_note_opened(const struct module *module);
void history_note_closed(const struct module *module, const struct view *view, const struct moment *now);

/*
 * mode = observe: decides whether the view's calls may take the fast path. They may not while a call would be
 * wrong, since that is to be told of. Sets view->may_pass; the caller then calls life_refresh().
 */
void history_decide_pass(struct view *view);

#endif
