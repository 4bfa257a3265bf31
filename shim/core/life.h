/*
 * life.h: one module's life in this process. This is the only place that decides about a real C_Initialize
 * and C_Finalize (contract C, F).
 */
#ifndef P11SHIM_LIFE_H
#define P11SHIM_LIFE_H

#include "core/serial.h"

/* C_Initialize and C_Finalize of a view. list: the one whose function the consumer called. */
CK_RV life_initialise(struct view *view, const struct list *list, CK_VOID_PTR pInitArgs);
CK_RV life_finalise(struct view *view, CK_VOID_PTR pReserved);

/*
 * May a call of this view go on to the module? CKR_OK, or what to answer instead. In a forked child this is
 * where the module comes up again. A view that never initialised borrows the module (C4): its call counts as
 * a reference while it lasts. After CKR_OK, the caller calls life_leave() with the same ticket.
 *
 * If a call is inside the module when the last reference goes, that is the consumer's own mistake: the shim
 * tells of it, and with drain = yes waits for it. A call that only polls for slot events is the shim's own
 * and comes back soon; the shim always waits for it. A call that may block for an event is never waited for.
 */
struct ticket {
	int process; /* 0: never entered */
	enum call_kind kind;
	bool reference;
	unsigned long attempt; /* the module's life: a call that outlives it no longer counts */
};
CK_RV life_enter(struct view *view, struct ticket *ticket, enum call_kind kind);
void life_leave(struct view *view, const struct ticket *ticket);

/* How the view stands at the moment. */
struct standing {
	bool counts;           /* initialised in this process */
	bool left;             /* finalised, and not initialised since */
	bool up;               /* the module is up */
	bool inherited;        /* it counts, but in the process that this one was forked from */
	unsigned long changes; /* see struct view_life */
	bool retired;          /* the process is exiting, and the module may be destroyed for it */
};
struct standing life_standing(struct view *view);

/* Turns the fast path of the view on if nothing speaks against it, else off. */
void life_refresh(struct view *view);

/* at-exit = finalize: finalises the module, whichever views have it initialised. No lock may be held. */
void life_finalise_at_exit(struct module *module);

#endif
