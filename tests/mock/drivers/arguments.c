/*
 * arguments.c: contract C8, the arguments of C_Initialize: what consumers give,
 * what modules take and what they refuse, and who is serialised. Cases are named
 * after the clause.
 */
#include "driver.h"
#include <sys/mman.h>

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
	return pthread_mutex_lock(mutex) ? CKR_MUTEX_BAD : CKR_OK;
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

static char parameters[] = "configdir='sql:x'";

/* ---- what a module is given */

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
	struct user a = user_of(4, MOCK);

	IS(a.list->C_Initialize(NULL), CKR_OK);
	a.mock.set("slow_call_us", 200);
	race_all(1, 20, NULL);
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

/* ---- what it refuses, one thing at a time; failures that have another cause */

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

static void refused_otherwise(void)
{
	static const CK_RV refusals[] = {CKR_FUNCTION_NOT_SUPPORTED, CKR_ARGUMENTS_BAD,
	                                 CKR_NEED_TO_CREATE_THREADS};
	CK_C_INITIALIZE_ARGS plain = {0}, callbacks = with_callbacks;
	struct user a = user_of(1, MOCK);
	long lives = 0;

	for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
		a.mock.set("fail_init", (long)refusals[i]);

		a.mock.set("fail_init_times", 1);
		IS(a.list->C_Initialize(NULL), CKR_OK);
		EQUAL(a.mock.get("arguments"), 0);
		IS(work(&a), CKR_OK);
		IS(finalise(&a), CKR_OK);

		a.mock.set("fail_init_times", 1);
		IS(a.list->C_Initialize(&plain), CKR_OK);
		TRUE(a.mock.get("arguments"));
		EQUAL(a.mock.get("flags"), 0);
		EQUAL(a.mock.get("locking"), MOCK_NO_LOCKING);
		IS(work(&a), CKR_OK);
		IS(finalise(&a), CKR_OK);

		a.mock.set("fail_init_times", 1);
		IS(a.list->C_Initialize(&callbacks), CKR_OK);
		EQUAL(a.mock.get("locking"), MOCK_CALLBACKS);
		IS(work(&a), CKR_OK);
		IS(finalise(&a), CKR_OK);

		a.mock.set("fail_init_times", -1); /* whatever it is given */
		IS(a.list->C_Initialize(NULL), refusals[i]);
		IS(slots_of(&a), CKR_CRYPTOKI_NOT_INITIALIZED);
		IS(finalise(&a), CKR_CRYPTOKI_NOT_INITIALIZED);
		EQUAL(a.mock.get("finalise_done"), lives += 3);
		EQUAL(a.mock.get("initialise_done"), lives);
	}
	EQUAL(callback_calls, 0);
}

/* The device is away, say: asking again would only double the wait. */
static void failed_otherwise(void)
{
	static const CK_RV failures[] = {CKR_GENERAL_ERROR, CKR_FUNCTION_FAILED, CKR_DEVICE_ERROR};
	CK_C_INITIALIZE_ARGS callbacks = with_callbacks;
	struct user a = user_of(1, MOCK);
	long calls = 0;

	for (size_t i = 0; i < sizeof failures / sizeof failures[0]; i++) {
		a.mock.set("fail_init", (long)failures[i]);
		a.mock.set("fail_init_times", -1);
		IS(a.list->C_Initialize(NULL), failures[i]);
		EQUAL(a.mock.get("initialise_calls"), calls += 1);
		IS(a.list->C_Initialize(&callbacks), failures[i]);
		EQUAL(a.mock.get("initialise_calls"), calls += 1);
		IS(slots_of(&a), CKR_CRYPTOKI_NOT_INITIALIZED);

		a.mock.set("fail_init", 0); /* and now it is there */
		IS(a.list->C_Initialize(NULL), CKR_OK);
		EQUAL(a.mock.get("initialise_calls"), calls += 1);
		IS(work(&a), CKR_OK);
		IS(finalise(&a), CKR_OK);
	}
	EQUAL(callback_calls, 0);
}

/* ---- one call at a time */

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
	struct user a;

	setenv("MOCK_OPTIONS", "refuse_any_args=1,slow_call_us=50", 1);
	a = user_of(4, MOCK);
	IS(a.list->C_Initialize(NULL), CKR_OK);
	race_all(3, 50, NULL);
	IS(finalise(&a), CKR_OK);
	EQUAL(a.mock.get("most_inside"), 1);
}

static void serialize_yes(void)
{
	setenv("MOCK_OPTIONS", "slow_call_us=50", 1);
	racing(false);
	EQUAL(user_of(1, MOCK).mock.get("most_inside"), 1);
}

/* ---- every form of arguments with every set of refusals */

enum { NULL_FORM = 1 << 4, FORMS = NULL_FORM + 1 }; /* bits: the two flags, callbacks, a string */

static CK_C_INITIALIZE_ARGS form_of(int form)
{
	CK_C_INITIALIZE_ARGS args = {0};

	if (form & 4)
		args = with_callbacks;
	args.flags = form & 3;
	if (form & 8)
		args.pReserved = parameters;
	return args;
}

static const char *const refusals[] = {"refuse_os_locking", "refuse_callbacks", "refuse_null",
                                       "refuse_any_args",   "refuse_flags_0",   "refuse_reserved",
                                       "need_reserved",     "cannot_lock",      "need_threads"};
enum { REFUSALS = sizeof refusals / sizeof refusals[0], SETS = 1 << REFUSALS };
enum {
	OS_LOCKING_REFUSED = 1,
	CALLBACKS_REFUSED = 2,
	NULL_REFUSED = 4,
	ANY_ARGS_REFUSED = 8,
	FLAGS_0_REFUSED = 16,
	RESERVED_REFUSED = 32,
	RESERVED_NEEDED = 64,
	LOCKING_REFUSED = 128,
	THREADS_NEEDED = 256
};

/* Would the module take these as they are? From options.def. */
static bool taken_as_given(int form, int refused)
{
	bool os = form & CKF_OS_LOCKING_OK, callbacks = form & 4, string = form & 8;

	if (form == NULL_FORM)
		return !(refused & (NULL_REFUSED | RESERVED_NEEDED));
	if (refused & (ANY_ARGS_REFUSED | LOCKING_REFUSED) || (string && refused & RESERVED_REFUSED) ||
	    (!string && refused & RESERVED_NEEDED))
		return false;
	if (form & CKF_LIBRARY_CANT_CREATE_OS_THREADS && refused & THREADS_NEEDED)
		return false;
	return os && callbacks ? true
	       : os            ? !(refused & OS_LOCKING_REFUSED)
	       : callbacks     ? !(refused & CALLBACKS_REFUSED)
	                       : !(refused & FLAGS_0_REFUSED);
}

/*
 * What a module takes as it is given it still takes, and another consumer comes
 * along. What it does not take may still be refused; then it counts for nothing.
 */
static void all_refusals(void)
{
	struct user a = user_of(1, MOCK), b = user_of(2, MOCK);
	long helped = 0;

	for (int refused = 0; refused < SETS; refused++) {
		for (int i = 0; i < REFUSALS; i++)
			a.mock.set(refusals[i], refused >> i & 1);
		for (int form = 0; form < FORMS; form++) {
			CK_C_INITIALIZE_ARGS args = form_of(form);
			CK_RV rv = a.list->C_Initialize(form == NULL_FORM ? NULL : &args);

			if (rv != CKR_OK) {
				if (taken_as_given(form, refused))
					fprintf(stderr, "form 0x%x, refused 0x%x\n", form, refused);
				TRUE(!taken_as_given(form, refused));
				EQUAL(a.mock.get("state"), 0);
				IS(finalise(&a), CKR_CRYPTOKI_NOT_INITIALIZED);
				continue;
			}
			helped += !taken_as_given(form, refused);
			IS(initialise(&b), CKR_OK);
			IS(slots_of(&a), CKR_OK);
			IS(finalise(&a), CKR_OK);
			IS(slots_of(&b), CKR_OK);
			IS(finalise(&b), CKR_OK);
		}
	}
	EQUAL(a.mock.get("initialise_done"), a.mock.get("finalise_done"));
	printf("%ld that the module would not have taken\n", helped);
}

/* ---- a module that wants a string, and a consumer that has none */

static void only_one_has_the_string(void)
{
	struct user a = user_of(1, MOCK), b = user_of(2, MOCK);
	CK_C_INITIALIZE_ARGS with = {.flags = CKF_OS_LOCKING_OK, .pReserved = parameters};

	a.mock.set("need_reserved", 1);
	IS(a.list->C_Initialize(NULL), CKR_ARGUMENTS_BAD);
	IS(initialise(&a), CKR_ARGUMENTS_BAD);
	IS(b.list->C_Initialize(&with), CKR_OK);
	IS(a.list->C_Initialize(NULL), CKR_OK); /* now that it is there */
	IS(initialise(&a), CKR_OK);
	EQUAL(a.mock.get("reserved"), parameters);
	IS(finalise(&b), CKR_OK);
	IS(work(&a), CKR_OK);
	IS(finalise(&a), CKR_OK);
	IS(work(&a), CKR_OK);
	IS(finalise(&a), CKR_OK);
	EQUAL(a.mock.get("initialise_done"), 1);
	EQUAL(a.mock.get("finalise_done"), 1);
	IS(initialise(&a), CKR_ARGUMENTS_BAD); /* nobody else's string is used for it */
}

struct worker {
	struct user user;
	int rounds;
};

static void *do_work(void *argument)
{
	struct worker *w = argument;

	IS(initialise(&w->user), CKR_OK);
	for (int i = 0; i < w->rounds; i++)
		IS(work(&w->user), CKR_OK);
	IS(finalise(&w->user), CKR_OK);
	return NULL;
}

/* It wants its string but can do no locking: it gets the string, and one call at a time. */
static void string_and_no_locking(void)
{
	static struct worker workers[4];
	pthread_t threads[4];
	struct user a = user_of(4, MOCK);
	CK_C_INITIALIZE_ARGS with = {.flags = CKF_OS_LOCKING_OK, .pReserved = parameters};

	a.mock.set("need_reserved", 1);
	a.mock.set("refuse_os_locking", 1);
	a.mock.set("refuse_callbacks", 1);
	a.mock.set("slow_call_us", 50);
	IS(a.list->C_Initialize(&with), CKR_OK);
	EQUAL(a.mock.get("locking"), MOCK_NO_LOCKING);
	EQUAL(a.mock.get("reserved"), parameters);
	for (int i = 0; i < 4; i++)
		workers[i] = (struct worker){user_of(1 + i % 3, MOCK), 20};
	for (int i = 0; i < 4; i++)
		threads[i] = start(do_work, &workers[i]);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	EQUAL(a.mock.get("most_inside"), 1);
	IS(finalise(&a), CKR_OK);
}

/* ---- later consumers */

/* A second consumer's arguments reach nobody, but must be legal; then it counts for nothing. */
static void malformed_second(void)
{
	struct user a = user_of(1, MOCK), b = user_of(2, MOCK);

	IS(initialise(&a), CKR_OK);
	for (int missing = 0; missing < 4; missing++) {
		CK_C_INITIALIZE_ARGS args = form_of(4 | missing % 2);

		memset((char *)&args + (size_t)missing * sizeof(void *), 0, sizeof(void *));
		IS(b.list->C_Initialize(&args), CKR_ARGUMENTS_BAD);
		IS(a.list->C_Initialize(&args), CKR_ARGUMENTS_BAD);
	}
	IS(finalise(&b), CKR_CRYPTOKI_NOT_INITIALIZED);
	IS(work(&a), CKR_OK);
	IS(finalise(&a), CKR_OK);
	EQUAL(a.mock.get("finalise_done"), 1);
	EQUAL(callback_calls, 0);
}

/* A module that must have threads, and a consumer that forbids them: refused, and only that consumer. */
static void threads_are_needed(void)
{
	struct user a = user_of(1, MOCK), b = user_of(2, MOCK);
	CK_C_INITIALIZE_ARGS no_threads = form_of(CKF_LIBRARY_CANT_CREATE_OS_THREADS | CKF_OS_LOCKING_OK);

	a.mock.set("need_threads", 1);
	IS(a.list->C_Initialize(&no_threads), CKR_NEED_TO_CREATE_THREADS);
	IS(initialise(&b), CKR_OK);
	IS(work(&b), CKR_OK);
	IS(finalise(&b), CKR_OK);
	EQUAL(a.mock.get("initialise_done"), 1);
}

/* The next life has its own first consumer: what the module was given before counts no more. */
static void anew_each_time(void)
{
	struct user a = user_of(1, MOCK), b = user_of(2, MOCK);
	CK_C_INITIALIZE_ARGS callbacks = form_of(4), string = form_of(8);

	a.mock.set("refuse_os_locking", 1);
	IS(a.list->C_Initialize(&callbacks), CKR_OK);
	EQUAL(a.mock.get("locking"), MOCK_CALLBACKS);
	IS(finalise(&a), CKR_OK);
	a.mock.set("refuse_os_locking", 0);
	IS(b.list->C_Initialize(&string), CKR_OK);
	EQUAL(a.mock.get("locking"), MOCK_OS_LOCKING);
	EQUAL(a.mock.get("reserved"), parameters);
	IS(finalise(&b), CKR_OK);
	IS(a.list->C_Initialize(NULL), CKR_OK);
	EQUAL(a.mock.get("locking"), MOCK_OS_LOCKING);
	EQUAL(a.mock.get("flags"), CKF_OS_LOCKING_OK);
	EQUAL(a.mock.get("reserved"), 0);
	IS(finalise(&a), CKR_OK);
}

int main(int argc, char **argv)
{
	static const struct test_case cases[] = {
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
	        {"C8-refused-otherwise", refused_otherwise},
	        {"C8-failed-otherwise", failed_otherwise},
	        {"C8-all-refusals", all_refusals},
	        {"C8-only-one-has-the-string", only_one_has_the_string},
	        {"C8-string-and-no-locking", string_and_no_locking},
	        {"C8-malformed-second", malformed_second},
	        {"C8-threads-are-needed", threads_are_needed},
	        {"C8-anew-each-time", anew_each_time},
	        {NULL, NULL},
	};

	return run_case(cases, argc, argv);
}
