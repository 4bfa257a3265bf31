/*
 * drain.c: contract C2, E0 (drain), I4: calls that are still in the module when its
 * last consumer finalises. The mock aborts if C_Finalize reaches it then.
 */
#include "driver.h"

static struct user a;

static void *get_info(void *answer)
{
	CK_INFO info;

	*(CK_RV *)answer = a.list->C_GetInfo(&info);
	return NULL;
}

static void *open_session(void *answer)
{
	CK_SESSION_HANDLE session;

	*(CK_RV *)answer = a.consumer->open(a.list, 0, &session);
	return NULL;
}

/* C_Finalize while a call of that kind takes 300 ms. Returns how long it took, in seconds. */
static double finalise_under(void *(*call)(void *), CK_RV *answer)
{
	pthread_t thread;
	double began;
	long calls;

	a = user_of(1, MOCK);
	IS(initialise(&a), CKR_OK);
	a.mock.set("slow_call_ms", 300);
	calls = a.mock.get("calls");
	thread = start(call, answer);
	while (a.mock.get("calls") == calls)
		usleep(1000);
	usleep(20000);
	began = now();
	IS(finalise(&a), CKR_OK);
	began = now() - began;
	EQUAL(pthread_join(thread, NULL), 0);
	return began;
}

/* With drain = yes: waited for, the short way's calls too. */
static void waits(void)
{
	CK_RV answer = CKR_GENERAL_ERROR;

	TRUE(finalise_under(get_info, &answer) > 0.1);
	IS(answer, CKR_OK);
	TRUE(finalise_under(open_session, &answer) > 0.1);
	IS(answer, CKR_CRYPTOKI_NOT_INITIALIZED); /* its session went with the consumer */
	EQUAL(a.mock.get("finalise_done"), 2);
}

/* Without: told of, and as it is without the shim: the mock aborts. */
static void is_told(void)
{
	CK_RV answer;

	finalise_under(open_session, &answer);
}

/* The same with a call that would take the short way. */
static void short_way_is_told(void)
{
	CK_RV answer;

	finalise_under(get_info, &answer);
}

/* A call that does not come back: waited for ten seconds, no longer; then as without. */
static void *long_call(void *unused)
{
	CK_SESSION_HANDLE session;

	a.consumer->open(a.list, 0, &session);
	return unused;
}

static void not_for_ever(void)
{
	a = user_of(1, MOCK);
	IS(initialise(&a), CKR_OK);
	a.mock.set("slow_call_ms", 40000);
	start(long_call, NULL);
	while (a.mock.get("C_OpenSession") == 0)
		usleep(1000);
	usleep(20000);
	finalise(&a); /* the mock aborts */
}

static const struct test_case cases[] = {
        {"C2-drain", waits},
        {"I4-call-in-flight", is_told},
        {"I4-call-in-flight-report", short_way_is_told},
        {"C2-drain-bounded", not_for_ever},
        {NULL, NULL},
};

int main(int argc, char **argv)
{
	return run_case(cases, argc, argv);
}
