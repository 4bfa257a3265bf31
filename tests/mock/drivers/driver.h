/*
 * driver.h: what the test programs beside it share. Each is a table of cases;
 * `program CASE` runs one and exits 0, or says what it expected and exits 1.
 *
 * Modules are mock modules below the build directory; consumers are loaded
 * with load_consumer(). A driver says what it saw on the module's side through
 * mock_get(), reached by struct mock.
 */
#ifndef DRIVER_H
#define DRIVER_H

#include "consumer.h"
#include "mock.h"
#include <errno.h>
#include <signal.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/wait.h>
#include <time.h>

/* ---- return values by name */

static const char *name_of(CK_RV rv)
{
	static _Thread_local char other[32];

	switch (rv) {
#define RETURN(name) \
	case name:   \
		return #name;
#include "standard/returns.def"
	}
	snprintf(other, sizeof other, "0x%lx", rv);
	return other;
}

__attribute__((noreturn)) static void stop(void)
{
	fflush(NULL);
	_exit(1); /* at once: exit handlers belong to some of the tests */
}

/* IS(expression, expected) for return values, EQUAL for numbers and pointers, TRUE for the rest. */
#define IS(actual, expected) is(__FILE__, __LINE__, #actual, (actual), (expected))
#define EQUAL(actual, expected) equal(__FILE__, __LINE__, #actual, (long)(actual), (long)(expected))
#define TRUE(condition) EQUAL(!!(condition), 1)

__attribute__((unused)) static void is(const char *file, int line, const char *what, CK_RV actual,
                                       CK_RV expected)
{
	if (actual == expected)
		return;
	fprintf(stderr, "%s:%d: %s: expected %s, ", file, line, what, name_of(expected));
	fprintf(stderr, "got %s\n", name_of(actual));
	stop();
}

__attribute__((unused)) static void equal(const char *file, int line, const char *what, long actual,
                                          long expected)
{
	if (actual == expected)
		return;
	fprintf(stderr, "%s:%d: %s: expected %ld (0x%lx), got %ld (0x%lx)\n", file, line, what, expected,
	        (unsigned long)expected, actual, (unsigned long)actual);
	stop();
}

/* ---- a loaded mock module, seen from behind */

struct mock {
	long (*get)(const char *);
	void (*set)(const char *, long);
	void (*set_text)(const char *, const char *);
	void (*event)(CK_SLOT_ID);
	void (*last_call)(struct mock_call *);
};

/* By a handle of a loaded mock module. */
__attribute__((unused)) static struct mock behind(void *module)
{
	struct mock mock;

	mock.get = (long (*)(const char *))(uintptr_t)dlsym(module, "mock_get");
	mock.set = (void (*)(const char *, long))(uintptr_t)dlsym(module, "mock_set");
	mock.set_text = (void (*)(const char *, const char *))(uintptr_t)dlsym(module, "mock_set_text");
	mock.event = (void (*)(CK_SLOT_ID))(uintptr_t)dlsym(module, "mock_event");
	mock.last_call = (void (*)(struct mock_call *))(uintptr_t)dlsym(module, "mock_last_call");
	TRUE(mock.get);
	return mock;
}

#define MOCK "mock/mock.so"

/* A consumer's module and list, for tests that need no more. */
struct user {
	const struct consumer *consumer;
	void *module;
	CK_FUNCTION_LIST *list;
	struct mock mock;
};

/* By a path as it is, and of any module: nothing is known of what is behind it. */
__attribute__((unused)) static struct user user_at(const struct consumer *consumer, const char *module)
{
	struct user user = {.consumer = consumer, .module = consumer->load(module)};

	if (!user.module)
		fprintf(stderr, "%s\n", dlerror());
	TRUE(user.module);
	user.list = consumer->list(user.module);
	TRUE(user.list);
	return user;
}

__attribute__((unused)) static struct user user_of(int consumer, const char *module)
{
	const struct consumer *by = load_consumer(consumer); /* first: it uses build_path() too */
	struct user user = user_at(by, module[0] == '/' ? module : build_path(module));

	user.mock = behind(user.module);
	return user;
}

__attribute__((unused)) static CK_RV initialise(struct user *user)
{
	return user->consumer->initialise(user->list);
}

__attribute__((unused)) static CK_RV finalise(struct user *user)
{
	return user->consumer->finalise(user->list);
}

__attribute__((unused)) static CK_SESSION_HANDLE open_on(struct user *user, CK_SLOT_ID slot)
{
	CK_SESSION_HANDLE session = 0;

	IS(user->consumer->open(user->list, slot, &session), CKR_OK);
	return session;
}

/* Log in, unless somebody is. */
__attribute__((unused)) static void login(struct user *user, CK_SESSION_HANDLE session)
{
	CK_RV rv = user->consumer->login(user->list, session, MOCK_PIN);

	if (rv != CKR_USER_ALREADY_LOGGED_IN)
		IS(rv, CKR_OK);
}

/* CKR_OK also means that the signature is right. */
__attribute__((unused)) static CK_RV sign_on(struct user *user, CK_SESSION_HANDLE session, CK_SLOT_ID slot)
{
	static const char data[] = "some data";
	CK_BYTE signature[MOCK_SIGNATURE_SIZE], right[MOCK_SIGNATURE_SIZE];
	CK_ULONG size = sizeof signature;
	CK_RV rv = user->consumer->sign(user->list, session, data, sizeof data, signature, &size);

	if (rv != CKR_OK)
		return rv;
	mock_signature(slot, data, sizeof data, right);
	return size == sizeof right && !memcmp(signature, right, size) ? CKR_OK : CKR_SIGNATURE_INVALID;
}

__attribute__((unused)) static CK_RV session_is(struct user *user, CK_SESSION_HANDLE session)
{
	CK_SESSION_INFO info;

	return user->list->C_GetSessionInfo(session, &info);
}

__attribute__((unused)) static CK_RV slots_of(struct user *user)
{
	CK_ULONG count = 0;

	return user->list->C_GetSlotList(CK_TRUE, NULL, &count);
}

/* Everything at once: open, log in, sign, close. */
__attribute__((unused)) static CK_RV work(struct user *user)
{
	CK_SESSION_HANDLE session;
	CK_RV rv = user->consumer->open(user->list, 0, &session);

	if (rv != CKR_OK)
		return rv;
	rv = user->consumer->login(user->list, session, MOCK_PIN);
	if (rv == CKR_OK || rv == CKR_USER_ALREADY_LOGGED_IN)
		rv = sign_on(user, session, 0);
	user->list->C_CloseSession(session);
	return rv;
}

__attribute__((unused)) static bool loaded(const char *path)
{
	void *handle = dlopen(path, RTLD_NOW | RTLD_NOLOAD);

	if (handle)
		dlclose(handle);
	return handle;
}

/* A mock module's whole life: loaded, asked, initialised, used, finalised, unloaded. */
__attribute__((unused)) static void use_once(const struct consumer *consumer, const char *path)
{
	struct user a = user_at(consumer, path);

	a.mock = behind(a.module);
	EQUAL(a.mock.get("calls"), 0);
	IS(slots_of(&a), CKR_CRYPTOKI_NOT_INITIALIZED);
	IS(initialise(&a), CKR_OK);
	IS(work(&a), CKR_OK);
	IS(finalise(&a), CKR_OK);
	EQUAL(a.mock.get("initialise_done"), 1);
	EQUAL(a.mock.get("finalise_done"), 1);
	EQUAL(consumer->unload(a.module), 0);
	TRUE(!loaded(path));
	IS(slots_of(&a), CKR_CRYPTOKI_NOT_INITIALIZED);
}

/* ---- a loaded mock/tiny.so (tests/mock/tiny.c) */

#define TINY "mock/tiny.so"

__attribute__((unused)) static struct user user_of_tiny(int consumer)
{
	const struct consumer *by = load_consumer(consumer);

	return user_at(by, build_path(TINY));
}

/* Each of its lists has a C_GetInfo that answers a number of its own. */
__attribute__((unused)) static CK_RV answer_of(const void *list)
{
	return ((const CK_FUNCTION_LIST *)list)->C_GetInfo(NULL);
}

/* ---- any function, with words for parameters */

/* Every function of calls.def has at most ten parameters, each of which is one word. */
__attribute__((unused)) static CK_RV call_with(const void *function, const uintptr_t *w)
{
	typedef CK_RV (*any)(uintptr_t, uintptr_t, uintptr_t, uintptr_t, uintptr_t, uintptr_t, uintptr_t,
	                     uintptr_t, uintptr_t, uintptr_t);

	return ((any)(uintptr_t)function)(w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7], w[8], w[9]);
}

static const char *const function_names[MOCK_FUNCTIONS] = {
#define CALL(name, ...) #name,
#include "standard/calls.def"
};

/* How many functions a list of that version has. */
__attribute__((unused)) static int functions_of(CK_VERSION version)
{
	size_t size = version.major < 3   ? sizeof(CK_FUNCTION_LIST)
	              : version.minor < 2 ? sizeof(CK_FUNCTION_LIST_3_0)
	                                  : sizeof(CK_FUNCTION_LIST_3_2);

	return (int)((size - offsetof(CK_FUNCTION_LIST, C_Initialize)) / sizeof(void *));
}

/* The n-th entry of a list. */
__attribute__((unused)) static void *entry_of(const void *list, int n)
{
	void *entry;

	memcpy(&entry,
	       (const char *)list + offsetof(CK_FUNCTION_LIST, C_Initialize) + (size_t)n * sizeof entry,
	       sizeof entry);
	return entry;
}

/* Is it one that speaks of life cycle or lists, and so has rules of its own? */
__attribute__((unused)) static bool about_life_or_lists(int function)
{
	return function == MOCK_C_Initialize || function == MOCK_C_Finalize ||
	       function == MOCK_C_GetFunctionList || function == MOCK_C_GetInterface ||
	       function == MOCK_C_GetInterfaceList;
}

/* ---- threads and processes */

__attribute__((unused)) static pthread_t start(void *(*run)(void *), void *argument)
{
	pthread_t thread;

	EQUAL(pthread_create(&thread, NULL, run, argument), 0);
	return thread;
}

/* Seconds after which something counts as hung. Generous: a machine may be busy. */
enum { PATIENCE = 60 };

/* Seconds, from a clock that nobody sets. */
__attribute__((unused)) static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* Has this been for less than twenty seconds? A loop of many rounds then has fewer on a busy machine. */
__attribute__((unused)) static bool in_time(void)
{
	static double began;

	if (began == 0)
		began = now();
	return now() - began < 20;
}

/* Run something in a forked child, which has to exit 0; a hang of it ends too. */
__attribute__((unused)) static void in_child(void (*run)(void *), void *argument)
{
	int status = 0;
	pid_t child = fork();

	if (child == 0) {
		alarm(PATIENCE);
		run(argument);
		fflush(NULL);
		_exit(0);
	}
	TRUE(child > 0);
	while (waitpid(child, &status, 0) < 0)
		EQUAL(errno, EINTR);
	if (status) {
		fprintf(stderr, "the child ended with %s %d\n",
		        WIFSIGNALED(status) ? "signal" : "exit status",
		        WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
		stop();
	}
}

/* ---- threads that use a module, round after round */

enum { THREADS = 8 };

struct racer {
	struct user user;
	pthread_barrier_t *barrier; /* of all, before each round, or NULL */
	int rounds;
};

__attribute__((unused)) static void *race(void *argument)
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

/* THREADS of them, of as many consumers as is said. */
__attribute__((unused)) static void race_all(int consumers, int rounds, pthread_barrier_t *barrier)
{
	static struct racer racers[THREADS];
	pthread_t threads[THREADS];

	for (int i = 0; i < THREADS; i++)
		racers[i] = (struct racer){user_of(1 + i % consumers, MOCK), barrier, rounds};
	for (int i = 0; i < THREADS; i++)
		threads[i] = start(race, &racers[i]);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}

/* Three consumers, each thread at its own pace or all at the same moment; the module ends as it began. */
__attribute__((unused)) static void racing(bool together)
{
	pthread_barrier_t barrier;
	struct mock mock;

	pthread_barrier_init(&barrier, NULL, THREADS);
	race_all(3, 200, together ? &barrier : NULL);
	mock = user_of(1, MOCK).mock;
	EQUAL(mock.get("initialise_done"), mock.get("finalise_done"));
	EQUAL(mock.get("sessions"), 0);
	EQUAL(mock.get("state"), 0);
}

/* ---- copies of files, for more consumers or modules than were built */

__attribute__((unused)) static void copy_file(const char *from, const char *to)
{
	char block[65536];
	FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
	size_t size;

	if (!in || !out)
		fprintf(stderr, "cannot copy %s to %s\n", from, to);
	TRUE(in && out);
	while ((size = fread(block, 1, sizeof block, in)))
		EQUAL(fwrite(block, 1, size, out), size);
	fclose(in);
	EQUAL(fclose(out), 0);
}

/* A directory for them, named on the command line after the case. */
static const char *scratch;

/* ---- main */

struct test_case {
	const char *name;
	void (*run)(void);
};

static int run_case(const struct test_case *cases, int argc, char **argv)
{
	if (argc < 2) {
		for (; cases->name; cases++)
			puts(cases->name);
		return 0;
	}
	if (argc > 2)
		scratch = argv[2];
	alarm(PATIENCE + 50); /* the time-out of bats/helper.bash comes later */
	for (; cases->name; cases++) {
		if (strcmp(cases->name, argv[1]))
			continue;
		cases->run();
		return 0;
	}
	fprintf(stderr, "no case %s\n", argv[1]);
	return 2;
}

#endif
