/*
 * logins.c: contract D2, who is logged in and who logs out. Cases are named
 * after the clause; those with "held" want P11SHIM_LOGOUT=held.
 */
#include "driver.h"

static struct user a, b, c;
static CK_SESSION_HANDLE on_a, on_b, on_c;

static void begin(void)
{
	a = user_of(1, MOCK);
	b = user_of(2, MOCK);
	c = user_of(3, MOCK);
	IS(initialise(&a), CKR_OK);
	IS(initialise(&b), CKR_OK);
	IS(initialise(&c), CKR_OK);
	on_a = open_on(&a, 0);
	on_b = open_on(&b, 0);
	on_c = open_on(&c, 0);
}

static CK_RV log_in(struct user *user, CK_SESSION_HANDLE session, const char *pin)
{
	return user->consumer->login(user->list, session, pin);
}

/* The default: the standard's, one login for all; and every PIN is judged by the module. */
static void shared(void)
{
	begin();
	IS(log_in(&a, on_a, "wrong"), CKR_PIN_INCORRECT);
	IS(log_in(&a, on_a, MOCK_PIN), CKR_OK);
	IS(log_in(&b, on_b, MOCK_PIN), CKR_USER_ALREADY_LOGGED_IN);
	IS(log_in(&b, on_b, "wrong"), CKR_USER_ALREADY_LOGGED_IN);
	EQUAL(a.mock.get("logins_checked"), 4);
	IS(sign_on(&b, on_b, 0), CKR_OK);
	IS(sign_on(&c, on_c, 0), CKR_OK);
	IS(a.list->C_Logout(on_a), CKR_OK);
	IS(sign_on(&b, on_b, 0), CKR_USER_NOT_LOGGED_IN);
	IS(b.list->C_Logout(on_b), CKR_USER_NOT_LOGGED_IN);
	IS(finalise(&a), CKR_OK);
	IS(finalise(&b), CKR_OK);
	IS(finalise(&c), CKR_OK);
}

/* a logs out, b goes on; when b logs out too, the token is logged out, and a needs its PIN again. */
static void held(void)
{
	begin();
	IS(log_in(&a, on_a, MOCK_PIN), CKR_OK);
	IS(log_in(&b, on_b, MOCK_PIN), CKR_USER_ALREADY_LOGGED_IN);
	IS(a.list->C_Logout(on_a), CKR_OK);
	EQUAL(a.mock.get("C_Logout"), 0);
	IS(sign_on(&b, on_b, 0), CKR_OK);
	IS(a.list->C_Logout(on_a), CKR_USER_NOT_LOGGED_IN);
	IS(b.list->C_Logout(on_b), CKR_OK);
	EQUAL(a.mock.get("C_Logout"), 1);
	IS(sign_on(&b, on_b, 0), CKR_USER_NOT_LOGGED_IN);
	IS(sign_on(&a, on_a, 0), CKR_USER_NOT_LOGGED_IN);
	IS(log_in(&a, on_a, "wrong"), CKR_PIN_INCORRECT);
	IS(sign_on(&a, on_a, 0), CKR_USER_NOT_LOGGED_IN);
	IS(log_in(&a, on_a, MOCK_PIN), CKR_OK);
	IS(sign_on(&a, on_a, 0), CKR_OK);
	IS(b.list->C_Logout(on_b), CKR_OK); /* never logged in since: but a needs it */
	IS(sign_on(&a, on_a, 0), CKR_OK);
	IS(a.list->C_Logout(on_a), CKR_OK);
	EQUAL(a.mock.get("C_Logout"), 2);
}

/* Whoever needs the token may also leave by finalising, or by closing its last session there. */
static void held_leaves(void)
{
	CK_SESSION_HANDLE more;

	begin();
	for (int how = 0; how < 3; how++) {
		long before = a.mock.get("C_Logout");

		IS(log_in(&a, on_a, MOCK_PIN), CKR_OK);
		IS(log_in(&b, on_b, MOCK_PIN), CKR_USER_ALREADY_LOGGED_IN);
		more = open_on(&b, 0);
		IS(a.list->C_Logout(on_a), CKR_OK);
		IS(b.list->C_CloseSession(more), CKR_OK);
		IS(sign_on(&b, on_b, 0), CKR_OK);
		EQUAL(a.mock.get("C_Logout"), before);
		if (how == 0)
			IS(finalise(&b), CKR_OK);
		else if (how == 1)
			IS(b.list->C_CloseSession(on_b), CKR_OK);
		else
			IS(b.list->C_CloseAllSessions(0), CKR_OK);
		EQUAL(a.mock.get("C_Logout"), before + 1);
		IS(sign_on(&a, on_a, 0), CKR_USER_NOT_LOGGED_IN);
		IS(log_in(&a, on_a, "wrong"), CKR_PIN_INCORRECT);
		if (how == 0)
			IS(initialise(&b), CKR_OK);
		on_b = open_on(&b, 0);
	}
}

/* Nobody wished to log out: whoever leaves just leaves. And other slots are other tokens. */
static void held_not_wished(void)
{
	CK_SESSION_HANDLE other;

	begin();
	other = open_on(&b, 1);
	IS(log_in(&a, on_a, MOCK_PIN), CKR_OK);
	IS(log_in(&b, on_b, MOCK_PIN), CKR_USER_ALREADY_LOGGED_IN);
	IS(log_in(&b, other, MOCK_PIN), CKR_OK);
	IS(b.list->C_Logout(other), CKR_OK);
	EQUAL(a.mock.get("C_Logout"), 1);
	IS(finalise(&b), CKR_OK);
	EQUAL(a.mock.get("C_Logout"), 1);
	IS(sign_on(&a, on_a, 0), CKR_OK);
	/* the wish of one that has left itself is still done */
	IS(initialise(&b), CKR_OK);
	on_b = open_on(&b, 0);
	IS(log_in(&b, on_b, MOCK_PIN), CKR_USER_ALREADY_LOGGED_IN);
	IS(b.list->C_Logout(on_b), CKR_OK);
	IS(finalise(&b), CKR_OK);
	EQUAL(a.mock.get("C_Logout"), 1);
	IS(a.list->C_Logout(on_a), CKR_OK);
	EQUAL(a.mock.get("C_Logout"), 2);
	IS(sign_on(&c, on_c, 0), CKR_USER_NOT_LOGGED_IN);
	/* and the real finalise forgets everything */
	IS(log_in(&a, on_a, MOCK_PIN), CKR_OK);
	IS(finalise(&a), CKR_OK);
	IS(finalise(&c), CKR_OK);
	IS(initialise(&c), CKR_OK);
	on_c = open_on(&c, 0);
	IS(log_in(&c, on_c, MOCK_PIN), CKR_OK);
	IS(c.list->C_Logout(on_c), CKR_OK);
	EQUAL(a.mock.get("C_Logout"), 3);
	IS(c.list->C_Logout(999), CKR_SESSION_HANDLE_INVALID);
}

/* Sessions that the token has dropped, or that another closed, hold nothing and hide nothing. */
static void held_odd_sessions(void)
{
	begin();
	IS(log_in(&a, on_a, MOCK_PIN), CKR_OK);
	IS(log_in(&b, on_b, MOCK_PIN), CKR_USER_ALREADY_LOGGED_IN);
	IS(a.list->C_Logout(on_a), CKR_OK);
	a.mock.set("drop_session", (long)on_a); /* the first that would serve to log out */
	IS(finalise(&b), CKR_OK);
	EQUAL(a.mock.get("logged_in"), 0);

	/* a's only session is closed by c: a needs nothing any more */
	IS(a.list->C_CloseSession(on_a), CKR_SESSION_HANDLE_INVALID);
	IS(initialise(&b), CKR_OK);
	on_b = open_on(&b, 0);
	on_a = open_on(&a, 0);
	IS(log_in(&a, on_a, MOCK_PIN), CKR_OK);
	IS(log_in(&b, on_b, MOCK_PIN), CKR_USER_ALREADY_LOGGED_IN);
	IS(b.list->C_Logout(on_b), CKR_OK);
	EQUAL(a.mock.get("logged_in"), 1);
	IS(c.list->C_CloseSession(on_a), CKR_OK);
	EQUAL(a.mock.get("logged_in"), 0);

	/* the token has logged itself out: who logged in before then is in no more */
	on_a = open_on(&a, 0);
	IS(log_in(&a, on_a, MOCK_PIN), CKR_OK);
	a.mock.set("drop_session", (long)on_a);
	a.mock.set("drop_session", (long)on_b);
	a.mock.set("drop_session", (long)on_c);
	EQUAL(a.mock.get("logged_in"), 0);
	on_b = open_on(&b, 0);
	IS(log_in(&b, on_b, MOCK_PIN), CKR_OK);
	IS(b.list->C_Logout(on_b), CKR_OK);
	EQUAL(a.mock.get("logged_in"), 0);
}

/* A session that is opened while its consumer finalises goes with it. */
static void *open_slowly(void *answer)
{
	CK_SESSION_HANDLE session;

	*(CK_RV *)answer = b.consumer->open(b.list, 0, &session);
	return NULL;
}

static void held_opens_while_finalising(void)
{
	CK_RV answer = CKR_GENERAL_ERROR;
	pthread_t thread;

	begin();
	IS(log_in(&b, on_b, MOCK_PIN), CKR_OK);
	a.mock.set("slow_call_ms", 200);
	thread = start(open_slowly, &answer);
	while (a.mock.get("C_OpenSession") < 4)
		usleep(1000);
	IS(finalise(&b), CKR_OK);
	EQUAL(pthread_join(thread, NULL), 0);
	IS(answer, CKR_CRYPTOKI_NOT_INITIALIZED);
	EQUAL(a.mock.get("sessions"), 2);
}

/* Threads of three consumers log in, sign and log out: nobody loses a token that it needs. */
static void *in_and_out(void *argument)
{
	struct user *user = argument;

	for (int n = 0; n < 2000; n++) {
		CK_SESSION_HANDLE session = open_on(user, 0);

		login(user, session);
		IS(sign_on(user, session, 0), CKR_OK);
		if (n % 3)
			IS(user->list->C_Logout(session), CKR_OK);
		IS(user->list->C_CloseSession(session), CKR_OK);
	}
	return NULL;
}

static void held_in_threads(void)
{
	pthread_t threads[3];

	begin();
	threads[0] = start(in_and_out, &a);
	threads[1] = start(in_and_out, &b);
	threads[2] = start(in_and_out, &c);
	for (int i = 0; i < 3; i++)
		EQUAL(pthread_join(threads[i], NULL), 0);
	TRUE(a.mock.get("C_Logout") > 0);
}

/* A child that is initialised anew is logged in nowhere, and holds nothing for anybody. */
static void of_child(void *unused)
{
	CK_SESSION_HANDLE session = open_on(&a, 0);

	(void)unused;
	IS(log_in(&a, session, "wrong"), CKR_PIN_INCORRECT);
	IS(log_in(&a, session, MOCK_PIN), CKR_OK);
	IS(a.list->C_Logout(session), CKR_OK);
	IS(sign_on(&a, session, 0), CKR_USER_NOT_LOGGED_IN);
}

static void held_in_a_child(void)
{
	setenv("MOCK_OPTIONS", "reset_on_fork=1,restart=1", 1);
	begin();
	IS(log_in(&a, on_a, MOCK_PIN), CKR_OK);
	IS(log_in(&b, on_b, MOCK_PIN), CKR_USER_ALREADY_LOGGED_IN);
	in_child(of_child, NULL);
	IS(a.list->C_Logout(on_a), CKR_OK);
	IS(sign_on(&b, on_b, 0), CKR_OK);
}

/* The same on a real module: $MODULE, with $TOKEN_PIN for its first token. */
static CK_RV sign_really(struct user *user, CK_SESSION_HANDLE session)
{
	CK_BYTE signature[1024];
	CK_ULONG size = sizeof signature;

	return user->consumer->sign(user->list, session, "some data", 9, signature, &size);
}

static struct user user_of_real(int consumer)
{
	struct user user = user_at(load_consumer(consumer), getenv("MODULE"));

	IS(initialise(&user), CKR_OK);
	return user;
}

static void held_really(void)
{
	const char *pin = getenv("TOKEN_PIN");
	CK_SLOT_ID slots[16];
	CK_ULONG count = 16;

	a = user_of_real(1);
	b = user_of_real(2);
	IS(a.list->C_GetSlotList(CK_TRUE, slots, &count), CKR_OK);
	on_a = open_on(&a, slots[0]);
	on_b = open_on(&b, slots[0]);
	IS(log_in(&a, on_a, "wrong pin"), CKR_PIN_INCORRECT);
	IS(log_in(&a, on_a, pin), CKR_OK);
	IS(log_in(&b, on_b, pin), CKR_USER_ALREADY_LOGGED_IN);
	IS(sign_really(&b, on_b), CKR_OK);
	IS(a.list->C_Logout(on_a), CKR_OK);
	IS(sign_really(&b, on_b), CKR_OK);
	IS(finalise(&b), CKR_OK);
	TRUE(sign_really(&a, on_a) != CKR_OK);
	IS(log_in(&a, on_a, "wrong pin"), CKR_PIN_INCORRECT);
	IS(log_in(&a, on_a, pin), CKR_OK);
	IS(sign_really(&a, on_a), CKR_OK);
	IS(finalise(&a), CKR_OK);
}

static const struct test_case cases[] = {
        {"D2-shared", shared},
        {"D2-held", held},
        {"D2-held-leaves", held_leaves},
        {"D2-held-not-wished", held_not_wished},
        {"D2-held-threads", held_in_threads},
        {"D2-held-odd-sessions", held_odd_sessions},
        {"D2-held-opens-while-finalising", held_opens_while_finalising},
        {"D2-held-child", held_in_a_child},
        {"D2-held-really", held_really},
        {NULL, NULL},
};

int main(int argc, char **argv)
{
	return run_case(cases, argc, argv);
}
