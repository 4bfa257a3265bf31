/*
 * state.c: see state.h.
 */
#include "core/gate.h"
#include "core/sessions.h"
#include "core/state.h"
#include "core/view.h"
#include "host/events.h"

void state_refresh_inlock(struct view *view)
{
	const struct module *m = view->module;
	const struct recorder *listening = events_recorder();
	bool on = !listening || !listening->every_call;
	if (m->settings.observe)
		on = on && (!listening || atomic_load(&view->may_pass));
	else
		on = on && m->life->state == LIFE_UP && view->count > 0 && !m->serialise &&
		     m->settings.drain == DRAIN_NO && !sessions_translated(m);
	view_set_fast_inlock(view, on && !state_is_retired(view));
}

/* See state.h. */
void state_inherit_anew_inlock(struct module *m)
{
	struct life *life = m->life;
	life->inherited = true;
	sessions_inherit(m);
	for (unsigned i = 0; i < atomic_load(&views_made); i++)
		if (views[i].module == m && views[i].count > 0)
			life->references++;
	if (life->references > 0 && m->settings.fork == FORK_OFF)
		life->state = LIFE_UP;
}

/* See state.h. */
void state_sleep_inlock(struct module *m)
{
	queue_wait(&m->life->changed, &m->life->lock, 0);
	process_enter();
	state_inherit_inlock(m);
}

void state_count_inlock(struct view *view, unsigned count)
{
	struct life *life = view->module->life;
	if (view->count == 0)
		life->references++; /* matched in state_release_inlock() */
	if (view->count == 0 || view_inherited_inlock(view))
		view_life_inlock(view)->changes++;
	CHANGE(view->count, count);
	CHANGE(view->finalised, false);
	view_life_inlock(view)->counted = true;
	state_refresh_inlock(view);
}

void state_release_inlock(struct view *view)
{
	view->module->life->references--; /* matches state_count_inlock() */
	view->count = 0;
	view->finalised = true;
	view_life_inlock(view)->changes++;
	state_refresh_inlock(view);
}

void state_begin_inlock(struct life *life, bool initialising)
{
	life->state = LIFE_BUSY;
	life->initialising = initialising;
	life->owner = thread_self();
	if (initialising) {
		life->attempt++;
		life->inside = 0; /* calls that never came back from the life before */
		life->polling = 0;
	}
}

void state_end_inlock(struct life *life, unsigned state)
{
	life->state = state;
	queue_wake_all(&life->changed);
}
