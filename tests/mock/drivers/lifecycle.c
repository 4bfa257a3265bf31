/*
 * lifecycle.c: contract C1 to C6 and C14, initialise and finalise: counting,
 * racing, failing. Cases are named after the clause.
 *
 * What else belongs to a module's life: arguments.c (C8), nesting.c (C7),
 * loading.c (C9), exit.c (C10), drain.c (calls that are inside at its end).
 */
#include "driver.h"

/* ---- C1, C3, C4: counting */

static void counts(void)
{
	struct user a = user_of(1, MOCK), b = user_of(2, MOCK);

	IS(initialise(&a), CKR_OK);
	IS(initialise(&a), CKR_OK);
	IS(initialise(&b), CKR_OK);
	EQUAL(a.mock.get("initialise_calls"), 1);
	IS(finalise(&a), CKR_OK);
	IS(work(&a), CKR_OK);
	IS(finalise(&a), CKR_OK);
	EQUAL(a.mock.get("finalise_calls"), 0);
	IS(work(&b), CKR_OK);
	IS(finalise(&b), CKR_OK);
	EQUAL(a.mock.get("finalise_calls"), 1);
	for (int i = 0; i < 3; i++) { /* and all over again */
		IS(initialise(&b), CKR_OK);
		IS(initialise(&a), CKR_OK);
		IS(finalise(&b), CKR_OK);
		IS(work(&a), CKR_OK);
		IS(finalise(&a), CKR_OK);
		EQUAL(a.mock.get("initialise_calls"), 2 + i);
		EQUAL(a.mock.get("finalise_calls"), 2 + i);
	}
}

static void already_report(void)
{
	struct user a, b;

	a = user_of(1, MOCK);
	b = user_of(2, MOCK);
	IS(initialise(&a), CKR_OK);
	IS(initialise(&a), CKR_CRYPTOKI_ALREADY_INITIALIZED);
	IS(initialise(&b), CKR_OK);
	IS(initialise(&b), CKR_CRYPTOKI_ALREADY_INITIALIZED);
	IS(finalise(&a), CKR_OK);
	IS(finalise(&a), CKR_CRYPTOKI_NOT_INITIALIZED);
	IS(work(&b), CKR_OK);
	IS(finalise(&b), CKR_OK);
	EQUAL(a.mock.get("initialise_calls"), 1);
	EQUAL(a.mock.get("finalise_calls"), 1);
}

static void surplus_finalise(void)
{
	struct user a = user_of(1, MOCK), b = user_of(2, MOCK);

	IS(finalise(&a), CKR_CRYPTOKI_NOT_INITIALIZED);
	IS(initialise(&b), CKR_OK);
	IS(finalise(&a), CKR_CRYPTOKI_NOT_INITIALIZED);
	IS(initialise(&a), CKR_OK);
	IS(finalise(&a), CKR_OK);
	IS(finalise(&a), CKR_CRYPTOKI_NOT_INITIALIZED);
	IS(finalise(&a), CKR_CRYPTOKI_NOT_INITIALIZED);
	IS(work(&b), CKR_OK);
	EQUAL(a.mock.get("finalise_calls"), 0);
	IS(finalise(&b), CKR_OK);
	IS(finalise(&b), CKR_CRYPTOKI_NOT_INITIALIZED);
	EQUAL(a.mock.get("finalise_calls"), 1);
}

/* Every function of every list says NOT_INITIALIZED, without a call of the module. */
static void all_say_not_initialised(struct user *user)
{
	static char memory[1024];
	const void *lists[] = {user->list, user->consumer->list_3(user->module, 3, 0),
	                       user->consumer->list_3(user->module, 3, 2)};
	uintptr_t words[10];
	long before = user->mock.get("calls");

	for (int i = 0; i < 10; i++)
		words[i] = (uintptr_t)memory;
	for (size_t l = 0; l < sizeof lists / sizeof lists[0]; l++)
		for (int n = 0; n < functions_of(*(const CK_VERSION *)lists[l]); n++)
			if (!about_life_or_lists(n))
				is(__FILE__, __LINE__, function_names[n],
				   call_with(entry_of(lists[l], n), words), CKR_CRYPTOKI_NOT_INITIALIZED);
	EQUAL(user->mock.get("calls"), before);
}

static void finalised_view(void)
{
	struct user a = user_of(1, MOCK), b = user_of(2, MOCK);

	IS(initialise(&a), CKR_OK);
	IS(initialise(&b), CKR_OK);
	IS(finalise(&a), CKR_OK);
	all_say_not_initialised(&a);
	IS(work(&b), CKR_OK);
	IS(initialise(&a), CKR_OK);
	IS(work(&a), CKR_OK);
	IS(finalise(&a), CKR_OK);
	IS(finalise(&b), CKR_OK);
	all_say_not_initialised(&a);
	all_say_not_initialised(&b);
}

static void not_initialised_by_anybody(void)
{
	struct user a = user_of(1, MOCK);

	all_say_not_initialised(&a);
	EQUAL(a.mock.get("calls"), 0);
}

static void borrowing(void)
{
	struct user a = user_of(1, MOCK), b = user_of(2, MOCK);

	IS(slots_of(&b), CKR_CRYPTOKI_NOT_INITIALIZED);
	IS(initialise(&a), CKR_OK);
	IS(work(&b), CKR_OK);
	IS(finalise(&b), CKR_CRYPTOKI_NOT_INITIALIZED);
	IS(work(&b), CKR_OK);
	IS(finalise(&a), CKR_OK);
	IS(slots_of(&b), CKR_CRYPTOKI_NOT_INITIALIZED);
	EQUAL(a.mock.get("finalise_done"), 1);
}

/* ---- C2: any number of threads at once */

static void race_together(void)
{
	racing(true);
}

static void race_freely(void)
{
	setenv("MOCK_OPTIONS", "slow_init_ms=1,slow_finalize_ms=1", 1);
	racing(false);
}

static void *initialise_slowly(void *argument)
{
	IS(initialise(argument), CKR_OK);
	return NULL;
}

/* Whoever comes while C_Initialize runs never gets into the module before it is over. */
static void no_call_before_it_is_over(void)
{
	struct user a = user_of(1, MOCK), b = user_of(2, MOCK), c = user_of(3, MOCK);
	pthread_t thread;
	CK_RV rv;

	a.mock.set("slow_init_ms", 300);
	thread = start(initialise_slowly, &a);
	while (a.mock.get("state") != 1)
		usleep(1000);
	rv = slots_of(&c); /* may wait and borrow, or be told that nobody has it initialised yet */
	if (rv != CKR_CRYPTOKI_NOT_INITIALIZED)
		IS(rv, CKR_OK);
	IS(initialise(&b), CKR_OK);
	EQUAL(a.mock.get("state"), 2);
	IS(work(&b), CKR_OK);
	pthread_join(thread, NULL);
	IS(finalise(&b), CKR_OK);
	IS(work(&a), CKR_OK);
	IS(finalise(&a), CKR_OK);
	EQUAL(a.mock.get("initialise_calls"), 1);
}

static void *finalise_slowly(void *argument)
{
	IS(finalise(argument), CKR_OK);
	return NULL;
}

/* Nor while C_Finalize runs: a new initialise waits for it and is a real one. */
static void initialise_during_finalise(void)
{
	struct user a = user_of(1, MOCK), b = user_of(2, MOCK);
	pthread_t thread;

	IS(initialise(&a), CKR_OK);
	a.mock.set("slow_finalize_ms", 300);
	thread = start(finalise_slowly, &a);
	while (a.mock.get("state") != 3)
		usleep(1000);
	IS(slots_of(&a), CKR_CRYPTOKI_NOT_INITIALIZED);
	IS(finalise(&a), CKR_CRYPTOKI_NOT_INITIALIZED);
	IS(initialise(&b), CKR_OK);
	EQUAL(a.mock.get("finalise_done"), 1);
	EQUAL(a.mock.get("initialise_done"), 2);
	IS(work(&b), CKR_OK);
	pthread_join(thread, NULL);
	IS(finalise(&b), CKR_OK);
}

/* ---- C5, C6, C14: C_Initialize or C_Finalize fails, or somebody unseen has initialised */

static void *fail_slowly(void *argument)
{
	IS(initialise(argument), CKR_DEVICE_ERROR);
	return NULL;
}

static void failing_initialise(void)
{
	static struct user users[4];
	pthread_t threads[4];

	for (int i = 0; i < 4; i++)
		users[i] = user_of(1 + i % 3, MOCK);
	users[0].mock.set("slow_init_ms", 500);
	users[0].mock.set("fail_init", CKR_DEVICE_ERROR);
	for (int i = 0; i < 4; i++)
		threads[i] = start(fail_slowly, &users[i]);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	EQUAL(users[0].mock.get("initialise_calls"), 1); /* all waited on that one */
	IS(finalise(&users[0]), CKR_CRYPTOKI_NOT_INITIALIZED);
	IS(slots_of(&users[1]), CKR_CRYPTOKI_NOT_INITIALIZED);
	EQUAL(users[0].mock.get("finalise_calls"), 0);
	users[0].mock.set("slow_init_ms", 0);
	IS(initialise(&users[1]), CKR_DEVICE_ERROR);
	users[0].mock.set("fail_init_times", 1);
	IS(initialise(&users[0]), CKR_DEVICE_ERROR);
	IS(initialise(&users[0]), CKR_OK);
	IS(initialise(&users[1]), CKR_OK);
	IS(finalise(&users[0]), CKR_OK);
	IS(work(&users[1]), CKR_OK);
	IS(finalise(&users[1]), CKR_OK);
	EQUAL(users[0].mock.get("finalise_calls"), 1);
}

static void initialised_by_somebody_unseen(void)
{
	struct user a = user_of(1, MOCK), b = user_of(2, MOCK);

	a.mock.set("already", 1);
	IS(initialise(&a), CKR_OK);
	IS(initialise(&b), CKR_OK);
	IS(work(&a), CKR_OK);
	IS(finalise(&a), CKR_OK);
	IS(slots_of(&a), CKR_CRYPTOKI_NOT_INITIALIZED);
	IS(work(&b), CKR_OK);
	IS(finalise(&b), CKR_OK);
	IS(finalise(&b), CKR_CRYPTOKI_NOT_INITIALIZED);
	IS(slots_of(&b), CKR_CRYPTOKI_NOT_INITIALIZED);
	EQUAL(a.mock.get("finalise_calls"), 0);
	EQUAL(a.mock.get("sessions"), 0);
	/* The unseen one finalises; then the module is ours. */
	a.mock.set("already", 0);
	IS(initialise(&a), CKR_OK);
	IS(work(&a), CKR_OK);
	IS(finalise(&a), CKR_OK);
	EQUAL(a.mock.get("finalise_calls"), 1);
}

/* A C_Finalize that fails is told to its caller. */
static void failing_finalise(void)
{
	struct user a = user_of(1, MOCK);

	IS(initialise(&a), CKR_OK);
	a.mock.set("fail_finalize", CKR_FUNCTION_FAILED);
	IS(finalise(&a), CKR_FUNCTION_FAILED);
	a.mock.set("fail_finalize", 0);
	IS(work(&a), CKR_OK); /* the module says that it is still there */
	IS(finalise(&a), CKR_OK);
	EQUAL(a.mock.get("finalise_done"), 1);
}

/* ---- C2, C3: a thread that the mock holds in a call; mutex callbacks that nobody is to call */

static void wait_until_held(const struct user *user)
{
	while (!user->mock.get("held"))
		usleep(1000);
}

static CK_RV create_mutex(CK_VOID_PTR_PTR mutex)
{
	(void)mutex;
	abort();
}

static CK_RV lock_mutex(CK_VOID_PTR mutex)
{
	(void)mutex;
	abort();
}

static CK_RV no_work(CK_VOID_PTR mutex)
{
	(void)mutex;
	return CKR_OK;
}

static CK_RV initialise_with_callbacks(const struct user *user)
{
	CK_C_INITIALIZE_ARGS args = {.CreateMutex = create_mutex,
	                             .DestroyMutex = no_work,
	                             .LockMutex = lock_mutex,
	                             .UnlockMutex = no_work};

	return user->list->C_Initialize(&args);
}

static void *initialise_thread(void *user)
{
	IS(initialise_with_callbacks(user), CKR_OK);
	return NULL;
}

static atomic_int waiter;

static void *wait_in_initialise(void *user)
{
	waiter = gettid();
	initialise(user);
	return NULL;
}

/* Is the thread asleep, or gone? */
static bool asleep(int thread)
{
	char path[64], state = 'S';
	FILE *file;

	snprintf(path, sizeof path, "/proc/self/task/%d/stat", thread);
	file = fopen(path, "r");
	if (!file)
		return true;
	TRUE(fscanf(file, "%*d (%*[^)]) %c", &state) == 1);
	fclose(file);
	return state == 'S';
}

static void cancelled_while_waiting(void)
{
	struct user a, b = user_of(2, MOCK), c = user_of(3, MOCK);
	struct timespec soon;
	pthread_t first, second;
	bool ended;

	alarm(PATIENCE);
	b.mock.set("refuse_os_locking", 1);
	a = user_of(1, MOCK);
	a.mock.set("hold_init", 1);
	first = start(initialise_thread, &a);
	wait_until_held(&a);
	second = start(wait_in_initialise, &b);
	while (!waiter || !asleep(waiter))
		usleep(1000);
	pthread_cancel(second);
	clock_gettime(CLOCK_REALTIME, &soon); /* it may end now, or when it need not wait any more */
	soon.tv_sec += 1;
	ended = pthread_timedjoin_np(second, NULL, &soon) == 0;
	a.mock.set("hold_init", 0);
	pthread_join(first, NULL);
	if (!ended)
		pthread_join(second, NULL);
	IS(initialise(&c), CKR_OK);
	IS(work(&a), CKR_OK);
	IS(work(&c), CKR_OK);
	IS(finalise(&a), CKR_OK);
	IS(finalise(&c), CKR_OK);
	finalise(&b); /* if it got so far */
	IS(finalise(&b), CKR_CRYPTOKI_NOT_INITIALIZED);
	EQUAL(a.mock.get("finalise_done"), 1);
}

static void finalise_does_not_wait(void)
{
	struct user a = user_of(1, MOCK), b = user_of(2, MOCK);
	pthread_t first;

	alarm(PATIENCE);
	a.mock.set("refuse_os_locking", 1);
	a.mock.set("hold_init", 1);
	first = start(initialise_thread, &a);
	wait_until_held(&a);
	IS(finalise(&a), CKR_CRYPTOKI_NOT_INITIALIZED); /* nothing is counted yet */
	IS(finalise(&b), CKR_CRYPTOKI_NOT_INITIALIZED);
	EQUAL(a.mock.get("held"), 1);
	a.mock.set("hold_init", 0);
	pthread_join(first, NULL);
	IS(work(&a), CKR_OK);
	IS(finalise(&a), CKR_OK);
	EQUAL(a.mock.get("finalise_done"), 1);
}

static void *borrow(void *user)
{
	IS(slots_of(user), CKR_OK);
	return NULL;
}

/* The borrower is the last to leave, and it is its leaving that the module refuses. */
static void refused_finalise(void)
{
	struct user a = user_of(1, MOCK), b = user_of(2, MOCK);
	pthread_t borrower;

	alarm(PATIENCE);
	a.mock.set("refuse_os_locking", 1);
	IS(initialise_with_callbacks(&a), CKR_OK);
	a.mock.set("hold_calls", 1);
	borrower = start(borrow, &b);
	wait_until_held(&a);
	a.mock.set("fail_finalize", CKR_GENERAL_ERROR);
	IS(finalise(&a), CKR_OK); /* others are in it still */
	EQUAL(a.mock.get("finalise_calls"), 0);
	a.mock.set("hold_calls", 0);
	pthread_join(borrower, NULL);
	EQUAL(a.mock.get("finalise_calls"), 1);
	IS(finalise(&b), CKR_CRYPTOKI_NOT_INITIALIZED);

	a.mock.set("fail_finalize", 0);
	IS(initialise_with_callbacks(&a), CKR_OK);
	IS(work(&a), CKR_OK);
	IS(finalise(&a), CKR_OK);
	EQUAL(a.mock.get("finalise_done"), 1);
	IS(slots_of(&b), CKR_CRYPTOKI_NOT_INITIALIZED);
	IS(finalise(&b), CKR_CRYPTOKI_NOT_INITIALIZED);
}

int main(int argc, char **argv)
{
	static const struct test_case cases[] = {
	        {"C1-counts", counts},
	        {"C1-already-report", already_report},
	        {"C2-race-together", race_together},
	        {"C2-race-freely", race_freely},
	        {"C2-no-call-before-it-is-over", no_call_before_it_is_over},
	        {"C2-initialise-during-finalise", initialise_during_finalise},
	        {"C2-failing-finalise", failing_finalise},
	        {"C2-cancelled-while-waiting", cancelled_while_waiting},
	        {"C2-finalise-does-not-wait", finalise_does_not_wait},
	        {"C3-surplus-finalise", surplus_finalise},
	        {"C3-refused-finalise", refused_finalise},
	        {"C4-finalised-view", finalised_view},
	        {"C4-not-initialised-by-anybody", not_initialised_by_anybody},
	        {"C4-borrowing", borrowing},
	        {"C5-failing-initialise", failing_initialise},
	        {"C6-initialised-by-somebody-unseen", initialised_by_somebody_unseen},
	        {NULL, NULL},
	};

	return run_case(cases, argc, argv);
}
