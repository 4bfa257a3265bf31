/*
 * sessions.c: contract D1, whose sessions are whose. Cases are named after the
 * clause.
 */
#include "driver.h"

/* C_CloseAllSessions closes the caller's own on that slot; the mock aborts if the module is asked for more.
 */
static void close_all(void)
{
	struct user a = user_of(1, MOCK), b = user_of(2, MOCK);
	CK_SESSION_HANDLE mine[3], others[3], elsewhere;

	IS(initialise(&a), CKR_OK);
	IS(initialise(&b), CKR_OK);
	for (int i = 0; i < 3; i++) {
		mine[i] = open_on(&a, 0);
		others[i] = open_on(&b, 0);
	}
	elsewhere = open_on(&a, 1);
	login(&a, mine[0]);
	IS(a.list->C_CloseAllSessions(0), CKR_OK);
	for (int i = 0; i < 3; i++) {
		IS(session_is(&a, mine[i]), CKR_SESSION_HANDLE_INVALID);
		IS(session_is(&b, others[i]), CKR_OK);
	}
	IS(session_is(&a, elsewhere), CKR_OK);
	IS(sign_on(&b, others[1], 0), CKR_OK);
	IS(a.list->C_CloseAllSessions(0), CKR_OK);
	IS(a.list->C_CloseAllSessions(99), CKR_SLOT_ID_INVALID);
	IS(session_is(&b, others[0]), CKR_OK);
	IS(b.list->C_CloseAllSessions(0), CKR_OK);
	IS(session_is(&b, others[0]), CKR_SESSION_HANDLE_INVALID);
	EQUAL(a.mock.get("sessions"), 1);
	IS(finalise(&a), CKR_OK);
	EQUAL(a.mock.get("sessions"), 0);
	IS(finalise(&b), CKR_OK);
}

/* A view's last finalise closes what it left open, an earlier one nothing. */
static void last_finalise(void)
{
	struct user a = user_of(1, MOCK), b = user_of(2, MOCK);
	CK_SESSION_HANDLE mine, others;

	IS(initialise(&a), CKR_OK);
	IS(initialise(&a), CKR_OK);
	IS(initialise(&b), CKR_OK);
	mine = open_on(&a, 0);
	open_on(&a, 1);
	others = open_on(&b, 0);
	login(&b, others);
	IS(finalise(&a), CKR_OK);
	IS(session_is(&a, mine), CKR_OK);
	EQUAL(a.mock.get("sessions"), 3);
	IS(finalise(&a), CKR_OK);
	EQUAL(a.mock.get("sessions"), 1);
	EQUAL(a.mock.get("C_CloseAllSessions"), 0);
	IS(session_is(&b, mine), CKR_SESSION_HANDLE_INVALID);
	IS(sign_on(&b, others, 0), CKR_OK);
	IS(finalise(&b), CKR_OK);
	EQUAL(a.mock.get("finalise_done"), 1);
}

/* What was closed is forgotten: each session is closed in the module once. */
static void closed_once(void)
{
	struct user a = user_of(1, MOCK), b = user_of(2, MOCK);

	IS(initialise(&a), CKR_OK);
	IS(initialise(&b), CKR_OK);
	for (int i = 0; i < 10; i++)
		IS(a.list->C_CloseSession(open_on(&a, 0)), CKR_OK);
	EQUAL(a.mock.get("C_CloseSession"), 10);
	IS(a.list->C_CloseAllSessions(0), CKR_OK);
	EQUAL(a.mock.get("C_CloseSession"), 10);
	for (int i = 0; i < 10; i++)
		open_on(&a, 0);
	IS(a.list->C_CloseAllSessions(0), CKR_OK);
	IS(a.list->C_CloseAllSessions(0), CKR_OK);
	EQUAL(a.mock.get("C_CloseSession"), 20);
	open_on(&a, 0);
	IS(b.list->C_CloseSession(open_on(&a, 0)), CKR_OK); /* another's: as without the shim */
	IS(finalise(&a), CKR_OK);
	EQUAL(a.mock.get("C_CloseSession"), 22);
	EQUAL(a.mock.get("closed"), 22);
	IS(finalise(&b), CKR_OK);
}

/* A number that the module gives out again belongs to its new owner alone. */
static void number_given_again(void)
{
	struct user a, b;
	CK_SESSION_HANDLE first, again;

	setenv("MOCK_OPTIONS", "reuse=1", 1);
	a = user_of(1, MOCK);
	b = user_of(2, MOCK);
	IS(initialise(&a), CKR_OK);
	IS(initialise(&b), CKR_OK);
	first = open_on(&a, 0);
	IS(a.list->C_CloseSession(first), CKR_OK);
	again = open_on(&b, 0);
	EQUAL(again, first);
	IS(a.list->C_CloseAllSessions(0), CKR_OK);
	IS(session_is(&b, again), CKR_OK);
	IS(finalise(&a), CKR_OK);
	IS(session_is(&b, again), CKR_OK);

	/* and when the session went by C_CloseAllSessions or finalise */
	IS(initialise(&a), CKR_OK);
	first = open_on(&a, 1);
	IS(a.list->C_CloseAllSessions(1), CKR_OK);
	EQUAL(open_on(&b, 1), first);
	IS(finalise(&a), CKR_OK);
	IS(session_is(&b, first), CKR_OK);
	IS(b.list->C_CloseAllSessions(1), CKR_OK);
	IS(session_is(&b, first), CKR_SESSION_HANDLE_INVALID);
	IS(session_is(&b, again), CKR_OK);
	IS(finalise(&b), CKR_OK);
	EQUAL(a.mock.get("sessions_at_finalise"), 1);
}

/* The module dropped a session by itself (closed behind the shim); its number comes again. */
static void dropped_by_the_token(void)
{
	struct user a, b;
	CK_SESSION_HANDLE first;

	setenv("MOCK_OPTIONS", "reuse=1", 1);
	a = user_of(1, MOCK);
	b = user_of(2, MOCK);
	IS(initialise(&a), CKR_OK);
	IS(initialise(&b), CKR_OK);
	first = open_on(&a, 0);
	a.mock.set("drop_session", (long)first);
	EQUAL(open_on(&b, 0), first);
	IS(a.list->C_CloseAllSessions(0), CKR_OK);
	IS(session_is(&b, first), CKR_OK);
	IS(finalise(&a), CKR_OK);
	IS(session_is(&b, first), CKR_OK);
	IS(finalise(&b), CKR_OK);
}

struct crowd {
	struct user user;
	int rounds;
};

static void *open_and_close(void *argument)
{
	struct crowd *c = argument;
	CK_SESSION_HANDLE sessions[50];

	for (int round = 0; round < c->rounds; round++) {
		IS(initialise(&c->user), CKR_OK);
		for (int i = 0; i < 50; i++)
			sessions[i] = open_on(&c->user, (CK_SLOT_ID)i % 2);
		for (int i = 0; i < 50; i++)
			IS(session_is(&c->user, sessions[i]), CKR_OK);
		IS(c->user.list->C_CloseAllSessions(0), CKR_OK);
		for (int i = 1; i < 50; i += 2)
			IS(session_is(&c->user, sessions[i]), CKR_OK);
		IS(finalise(&c->user), CKR_OK);
		IS(session_is(&c->user, sessions[1]), CKR_CRYPTOKI_NOT_INITIALIZED);
	}
	return NULL;
}

static void three_crowds(void)
{
	static struct crowd crowds[3];
	pthread_t threads[3];
	struct user keeper = user_of(4, MOCK);

	IS(initialise(&keeper), CKR_OK);
	for (int i = 0; i < 3; i++)
		crowds[i] = (struct crowd){user_of(1 + i, MOCK), 50};
	for (int i = 0; i < 3; i++)
		threads[i] = start(open_and_close, &crowds[i]);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	EQUAL(keeper.mock.get("sessions"), 0);
	EQUAL(keeper.mock.get("opened"), 3 * 50 * 50);
	EQUAL(keeper.mock.get("closed"), 3 * 50 * 50);
	IS(finalise(&keeper), CKR_OK);
	EQUAL(keeper.mock.get("finalise_done"), 1);
}

/* ---- the same where numbers come again: is it still the same session? */

enum { CROWD = 3, EACH = 50, LOST = EACH / 5 };

/*
 * A session that bears a mark: a signature begun in it over a text that no other
 * session ever has. Somebody else's under the same number could not end it.
 */
struct marked {
	CK_SESSION_HANDLE session;
	CK_SLOT_ID slot;
	unsigned long mark;
};

struct marker {
	struct user user;
	pthread_barrier_t *barrier;
	int rounds;
	unsigned long next_mark;
	CK_SESSION_HANDLE highest;
	struct marked sessions[EACH];
};

static struct marker markers[CROWD], keeper;

static void open_marked(struct marker *m, int i)
{
	CK_MECHANISM mechanism = {CKM_RSA_PKCS, NULL, 0};
	struct marked *s = &m->sessions[i];
	CK_FUNCTION_LIST *list = m->user.list;

	*s = (struct marked){.slot = (CK_SLOT_ID)i % 2, .mark = m->next_mark++};
	s->session = open_on(&m->user, s->slot);
	if (s->session > m->highest)
		m->highest = s->session;
	IS(list->C_SignInit(s->session, &mechanism, MOCK_KEY(s->slot)), CKR_OK);
	IS(list->C_SignUpdate(s->session, (CK_BYTE *)&s->mark, sizeof s->mark), CKR_OK);
}

static void is_the_same(struct marker *m, int i)
{
	struct marked *s = &m->sessions[i];
	CK_BYTE signature[MOCK_SIGNATURE_SIZE], right[MOCK_SIGNATURE_SIZE];
	CK_ULONG size = sizeof signature;

	IS(m->user.list->C_SignFinal(s->session, signature, &size), CKR_OK);
	mock_signature(s->slot, &s->mark, sizeof s->mark, right);
	EQUAL(memcmp(signature, right, sizeof right), 0);
}

/* Closes some, then all its own on slot 0; the others on slot 1 are there still, and go with C_Finalize. */
static void leave_marked(struct marker *m)
{
	for (int i = 1; i < EACH; i += EACH / LOST)
		IS(m->user.list->C_CloseSession(m->sessions[i].session), CKR_OK);
	IS(m->user.list->C_CloseAllSessions(0), CKR_OK);
	for (int i = 1; i < EACH; i += 2)
		if (i % (EACH / LOST) != 1)
			is_the_same(m, i);
	IS(finalise(&m->user), CKR_OK);
}

static void *open_and_leave(void *argument)
{
	struct marker *m = argument;

	for (int round = 0; round < m->rounds; round++) {
		IS(initialise(&m->user), CKR_OK);
		for (int i = 0; i < EACH; i++)
			open_marked(m, i);
		leave_marked(m);
	}
	return NULL;
}

/*
 * The same, and between opening and leaving the token drops every fifth session;
 * as many are opened again, all consumers at once, under whatever numbers. One
 * thread is the token, while the others wait.
 */
static void *open_lose_and_leave(void *argument)
{
	struct marker *m = argument;

	for (int round = 0; round < m->rounds; round++) {
		IS(initialise(&m->user), CKR_OK);
		for (int i = 0; i < EACH; i++)
			open_marked(m, i);
		if (pthread_barrier_wait(m->barrier) == PTHREAD_BARRIER_SERIAL_THREAD)
			for (struct marker *of = markers; of < markers + CROWD; of++)
				for (int i = 0; i < EACH; i += EACH / LOST)
					m->user.mock.set("drop_session", (long)of->sessions[i].session);
		pthread_barrier_wait(m->barrier);
		for (int i = 0; i < EACH; i += EACH / LOST)
			open_marked(m, i);
		pthread_barrier_wait(m->barrier);
		leave_marked(m);
		pthread_barrier_wait(m->barrier);
	}
	return NULL;
}

/* The keeper's own 50 stay open all the time, and logged in, which all need to sign. */
static void crowds(void *(*run)(void *), int rounds)
{
	pthread_barrier_t barrier;
	pthread_t threads[CROWD];

	setenv("MOCK_OPTIONS", "reuse=1", 1);
	keeper = (struct marker){.user = user_of(4, MOCK)};
	IS(initialise(&keeper.user), CKR_OK);
	login(&keeper.user, open_on(&keeper.user, 0));
	login(&keeper.user, open_on(&keeper.user, 1));
	for (int i = 0; i < EACH; i++)
		open_marked(&keeper, i);
	pthread_barrier_init(&barrier, NULL, CROWD);
	for (int i = 0; i < CROWD; i++)
		markers[i] = (struct marker){.user = user_of(1 + i, MOCK),
		                             .barrier = &barrier,
		                             .rounds = rounds,
		                             .next_mark = (i + 1UL) << 24};
	for (int i = 0; i < CROWD; i++)
		threads[i] = start(run, &markers[i]);
	for (int i = 0; i < CROWD; i++) {
		pthread_join(threads[i], NULL);
		TRUE(markers[i].highest < 10 * EACH); /* numbers did come again */
	}
	for (int i = 0; i < EACH; i++)
		is_the_same(&keeper, i);
	EQUAL(keeper.user.mock.get("sessions"), EACH + 2);
	EQUAL(keeper.user.mock.get("opened") - keeper.user.mock.get("closed"), EACH + 2);
	EQUAL(keeper.user.mock.get("initialise_done"), 1);
	IS(finalise(&keeper.user), CKR_OK);
}

static void three_crowds_one_set_of_numbers(void)
{
	crowds(open_and_leave, 500);
}

static void three_crowds_and_a_token_that_drops(void)
{
	crowds(open_lose_and_leave, 500);
}

/* A view that only borrows has sessions of its own too. */
static void borrowers_sessions(void)
{
	struct user a = user_of(1, MOCK), b = user_of(2, MOCK);
	CK_SESSION_HANDLE mine, others;

	IS(initialise(&a), CKR_OK);
	mine = open_on(&a, 0);
	others = open_on(&b, 0);
	IS(b.list->C_CloseAllSessions(0), CKR_OK);
	IS(session_is(&a, mine), CKR_OK);
	IS(session_is(&b, others), CKR_SESSION_HANDLE_INVALID);
	others = open_on(&b, 0);
	IS(a.list->C_CloseAllSessions(0), CKR_OK);
	IS(session_is(&b, others), CKR_OK);
	IS(finalise(&a), CKR_OK);
	IS(session_is(&b, others), CKR_CRYPTOKI_NOT_INITIALIZED);
}

int main(int argc, char **argv)
{
	static const struct test_case cases[] = {
	        {"D1-close-all", close_all},
	        {"D1-last-finalise", last_finalise},
	        {"D1-closed-once", closed_once},
	        {"D1-number-given-again", number_given_again},
	        {"D1-dropped-by-the-token", dropped_by_the_token},
	        {"D1-three-crowds", three_crowds},
	        {"D1-three-crowds-numbers-again", three_crowds_one_set_of_numbers},
	        {"D1-three-crowds-token-drops", three_crowds_and_a_token_that_drops},
	        {"D1-borrowers-sessions", borrowers_sessions},
	        {NULL, NULL},
	};

	return run_case(cases, argc, argv);
}
