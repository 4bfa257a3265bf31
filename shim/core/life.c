/*
 * life.c: one module's life in this process; see life.h.
 *
 *            first C_Initialize                      CKR_OK
 *   DOWN ----------------------> BUSY, initialising ---------> UP
 *    ^  <------------------------------ any error              |
 *    |                                                         | last reference
 *    +------ CKR_OK ------ BUSY, finalising <------------------+
 *
 * life.lock guards the state and the counts of the module's views. It is held for a few instructions, never
 * across a call into the module or into dl*. The state BUSY is what keeps two threads from being in the real
 * C_Initialize and C_Finalize at once: only its owner leaves it, and other threads sleep in the wait queue
 * `changed`. So the decision to initialise or finalise and the call are one step, as seen from outside
 * (contract C2), and yet no lock is held in the module.
 *
 * A thread never waits for itself: if a module, inside C_Initialize, calls itself back through the shim, the
 * shim finds that the thread is the owner and lets the call through (C7).
 *
 * references counts the views that have the module initialised, each thread that is just leaving it
 * (leave_inlock), and each call of a view that only borrows it (life_enter). The module stays UP while
 * references > 0, so a thread with a reference may call into the module without any lock.
 *
 * A module is held in memory from before its real initialise until after its real finalise (C9). Taking and
 * dropping the hold calls the dynamic linker, so both are done with no lock and not in the state BUSY: a
 * thread that is inside a constructor, with the linker's lock, may be waiting for this one.
 *
 * Fork. `struct life` is forgotten memory (host/process.h): in a child every module is DOWN and `inherited`
 * is off. The first thread that takes the lock there works out what the parent had, from the counts of the
 * views. A count is a single word, written when the real call is over: a count above zero means that the
 * module was up. Such a count is inherited until the view is counted in the child itself. The first call that
 * needs the module brings it up again, with the arguments that it had in the parent (F2, F3). If the module
 * itself forks inside the real C_Initialize, the child has a copy of the thread that is BUSY. When that copy
 * comes back out of the module, it finds another process number, and finishes what it began for the child
 * alone.
 */
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "core/arguments.h"
#include "core/life.h"
#include "core/lists.h"
#include "core/logins.h"
#include "core/module.h"
#include "core/serial.h"
#include "core/sessions.h"
#include "core/state.h"
#include "core/view.h"
#include "host/events.h"
#include "standard/calls.h"

void life_refresh(struct view *view)
{
	struct life *life = view->module->life;
	lock_take(&life->lock);
	state_refresh_inlock(view);
	lock_give(&life->lock);
}

static CK_RV real_finalise(struct module *m, CK_VOID_PTR pReserved)
{
	uintptr_t word = (uintptr_t)pReserved;
	return calls_invoke(m->finalise, 1, &word); /* REENTRANT: no lock held */
}

/*
 * Makes the module new in a child (fork = reset), if the module has carried its state over from the parent:
 * finalises it and initialises it again.
 */
static CK_RV reset(struct module *m)
{
	CK_RV rv = real_finalise(m, NULL);
	tell_event(.kind = EVENT_REAL_FINALISE, .module = m, .rv = rv, .text = "in a child, to reset it");
	return arguments_initialise(m, m->initialise, true);
}

/*
 * The module may have called C_Initialize from inside its own C_Initialize. What views counted there
 * (`nested`) becomes valid now, if that went well, and is dropped if not.
 */
static void settle_nested_inlock(const struct module *m, bool good)
{
	for (unsigned i = 0; i < atomic_load(&views_made); i++) {
		struct view_life *now = view_life_inlock(&views[i]);
		if (views[i].module == m && now->nested > 0) {
			if (good)
				state_count_inlock(&views[i], views[i].count + now->nested);
			now->nested = 0;
		}
	}
}

/*
 * Calls the real C_Initialize. The module is DOWN, with m->given, m->initialise and m->finalise set. The
 * caller holds the lock; it is dropped for the call and taken again. After CKR_OK the module is UP.
 */
static CK_RV bring_up_inlock(struct module *m)
{
	struct life *life = m->life;
	int process = process_number();
	bool inherited = life->references > 0;
	state_begin_inlock(life, true);
	/* the module's state comes from before this process */
	bool parents = life->attempt == 1 && m->was_up;
	life->reviving = inherited;
	lock_give(&life->lock);

	/*
	 * Other threads wait for this thread, so it must not be cancelled. And modules load other modules,
	 * and libraries, in there, while other threads may fork. In a child without other threads, as most
	 * are at first, both would cost two pages and be of no use.
	 */
	bool alone = process_alone() && inherited;
	int cancel, begun = 0;
	if (!alone) {
		pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
		begun = process_linker_begin();
	}
	CK_RV rv = arguments_initialise(m, m->initialise, inherited);
	if (rv == CKR_CRYPTOKI_ALREADY_INITIALIZED && parents && m->settings.fork == FORK_RESET)
		rv = reset(m);
	tell_event(.kind = EVENT_REAL_INITIALISE, .module = m, .rv = rv,
	           .text = inherited ? "in a child" : NULL);
	if (rv == CKR_OK || rv == CKR_CRYPTOKI_ALREADY_INITIALIZED)
		tell_event(.kind = EVENT_UP, .module = m);

	if (!alone) {
		process_linker_end(begun);
		pthread_setcancelstate(cancel, NULL);
	}
	process_enter(); /* the module may have forked: this may be a child */
	lock_take(&life->lock);
	if (process_number() != process)
		state_inherit_inlock(m);
	life->foreign = rv == CKR_CRYPTOKI_ALREADY_INITIALIZED;
	if (life->foreign)
		rv = CKR_OK;
	if (rv != CKR_OK) {
		life->failed_attempt = life->attempt;
		life->failure = rv;
	}
	settle_nested_inlock(m, rv == CKR_OK);
	if (rv == CKR_OK && inherited && !life->foreign) {
		logins_forget(m);
		sessions_make_stale(m); /* a new life: the parent's sessions are not in it (F4) */
	}
	if (rv == CKR_OK)
		CHANGE(m->was_up, true);
	state_end_inlock(life, rv == CKR_OK ? LIFE_UP : LIFE_DOWN);
	return rv;
}

/*
 * Is this thread bringing another module up again in a child? Then that module is a wrapper (pkcs11-spy,
 * say), and it is now initialising the module below it.
 */
static bool inside_a_wrapper(void)
{
	bool inside = false;
	for (unsigned i = 0; i < atomic_load(&modules_made) && !inside; i++) {
		struct life *life = modules[i].life;
		lock_take(&life->lock);
		inside = state_mine_inlock(life) && life->initialising && life->reviving;
		lock_give(&life->lock);
	}
	return inside;
}

/*
 * C_Initialize of a view that finds the module DOWN. *hold is the caller's; it is given to the module if that
 * comes up. *text is given to the module in any case; the module's text from before is put in its place, for
 * the caller to free.
 */
static CK_RV first_initialise_inlock(struct view *view, const struct list *list,
                                     const struct module_arguments *given, char **text, void **hold)
{
	struct module *m = view->module;
	char *old_text = m->reserved_text;
	if (!arguments_same(&m->given, given))
		m->given = *given;
	CHANGE(m->reserved_text, *text);
	*text = old_text;
	CHANGE(m->initialise, lists_target(list, CALL_C_Initialize));
	CHANGE(m->finalise, lists_target(list, CALL_C_Finalize));
	CHANGE(m->close_session, lists_target(list, CALL_C_CloseSession));
	CK_RV rv = bring_up_inlock(m);
	if (rv != CKR_OK)
		return rv;
	if (!atomic_load(&m->hold)) {
		atomic_store(&m->hold, *hold);
		*hold = NULL;
	}
	state_count_inlock(view, view_inherited_inlock(view) ? 1 : view->count + 1);
	return CKR_OK;
}

/* The module calls C_Initialize from inside its own C_Initialize or C_Finalize. */
static CK_RV nested_initialise_inlock(struct view *view)
{
	if (!view->module->life->initialising)
		return CKR_FUNCTION_FAILED; /* the module is on its way down: there is nothing to wait for */
	view_life_inlock(view)->nested++;
	return CKR_OK;
}

/* What one C_Initialize brings along, without what has been given to the module already. */
struct initialise {
	const struct list *list;
	struct module_arguments given;
	char *text; /* see arguments_copy_text() */
	void *hold;
	unsigned long waited_for; /* the attempt of another thread that this thread has waited for; 0: none */
};

/*
 * One step of C_Initialize, with the lock held. False: the state has changed meanwhile, or may have changed;
 * the caller looks at it again.
 */
static bool try_to_initialise_inlock(struct view *view, struct initialise *it, CK_RV *rv)
{
	struct module *m = view->module;
	struct life *life = m->life;
	if (state_mine_inlock(life)) {
		*rv = nested_initialise_inlock(view);
		return true;
	}
	if (life->state == LIFE_BUSY) {
		it->waited_for = life->initialising ? life->attempt : 0;
		state_sleep_inlock(m);
		return false;
	}
	if (it->waited_for && life->state == LIFE_DOWN && life->failed_attempt >= it->waited_for) {
		/* the attempt that this thread waited for failed, for all who waited (C5) */
		*rv = life->failure;
		return true;
	}
	if (life->state == LIFE_UP) {
		bool inherited = view_inherited_inlock(view);
		*rv = CKR_OK;
		if (view->count > 0 && !inherited && m->settings.already_report)
			*rv = CKR_CRYPTOKI_ALREADY_INITIALIZED;
		else
			state_count_inlock(view, inherited ? 1 : view->count + 1);
		return true;
	}
	if (!it->hold && !atomic_load(&m->hold)) { /* a child may have inherited a hold */
		lock_give(&life->lock);
		it->hold = module_hold(m);
		lock_take(&life->lock);
		*rv = CKR_GENERAL_ERROR;
		return !it->hold;
	}
	/*
	 * If a consumer kept the list beyond its module's end, the list leads nowhere. That is no attempt
	 * that other threads could wait for.
	 */
	*rv = lists_supports(it->list, CALL_C_Initialize)
	              ? first_initialise_inlock(view, it->list, &it->given, &it->text, &it->hold)
	              : CKR_GENERAL_ERROR;
	return true;
}

CK_RV life_initialise(struct view *view, const struct list *list, CK_VOID_PTR pInitArgs)
{
	struct module *m = view->module;
	struct life *life = m->life;
	struct initialise it = {.list = list};
	if (state_is_retired(view))
		return CKR_CRYPTOKI_NOT_INITIALIZED;
	if (!arguments_read(&it.given, pInitArgs))
		return CKR_ARGUMENTS_BAD;
	if (it.given.args.pReserved)
		it.text = arguments_copy_text(it.given.args.pReserved);

	CK_RV rv = CKR_OK;
	lock_take(&life->lock);
	state_inherit_inlock(m);
	bool was_inherited = view_inherited_inlock(view);
	while (!try_to_initialise_inlock(view, &it, &rv))
		state_inherit_inlock(m);
	/*
	 * A wrapper must learn that the module below has carried its state over the fork. Else the shim would
	 * take the wrapper itself for new, and its sessions for stale. The wrapper's own answer then comes
	 * back through arguments_initialise(), and does not go to its consumer.
	 */
	bool carried = rv == CKR_OK && was_inherited && life->foreign;
	lock_give(&life->lock);
	if (it.text)
		free(it.text);
	object_release(it.hold); /* REENTRANT: no lock held */
	if (carried && inside_a_wrapper())
		rv = CKR_CRYPTOKI_ALREADY_INITIALIZED;
	return rv;
}

/* Closes the sessions that the view left open. The caller has a reference, and holds no lock. */
static void close_sessions(struct view *view, struct session *sessions)
{
	struct module *m = view->module;
	struct taken_session session;
	unsigned closed = 0;
	while (sessions_next(&sessions, &session)) {
		uintptr_t word = session.real;
		serial_call(m, m->close_session, 1, &word, MODULE_CALL);
		closed++;
	}
	if (closed)
		tell_event(.kind = EVENT_SESSIONS_CLOSED, .view = view, .number = closed);
}

/*
 * The view leaves while other views stay. This thread keeps a reference until the view's sessions are closed,
 * so the module stays UP for that. If all other views leave meanwhile, this thread is the last one, and its
 * caller brings the module down.
 */
static void leave_inlock(struct view *view)
{
	struct life *life = view->module->life;
	int process = process_number();
	life->references++;
	state_release_inlock(view);
	struct session *sessions = sessions_take_all(view, NULL);
	lock_give(&life->lock);
	close_sessions(view, sessions);
	process_enter();
	lock_take(&life->lock);
	state_inherit_inlock(view->module);
	if (process == process_number()) /* else the module forked, and this child had no reference */
		life->references--;
}

#define POLL_PATIENCE (2 * 1000000000ULL)   /* nanoseconds that a poll may take to come back */
#define DRAIN_PATIENCE (10 * 1000000000ULL) /* nanoseconds that any call may take, with drain = yes */

/*
 * The module is about to be finalised: waits for the calls that are still in it to come back. The state is
 * BUSY already, so no other calls go in. The shim does not know of calls that take the fast path; no call
 * takes it with drain = yes or report, or while every call is recorded. Returns how many calls did not come
 * back.
 */
static unsigned drain_inlock(struct module *m)
{
	struct life *life = m->life;
	bool all = m->settings.drain == DRAIN_YES;
	if (life->polling == 0 && life->inside == 0)
		return 0;
	uint64_t t = clock_at(CLOCK_MONOTONIC), end = t + (all ? DRAIN_PATIENCE : POLL_PATIENCE);
	/* If a thread comes here out of its own poll, by a signal, it does not wait for itself. */
	for (; ((life->polling > 0 && life->poller != thread_self()) || (all && life->inside > 0)) && t < end;
	     t = clock_at(CLOCK_MONOTONIC))
		queue_wait(&life->changed, &life->lock, end - t);
	return t >= end ? life->inside + life->polling : 0;
}

/*
 * Calls the real C_Finalize. The module is UP, and no reference is left. The caller holds the lock; it is
 * dropped for the call and taken again. *hold gets the hold on the module, which the caller is to release
 * without the lock.
 */
static CK_RV bring_down_inlock(struct module *m, struct view *view, CK_VOID_PTR pReserved, void **hold)
{
	struct life *life = m->life;
	state_begin_inlock(life, false);
	unsigned inside = life->foreign ? 0 : life->inside;
	if (UNLIKELY(events_recorder()) && inside > 0) {
		lock_give(&life->lock);
		tell_event(.kind = EVENT_LAST_FINALISE, .view = view);
		lock_take(&life->lock);
	}
	unsigned lost = life->foreign ? 0 : drain_inlock(m);
	struct session *sessions = life->foreign ? sessions_take_all(view, NULL) : NULL;
	lock_give(&life->lock);
	if (lost > 0)
		tell_event(.kind = EVENT_CALLS_DID_NOT_RETURN, .view = view, .number = lost);
	int cancel;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel); /* other threads wait for this one */
	CK_RV rv = CKR_OK;
	if (life->foreign) {
		close_sessions(view, sessions); /* the shim is not to finalise it (C6) */
	} else {
		int begun = process_linker_begin();
		rv = real_finalise(m, pReserved);
		process_linker_end(begun);
		tell_event(.kind = EVENT_REAL_FINALISE, .module = m, .rv = rv);
	}
	pthread_setcancelstate(cancel, NULL);
	process_enter();
	bool down = rv == CKR_OK || rv == CKR_CRYPTOKI_NOT_INITIALIZED;
	if (down)
		tell_event(.kind = EVENT_DOWN, .module = m);
	lock_take(&life->lock);
	state_inherit_inlock(m);
	if (down) {
		sessions_forget_all(m);
		logins_forget(m);
		*hold = atomic_exchange(&m->hold, NULL);
		state_end_inlock(life, LIFE_DOWN);
	} else {
		state_end_inlock(life, LIFE_UP); /* the module says that it lives on */
	}
	return rv;
}

/* Releases what kept a module in memory while it was initialised. The caller holds no lock. */
static void let_go(struct module *m, void *hold)
{
	struct object object = m->object;
	object_release(hold); /* REENTRANT: no lock held */
	if (UNLIKELY(events_recorder()) && hold && !object_still_there(&object))
		tell_event(.kind = EVENT_GONE_AT_LAST, .module = m);
}

CK_RV life_finalise(struct view *view, CK_VOID_PTR pReserved)
{
	struct module *m = view->module;
	struct life *life = m->life;
	if (state_is_retired(view))
		return CKR_OK; /* C10 */
	void *hold = NULL;
	CK_RV rv = CKR_OK;
	lock_take(&life->lock);
	state_inherit_inlock(m);
	while (life->state == LIFE_BUSY && !state_mine_inlock(life) && view->count > 0)
		state_sleep_inlock(m);
	if (life->state == LIFE_BUSY && state_mine_inlock(life)) {
		struct view_life *now = view_life_inlock(view);
		if (now->nested > 0)
			now->nested--;
		else
			rv = CKR_CRYPTOKI_NOT_INITIALIZED;
	} else if (view->count == 0) {
		rv = CKR_CRYPTOKI_NOT_INITIALIZED; /* C3 */
	} else if (pReserved && (view->count > 1 || life->references > 1)) {
		rv = CKR_ARGUMENTS_BAD; /* the standard's answer: the module is not asked */
	} else if (view->count > 1) {
		view->count--;
	} else if (life->state == LIFE_DOWN) {
		state_release_inlock(view); /* the child lets go of what only the parent had (F3) */
		if (life->references == 0)
			hold = atomic_exchange(&m->hold, NULL);
	} else if (life->references > 1) {
		leave_inlock(view);
		if (life->references == 0 && life->state == LIFE_UP)
			bring_down_inlock(m, view, NULL, &hold);
	} else {
		state_release_inlock(view);
		rv = bring_down_inlock(m, view, pReserved, &hold);
		if (life->state == LIFE_UP && view->count == 0)
			state_count_inlock(view, 1); /* the module refused: the view has it as before */
	}
	lock_give(&life->lock);
	let_go(m, hold);
	return rv;
}

/* A call that is neither C_Initialize nor C_Finalize finds the module DOWN. */
static CK_RV enter_down_inlock(struct view *view)
{
	struct module *m = view->module;
	struct life *life = m->life;
	bool may = view->count > 0 || !view->finalised;
	if (life->references == 0 || !may || m->settings.fork == FORK_STRICT)
		return CKR_CRYPTOKI_NOT_INITIALIZED;
	if (bring_up_inlock(m) != CKR_OK) /* a child's first use */
		return CKR_CRYPTOKI_NOT_INITIALIZED;
	for (unsigned i = 0; i < atomic_load(&views_made); i++)
		if (views[i].module == m)
			state_refresh_inlock(&views[i]);
	return CKR_OK;
}

static void arrive_inlock(struct life *life, const struct ticket *ticket)
{
	life->references += ticket->reference; /* matched in life_leave(), as are the next two */
	life->inside += ticket->kind == MODULE_CALL;
	life->polling += ticket->kind == MODULE_POLL;
	if (ticket->kind == MODULE_POLL)
		life->poller = thread_self();
}

CK_RV life_enter(struct view *view, struct ticket *ticket, enum call_kind kind)
{
	struct module *m = view->module;
	struct life *life = m->life;
	CK_RV rv = CKR_OK;
	*ticket = (struct ticket){.process = 0};
	if (state_is_retired(view))
		return CKR_CRYPTOKI_NOT_INITIALIZED;
	lock_take(&life->lock);
	state_inherit_inlock(m);
	/* The threads of a child wait for the thread that brings the module up again. */
	while (life->state == LIFE_BUSY && !state_mine_inlock(life) && view->count > 0)
		state_sleep_inlock(m);
	if (life->state == LIFE_DOWN)
		rv = enter_down_inlock(view);
	else if (life->state == LIFE_BUSY && !state_mine_inlock(life))
		rv = CKR_CRYPTOKI_NOT_INITIALIZED;
	bool borrows = life->state == LIFE_UP && view->count == 0;
	if (borrows && view->finalised)
		rv = CKR_CRYPTOKI_NOT_INITIALIZED; /* C4 */
	if (rv == CKR_OK) {
		*ticket = (struct ticket){.process = process_number(),
		                          .kind = kind,
		                          .reference = borrows,
		                          .attempt = life->attempt};
		arrive_inlock(life, ticket);
		if (life->state == LIFE_UP && !borrows)
			state_refresh_inlock(view);
	}
	lock_give(&life->lock);
	return rv;
}

/*
 * If all views have finalised meanwhile, the view that borrows the module is the last to leave, and brings it
 * down.
 */
void life_leave(struct view *view, const struct ticket *ticket)
{
	struct module *m = view->module;
	struct life *life = m->life;
	void *hold = NULL;
	process_enter();
	if (ticket->process != process_number())
		return; /* the module forked: in this child the call counts for nothing */
	lock_take(&life->lock);
	if (ticket->attempt == life->attempt) { /* these match arrive_inlock() */
		life->inside -= ticket->kind == MODULE_CALL;
		life->polling -= ticket->kind == MODULE_POLL;
	}
	life->references -= ticket->reference;
	if (life->state == LIFE_BUSY && !life->initialising)
		queue_wake_all(&life->changed); /* see drain_inlock() */
	if (ticket->reference && life->references == 0 && life->state == LIFE_UP)
		bring_down_inlock(m, view, NULL, &hold);
	lock_give(&life->lock);
	let_go(m, hold);
}

struct standing life_standing(struct view *view)
{
	struct life *life = view->module->life;
	lock_take(&life->lock);
	state_inherit_inlock(view->module);
	struct standing standing = {.counts = view->count > 0 && !view_inherited_inlock(view),
	                            .left = view->finalised,
	                            .up = life->state == LIFE_UP,
	                            .inherited = view_inherited_inlock(view),
	                            .changes = view_life_inlock(view)->changes,
	                            .retired = state_is_retired(view)};
	lock_give(&life->lock);
	return standing;
}

void life_finalise_at_exit(struct module *m)
{
	struct life *life = m->life;
	void *hold;
	lock_take(&life->lock);
	state_inherit_inlock(m);
	if (life->state == LIFE_UP) {
		for (unsigned i = 0; i < atomic_load(&views_made); i++)
			if (views[i].module == m && views[i].count > 0)
				state_release_inlock(&views[i]);
		bring_down_inlock(m, m->shared, NULL, &hold); /* the hold is kept: the process exits */
	}
	lock_give(&life->lock);
}
