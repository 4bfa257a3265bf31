/*
 * state.h: the state of a module's life, and the counts of its views. Every function that ends in _inlock is
 * called with life.lock of the module; life.c says what the states mean.
 */
#ifndef P11SHIM_STATE_H
#define P11SHIM_STATE_H

#include "core/model.h"

/* Is it this thread that is inside the real C_Initialize or C_Finalize? */
bool state_mine_inlock(const struct life *life);

/* Is the process exiting, and may the module be destroyed for that view? No lock is needed. */
bool state_is_retired(const struct view *view);

/* Turns the fast path of the view on if nothing speaks against it, else off. */
void state_refresh_inlock(struct view *view);

/*
 * First thing after taking the lock. In a forked child it works out what the parent had. In the
 * process that began, all counts are zero and this does nothing.
 */
void state_inherit_inlock(struct module *module);

/* Until something has changed. A signal handler may fork meanwhile: then this is a child. */
void state_sleep_inlock(struct module *module);

/* The view has the module initialised so many times, or no longer. */
void state_count_inlock(struct view *view, unsigned count);
void state_release_inlock(struct view *view);

/* Into BUSY, and out of it. */
void state_begin_inlock(struct life *life, bool initialising);
void state_end_inlock(struct life *life, unsigned state);

#endif
