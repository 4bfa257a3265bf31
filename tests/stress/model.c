/*
 * model.c: random commands of several consumers on several threads, one at a
 * time, each answer compared with a reference model of the contract (B1, C1 to
 * C6, C8, C9, D1, D2).
 *
 *   model --module PATH [--steps 20000] [--seed N] [--consumers 3] [--threads 4]
 *         [--pin 1234]
 *
 * The model, in full:
 *
 *   The module is mapped while a consumer has it loaded or a view has it
 *   initialised; it is up while a view's count is above zero. A view is usable
 *   if its count is above zero, or if it never finalised (since the module was
 *   loaded) and the module is up: it borrows. Every other call answers
 *   CKR_CRYPTOKI_NOT_INITIALIZED.
 *   C_Initialize of well-formed arguments: CKR_OK and one more, but when the
 *   module is down and fails. C_Finalize: one less, or NOT_INITIALIZED at zero.
 *   A session belongs to the view that opened it; a view's last finalise and
 *   its C_CloseAllSessions close its own. When the module goes down all are gone.
 *   Login is the token's, and ends with its last session.
 *
 * Sessions are looked up by number, so that a module may give a number again.
 * On the mock its own state is compared with the model's, too.
 *
 * Exit status 0: all as expected. 1: not so; the seed, the step, the last
 * commands, and what was expected are printed. A hang ends by SIGALRM.
 */
#include "consumer.h"
#include "mock.h"
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <time.h>

enum { MOST_CONSUMERS = 4, MOST_THREADS = 16, MOST_SESSIONS = 64, MOST_LISTS = 4, HISTORY = 40 };

static const char *module_path, *pin = MOCK_PIN;
static unsigned long seed, steps = 20000, step;
static unsigned consumer_count = 3, thread_count = 4;

/* ---- the model */

struct view {
	unsigned count;
	bool finalised;
};

struct session {
	CK_SESSION_HANDLE handle; /* of the last session that had this place; 0 never used */
	bool open;
	int owner, slot;
};

static struct {
	bool mapped, up;
	long initialises, finalises; /* real ones since it was loaded */
	struct view views[MOST_CONSUMERS];
	struct session sessions[MOST_SESSIONS];
	int fail_next; /* how many real initialises will fail */
} model;

/* ---- the real thing */

struct side {
	const struct consumer *consumer;
	void *loaded; /* the consumer's file */
	void *handles[8];
	int handle_count;
	CK_FUNCTION_LIST *lists[MOST_LISTS];
	int list_count;
};
static struct side sides[MOST_CONSUMERS];
static CK_SLOT_ID slots[2];
static CK_ULONG slot_count;
static bool logged_in[2], is_mock, stays;
static CK_BYTE right[2][1024]; /* the signature of `data` by slot */
static CK_ULONG right_size[2];
static const char data[] = "what is signed";

/* ---- randomness, history, complaints */

static unsigned long random_state;

static unsigned long random_below(unsigned long limit)
{
	unsigned long z = random_state += 0x9e3779b97f4a7c15UL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9UL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebUL;
	return (z ^ z >> 31) % limit;
}

static char history[HISTORY][160];

static void note(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void note(const char *format, ...)
{
	va_list list;
	int size = snprintf(history[step % HISTORY], sizeof history[0], "%6lu  ", step);

	va_start(list, format);
	vsnprintf(history[step % HISTORY] + size, sizeof history[0] - (size_t)size, format, list);
	va_end(list);
}

static const char *name_of(CK_RV rv)
{
	switch (rv) {
#define RETURN(name) \
	case name:   \
		return #name;
#include "standard/returns.def"
	}
	return "another value";
}

__attribute__((noreturn)) static void wrong(const char *expected, const char *actual)
{
	unsigned long first = step < HISTORY ? 0 : step - HISTORY + 1;

	for (unsigned long i = first; i <= step; i++)
		fprintf(stderr, "%s\n", history[i % HISTORY]);
	for (unsigned i = 0; i < consumer_count; i++)
		fprintf(stderr, "        consumer %u: count %u%s, %d handles\n", i, model.views[i].count,
		        model.views[i].finalised ? ", finalised" : "", sides[i].handle_count);
	fprintf(stderr, "model: step %lu: expected %s, got %s; --seed %lu --steps %lu\n", step, expected,
	        actual, seed, steps);
	fflush(NULL);
	_exit(1);
}

static void expect(CK_RV rv, CK_RV expected)
{
	if (rv != expected)
		wrong(name_of(expected), name_of(rv));
}

static void expect_number(const char *what, long actual, long expected)
{
	char a[80], b[80];

	if (actual == expected)
		return;
	snprintf(a, sizeof a, "%s %ld", what, expected);
	snprintf(b, sizeof b, "%ld", actual);
	wrong(a, b);
}

/* ---- threads that do what they are told, one at a time */

struct order {
	void (*run)(int consumer);
	int consumer;
	bool over;
};

static pthread_mutex_t order_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t order_changed = PTHREAD_COND_INITIALIZER;
static struct order *orders[MOST_THREADS];

static void *worker(void *argument)
{
	size_t me = (size_t)argument;

	for (;;) {
		struct order *order;
		bool last;

		pthread_mutex_lock(&order_lock);
		while (!orders[me])
			pthread_cond_wait(&order_changed, &order_lock);
		order = orders[me];
		pthread_mutex_unlock(&order_lock);
		last = !order->run;
		if (!last)
			order->run(order->consumer);
		pthread_mutex_lock(&order_lock);
		order->over = true;
		orders[me] = NULL;
		pthread_cond_broadcast(&order_changed);
		pthread_mutex_unlock(&order_lock);
		if (last)
			return NULL;
	}
}

static void let(size_t thread, void (*run)(int), int consumer)
{
	struct order order = {run, consumer, false};

	pthread_mutex_lock(&order_lock);
	orders[thread] = &order;
	pthread_cond_broadcast(&order_changed);
	while (!order.over)
		pthread_cond_wait(&order_changed, &order_lock);
	pthread_mutex_unlock(&order_lock);
}

/* ---- what the model says of sessions */

static struct session *find_open(CK_SESSION_HANDLE handle)
{
	for (int i = 0; i < MOST_SESSIONS; i++)
		if (model.sessions[i].open && model.sessions[i].handle == handle)
			return &model.sessions[i];
	return NULL;
}

static long open_on(int slot)
{
	long count = 0;

	for (int i = 0; i < MOST_SESSIONS; i++)
		count += model.sessions[i].open && (slot < 0 || model.sessions[i].slot == slot);
	return count;
}

static void end_logins(void)
{
	for (int i = 0; i < 2; i++)
		if (!open_on(i))
			logged_in[i] = false;
}

/* owner, slot: -1 for any */
static void close_in_model(int owner, int slot)
{
	for (int i = 0; i < MOST_SESSIONS; i++) {
		struct session *s = &model.sessions[i];

		if ((owner < 0 || s->owner == owner) && (slot < 0 || s->slot == slot))
			s->open = false;
	}
	end_logins();
}

static bool usable(int c)
{
	return model.up && (model.views[c].count || !model.views[c].finalised);
}

static CK_FUNCTION_LIST *any_list(int c)
{
	return sides[c].lists[random_below((unsigned long)sides[c].list_count)];
}

/* A number to try: some session, open or not, whose ever; or one that never was. */
static CK_SESSION_HANDLE any_session(void)
{
	for (int tries = 0; tries < 8; tries++) {
		struct session *s = &model.sessions[random_below(MOST_SESSIONS)];

		if (s->handle && (s->open || tries > 5))
			return s->handle;
	}
	return 0x7fffffff;
}

/* ---- loading and unloading */

static bool is_loaded(void)
{
	void *handle = dlopen(module_path, RTLD_NOW | RTLD_NOLOAD);

	if (handle)
		dlclose(handle);
	return handle;
}

/* Some libraries are never unloaded, used or not: C++ may make them so. The mock is none. */
static void see_whether_it_stays(void)
{
	void *module = dlopen(module_path, RTLD_NOW | RTLD_LOCAL);
	bool mock = module && dlsym(module, "mock_get");

	if (module)
		dlclose(module);
	stays = !mock && is_loaded();
}

static int all_handles(void)
{
	int count = 0;

	for (unsigned i = 0; i < consumer_count; i++)
		count += sides[i].handle_count;
	return count;
}

static void maybe_unmapped(void)
{
	if (all_handles() || model.up || stays)
		return;
	model.mapped = false;
	for (unsigned i = 0; i < consumer_count; i++)
		sides[i].list_count = sides[i].list_count ? 1 : 0; /* one stale list to go on trying */
	if (is_loaded())
		wrong("the module unloaded", "it is still there");
}

static void ask_for_list(int c)
{
	struct side *side = &sides[c];
	void *module = side->handles[random_below((unsigned long)side->handle_count)];
	CK_FUNCTION_LIST *list = NULL;

	if (random_below(3) == 0) {
		list = side->consumer->list_3(module, 0, 0); /* the standard's lists begin alike */
		if (!list)
			return;
	} else {
		expect(side->consumer->ask_list(module, &list), CKR_OK);
	}
	for (int i = 0; i < side->list_count; i++)
		if (side->lists[i] == list)
			return;
	if (side->list_count == MOST_LISTS)
		wrong("the same lists again", "yet another list");
	side->lists[side->list_count++] = list;
}

static void load(int c)
{
	struct side *side = &sides[c];
	void *module;

	note("consumer %d: load", c);
	if (side->handle_count == 8)
		return;
	module = side->consumer->load(module_path);
	if (!module)
		wrong("the module loaded", dlerror());
	side->handles[side->handle_count++] = module;
	if (!model.mapped) { /* new: nobody has finalised it yet */
		model.mapped = true;
		model.initialises = model.finalises = 0;
		model.fail_next = 0;
		for (unsigned i = 0; i < consumer_count; i++) {
			model.views[i].finalised = false;
			sides[i].list_count = 0; /* they are of the former one */
		}
	}
	if (!side->list_count)
		ask_for_list(c);
}

static void unload(int c)
{
	struct side *side = &sides[c];

	note("consumer %d: unload", c);
	if (!side->handle_count)
		return;
	expect_number("dlclose", side->consumer->unload(side->handles[--side->handle_count]), 0);
	maybe_unmapped();
}

static void unload_all(int unused)
{
	(void)unused;
	note("all consumers: unload");
	for (unsigned i = 0; i < consumer_count; i++)
		while (sides[i].handle_count)
			sides[i].consumer->unload(sides[i].handles[--sides[i].handle_count]);
	maybe_unmapped();
}

static void open_consumer(int c)
{
	char name[64];

	snprintf(name, sizeof name, "consumers/consumer-%d.so", c + 1);
	sides[c].loaded = dlopen(build_path(name), RTLD_NOW | RTLD_LOCAL);
	if (!sides[c].loaded)
		wrong("the consumer loaded", dlerror());
	sides[c].consumer = dlsym(sides[c].loaded, "consumer");
}

/* The consumer's own library is unloaded, and loaded again; it has the same view. */
static void reload_consumer(int c)
{
	note("consumer %d: is unloaded and loaded again", c);
	dlclose(sides[c].loaded);
	open_consumer(c);
	if (sides[c].handle_count)
		ask_for_list(c);
}

static void list_again(int c)
{
	note("consumer %d: function list again", c);
	if (sides[c].handle_count)
		ask_for_list(c);
}

/* ---- life cycle */

static CK_RV no_mutex(CK_VOID_PTR_PTR mutex)
{
	static int one;

	*mutex = &one;
	return CKR_OK;
}

static CK_RV nothing(CK_VOID_PTR mutex)
{
	(void)mutex;
	return CKR_OK;
}

static void initialise(int c)
{
	CK_C_INITIALIZE_ARGS args = {0};
	unsigned long form = random_below(7);
	CK_RV rv, expected = CKR_OK;
	struct view *view = &model.views[c];

	note("consumer %d: C_Initialize, form %lu", c, form);
	if (!sides[c].list_count)
		return;
	if (form == 2 || form == 4)
		args.flags |= CKF_OS_LOCKING_OK;
	if (form >= 3) {
		args.CreateMutex = no_mutex;
		args.DestroyMutex = args.LockMutex = args.UnlockMutex = nothing;
	}
	if (form == 5)
		args.LockMutex = NULL;
	if (form == 6)
		args.flags = CKF_LIBRARY_CANT_CREATE_OS_THREADS;
	rv = any_list(c)->C_Initialize(form == 0 ? NULL : &args);
	memset(&args, 0xee, sizeof args);
	if (!model.mapped) { /* a list kept beyond its module's end */
		if (rv == CKR_OK)
			wrong("an error", "CKR_OK");
		return;
	}
	if (form == 5)
		expected = CKR_ARGUMENTS_BAD;
	else if (!model.up && model.fail_next)
		expected = CKR_DEVICE_ERROR;
	expect(rv, expected);
	if (expected == CKR_DEVICE_ERROR)
		model.fail_next--;
	if (rv != CKR_OK)
		return;
	if (!model.up)
		model.initialises++;
	model.up = true;
	view->count++;
	view->finalised = false;
}

static void finalise(int c)
{
	struct view *view = &model.views[c];
	CK_RV rv;

	note("consumer %d: C_Finalize", c);
	if (!sides[c].list_count)
		return;
	rv = any_list(c)->C_Finalize(NULL);
	expect(rv, view->count ? CKR_OK : CKR_CRYPTOKI_NOT_INITIALIZED);
	if (rv != CKR_OK || --view->count)
		return;
	view->finalised = true;
	close_in_model(c, -1);
	for (unsigned i = 0; i < consumer_count; i++)
		if (model.views[i].count)
			return;
	model.up = false;
	model.finalises++;
	close_in_model(-1, -1);
	maybe_unmapped();
}

/* The mock will fail to initialise. */
static void fail_next(int c)
{
	void (*set)(const char *, long);

	note("the next C_Initialize fails");
	if (!is_mock || !sides[c].handle_count)
		return;
	set = (void (*)(const char *, long))(uintptr_t)dlsym(sides[c].handles[0], "mock_set");
	model.fail_next = (int)random_below(3);
	set("fail_init", CKR_DEVICE_ERROR);
	set("fail_init_times", model.fail_next);
}

/* ---- calls */

static void get_slot_list(int c)
{
	CK_SLOT_ID found[64];
	CK_ULONG count = 64;
	CK_RV rv;

	note("consumer %d: C_GetSlotList", c);
	if (!sides[c].list_count)
		return;
	rv = any_list(c)->C_GetSlotList(CK_TRUE, found, &count);
	expect(rv, usable(c) ? CKR_OK : CKR_CRYPTOKI_NOT_INITIALIZED);
}

static void open_session(int c)
{
	struct session *free = NULL;
	CK_SESSION_HANDLE handle;
	int slot = (int)random_below(slot_count);

	note("consumer %d: C_OpenSession on slot %d", c, slot);
	for (int tries = 0; tries < 100 && (!free || free->open); tries++)
		free = &model.sessions[random_below(MOST_SESSIONS)];
	if (free->open || !sides[c].list_count)
		return;
	expect(sides[c].consumer->open(any_list(c), slots[slot], &handle),
	       usable(c) ? CKR_OK : CKR_CRYPTOKI_NOT_INITIALIZED);
	if (!usable(c))
		return;
	note("consumer %d: C_OpenSession on slot %d -> %lu", c, slot, handle);
	if (find_open(handle))
		wrong("a new session number", "that of an open session");
	*free = (struct session){handle, true, c, slot};
}

static void close_session(int c)
{
	CK_SESSION_HANDLE handle = any_session();
	struct session *s = find_open(handle);

	note("consumer %d: C_CloseSession %lu (%s)", c, handle,
	     !s              ? "not open"
	     : s->owner == c ? "its own"
	                     : "another's");
	if (!sides[c].list_count)
		return;
	expect(any_list(c)->C_CloseSession(handle), !usable(c) ? CKR_CRYPTOKI_NOT_INITIALIZED
	                                            : s        ? CKR_OK
	                                                       : CKR_SESSION_HANDLE_INVALID);
	if (!usable(c) || !s)
		return;
	s->open = false;
	end_logins();
}

static void close_all(int c)
{
	int slot = (int)random_below(slot_count);

	note("consumer %d: C_CloseAllSessions of slot %d", c, slot);
	if (!sides[c].list_count)
		return;
	expect(any_list(c)->C_CloseAllSessions(slots[slot]),
	       usable(c) ? CKR_OK : CKR_CRYPTOKI_NOT_INITIALIZED);
	if (usable(c))
		close_in_model(c, slot);
}

static void session_info(int c)
{
	CK_SESSION_HANDLE handle = any_session();
	struct session *s = find_open(handle);
	CK_SESSION_INFO info;

	note("consumer %d: C_GetSessionInfo %lu (%s)", c, handle, s ? "open" : "not open");
	if (!sides[c].list_count)
		return;
	expect(any_list(c)->C_GetSessionInfo(handle, &info), !usable(c) ? CKR_CRYPTOKI_NOT_INITIALIZED
	                                                     : s        ? CKR_OK
	                                                                : CKR_SESSION_HANDLE_INVALID);
	if (!usable(c) || !s)
		return;
	expect_number("slot", (long)info.slotID, (long)slots[s->slot]);
	expect_number("state", (long)info.state,
	              logged_in[s->slot] ? CKS_RW_USER_FUNCTIONS : CKS_RW_PUBLIC_SESSION);
}

static void login(int c)
{
	CK_SESSION_HANDLE handle = any_session();
	struct session *s = find_open(handle);
	bool wrong_pin = random_below(8) == 0;
	CK_RV expected = CKR_OK;

	note("consumer %d: C_Login %lu%s", c, handle, wrong_pin ? " with a wrong PIN" : "");
	if (!sides[c].list_count)
		return;
	if (!usable(c))
		expected = CKR_CRYPTOKI_NOT_INITIALIZED;
	else if (!s)
		expected = CKR_SESSION_HANDLE_INVALID;
	else if (logged_in[s->slot])
		expected = CKR_USER_ALREADY_LOGGED_IN;
	else if (wrong_pin)
		expected = CKR_PIN_INCORRECT;
	expect(sides[c].consumer->login(any_list(c), handle, wrong_pin ? "9999" : pin), expected);
	if (expected == CKR_OK)
		logged_in[s->slot] = true;
}

static void logout(int c)
{
	CK_SESSION_HANDLE handle = any_session();
	struct session *s = find_open(handle);
	CK_RV rv, expected = CKR_OK;

	note("consumer %d: C_Logout %lu", c, handle);
	if (!sides[c].list_count)
		return;
	if (!usable(c))
		expected = CKR_CRYPTOKI_NOT_INITIALIZED;
	else if (!s)
		expected = CKR_SESSION_HANDLE_INVALID;
	else if (is_mock && !logged_in[s->slot])
		expected = CKR_USER_NOT_LOGGED_IN;
	rv = any_list(c)->C_Logout(handle); /* SoftHSM: OK even if nobody is logged in */
	expect(rv, expected);
	if (expected == CKR_OK)
		logged_in[s->slot] = false;
}

static void sign(int c)
{
	CK_SESSION_HANDLE handle = any_session();
	struct session *s = find_open(handle);
	CK_BYTE signature[1024];
	CK_ULONG size = sizeof signature;
	CK_RV expected = CKR_OK;

	note("consumer %d: sign with %lu", c, handle);
	if (!sides[c].list_count)
		return;
	if (!usable(c))
		expected = CKR_CRYPTOKI_NOT_INITIALIZED;
	else if (!s)
		expected = CKR_SESSION_HANDLE_INVALID;
	else if (!logged_in[s->slot])
		expected = CKR_USER_NOT_LOGGED_IN; /* by consumer.c, which finds no key */
	expect(sides[c].consumer->sign(any_list(c), handle, data, sizeof data, signature, &size), expected);
	if (expected == CKR_OK && (size != right_size[s->slot] || memcmp(signature, right[s->slot], size)))
		wrong("the right signature", "another");
}

/* ---- what the mock itself says */

static void compare_with_mock(void)
{
	void *module;
	long (*get)(const char *);

	if (!is_mock || !model.mapped)
		return;
	module = dlopen(module_path, RTLD_NOW | RTLD_NOLOAD);
	if (!module)
		wrong("the module loaded", "it is gone");
	get = (long (*)(const char *))(uintptr_t)dlsym(module, "mock_get");
	expect_number("state of the module", get("state"), model.up ? 2 : 0);
	expect_number("real initialises", get("initialise_done"), model.initialises);
	expect_number("real finalises", get("finalise_done"), model.finalises);
	expect_number("sessions in the module", get("sessions"), open_on(-1));
	expect_number("logged in, by slot", get("logged_in"), logged_in[0] | logged_in[1] << 1);
	if (model.up)
		expect_number("locking given", get("locking"), MOCK_OS_LOCKING);
	dlclose(module);
}

/* ---- main */

static const struct {
	void (*run)(int consumer);
	unsigned weight;
} commands[] = {
        {initialise, 12},   {finalise, 12},  {get_slot_list, 6},   {open_session, 14},
        {close_session, 8}, {close_all, 3},  {session_info, 10},   {login, 8},
        {logout, 2},        {sign, 12},      {list_again, 3},      {load, 3},
        {unload, 3},        {unload_all, 1}, {reload_consumer, 1}, {fail_next, 1},
};

static void random_command(void)
{
	unsigned long total = 0, pick;

	for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
		total += commands[i].weight;
	pick = random_below(total);
	for (size_t i = 0;; i++) {
		if (pick < commands[i].weight) {
			let(random_below(thread_count), commands[i].run, (int)random_below(consumer_count));
			return;
		}
		pick -= commands[i].weight;
	}
}

/* By a consumer of its own: which slots to use, and the right signatures. */
static void prepare(void)
{
	const struct consumer *first = load_consumer(4);
	void *module = first->load(module_path);
	CK_FUNCTION_LIST *list = module ? first->list(module) : NULL;
	CK_SLOT_ID found[64];
	CK_ULONG count = 64;

	note("preparing");
	if (!list)
		wrong("a module", module ? "no list" : dlerror());
	is_mock = dlsym(module, "mock_get");
	expect(first->initialise(list), CKR_OK);
	expect(list->C_GetSlotList(CK_TRUE, found, &count), CKR_OK);
	for (CK_ULONG i = 0; i < count && slot_count < 2; i++) {
		CK_SESSION_HANDLE session;

		right_size[slot_count] = sizeof right[0];
		if (first->open(list, found[i], &session) != CKR_OK ||
		    first->login(list, session, pin) != CKR_OK ||
		    first->sign(list, session, data, sizeof data, right[slot_count],
		                &right_size[slot_count]) != CKR_OK)
			continue;
		slots[slot_count++] = found[i];
	}
	if (!slot_count)
		wrong("a token with a key", "none");
	expect(first->finalise(list), CKR_OK);
	first->unload(module);
}

static void hang(int signal)
{
	(void)signal;
	wrong("an answer", "none in 20 s");
}

static void options(int argc, char **argv)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	seed = (unsigned long)now.tv_nsec ^ (unsigned long)now.tv_sec << 20 ^ (unsigned long)getpid();
	for (int i = 1; i + 1 < argc; i += 2) {
		const char *value = argv[i + 1];

		if (!strcmp(argv[i], "--module"))
			module_path = value;
		else if (!strcmp(argv[i], "--steps"))
			steps = strtoul(value, NULL, 0);
		else if (!strcmp(argv[i], "--seed"))
			seed = strtoul(value, NULL, 0);
		else if (!strcmp(argv[i], "--consumers"))
			consumer_count = (unsigned)strtoul(value, NULL, 0);
		else if (!strcmp(argv[i], "--threads"))
			thread_count = (unsigned)strtoul(value, NULL, 0);
		else if (!strcmp(argv[i], "--pin"))
			pin = value;
		else
			module_path = NULL, i = argc;
	}
	if (module_path && consumer_count && consumer_count < MOST_CONSUMERS && thread_count &&
	    thread_count <= MOST_THREADS)
		return;
	fprintf(stderr,
	        "usage: model --module PATH [--steps N] [--seed N] [--consumers 1-3] [--threads 1-16] "
	        "[--pin PIN]\n");
	exit(2);
}

int main(int argc, char **argv)
{
	pthread_t threads[MOST_THREADS];

	options(argc, argv);
	printf("model: %s, %u consumers, %u threads, --seed %lu --steps %lu\n", module_path, consumer_count,
	       thread_count, seed, steps);
	fflush(stdout);
	random_state = seed;
	signal(SIGALRM, hang);
	see_whether_it_stays();
	prepare();
	for (unsigned i = 0; i < consumer_count; i++)
		open_consumer((int)i);
	for (size_t i = 0; i < thread_count; i++)
		if (pthread_create(&threads[i], NULL, worker, (void *)i))
			wrong("a thread", "none");
	for (step = 1; step <= steps; step++) {
		alarm(60);
		random_command();
		if (random_below(4) == 0)
			compare_with_mock();
	}
	for (unsigned i = 0; i < consumer_count; i++)
		while (model.views[i].count)
			let(0, finalise, (int)i);
	compare_with_mock();
	let(0, unload_all, 0);
	for (size_t i = 0; i < thread_count; i++) {
		let(i, NULL, 0);
		pthread_join(threads[i], NULL);
	}
	printf("model: %lu steps, all as expected\n", steps);
	return 0;
}
