/*
 * exit.c: see exit.h.
 */
#include "core/exit.h"
#include "core/life.h"
#include "core/state.h"
#include "core/view.h"
#include "host/events.h"

extern int __cxa_atexit(void (*)(void *), void *, void *);
extern void *__dso_handle;

static void retire(struct module *m)
{
	if (atomic_exchange(&m->retired, true))
		return;
	lock_take(&m->life->lock);
	for (unsigned i = 0; i < atomic_load(&views_made); i++)
		if (views[i].module == m)
			state_refresh_inlock(&views[i]);
	lock_give(&m->life->lock);
	tell_event(.kind = EVENT_RETIRED, .module = m);
}

/*
 * Exit handlers run in the reverse order of their registration. So this one runs after those that consumers
 * have registered since the module was loaded, and before the module's own.
 */
static void at_exit_of_module(void *argument)
{
	struct module *m = argument;
	process_enter();
	if (atomic_load(&m->gone))
		return;
	if (m->settings.at_exit == AT_EXIT_FINALIZE && !m->settings.observe)
		life_finalise_at_exit(m);
	retire(m);
}

/*
 * The handler is registered anew at every load, so that it stands between the exit handlers of consumers and
 * the module's own.
 */
void exit_watch(struct module *m)
{
	__cxa_atexit(at_exit_of_module, m, &__dso_handle);
}

/* Was the consumer loaded after the module? Then its destructors run after the module's. */
static bool is_later(const struct module *m, const struct view *view)
{
	if (view->shared)
		return true; /* it is not known which consumers those are */
	return object_is_later(&m->object, &view->consumer);
}

/*
 * The destructors of objects run after all exit handlers: the program's first, then those of preloaded
 * libraries, then the others in the order in which they were loaded (but the destructors of what an object
 * needs run after the object's). If a module destroys itself there, the consumers whose destructors run
 * before that may still use it. The consumers that were loaded after it may not: this retires the module for
 * them.
 */
static void retire_for_later_consumers(struct module *m)
{
	lock_take(&m->life->lock);
	for (unsigned i = 0; i < atomic_load(&views_made); i++)
		if (views[i].module == m && is_later(m, &views[i])) {
			atomic_store(&views[i].retired, true);
			state_refresh_inlock(&views[i]);
		}
	lock_give(&m->life->lock);
	tell_event(.kind = EVENT_RETIRED_FOR_LATER, .module = m);
}

static void at_the_very_end(void *nothing)
{
	(void)nothing;
	process_enter();
	tell_event(.kind = EVENT_EXIT);
}

/*
 * This runs among the destructors of objects. To exit() those are one handler all together, and it looks for
 * new handlers afterwards. So an exit handler that is registered now runs when all destructors have run.
 */
__attribute__((destructor)) static void at_exit_of_process(void)
{
	if (UNLIKELY(events_recorder()))
		__cxa_atexit(at_the_very_end, NULL, &__dso_handle);
	for (unsigned i = 0; i < atomic_load(&modules_made); i++) {
		struct module *m = &modules[i];
		if (!m->destructors || m->settings.at_exit != AT_EXIT_AUTO || atomic_load(&m->gone))
			continue;
		process_enter();
		if (object_still_there(&m->object))
			retire_for_later_consumers(m);
	}
}
