/*
 * lifecycle.c: contract C, initialise and finalise: counting, racing, failing,
 * nesting, arguments, unloading, exit. Cases are named after the clause.
 */
#include "driver.h"
#include <sys/mman.h>

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

enum { THREADS = 8 };

struct racer {
	struct user user;
	pthread_barrier_t *barrier;
	int rounds;
};

static void *race(void *argument)
{
	struct racer *r = argument;

	for (int i = 0; i < r->rounds; i++) {
		if (r->barrier)
			pthread_barrier_wait(r->barrier);
		IS(initialise(&r->user), CKR_OK);
		IS(work(&r->user), CKR_OK);
		if (i % 3 == 0)
			open_on(&r->user, 0); /* left to finalise */
		IS(finalise(&r->user), CKR_OK);
	}
	return NULL;
}

static void racing(bool together)
{
	static struct racer racers[THREADS];
	pthread_t threads[THREADS];
	pthread_barrier_t barrier;

	pthread_barrier_init(&barrier, NULL, THREADS);
	for (int i = 0; i < THREADS; i++)
		racers[i] = (struct racer){user_of(1 + i % 3, MOCK), together ? &barrier : NULL, 200};
	for (int i = 0; i < THREADS; i++)
		threads[i] = start(race, &racers[i]);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	EQUAL(racers[0].user.mock.get("initialise_done"), racers[0].user.mock.get("finalise_done"));
	EQUAL(racers[0].user.mock.get("sessions"), 0);
	EQUAL(racers[0].user.mock.get("state"), 0);
}

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

/* ---- C5, C6: C_Initialize fails, or somebody unseen has done it */

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

/* ---- C7: nesting */

static void nests_itself(void)
{
	struct user a = user_of(1, MOCK), b = user_of(2, MOCK);

	a.mock.set("nest_self", 1);
	IS(initialise(&a), CKR_OK);
	IS((CK_RV)a.mock.get("nested_initialise_rv"), CKR_OK);
	IS((CK_RV)a.mock.get("nested_get_info_rv"), CKR_OK);
	IS((CK_RV)a.mock.get("nested_finalise_rv"), CKR_OK);
	EQUAL(a.mock.get("initialise_done"), 1);
	IS(work(&a), CKR_OK);
	IS(initialise(&b), CKR_OK);
	IS(finalise(&a), CKR_OK);
	IS(work(&b), CKR_OK);
	IS(finalise(&b), CKR_OK);
	EQUAL(a.mock.get("finalise_done"), 1);
}

/* Its own view keeps it initialised after all consumers have left. */
static void nests_itself_for_good(void)
{
	struct user a = user_of(1, MOCK), b = user_of(2, MOCK);

	a.mock.set("nest_self", 2);
	IS(initialise(&a), CKR_OK);
	IS((CK_RV)a.mock.get("nested_initialise_rv"), CKR_OK);
	IS(work(&a), CKR_OK);
	IS(finalise(&a), CKR_OK);
	EQUAL(a.mock.get("finalise_calls"), 0);
	IS(slots_of(&a), CKR_CRYPTOKI_NOT_INITIALIZED);
	IS(work(&b), CKR_OK); /* borrows */
	IS(initialise(&b), CKR_OK);
	IS(finalise(&b), CKR_OK);
	EQUAL(a.mock.get("initialise_done"), 1);
	EQUAL(a.mock.get("finalise_calls"), 0);
}

static void nests_another(void)
{
	struct user a = user_of(1, MOCK), b = user_of(2, MOCK), other = user_of(3, "mock/mock2.so");

	a.mock.set_text("nest_module", build_path("mock/mock2.so"));
	IS(initialise(&a), CKR_OK);
	IS((CK_RV)a.mock.get("nested_initialise_rv"), CKR_OK);
	IS((CK_RV)a.mock.get("nested_get_info_rv"), CKR_OK);
	EQUAL(other.mock.get("initialise_done"), 1);
	IS(initialise(&other), CKR_OK);
	EQUAL(other.mock.get("initialise_calls"), 1);
	IS(initialise(&b), CKR_OK);
	IS(finalise(&a), CKR_OK);
	IS(work(&b), CKR_OK);
	IS(finalise(&b), CKR_OK);
	IS((CK_RV)a.mock.get("nested_finalise_rv"), CKR_OK);
	EQUAL(a.mock.get("finalise_done"), 1);
	EQUAL(other.mock.get("finalise_calls"), 0);
	IS(work(&other), CKR_OK);
	IS(finalise(&other), CKR_OK);
	EQUAL(other.mock.get("finalise_done"), 1);
}

/* mock initialises mock2, which initialises mock: the innermost must not wait for the outermost. */
static void nests_in_a_circle(void)
{
	struct user a = user_of(1, MOCK), other = user_of(2, "mock/mock2.so");

	other.mock.set_text("nest_module", build_path(MOCK));
	a.mock.set_text("nest_module", build_path("mock/mock2.so"));
	IS(initialise(&a), CKR_OK);
	IS((CK_RV)a.mock.get("nested_initialise_rv"), CKR_OK);
	IS((CK_RV)other.mock.get("nested_initialise_rv"), CKR_OK);
	EQUAL(a.mock.get("initialise_done"), 1);
	EQUAL(other.mock.get("initialise_done"), 1);
	IS(work(&a), CKR_OK);
	IS(initialise(&other), CKR_OK);
	IS(work(&other), CKR_OK);
	IS(finalise(&other), CKR_OK);
	IS(work(&a), CKR_OK);
	IS(finalise(&a),
	   CKR_OK); /* mock2 has mock initialised for itself, so this is not the end of either */
}

static void forks_in_initialise(void)
{
	struct user a = user_of(1, MOCK);

	a.mock.set("fork_in_init", 1);
	IS(initialise(&a), CKR_OK);
	IS(work(&a), CKR_OK);
	IS(finalise(&a), CKR_OK);
	EQUAL(a.mock.get("finalise_done"), 1);
}

/* The child comes back out of C_Initialize too, and both have the module. */
static void forks_in_initialise_and_goes_on(void)
{
	struct user a = user_of(1, MOCK);
	pid_t me = getpid();
	int status;

	a.mock.set("fork_in_init", 2);
	IS(initialise(&a), CKR_OK);
	alarm(PATIENCE);
	IS(work(&a), CKR_OK);
	IS(finalise(&a), CKR_OK);
	IS(slots_of(&a), CKR_CRYPTOKI_NOT_INITIALIZED);
	if (getpid() != me)
		_exit(0);
	EQUAL(waitpid((pid_t)a.mock.get("forked_child"), &status, 0), a.mock.get("forked_child"));
	EQUAL(status, 0);
}

/* ---- C8: arguments of C_Initialize */

static atomic_int callback_calls;

static CK_RV create_mutex(CK_VOID_PTR_PTR mutex)
{
	callback_calls++;
	*mutex = calloc(1, sizeof(pthread_mutex_t));
	return *mutex ? CKR_OK : CKR_HOST_MEMORY;
}

static CK_RV destroy_mutex(CK_VOID_PTR mutex)
{
	callback_calls++;
	free(mutex);
	return CKR_OK;
}

static CK_RV lock_mutex(CK_VOID_PTR mutex)
{
	callback_calls++;
	return pthread_mutex_lock(mutex) ? CKR_GENERAL_ERROR : CKR_OK;
}

static CK_RV unlock_mutex(CK_VOID_PTR mutex)
{
	callback_calls++;
	return pthread_mutex_unlock(mutex) ? CKR_MUTEX_NOT_LOCKED : CKR_OK;
}

static const CK_C_INITIALIZE_ARGS with_callbacks = {
        .CreateMutex = create_mutex,
        .DestroyMutex = destroy_mutex,
        .LockMutex = lock_mutex,
        .UnlockMutex = unlock_mutex,
};

/* Initialise with these, say what the module was given, work, finalise. */
static void given(struct user *user, CK_C_INITIALIZE_ARGS *args, enum mock_locking locking, CK_FLAGS flags)
{
	IS(user->list->C_Initialize(args), CKR_OK);
	EQUAL(user->mock.get("locking"), locking);
	EQUAL(user->mock.get("flags"), flags);
	IS(work(user), CKR_OK);
	IS(finalise(user), CKR_OK);
}

static void os_locking_is_asked_for(void)
{
	struct user a = user_of(1, MOCK);
	CK_C_INITIALIZE_ARGS plain = {0}, os = {.flags = CKF_OS_LOCKING_OK}, both = with_callbacks,
	                     callbacks = with_callbacks,
	                     no_threads = {.flags = CKF_LIBRARY_CANT_CREATE_OS_THREADS};

	both.flags = CKF_OS_LOCKING_OK;
	given(&a, NULL, MOCK_OS_LOCKING, CKF_OS_LOCKING_OK);
	given(&a, &plain, MOCK_OS_LOCKING, CKF_OS_LOCKING_OK);
	given(&a, &os, MOCK_OS_LOCKING, CKF_OS_LOCKING_OK);
	given(&a, &both, MOCK_OS_LOCKING, CKF_OS_LOCKING_OK);
	given(&a, &callbacks, MOCK_OS_LOCKING, CKF_OS_LOCKING_OK);
	given(&a, &no_threads, MOCK_OS_LOCKING, CKF_OS_LOCKING_OK | CKF_LIBRARY_CANT_CREATE_OS_THREADS);
	EQUAL(callback_calls, 0);
}

/* The first consumer asked for nothing, the second comes with threads. */
static void single_threaded_first(void)
{
	static struct racer racers[THREADS];
	pthread_t threads[THREADS];
	struct user a = user_of(4, MOCK);

	IS(a.list->C_Initialize(NULL), CKR_OK);
	a.mock.set("slow_call_us", 200);
	for (int i = 0; i < THREADS; i++)
		racers[i] = (struct racer){user_of(1, MOCK), NULL, 20};
	for (int i = 0; i < THREADS; i++)
		threads[i] = start(race, &racers[i]);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	TRUE(a.mock.get("most_inside") > 1); /* and the shim did not serialise them either */
	IS(finalise(&a), CKR_OK);
}

static void callbacks_where_needed(void)
{
	struct user a = user_of(1, MOCK);
	CK_C_INITIALIZE_ARGS args = with_callbacks;

	a.mock.set("refuse_os_locking", 1);
	given(&a, &args, MOCK_CALLBACKS, 0);
	given(&a, NULL, MOCK_CALLBACKS, 0);
	TRUE(a.mock.get("callback_locks") > 0);
	EQUAL(callback_calls, 0); /* the shim's, which nobody can unload */
}

/* The module has its own copy of the arguments: the caller's may be gone. */
static void arguments_are_kept(void)
{
	struct user a = user_of(1, MOCK);
	CK_C_INITIALIZE_ARGS *args =
	        mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	args->flags = CKF_OS_LOCKING_OK;
	args->pReserved = &a;
	IS(a.list->C_Initialize(args), CKR_OK);
	munmap(args, 4096);
	EQUAL(a.mock.get("reserved"), &a);
	IS(work(&a), CKR_OK);
	IS(finalise(&a), CKR_OK);
}

/* NSS's structure: a string where pReserved stands, then one pointer more, which nobody else would have. */
static void longer_arguments(void)
{
	struct user a = user_of(1, MOCK);
	static char parameters[] = "configdir='sql:x'";
	struct {
		CK_C_INITIALIZE_ARGS args;
		void *more;
	} longer = {{.flags = CKF_OS_LOCKING_OK, .pReserved = parameters}, &a};
	char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CK_C_INITIALIZE_ARGS *last = (CK_C_INITIALIZE_ARGS *)(page + 4096) - 1;

	a.mock.set("need_reserved", 1);
	IS(a.list->C_Initialize(&longer.args), CKR_OK); /* the mock aborts if what follows is not zero */
	EQUAL(a.mock.get("reserved"), parameters);
	IS(work(&a), CKR_OK);
	IS(finalise(&a), CKR_OK);
	mprotect(page + 4096, 4096, PROT_NONE); /* and only the standard's fields are read */
	*last = longer.args;
	IS(a.list->C_Initialize(last), CKR_OK);
	EQUAL(a.mock.get("reserved"), parameters);
	IS(finalise(&a), CKR_OK);
	IS(a.list->C_Initialize(NULL), CKR_ARGUMENTS_BAD); /* the module's own judgement */
}

static void malformed_arguments(void)
{
	struct user a = user_of(1, MOCK), b = user_of(2, MOCK);

	for (int missing = 0; missing < 4; missing++) {
		CK_C_INITIALIZE_ARGS args = with_callbacks;

		args.flags = missing % 2 ? CKF_OS_LOCKING_OK : 0;
		memset((char *)&args + (size_t)missing * sizeof(void *), 0, sizeof(void *));
		IS(a.list->C_Initialize(&args), CKR_ARGUMENTS_BAD);
		EQUAL(a.mock.get("initialise_calls"), 0);
	}
	IS(finalise(&a), CKR_CRYPTOKI_NOT_INITIALIZED);
	IS(initialise(&b), CKR_OK);
	IS(finalise(&b), CKR_OK);
}

/* Modules that refuse one form or another: whoever asks, all initialise in the end. */
static void ladder(void)
{
	static const char *const refusals[] = {"refuse_os_locking", "refuse_callbacks", "refuse_null",
	                                       "refuse_flags_0",    "refuse_reserved",  "cannot_lock"};
	struct user a = user_of(1, MOCK), b = user_of(2, MOCK);

	for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
		CK_C_INITIALIZE_ARGS plain = {0}, os = {.flags = CKF_OS_LOCKING_OK}, both = with_callbacks,
		                     callbacks = with_callbacks;
		CK_C_INITIALIZE_ARGS *forms[] = {NULL, &plain, &os, &both, &callbacks};

		both.flags = CKF_OS_LOCKING_OK;
		a.mock.set(refusals[i], 1);
		for (size_t f = 0; f < sizeof forms / sizeof forms[0]; f++) {
			CK_RV rv = a.list->C_Initialize(forms[f]);

			if (rv != CKR_OK)
				fprintf(stderr, "%s, form %zu of arguments\n", refusals[i], f);
			IS(rv, CKR_OK);
			IS(initialise(&b), CKR_OK);
			IS(work(&a), CKR_OK);
			IS(work(&b), CKR_OK);
			IS(finalise(&a), CKR_OK);
			IS(work(&b), CKR_OK);
			IS(finalise(&b), CKR_OK);
		}
		a.mock.set(refusals[i], 0);
	}
}

/* A module that cannot lock: the mock aborts when two threads are inside. */
static void cannot_lock(void)
{
	setenv("MOCK_OPTIONS", "cannot_lock=1,slow_call_us=50", 1);
	racing(false);
	EQUAL(user_of(1, MOCK).mock.get("most_inside"), 1);
}

/* One that takes nothing but NULL was not told to lock either. */
static void null_only(void)
{
	static struct racer racers[THREADS];
	pthread_t threads[THREADS];
	struct user a;

	setenv("MOCK_OPTIONS", "refuse_any_args=1,slow_call_us=50", 1);
	a = user_of(4, MOCK);
	IS(a.list->C_Initialize(NULL), CKR_OK);
	for (int i = 0; i < THREADS; i++)
		racers[i] = (struct racer){user_of(1 + i % 3, MOCK), NULL, 50};
	for (int i = 0; i < THREADS; i++)
		threads[i] = start(race, &racers[i]);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	IS(finalise(&a), CKR_OK);
	EQUAL(a.mock.get("most_inside"), 1);
}

static void serialize_yes(void)
{
	setenv("MOCK_OPTIONS", "slow_call_us=50", 1);
	racing(false);
	EQUAL(user_of(1, MOCK).mock.get("most_inside"), 1);
}

/* ---- C9: loading and unloading */

static bool loaded(const char *path)
{
	void *handle = dlopen(path, RTLD_NOW | RTLD_NOLOAD);

	if (handle)
		dlclose(handle);
	return handle;
}

static void unload_is_real(void)
{
	const char *path = strdup(build_path(MOCK));
	struct user a = user_of(1, MOCK), b = user_of(2, MOCK);

	IS(initialise(&a), CKR_OK);
	EQUAL(a.consumer->unload(a.module), 0); /* b has it still */
	IS(work(&a), CKR_OK);
	EQUAL(b.consumer->unload(b.module), 0);
	TRUE(loaded(path)); /* since a has it initialised */
	IS(work(&a), CKR_OK);
	IS(finalise(&a), CKR_OK);
	TRUE(!loaded(path));
	IS(slots_of(&a), CKR_CRYPTOKI_NOT_INITIALIZED);

	for (int i = 0; i < 5; i++) { /* and again: new, since its counters are */
		a = user_of(1, path);
		EQUAL(a.mock.get("initialise_calls"), 0);
		IS(slots_of(&a), CKR_CRYPTOKI_NOT_INITIALIZED);
		IS(initialise(&a), CKR_OK);
		EQUAL(a.mock.get("initialise_calls"), 1);
		IS(work(&a), CKR_OK);
		IS(finalise(&a), CKR_OK);
		EQUAL(a.mock.get("finalise_done"), 1);
		EQUAL(a.consumer->unload(a.module), 0);
		TRUE(!loaded(path));
	}
}

/* Another module where one was: same memory, different file. */
static void another_at_its_place(void)
{
	static const char *const modules[] = {MOCK, "mock/mock2.so", "mock/mock3.so", "mock/mock-noifc.so",
	                                      MOCK};

	for (size_t i = 0; i < sizeof modules / sizeof modules[0]; i++) {
		struct user a = user_of(1, modules[i]), b = user_of(2, modules[i]);

		EQUAL(a.mock.get("calls"), 0);
		IS(initialise(&a), CKR_OK);
		IS(initialise(&b), CKR_OK);
		IS(work(&a), CKR_OK);
		IS(finalise(&a), CKR_OK);
		IS(work(&b), CKR_OK);
		IS(finalise(&b), CKR_OK);
		EQUAL(a.mock.get("initialise_done"), 1);
		EQUAL(a.mock.get("finalise_done"), 1);
		a.consumer->unload(a.module);
		b.consumer->unload(b.module);
		TRUE(!loaded(build_path(modules[i])));
	}
}

/* The module's file is replaced, as by an upgrade, while it is loaded; later the new one is loaded. */
static void replaced_on_disk(void)
{
	char path[4096], fresh[4096];
	struct user a, b, c;

	snprintf(path, sizeof path, "%s/module.so", scratch);
	snprintf(fresh, sizeof fresh, "%s/new.so", scratch);
	copy_file(build_path(MOCK), path);
	copy_file(build_path("mock/mock2.so"), fresh);
	a = user_of(1, path);
	IS(initialise(&a), CKR_OK);
	EQUAL(rename(fresh, path), 0);
	b = user_of(2, path); /* the loader gives it the instance that is there */
	IS(initialise(&b), CKR_OK);
	EQUAL(a.mock.get("initialise_calls"), 1);
	IS(finalise(&a), CKR_OK);
	IS(work(&b), CKR_OK);
	IS(finalise(&b), CKR_OK);
	EQUAL(a.mock.get("finalise_done"), 1);
	a.consumer->unload(a.module);
	b.consumer->unload(b.module);
	TRUE(!loaded(path));
	c = user_of(1, path);
	EQUAL(c.mock.get("calls"), 0);
	IS(initialise(&c), CKR_OK);
	IS(work(&c), CKR_OK);
	IS(finalise(&c), CKR_OK);
	EQUAL(c.mock.get("finalise_done"), 1);
}

/* A consumer is unloaded without a finalise, and loaded again. */
static void consumer_unloaded(void)
{
	struct user b = user_of(2, MOCK);
	void *library = dlopen(build_path("consumers/consumer-1.so"), RTLD_NOW);
	const struct consumer *consumer = dlsym(library, "consumer");
	CK_FUNCTION_LIST *list = consumer->list(consumer->load(build_path(MOCK)));

	IS(initialise(&b), CKR_OK);
	IS(consumer->initialise(list), CKR_OK);
	dlclose(library);
	TRUE(!loaded(build_path("consumers/consumer-1.so")));
	IS(work(&b), CKR_OK);
	library = dlopen(build_path("consumers/consumer-1.so"), RTLD_NOW);
	consumer = dlsym(library, "consumer");
	list = consumer->list(consumer->load(build_path(MOCK)));
	IS(consumer->initialise(list), CKR_OK);
	IS(list->C_Finalize(NULL), CKR_OK);
	IS(work(&b), CKR_OK);
	IS(finalise(&b), CKR_OK);
}

/* ---- C10: process exit */

static struct user exiting;
static CK_SESSION_HANDLE exiting_session;

/* After the module's own destructors: the mock aborts if any call reaches it. */
static void call_at_exit_after(void)
{
	IS(slots_of(&exiting), CKR_CRYPTOKI_NOT_INITIALIZED);
	IS(exiting.list->C_CloseSession(exiting_session), CKR_CRYPTOKI_NOT_INITIALIZED);
	IS(finalise(&exiting), CKR_OK);
}

static void handler_before_load(void)
{
	atexit(call_at_exit_after);
	setenv("MOCK_OPTIONS", "destructor=1", 1);
	exiting = user_of(1, MOCK);
	IS(initialise(&exiting), CKR_OK);
	exiting_session = open_on(&exiting, 0);
}

static bool in_destructor;

__attribute__((destructor)) static void call_in_destructor(void)
{
	if (in_destructor)
		call_at_exit_after();
}

static void destructor_of_program(void)
{
	in_destructor = true;
	setenv("MOCK_OPTIONS", "destructor=1", 1);
	exiting = user_of(1, MOCK);
	IS(initialise(&exiting), CKR_OK);
	exiting_session = open_on(&exiting, 0);
}

/* Before them: forwarded. */
static void call_at_exit_before(void)
{
	IS(work(&exiting), CKR_OK);
	IS(finalise(&exiting), CKR_OK);
	EQUAL(exiting.mock.get("finalise_done"), 1);
}

static void handler_after_load(void)
{
	setenv("MOCK_OPTIONS", "destructor=1", 1);
	exiting = user_of(1, MOCK);
	IS(initialise(&exiting), CKR_OK);
	atexit(call_at_exit_before);
}

/* A module that cannot destroy itself is called to the end. */
static void immortal_module(void)
{
	atexit(call_at_exit_before);
	exiting = user_of(1, "mock/mock-immortal.so");
	IS(initialise(&exiting), CKR_OK);
}

static void report_at_exit(void)
{
	printf("finalise_done %ld\n", exiting.mock.get("finalise_done"));
}

/* With at-exit = finalize, whatever was left initialised is finalised. */
static void left_initialised(void)
{
	struct user b;

	atexit(report_at_exit);
	setenv("MOCK_OPTIONS", "destructor=1", 1);
	exiting = user_of(1, MOCK);
	b = user_of(2, MOCK);
	IS(initialise(&exiting), CKR_OK);
	IS(initialise(&b), CKR_OK);
	open_on(&b, 0);
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
	        {"C3-surplus-finalise", surplus_finalise},
	        {"C4-finalised-view", finalised_view},
	        {"C4-not-initialised-by-anybody", not_initialised_by_anybody},
	        {"C4-borrowing", borrowing},
	        {"C5-failing-initialise", failing_initialise},
	        {"C2-failing-finalise", failing_finalise},
	        {"C6-initialised-by-somebody-unseen", initialised_by_somebody_unseen},
	        {"C7-nests-itself", nests_itself},
	        {"C7-nests-itself-for-good", nests_itself_for_good},
	        {"C7-nests-another", nests_another},
	        {"C7-nests-in-a-circle", nests_in_a_circle},
	        {"C7-forks-in-initialise", forks_in_initialise},
	        {"C7-forks-in-initialise-and-goes-on", forks_in_initialise_and_goes_on},
	        {"C8-os-locking-is-asked-for", os_locking_is_asked_for},
	        {"C8-single-threaded-first", single_threaded_first},
	        {"C8-callbacks-where-needed", callbacks_where_needed},
	        {"C8-arguments-are-kept", arguments_are_kept},
	        {"C8-longer-arguments", longer_arguments},
	        {"C8-malformed-arguments", malformed_arguments},
	        {"C8-ladder", ladder},
	        {"C8-cannot-lock", cannot_lock},
	        {"C8-null-only", null_only},
	        {"C8-serialize-yes", serialize_yes},
	        {"C9-unload-is-real", unload_is_real},
	        {"C9-another-at-its-place", another_at_its_place},
	        {"C9-replaced-on-disk", replaced_on_disk},
	        {"C9-consumer-unloaded", consumer_unloaded},
	        {"C10-handler-before-load", handler_before_load},
	        {"C10-destructor-of-program", destructor_of_program},
	        {"C10-handler-after-load", handler_after_load},
	        {"C10-immortal-module", immortal_module},
	        {"C10-left-initialised", left_initialised},
	        {NULL, NULL},
	};

	return run_case(cases, argc, argv);
}
