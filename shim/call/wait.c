/*
 * wait.c: see wait.h.
 *
 * Events are numbered per module as they are found. For each slot the number of its last event is kept, and
 * for each waiting thread the number up to which it has seen all. A thread has yet to see the slots with a
 * larger number, the smallest number first. So an event needs no list of the threads that are still to get
 * it.
 *
 * Which thread asks the module: the first one that finds that it is time and that no other thread is asking
 * (`asking`). The others sleep until the queue is woken or until it is time again. No lock is held while the
 * module is asked. Its real C_Finalize waits for that one call to come back (MODULE_POLL in core/life.c), so
 * the module is never finalised under a thread that only polls it.
 *
 * A wait ends when its view finalises, although the view may initialise again at once, and the module may
 * live on. For this, each C_Finalize changes the view's epoch and wakes the queue, and a thread that finds
 * another epoch than it began with returns to its consumer.
 *
 * All of this is forgotten memory: in a child there are no waiters and no events. What was allocated for the
 * threads of the parent is left alone there.
 */
#include <pthread.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <utlist.h>

#include "call/call.h"
#include "call/wait.h"
#include "core/life.h"
#include "core/lists.h"
#include "core/serial.h"
#include "host/process.h"

#define MILLISECONDS 1000000ULL

/*
 * How long until the module is asked again. An event is to be noticed within half a second, and waiting is to
 * cost less than 0.5 % of a processor. So the pause is so many times what the question itself cost, within
 * these bounds. (OpenSC with two readers: 2 ms.) The time that the answer takes is part of that half second.
 * A module that takes longer than half of it is left alone for as long as it took, a second at most.
 */
#define SHORTEST_PAUSE (200 * MILLISECONDS)
#define PAUSE (480 * MILLISECONDS)
#define PAUSE_PER_COST 215
#define LONGEST_PAUSE (1000 * MILLISECONDS)

/* For how long a thread that must not wait for an event waits for another thread that is asking. */
#define PATIENCE (500 * MILLISECONDS)

#define THREADS 1000 /* threads of a view whose places are kept; beyond that the oldest place goes */
#define BACKLOG 64   /* old events that are fetched at most when a view joins */
#define BACKLOG_PATIENCE (300 * MILLISECONDS)

/* Up to where a thread of a view has seen the events. */
struct reader {
	long thread;
	unsigned long seen;
	struct reader *prev, *next; /* in the view's list; the place last used is last */
};

static uint64_t now(void)
{
	return clock_at(CLOCK_MONOTONIC);
}

static uint64_t pause_after(uint64_t cost, uint64_t delay)
{
	uint64_t pause = cost * PAUSE_PER_COST;
	if (pause < SHORTEST_PAUSE)
		pause = SHORTEST_PAUSE;
	if (pause + delay > PAUSE)
		pause = PAUSE > 2 * delay ? PAUSE - delay : delay;
	return pause < LONGEST_PAUSE ? pause : LONGEST_PAUSE;
}

/* Both lie in forgotten memory, at the places of the module's life and of the view. */
static struct events *events_of(const struct view *view)
{
	return &p11shim_forgotten.state.events[view->module->life - p11shim_forgotten.state.life];
}

static struct view_events *own_inlock(const struct view *view)
{
	return &p11shim_forgotten.state.view_events[view - views];
}

/* ---- which thread has seen which event; under the events' lock */

/* The calling thread's place; made if it had none: then it has seen what the view has. NULL: no memory. */
static struct reader *reader_inlock(struct view_events *own)
{
	long thread = syscall(SYS_gettid);
	struct reader *r;
	unsigned threads = 0;
	DL_FOREACH (own->readers, r) {
		if (r->thread == thread)
			break;
		threads++;
	}
	if (r) {
		DL_DELETE(own->readers, r);
	} else if (threads >= THREADS) {
		r = own->readers;
		DL_DELETE(own->readers, r);
		*r = (struct reader){.thread = thread, .seen = own->seen};
	} else {
		r = calloc(1, sizeof *r);
		if (!r)
			return NULL;
		*r = (struct reader){.thread = thread, .seen = own->seen};
	}
	DL_APPEND(own->readers, r);
	return r;
}

static void note_inlock(struct events *events, CK_SLOT_ID slot)
{
	struct slot_event *to = &events->slots[0];
	for (unsigned i = 0; i < COUNT(events->slots); i++) {
		struct slot_event *e = &events->slots[i];
		if (e->number > 0 && e->slot == slot) {
			to = e;
			break;
		}
		if (e->number < to->number)
			to = e;
	}
	to->slot = slot;
	to->number = ++events->newest;
	queue_wake_all(&events->changed);
}

/* The oldest event that the thread has not seen yet; false: there is none. */
static bool fetch_inlock(struct events *events, struct view_events *own, CK_SLOT_ID *slot)
{
	struct reader *reader = reader_inlock(own);
	unsigned long *seen = reader ? &reader->seen : &own->seen;
	const struct slot_event *oldest = NULL;
	for (unsigned i = 0; i < COUNT(events->slots); i++) {
		const struct slot_event *e = &events->slots[i];
		if (e->number > *seen && (!oldest || e->number < oldest->number))
			oldest = e;
	}
	if (!oldest)
		return false;
	*slot = oldest->slot;
	*seen = oldest->number;
	if (own->seen < oldest->number)
		own->seen = oldest->number;
	return true;
}

/* ---- asking the module */

/*
 * Is this thread inside a question to another module, asked for a thread that waits? Then that module is a
 * wrapper (pkcs11-spy, say), and the question is to go on to the module below as the wait that it stands for,
 * if that may be. So the true answer of a module that does not support waiting comes out at the top.
 */
static bool is_for_a_wrapper(void)
{
	bool found = false;
	for (unsigned i = 0; i < atomic_load(&modules_made) && !found; i++) {
		struct events *events = &p11shim_forgotten.state.events[i];
		lock_take(&events->lock);
		found = events->asking && events->blocks && events->asker == thread_self();
		lock_give(&events->lock);
	}
	return found;
}

/*
 * Asks the module one question, on the one thread that asks. The caller holds the lock; it is dropped for the
 * call and taken again. CKR_OK: one more event has been noted. The thread is not cancelled in the module:
 * else no thread could ask any more.
 */
static CK_RV ask_inlock(struct view *view, struct events *events, void *function, CK_FLAGS flags,
                        CK_VOID_PTR pReserved)
{
	int process = process_number(), cancel;
	CK_SLOT_ID slot = 0;
	uintptr_t words[] = {flags | CKF_DONT_BLOCK, (uintptr_t)&slot, (uintptr_t)pReserved};
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	events->asking = true;
	events->asker = thread_self();
	events->blocks = !(flags & CKF_DONT_BLOCK);
	lock_give(&events->lock);

	struct ticket ticket;
	uint64_t began = now(), used = clock_at(CLOCK_THREAD_CPUTIME_ID);
	CK_RV rv = life_enter(view, &ticket, MODULE_POLL);
	if (rv == CKR_OK) {
		rv = serial_call(view->module, function, COUNT(words), words,
		                 MODULE_POLL); /* REENTRANT: no lock held but `serialised` */
		life_leave(view, &ticket);
	}
	uint64_t ended = now(), pause = pause_after(clock_at(CLOCK_THREAD_CPUTIME_ID) - used, ended - began);

	lock_take(&events->lock);
	pthread_setcancelstate(cancel, NULL);
	if (process != process_number())
		return rv; /* the module forked: in this child no thread asks */
	events->asking = false;
	if (rv == CKR_OK || rv == CKR_NO_EVENT)
		events->answered = true;
	if (rv == CKR_OK) {
		note_inlock(events, slot);
		pause = 0; /* there may be more */
	}
	events->next = ended + pause;
	events->delay = ended - began;
	if (rv != CKR_NO_EVENT || events->lookers > 0)
		queue_wake_all(&events->changed);
	return rv;
}

/* A thread that comes back here while it is asking was thrown out of its question (longjmp). */
static void ask_no_more_inlock(struct events *events)
{
	if (events->asker == thread_self())
		events->asking = false;
}

/* Waits until no thread is asking. False: patience has ended first. */
static bool quiet_inlock(struct events *events)
{
	uint64_t end = now() + PATIENCE;
	ask_no_more_inlock(events);
	events->lookers++;
	for (uint64_t t = now(); events->asking && t < end; t = now()) {
		queue_wait(&events->changed, &events->lock, end - t);
		process_enter(); /* a signal handler may have forked: then this is a child */
	}
	if (events->lookers > 0)
		events->lookers--;
	return !events->asking;
}

/* May the view use the module at the moment? In a child this may bring it up. No lock may be held. */
static CK_RV may_wait(struct view *view)
{
	struct ticket ticket;
	CK_RV rv = life_enter(view, &ticket, MODULE_BLOCKS);
	if (rv == CKR_OK)
		life_leave(view, &ticket);
	return rv;
}

static CK_RV look_inlock(struct view *view, struct events *events, void *function, CK_FLAGS flags,
                         CK_SLOT_ID_PTR pSlot, CK_VOID_PTR pReserved)
{
	bool quiet = quiet_inlock(events);
	if (fetch_inlock(events, own_inlock(view), pSlot))
		return CKR_OK;
	if (!quiet)
		return CKR_NO_EVENT;
	CK_RV rv = ask_inlock(view, events, function, flags, pReserved);
	if (rv == CKR_OK && !fetch_inlock(events, own_inlock(view), pSlot))
		rv = CKR_NO_EVENT;
	return rv;
}

static CK_RV wait_inlock(struct view *view, struct events *events, void *function, CK_FLAGS flags,
                         CK_SLOT_ID_PTR pSlot, CK_VOID_PTR pReserved)
{
	int process = process_number();
	unsigned long epoch = own_inlock(view)->epoch;
	bool asked = false; /* the first question goes to the module at once, as without waiting */
	ask_no_more_inlock(events);
	for (;;) {
		if (process != process_number() || own_inlock(view)->epoch != epoch)
			return CKR_CRYPTOKI_NOT_INITIALIZED;
		if (fetch_inlock(events, own_inlock(view), pSlot))
			return CKR_OK;
		uint64_t t = now();
		if (!events->asking && (!asked || t >= events->next)) {
			CK_RV rv = ask_inlock(view, events, function, flags, pReserved);
			if (own_inlock(view)->epoch != epoch)
				return CKR_CRYPTOKI_NOT_INITIALIZED;
			if (rv != CKR_OK && rv != CKR_NO_EVENT)
				return rv;
			asked = true;
			continue;
		}
		uint64_t pause = events->next > t && !events->asking ? events->next - t : PAUSE;
		queue_wait(&events->changed, &events->lock, pause);
		lock_give(&events->lock);
		pthread_testcancel(); /* as in a module that blocks; no lock is held */
		process_enter();
		CK_RV may = process == process_number() ? may_wait(view) : CKR_CRYPTOKI_NOT_INITIALIZED;
		lock_take(&events->lock);
		if (may != CKR_OK)
			return may;
	}
}

/*
 * C_WaitForSlotEvent of the view; function: the module's own. Without CKF_DONT_BLOCK it returns when there is
 * an event, when the view finalises (CKR_CRYPTOKI_NOT_INITIALIZED), or when the module's answer is another
 * one than CKR_NO_EVENT; then that is the answer here, too. No lock may be held.
 */
static CK_RV wait_for_slot_event(struct view *view, void *function, CK_FLAGS flags, CK_SLOT_ID_PTR pSlot,
                                 CK_VOID_PTR pReserved)
{
	struct events *events = events_of(view);
	bool blocks = !(flags & CKF_DONT_BLOCK);
	CK_RV rv = may_wait(view);
	if (rv != CKR_OK)
		return rv;
	bool counts = life_standing(view).counts;
	atomic_store(&view->module->life->waited, true);
	lock_take(&events->lock);
	struct view_events *own = own_inlock(view);
	if (!own->joined && !counts)
		own->seen = events->newest; /* a view that borrows, or a child that goes on: from now on */
	own->joined = true;
	rv = blocks ? wait_inlock(view, events, function, flags, pSlot, pReserved)
	            : look_inlock(view, events, function, flags, pSlot, pReserved);
	lock_give(&events->lock);
	return rv;
}

/* Fetches what the module still has to tell: that is for the views that were there before. */
static void drain_backlog_inlock(struct view *view, struct events *events, void *function)
{
	uint64_t end = now() + BACKLOG_PATIENCE;
	/* (A module that was slow the last time is not asked: C_Initialize is waiting.) */
	for (int i = 0; i < BACKLOG && events->answered && events->delay < BACKLOG_PATIENCE && now() < end;
	     i++)
		if (!quiet_inlock(events) ||
		    ask_inlock(view, events, function, CKF_DONT_BLOCK, NULL) != CKR_OK)
			break;
}

void wait_joined(struct view *view, void *function, bool was_up)
{
	struct events *events = events_of(view);
	if (!atomic_load(&view->module->life->waited))
		return; /* no events, and no thread that waits: nothing of that memory is touched */
	lock_take(&events->lock);
	if (was_up) {
		drain_backlog_inlock(view, events, function);
	} else {
		for (unsigned i = 0; i < COUNT(events->slots); i++)
			events->slots[i].number = 0; /* they are of the module's life before */
		events->answered = false;
	}
	struct view_events *own = own_inlock(view);
	struct reader *r, *next;
	DL_FOREACH_SAFE (own->readers, r, next) {
		DL_DELETE(own->readers, r);
		free(r);
	}
	own->seen = events->newest;
	own->joined = true;
	lock_give(&events->lock);
}

void wait_finalised(struct view *view)
{
	struct events *events = events_of(view);
	if (!atomic_load(&view->module->life->waited))
		return;
	lock_take(&events->lock);
	own_inlock(view)->epoch++;
	queue_wake_all(&events->changed);
	lock_give(&events->lock);
}

/* Passes the call on as it is: a call that the standard forbids, or one to a module that answers at once. */
static CK_RV forward_wait(struct call *call)
{
	struct ticket ticket;
	CK_RV rv = life_enter(call->view, &ticket, MODULE_BLOCKS);
	if (rv != CKR_OK)
		return rv;
	rv = serial_call(call->module, lists_target(call->list, call->function),
	                 calls[call->function].parameters, call->word, MODULE_BLOCKS);
	life_leave(call->view, &ticket);
	return rv;
}

CK_RV call_C_WaitForSlotEvent(struct call *call)
{
	bool blocks = !(call->word[0] & CKF_DONT_BLOCK);
	if (!blocks && call->module->settings.wait == WAIT_FORWARD && is_for_a_wrapper()) {
		call->word[0] &= ~(uintptr_t)CKF_DONT_BLOCK;
		return forward_wait(call);
	}
	if (!call->word[1] || (blocks && call->module->settings.wait == WAIT_FORWARD))
		return forward_wait(call);
	return wait_for_slot_event(call->view, lists_target(call->list, call->function), call->word[0],
	                           (CK_SLOT_ID_PTR)call->word[1], (CK_VOID_PTR)call->word[2]);
}
