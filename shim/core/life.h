/*
 * life.h: one module's life in this process, and the only place that decides about a real
 * C_Initialize and C_Finalize (contract C, F).
 */
#ifndef P11SHIM_LIFE_H
#define P11SHIM_LIFE_H

#include "core/serial.h"

/* C_Initialize and C_Finalize of a view; list: the one whose function was called. */
CK_RV life_initialise(struct view *view, const struct list *list, CK_VOID_PTR pInitArgs);
CK_RV life_finalise(struct view *view, CK_VOID_PTR pReserved);

/*
 * May a call of this view go on to the module? CKR_OK, or what to answer
 * instead. In a forked child this is where the module comes up again. A view
 * that never initialised borrows the module (C4): its call counts as a
 * reference while it lasts. After CKR_OK, life_leave() with the same ticket.
 *
 * A call that is inside when the last reference goes is the consumer's own
 * mistake: it is told of, and with drain = yes waited for. One that only polls
 * for slot events is ours, comes back soon, and is always waited for; one that
 * may block for an event never is.
 */
struct ticket {
	int process; /* 0: never entered */
	enum call_kind kind;
	bool reference;
	unsigned long attempt; /* life of the module: a call that outlives it counts no more */
};
CK_RV life_enter(struct view *view, struct ticket *ticket, enum call_kind kind);
void life_leave(struct view *view, const struct ticket *ticket);

/* How the view stands at the moment. */
struct standing {
	bool counts;           /* initialised in this process */
	bool left;             /* finalised, and not initialised since */
	bool up;               /* the module is up */
	bool inherited;        /* counts, but in the process that this one was forked from */
	unsigned long changes; /* see process.h */
	bool retired;          /* the process is exiting, and the module may be destroyed for it */
};
struct standing life_standing(struct view *view);

/* Turns the short way of the view on if nothing speaks against it. */
void life_refresh(struct view *view);

/* at-exit = finalize: whoever has it initialised, it is finalised. No lock may be held. */
void life_finalise_at_exit(struct module *module);

#endif
