/*
 * state.h: the state of a module's life, and the counts of its views. The caller of a function whose name
 * ends in _inlock holds life.lock of the module. life.c says what the states mean.
 */
#ifndef P11SHIM_STATE_H
#define P11SHIM_STATE_H

#include "core/model.h"

/* Is this thread inside the real C_Initialize or C_Finalize? */
static inline bool state_mine_inlock(const struct life *life)
{
	return life->state == LIFE_BUSY && life->owner == thread_self();
}

/* Is the process exiting, and may the module be destroyed for that view? No lock is needed. */
static inline bool state_is_retired(const struct view *view)
{
	return atomic_load(&view->module->retired) || atomic_load(&view->retired);
}

/* Turns the fast path of the view on if nothing speaks against it, else off. */
void state_refresh_inlock(struct view *view);

/*
 * To be called first after the lock is taken. In a forked child it works out what the parent had. In a
 * process that was not forked all counts are zero at first, and this does nothing.
 */
void state_inherit_anew_inlock(struct module *module);
static inline void state_inherit_inlock(struct module *module)
{
	if (!module->life->inherited)
		state_inherit_anew_inlock(module);
}

/* Sleeps until something has changed. A signal handler may fork meanwhile: then this process is the child. */
void state_sleep_inlock(struct module *module);

/* The view has the module initialised so many times, or no longer. */
void state_count_inlock(struct view *view, unsigned count);
void state_release_inlock(struct view *view);

/* Makes the state BUSY, with this thread as its owner; and ends that. */
void state_begin_inlock(struct life *life, bool initialising);
void state_end_inlock(struct life *life, unsigned state);

#endif
