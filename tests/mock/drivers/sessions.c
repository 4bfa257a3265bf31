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

/* D2, the default: login is the process's, and every PIN is judged by the module. */
static void login_is_shared(void)
{
	struct user a = user_of(1, MOCK), b = user_of(2, MOCK);
	CK_SESSION_HANDLE mine, others;

	IS(initialise(&a), CKR_OK);
	IS(initialise(&b), CKR_OK);
	mine = open_on(&a, 0);
	others = open_on(&b, 0);
	IS(a.consumer->login(a.list, mine, "9999"), CKR_PIN_INCORRECT);
	IS(a.consumer->login(a.list, mine, MOCK_PIN), CKR_OK);
	IS(b.consumer->login(b.list, others, MOCK_PIN), CKR_USER_ALREADY_LOGGED_IN);
	IS(b.consumer->login(b.list, others, "9999"), CKR_USER_ALREADY_LOGGED_IN);
	EQUAL(a.mock.get("logins_checked"), 4);
	IS(sign_on(&b, others, 0), CKR_OK);
	IS(a.list->C_Logout(mine), CKR_OK);
	IS(sign_on(&b, others, 0), CKR_USER_NOT_LOGGED_IN);
	IS(finalise(&a), CKR_OK);
	IS(finalise(&b), CKR_OK);
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
	        {"D1-borrowers-sessions", borrowers_sessions},
	        {"D2-login-is-shared", login_is_shared},
	        {NULL, NULL},
	};

	return run_case(cases, argc, argv);
}
