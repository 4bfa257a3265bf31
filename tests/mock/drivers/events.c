/*
 * events.c: contract D3, slot events for everybody. Cases are named after the
 * clause.
 */
#include "driver.h"
#include <sys/resource.h>

/* Until the condition holds, five seconds at most. */
#define EVENTUALLY(condition)                       \
	do {                                        \
		double end = now() + 5;             \
		while (!(condition) && now() < end) \
			usleep(1000);               \
		TRUE(condition);                    \
	} while (0)

static struct user user_that_waits(int consumer)
{
	setenv("MOCK_OPTIONS", "wait_works=1,block_wait=1,slots=4", 1);
	return user_of(consumer, MOCK);
}

/* ---- threads that wait, and count what they are told */

struct waiter {
	struct user *user;
	CK_FLAGS flags;
	pthread_t thread;
	atomic_long told[4]; /* by slot */
	atomic_int end;
	atomic_ulong answer; /* the last, and only, one that was neither CKR_OK nor CKR_NO_EVENT */
	_Atomic(double) last;
};

static void *wait_and_count(void *argument)
{
	struct waiter *w = argument;

	while (!w->end) {
		CK_SLOT_ID slot = 99;
		CK_RV rv = w->user->list->C_WaitForSlotEvent(w->flags, &slot, NULL);

		if (rv == CKR_OK) {
			TRUE(slot < 4);
			w->last = now();
			w->told[slot]++;
		} else if (rv == CKR_NO_EVENT && w->flags & CKF_DONT_BLOCK) {
			usleep(2000);
		} else {
			w->answer = rv;
			break;
		}
	}
	return NULL;
}

static void begin(struct waiter *w, struct user *user, CK_FLAGS flags)
{
	memset(w, 0, sizeof *w);
	w->user = user;
	w->flags = flags;
	w->thread = start(wait_and_count, w);
}

static void end(struct waiter *w, CK_RV expected)
{
	w->end = 1;
	EQUAL(pthread_join(w->thread, NULL), 0);
	IS(w->answer, expected);
}

/* Two consumers, three threads, each told of every event once, however it waits. */
static void everybody_is_told(CK_FLAGS flags_a, CK_FLAGS flags_b)
{
	struct user a = user_that_waits(1), b = user_that_waits(2);
	struct waiter w[3];

	IS(initialise(&a), CKR_OK);
	IS(initialise(&b), CKR_OK);
	begin(&w[0], &a, flags_a);
	begin(&w[1], &a, flags_b);
	begin(&w[2], &b, flags_a);
	EVENTUALLY(a.mock.get("waits_polling") > 3); /* each has begun */
	usleep(50000);
	for (long n = 1; n <= 20; n++) {
		double began = now();

		a.mock.event((CK_SLOT_ID)n % 4);
		for (int i = 0; i < 3; i++) {
			EVENTUALLY(w[i].told[n % 4] >= (n + 3) / 4);
			EQUAL(w[i].told[n % 4], n % 4 ? (n + 3) / 4 : n / 4);
			TRUE(w[i].last - began < 0.5);
		}
	}
	EQUAL(a.mock.get("events_delivered"), 20);
	EQUAL(a.mock.get("waits_blocking"), 0);
	for (int i = 0; i < 3; i++) /* those that poll end by themselves */
		w[i].end = 1;
	IS(finalise(&a), CKR_OK);
	IS(finalise(&b), CKR_OK);
	for (int i = 0; i < 3; i++) {
		EQUAL(pthread_join(w[i].thread, NULL), 0);
		if (!(w[i].flags & CKF_DONT_BLOCK) || w[i].answer) /* one that polls may have ended before */
			IS(w[i].answer, CKR_CRYPTOKI_NOT_INITIALIZED);
		for (int slot = 0; slot < 4; slot++)
			EQUAL(w[i].told[slot], 5);
	}
}

static void told_blocking(void)
{
	everybody_is_told(0, 0);
}

static void told_polling(void)
{
	everybody_is_told(CKF_DONT_BLOCK, CKF_DONT_BLOCK);
}

static void told_both(void)
{
	everybody_is_told(0, CKF_DONT_BLOCK);
}

static CK_RV look(struct user *user, CK_SLOT_ID *slot)
{
	*slot = 99;
	return user->list->C_WaitForSlotEvent(CKF_DONT_BLOCK, slot, NULL);
}

/* Who joins later sees only what comes later; who comes back begins anew. */
static void joins_later(void)
{
	struct user a = user_that_waits(1), b = user_that_waits(2);
	CK_SLOT_ID slot;

	IS(initialise(&a), CKR_OK);
	IS(look(&a, &slot), CKR_NO_EVENT);
	a.mock.event(1);
	a.mock.event(2); /* still in the module when b joins */
	IS(initialise(&b), CKR_OK);
	IS(look(&b, &slot), CKR_NO_EVENT);
	a.mock.event(3);
	IS(look(&b, &slot), CKR_OK);
	EQUAL(slot, 3);
	IS(look(&b, &slot), CKR_NO_EVENT);
	for (CK_SLOT_ID expected = 1; expected <= 3; expected++) {
		IS(look(&a, &slot), CKR_OK);
		EQUAL(slot, expected);
	}
	IS(look(&a, &slot), CKR_NO_EVENT);
	a.mock.event(0);
	IS(look(&a, &slot), CKR_OK);
	IS(finalise(&b), CKR_OK);
	IS(initialise(&b), CKR_OK);
	IS(look(&b, &slot), CKR_NO_EVENT);
	IS(finalise(&a), CKR_OK);
	IS(finalise(&b), CKR_OK);
}

/* A module that nobody has asked for events is not asked by the shim either. */
static void not_asked_unasked(void)
{
	struct user a = user_that_waits(1), b = user_that_waits(2);

	IS(initialise(&a), CKR_OK);
	IS(initialise(&b), CKR_OK);
	IS(finalise(&a), CKR_OK);
	IS(finalise(&b), CKR_OK);
	EQUAL(a.mock.get("C_WaitForSlotEvent"), 0);
}

/* The waiter's own consumer finalises, and initialises at once; the module lives on with another. */
static void own_finalise_ends_it(void)
{
	struct user a = user_that_waits(1), b = user_that_waits(2);
	struct waiter w, others;

	IS(initialise(&b), CKR_OK);
	IS(initialise(&a), CKR_OK);
	begin(&others, &b, 0);
	for (int n = 0; n < 200; n++) {
		double began;

		begin(&w, &a, 0);
		if (n % 2)
			usleep((useconds_t)(n * 20));
		began = now();
		IS(finalise(&a), CKR_OK);
		IS(initialise(&a), CKR_OK);
		if (n % 2 == 0) { /* it may not even have begun: then it waits in the new life */
			usleep(1000);
			IS(finalise(&a), CKR_OK);
			IS(initialise(&a), CKR_OK);
		}
		for (int tries = 0; tries < 1000 && !w.answer; tries++) {
			usleep(1000);
			if (tries % 100 == 99) {
				IS(finalise(&a), CKR_OK);
				IS(initialise(&a), CKR_OK);
			}
		}
		end(&w, CKR_CRYPTOKI_NOT_INITIALIZED);
		TRUE(now() - began < 1);
	}
	EQUAL(a.mock.get("finalise_done"), 0);
	EQUAL(others.answer, 0);
	IS(finalise(&a), CKR_OK);
	IS(finalise(&b), CKR_OK);
	end(&others, CKR_CRYPTOKI_NOT_INITIALIZED);
	EQUAL(a.mock.get("finalise_done"), 1);
}

/* The last finalise under threads that poll: the mock aborts if one is inside. */
static void last_finalise_under_polls(void)
{
	struct user a = user_that_waits(1);
	struct waiter w[3];

	a.mock.set("slow_call_us", 300);
	for (int n = 0; n < 100; n++) {
		IS(initialise(&a), CKR_OK);
		for (int i = 0; i < 3; i++)
			begin(&w[i], &a, i == 0 ? 0 : CKF_DONT_BLOCK);
		usleep((useconds_t)(n * 30));
		for (int i = 0; i < 3; i++)
			w[i].end = 1;
		IS(finalise(&a), CKR_OK);
		for (int i = 0; i < 3; i++)
			EQUAL(pthread_join(w[i].thread, NULL), 0);
	}
	EQUAL(a.mock.get("finalise_done"), 100);
}

/* Idle waiting costs next to nothing. */
static void idle_is_cheap(void)
{
	struct user a = user_that_waits(1), b = user_that_waits(2);
	struct rusage before, after;
	struct waiter w[3];
	double used;

	IS(initialise(&a), CKR_OK);
	IS(initialise(&b), CKR_OK);
	for (int i = 0; i < 3; i++)
		begin(&w[i], i ? &a : &b, 0);
	sleep(1);
	getrusage(RUSAGE_SELF, &before);
	sleep(5);
	getrusage(RUSAGE_SELF, &after);
	used = (double)(after.ru_utime.tv_sec - before.ru_utime.tv_sec + after.ru_stime.tv_sec -
	                before.ru_stime.tv_sec) +
	       (double)(after.ru_utime.tv_usec - before.ru_utime.tv_usec + after.ru_stime.tv_usec -
	                before.ru_stime.tv_usec) /
	               1e6;
	printf("used %.4f s of processor in 5 s: %.3f %%\n", used, used / 5 * 100);
	TRUE(used / 5 < 0.005);
	IS(finalise(&a), CKR_OK);
	IS(finalise(&b), CKR_OK);
	for (int i = 0; i < 3; i++)
		end(&w[i], CKR_CRYPTOKI_NOT_INITIALIZED);
}

/* exit() with a waiter parked. */
static void exit_with_a_waiter(void)
{
	static struct user a;
	static struct waiter w;

	a = user_that_waits(1);
	IS(initialise(&a), CKR_OK);
	begin(&w, &a, 0);
	EQUAL(pthread_detach(w.thread), 0);
	EVENTUALLY(a.mock.get("waits_polling") > 0);
	exit(0);
}

/* A waiting thread can be cancelled, as in a module that blocks. */
static void cancelled(void)
{
	struct user a = user_that_waits(1);
	struct waiter w;
	void *result;
	CK_SLOT_ID slot;

	IS(initialise(&a), CKR_OK);
	begin(&w, &a, 0);
	EVENTUALLY(a.mock.get("waits_polling") > 0);
	EQUAL(pthread_cancel(w.thread), 0);
	EQUAL(pthread_join(w.thread, &result), 0);
	EQUAL(result, PTHREAD_CANCELED);
	a.mock.event(1);
	IS(look(&a, &slot), CKR_OK);
	EQUAL(slot, 1);
	IS(finalise(&a), CKR_OK);
}

/* What a module says that cannot, or that fails, comes through; so do absurd arguments. */
static void other_answers(void)
{
	struct user a = user_that_waits(1);
	CK_SLOT_ID slot = 99;

	IS(initialise(&a), CKR_OK);
	IS(a.list->C_WaitForSlotEvent(0, NULL, NULL), CKR_ARGUMENTS_BAD);
	IS(a.list->C_WaitForSlotEvent(0, &slot, &slot), CKR_ARGUMENTS_BAD);
	IS(a.list->C_WaitForSlotEvent(CKF_DONT_BLOCK, &slot, &slot), CKR_ARGUMENTS_BAD);
	a.mock.set("wait_works", 0);
	a.mock.set("block_wait", 0);
	IS(a.list->C_WaitForSlotEvent(0, &slot, NULL), CKR_FUNCTION_NOT_SUPPORTED);
	IS(a.list->C_WaitForSlotEvent(CKF_DONT_BLOCK, &slot, NULL), CKR_FUNCTION_NOT_SUPPORTED);
	EQUAL(slot, 99);
	IS(finalise(&a), CKR_OK);
	IS(a.list->C_WaitForSlotEvent(0, &slot, NULL), CKR_CRYPTOKI_NOT_INITIALIZED);
}

/* A child has no waiters and no events, and waits for itself. */
static void child_looks(void *user)
{
	struct user *a = user;
	CK_SLOT_ID slot;

	IS(look(a, &slot), CKR_NO_EVENT);
	a->mock.event(2);
	IS(a->list->C_WaitForSlotEvent(0, &slot, NULL), CKR_OK);
	EQUAL(slot, 2);
	IS(look(a, &slot), CKR_NO_EVENT);
}

static void in_a_child(void)
{
	struct user a = user_that_waits(1), b = user_that_waits(2);
	struct waiter w[2];
	CK_SLOT_ID slot;

	IS(initialise(&a), CKR_OK);
	IS(initialise(&b), CKR_OK);
	begin(&w[0], &a, 0);
	begin(&w[1], &b, 0);
	EVENTUALLY(a.mock.get("waits_polling") > 0);
	IS(look(&a, &slot), CKR_NO_EVENT);
	for (int n = 0; n < 20; n++)
		in_child(child_looks, &a);
	a.mock.event(1);
	EVENTUALLY(w[0].told[1] == 1 && w[1].told[1] == 1);
	IS(finalise(&a), CKR_OK);
	IS(finalise(&b), CKR_OK);
	for (int i = 0; i < 2; i++)
		end(&w[i], CKR_CRYPTOKI_NOT_INITIALIZED);
}

/* Alone, a consumer is told what happened between two lives of the module, as without the shim. */
static void alone_and_again(void)
{
	struct user a = user_that_waits(1);
	CK_SLOT_ID slot;

	IS(initialise(&a), CKR_OK);
	IS(look(&a, &slot), CKR_NO_EVENT);
	IS(finalise(&a), CKR_OK);
	a.mock.event(1);
	IS(initialise(&a), CKR_OK);
	IS(look(&a, &slot), CKR_OK);
	EQUAL(slot, 1);
	IS(look(&a, &slot), CKR_NO_EVENT);
	IS(finalise(&a), CKR_OK);
}

/* Who has finalised is told nothing, nor is who comes later told of what was before. */
static void not_allowed(void)
{
	struct user a = user_that_waits(1), b = user_that_waits(2), borrower = user_that_waits(3);
	CK_SLOT_ID slot;

	IS(initialise(&a), CKR_OK);
	IS(initialise(&b), CKR_OK);
	IS(look(&a, &slot), CKR_NO_EVENT);
	IS(finalise(&a), CKR_OK);
	b.mock.event(2);
	IS(look(&b, &slot), CKR_OK);
	IS(look(&a, &slot), CKR_CRYPTOKI_NOT_INITIALIZED);
	IS(a.list->C_WaitForSlotEvent(0, &slot, NULL), CKR_CRYPTOKI_NOT_INITIALIZED);
	IS(look(&borrower, &slot), CKR_NO_EVENT);
	b.mock.event(3);
	IS(look(&borrower, &slot), CKR_OK);
	EQUAL(slot, 3);
	IS(finalise(&b), CKR_OK);
	IS(look(&borrower, &slot), CKR_CRYPTOKI_NOT_INITIALIZED);
	IS(look(&a, &slot), CKR_CRYPTOKI_NOT_INITIALIZED);
}

/* Cancelled while it asks the module: the others are told as before. */
static void cancelled_in_the_module(void)
{
	struct user a = user_that_waits(1), b = user_that_waits(2);
	struct waiter w, other;
	double began;

	IS(initialise(&a), CKR_OK);
	IS(initialise(&b), CKR_OK);
	a.mock.set("slow_call_ms", 200); /* asleep, which is where a thread is cancelled */
	begin(&w, &a, 0);
	EVENTUALLY(a.mock.get("calls") > 2);
	usleep(50000);
	EQUAL(pthread_cancel(w.thread), 0);
	EQUAL(pthread_join(w.thread, NULL), 0);
	a.mock.set("slow_call_ms", 0);
	begin(&other, &b, 0);
	usleep(50000);
	a.mock.event(1);
	EVENTUALLY(other.told[1] == 1);
	began = now();
	IS(finalise(&a), CKR_OK);
	IS(finalise(&b), CKR_OK);
	TRUE(now() - began < 1);
	end(&other, CKR_CRYPTOKI_NOT_INITIALIZED);
}

/* However many wait. */
static void many(void)
{
	enum { MANY = 100 };
	static struct waiter w[MANY];
	struct user a = user_that_waits(1);

	IS(initialise(&a), CKR_OK);
	for (int i = 0; i < MANY; i++)
		begin(&w[i], &a, 0);
	EVENTUALLY(a.mock.get("C_WaitForSlotEvent") >= MANY);
	usleep(100000);
	a.mock.event(3);
	for (int i = 0; i < MANY; i++)
		EVENTUALLY(w[i].told[3] == 1);
	IS(finalise(&a), CKR_OK);
	for (int i = 0; i < MANY; i++)
		end(&w[i], CKR_CRYPTOKI_NOT_INITIALIZED);
}

static const struct test_case cases[] = {
        {"D3-told-blocking", told_blocking},
        {"D3-told-polling", told_polling},
        {"D3-told-both", told_both},
        {"D3-joins-later", joins_later},
        {"D3-not-asked-unasked", not_asked_unasked},
        {"D3-own-finalise", own_finalise_ends_it},
        {"D3-last-finalise", last_finalise_under_polls},
        {"D3-idle", idle_is_cheap},
        {"D3-exit", exit_with_a_waiter},
        {"D3-cancelled", cancelled},
        {"D3-other-answers", other_answers},
        {"D3-child", in_a_child},
        {"D3-alone-and-again", alone_and_again},
        {"D3-not-allowed", not_allowed},
        {"D3-cancelled-in-the-module", cancelled_in_the_module},
        {"D3-many", many},
        {NULL, NULL},
};

int main(int argc, char **argv)
{
	return run_case(cases, argc, argv);
}
