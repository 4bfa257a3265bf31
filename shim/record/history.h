/*
 * history.h: who did what to a module, and when: the last initialise, finalise and
 * dlclose of each consumer, logins, and, with mode = observe, where nobody else
 * does, how often each has the module initialised. What was wrong with that is
 * the affair of findings.h.
 *
 * Only kept where the journal is open. Everything here takes a lock of its own,
 * and calls nobody but the journal, with none held.
 */
#ifndef P11SHIM_HISTORY_H
#define P11SHIM_HISTORY_H

#include "core/life.h"
#include "record/journal.h"

/* A moment, and whose. */
struct who_when {
	const struct view *view; /* NULL: nobody's */
	struct moment moment;
};

/* ---- of a consumer. Moments that never were have at = 0. */

struct moment history_initialised(const struct view *view);
struct moment history_finalised(const struct view *view);

/* Its first dlclose while it had the module initialised. */
struct moment history_closed(const struct view *view);

/* When its last C_Finalize began, as clock_at(): what was in flight then is not after it. */
uint64_t history_finalising(const struct view *view);
void history_note_finalising(const struct view *view, uint64_t at);

/*
 * Has it the module initialised? Observed: how often, as it sees it, its parent's
 * count included.
 */
unsigned history_has(const struct view *view);

/* Not observed: whether it has, as it stands now (life_standing()); the journal is told of news. */
void history_follow(struct view *view);

/* Finalised too late to count, but finalised. */
void history_note_left(const struct view *view);

/*
 * Observed, in a child: the module carried its state over the fork, and the count
 * is this process's own from now on. It may be left so.
 */
void history_note_adopted(const struct view *view, const struct moment *now);
bool history_is_adopted(const struct view *view);

/* really: the module is initialised too, or was up already. */
void history_note_initialised(const struct view *view, const struct moment *now, bool really);

/* entirely: its last count is gone; else one. really: the module is finalised too. */
void history_note_finalised(const struct view *view, const struct moment *now, bool entirely, bool really);

void history_note_login(const struct view *view, CK_SLOT_ID slot, const struct moment *now);

/* The n-th other that is logged in on that slot; the entries go when the last has been asked for. */
bool history_logged_in(const struct view *view, CK_SLOT_ID slot, unsigned n, struct who_when *other);

/* ---- of a module */

/* Whoever did that last. */
struct who_when history_initialised_last(const struct module *module);
struct who_when history_finalised_last(const struct module *module);

/* Observed: how often it is initialised, as it seems; some modules count. */
unsigned history_up(const struct module *module);
void history_note_down(const struct module *module);

/* Observed: it is initialised, by somebody out of sight. */
bool history_is_foreign(const struct module *module);
void history_note_foreign(const struct module *module);

/* Observed, in a child: what its parent had is not here. */
void history_forget_parents(const struct module *module);

/* It is gone from memory. */
void history_forget_module(const struct module *module);

/* A further dlopen of that module, and a dlclose, by that consumer (NULL: nobody that is known). */
void history_note_opened(const struct module *module);
void history_note_closed(const struct module *module, const struct view *view, const struct moment *now);

/*
 * mode = observe: may the view's calls take the fast path? Not while they would be wrong. Sets
 * view->may_pass; life_refresh() is to follow.
 */
void history_decide_pass(struct view *view);

#endif
