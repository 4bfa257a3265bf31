/*
 * bench: what a PKCS #11 call, a lookup and a fork cost with and without the
 * shim, and beside other layers that put themselves between a program and its
 * module. Times in nanoseconds.
 *
 *   bench [--json] [--rounds N] [--shim LIBRARY] [--empty LIBRARY] MODULE
 *   bench --count HOST SUBJECT OPERATION N MODULE   only makes N calls, for callgrind
 *   bench --list                                    names of hosts, subjects, operations
 *
 * Terms:
 *   operation  what is repeated: one row of a table
 *   subject    one way to the module, normally a function list: one column
 *   host       a process environment that holds one or more subjects
 *
 * Every host is a process of its own, started anew in every round, so that
 * the rounds of all hosts interleave and each draws new addresses. Inside a
 * host the subjects take turns, batch by batch. "raw" is the module's own list
 * inside the process that has the shim: "shim" minus "raw" is the gate and
 * nothing else.
 *
 * Each process reports the best and the median of its batches; a table shows
 * the median of the medians and the best of the bests. What does not depend on
 * luck is counted in instructions by instructions.sh instead.
 *
 * Lines "figure NAME VALUE" at the end are for scripts/bench.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "standard/pkcs11.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

enum {
	MAX_ROUNDS = 64,
	MAX_SAMPLES = 400,
	MAX_SUBJECTS = 4,             /* in one host */
	BATCH_NS = 30 * 1000,         /* a batch is long against the clock, short against the scheduler */
	BUDGET_NS = 12 * 1000 * 1000, /* for one operation on one subject in one process */
	FORK_BUDGET_NS = 60 * 1000 * 1000,
	MAX_OTHERS = 10000, /* open sessions */
};

static void fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

static void fail(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	fputs("bench: ", stderr);
	vfprintf(stderr, format, arguments);
	fputc('\n', stderr);
	va_end(arguments);
	exit(1);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Sorts values. */
static double median(double *values, unsigned count)
{
	qsort(values, count, sizeof(*values), compare_doubles);
	return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

/* ---- subjects */

struct subject {
	const char *name;
	void *module;           /* handle for lookups */
	CK_FUNCTION_LIST *list; /* NULL where there is only the process to measure */
	CK_SLOT_ID slot;
	CK_SESSION_HANDLE session;
	struct others *others; /* open sessions besides; set by start() */
};

static CK_C_INITIALIZE_ARGS os_locking = {.flags = CKF_OS_LOCKING_OK};

static void *load(const char *path)
{
	void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);

	if (handle == NULL)
		fail("%s", dlerror());
	return handle;
}

static CK_FUNCTION_LIST *function_list(void *handle)
{
	CK_RV (*get)(CK_FUNCTION_LIST_PTR_PTR) = (CK_C_GetFunctionList)dlsym(handle, "C_GetFunctionList");
	CK_FUNCTION_LIST *list = NULL;

	if (get == NULL || get(&list) != CKR_OK)
		fail("no function list");
	return list;
}

static CK_FUNCTION_LIST *interface_list(void *handle, CK_VERSION version)
{
	CK_C_GetInterface get = (CK_C_GetInterface)dlsym(handle, "C_GetInterface");
	CK_INTERFACE *interface = NULL;

	if (get == NULL || get((CK_UTF8CHAR_PTR) "PKCS 11", &version, &interface, 0) != CKR_OK)
		return NULL;
	return interface->pFunctionList;
}

static CK_FUNCTION_LIST *raw_list(void *handle)
{
	CK_FUNCTION_LIST *(*get)(void) = (CK_FUNCTION_LIST * (*)(void)) dlsym(handle, "null_raw_list");

	return get == NULL ? NULL : get();
}

/*
 * "forwarder": the least that a wrapper in plain C can be, one that compares a
 * fork generation and calls on. Only what is measured is wrapped.
 */
static struct {
	CK_FUNCTION_LIST list, *target;
	_Atomic unsigned long forks;
	unsigned long seen;
} forwarder;

static void forwarder_in_child(void)
{
	atomic_fetch_add(&forwarder.forks, 1);
}

static __attribute__((noinline, cold)) void forwarder_forked(void)
{
	forwarder.seen = atomic_load(&forwarder.forks);
	forwarder.target->C_Initialize(&os_locking);
}

static inline CK_FUNCTION_LIST *forward(void)
{
	if (__builtin_expect(atomic_load_explicit(&forwarder.forks, memory_order_relaxed) != forwarder.seen,
	                     0))
		forwarder_forked();
	return forwarder.target;
}

static CK_RV forward_get_session_info(CK_SESSION_HANDLE session, CK_SESSION_INFO_PTR info)
{
	return forward()->C_GetSessionInfo(session, info);
}

static CK_RV forward_sign_update(CK_SESSION_HANDLE session, CK_BYTE_PTR part, CK_ULONG length)
{
	return forward()->C_SignUpdate(session, part, length);
}

static CK_RV forward_get_slot_list(CK_BBOOL present, CK_SLOT_ID_PTR slots, CK_ULONG_PTR count)
{
	return forward()->C_GetSlotList(present, slots, count);
}

static CK_RV forward_generate_random(CK_SESSION_HANDLE session, CK_BYTE_PTR data, CK_ULONG length)
{
	return forward()->C_GenerateRandom(session, data, length);
}

static CK_FUNCTION_LIST *forwarder_list(CK_FUNCTION_LIST *target)
{
	forwarder.list = *target;
	forwarder.target = target;
	forwarder.list.C_GetSessionInfo = forward_get_session_info;
	forwarder.list.C_SignUpdate = forward_sign_update;
	forwarder.list.C_GetSlotList = forward_get_slot_list;
	forwarder.list.C_GenerateRandom = forward_generate_random;
	pthread_atfork(NULL, NULL, forwarder_in_child);
	return &forwarder.list;
}

/* ---- hosts: each opens its subjects, the main one first, and returns their number or 0 for "not here" */

static unsigned open_plain(const char *module, struct subject *subjects)
{
	void *handle = load(module);
	CK_FUNCTION_LIST *list = function_list(handle);

	subjects[0] = (struct subject){.name = "direct", .module = handle, .list = list};
	subjects[1] = (struct subject){.name = "forwarder", .module = handle, .list = forwarder_list(list)};
	return 2;
}

static unsigned open_empty(const char *module, struct subject *subjects)
{
	subjects[0] = (struct subject){.name = "empty", .module = load(module)};
	return 1;
}

static unsigned open_shim(const char *module, struct subject *subjects)
{
	void *handle = load(module);
	CK_FUNCTION_LIST *raw = raw_list(handle);
	CK_FUNCTION_LIST *newest = interface_list(handle, (CK_VERSION){3, 2});
	unsigned count = 0;

	subjects[count++] = (struct subject){.name = "shim", .module = handle, .list = function_list(handle)};
	if (subjects[0].list == raw)
		fail("the shim did not divert C_GetFunctionList");
	if (raw != NULL)
		subjects[count++] = (struct subject){.name = "raw", .module = handle, .list = raw};
	if (newest != NULL)
		subjects[count++] = (struct subject){.name = "shim-3.2", .module = handle, .list = newest};
	return count;
}

/* A module that cannot lock: the shim lets one call in at a time. */
static unsigned open_serialised(const char *module, struct subject *subjects)
{
	open_shim(module, subjects);
	subjects[0].name = "serialised";
	return 1;
}

/* Every call recorded, to where spy writes too; and life-cycle events alone. */
static unsigned open_traced(const char *module, struct subject *subjects)
{
	open_shim(module, subjects);
	subjects[0].name = "traced";
	return 1;
}

static unsigned open_logged(const char *module, struct subject *subjects)
{
	open_shim(module, subjects);
	subjects[0].name = "logged";
	return 1;
}

static unsigned open_managed(const char *module, struct subject *subjects)
{
	void *library = dlopen("libp11-kit.so.0", RTLD_NOW | RTLD_LOCAL);
	CK_FUNCTION_LIST *(*module_load)(const char *, int) = NULL;

	if (library != NULL)
		module_load =
		        (CK_FUNCTION_LIST * (*)(const char *, int)) dlsym(library, "p11_kit_module_load");
	if (module_load == NULL)
		return 0;
	subjects[0] =
	        (struct subject){.name = "managed", .module = load(module), .list = module_load(module, 0)};
	return subjects[0].list != NULL;
}

static void write_file(const char *directory, const char *name, const char *key, const char *value)
{
	char path[PATH_MAX + 64];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	file = fopen(path, "w");
	if (file == NULL || fprintf(file, "%s: %s\n", key, value) < 0 || fclose(file) != 0)
		fail("%s: %s", path, strerror(errno));
}

/*
 * Gives the proxy this one module. p11-kit reads no user's settings for root,
 * so root becomes nobody first; the module is loaded already by then, wherever
 * it lies. The parent made the directory and removes it.
 */
static void configure_p11_kit(const char *module)
{
	const char *settings = getenv("XDG_CONFIG_HOME");
	char pkcs11[PATH_MAX], modules[PATH_MAX + 16];

	if (settings == NULL)
		fail("no directory for the proxy's settings");
	load(module);
	snprintf(pkcs11, sizeof(pkcs11), "%s/pkcs11", settings);
	snprintf(modules, sizeof(modules), "%s/modules", pkcs11);
	mkdir(pkcs11, 0755);
	mkdir(modules, 0755);
	write_file(pkcs11, "pkcs11.conf", "user-config", "only");
	write_file(modules, "bench.module", "module", module);
	if (geteuid() == 0 && (chmod(settings, 0755) != 0 || setresuid(65534, 65534, 65534) != 0))
		fail("cannot become nobody: %s", strerror(errno));
}

static unsigned open_layer(const char *name, const char *file, struct subject *subjects)
{
	void *handle = dlopen(file, RTLD_NOW | RTLD_LOCAL);

	if (handle == NULL)
		return 0;
	subjects[0] = (struct subject){.name = name, .module = handle, .list = function_list(handle)};
	return 1;
}

static unsigned open_proxy(const char *module, struct subject *subjects)
{
	configure_p11_kit(module);
	return open_layer("proxy", "p11-kit-proxy.so", subjects);
}

static unsigned open_spy(const char *module, struct subject *subjects)
{
	setenv("PKCS11SPY", module, 1);
	setenv("PKCS11SPY_OUTPUT", "/dev/null", 1);
	return open_layer("spy", "pkcs11-spy.so", subjects);
}

/*
 * A further way to run the shim (recording, say) is one more line here, with
 * the settings it needs as "NAME=VALUE", and a column below.
 */
static const struct host {
	const char *name;
	unsigned (*open)(const char *module, struct subject *subjects);
	enum { NO_PRELOAD, EMPTY_LIBRARY, SHIM_LIBRARY } preload;
	char *setting;
} hosts[] = {
        {"plain", open_plain, NO_PRELOAD, NULL},
        {"empty", open_empty, EMPTY_LIBRARY, NULL},
        {"shim", open_shim, SHIM_LIBRARY, NULL},
        {"managed", open_managed, NO_PRELOAD, NULL},
        {"proxy", open_proxy, NO_PRELOAD, NULL},
        {"spy", open_spy, NO_PRELOAD, NULL},
        {"serialised", open_serialised, SHIM_LIBRARY, "P11SHIM_SERIALIZE=yes"},
        {"traced", open_traced, SHIM_LIBRARY, "P11SHIM_TRACE=/dev/null"},
        {"logged", open_logged, SHIM_LIBRARY, "P11SHIM_LOG=/dev/null"},
};

static const char *const columns[] = {"direct",  "forwarder", "raw", "shim",       "shim-3.2", "empty",
                                      "managed", "proxy",     "spy", "serialised", "traced",   "logged"};

/* ---- what is repeated */

/* Eight at a time, so that the loop itself weighs next to nothing; calls is a multiple of eight. */
#define BARRIER __asm__ volatile("" ::: "memory")
#define TWICE(statement) \
	statement;       \
	BARRIER;         \
	statement;       \
	BARRIER
#define REPEAT(calls, statement)                                  \
	for (unsigned long left = (calls); left > 0; left -= 8) { \
		TWICE(statement);                                 \
		TWICE(statement);                                 \
		TWICE(statement);                                 \
		TWICE(statement);                                 \
	}
#define LOOP __attribute__((noinline, aligned(64))) static void

LOOP loop_nothing(const struct subject *s, unsigned long calls)
{
	(void)s;
	REPEAT(calls, (void)0)
}

LOOP loop_session_info(const struct subject *s, unsigned long calls)
{
	CK_FUNCTION_LIST *list = s->list;
	CK_SESSION_HANDLE session = s->session;
	CK_SESSION_INFO info;

	REPEAT(calls, list->C_GetSessionInfo(session, &info))
}

LOOP loop_sign_update(const struct subject *s, unsigned long calls)
{
	CK_FUNCTION_LIST *list = s->list;
	CK_SESSION_HANDLE session = s->session;
	CK_BYTE data[32] = {0};

	REPEAT(calls, list->C_SignUpdate(session, data, sizeof(data)))
}

LOOP loop_slot_list(const struct subject *s, unsigned long calls)
{
	CK_FUNCTION_LIST *list = s->list;
	CK_SLOT_ID slots[16];
	CK_ULONG count = COUNT_OF(slots);

	REPEAT(calls, list->C_GetSlotList(CK_TRUE, slots, &count))
}

LOOP loop_generate_random(const struct subject *s, unsigned long calls)
{
	CK_FUNCTION_LIST *list = s->list;
	CK_SESSION_HANDLE session = s->session;
	CK_BYTE data[16];

	REPEAT(calls, list->C_GenerateRandom(session, data, sizeof(data)))
}

LOOP loop_initialise(const struct subject *s, unsigned long calls)
{
	CK_FUNCTION_LIST *list = s->list;

	REPEAT(calls, (list->C_Initialize(&os_locking), list->C_Finalize(NULL)))
}

LOOP loop_nested(const struct subject *s, unsigned long calls)
{
	CK_FUNCTION_LIST *list = s->list;

	REPEAT(calls, list->C_Initialize(&os_locking))
}

LOOP loop_open_close(const struct subject *s, unsigned long calls)
{
	CK_FUNCTION_LIST *list = s->list;
	CK_SESSION_HANDLE session = 0;
	CK_SLOT_ID slot = s->slot;

	REPEAT(calls, (list->C_OpenSession(slot, CKF_SERIAL_SESSION, NULL, NULL, &session),
	               list->C_CloseSession(session)))
}

LOOP loop_dlsym_default(const struct subject *s, unsigned long calls)
{
	(void)s;
	REPEAT(calls, dlsym(RTLD_DEFAULT, "malloc"))
}

LOOP loop_dlsym_libm(const struct subject *s, unsigned long calls)
{
	static void *libm;

	(void)s;
	if (libm == NULL)
		libm = load("libm.so.6");
	REPEAT(calls, dlsym(libm, "cos"))
}

LOOP loop_dlsym_list(const struct subject *s, unsigned long calls)
{
	void *module = s->module;

	REPEAT(calls, function_list(module))
}

LOOP loop_dlopen(const struct subject *s, unsigned long calls)
{
	(void)s;
	REPEAT(calls, dlclose(load("libc.so.6")))
}

/* ---- how it is timed: each returns nanoseconds per call */

struct operation {
	const char *name;
	enum { CALLS, THREADS, SESSIONS, INITIALISE, LOOKUP, FORKS, GROUPS } group;
	double (*time)(const struct operation *operation, const struct subject *subject, unsigned long calls);
	void (*loop)(const struct subject *subject, unsigned long calls);
};

/* One cycle: an addition that needs the result of the one before. */
static double cycle(void)
{
	double best = 1e9;

	for (unsigned i = 0; i < 20; i++) {
		double start = now(), each;
		unsigned long sum = 0;

		REPEAT(80000, sum++; __asm__ volatile("" : "+r"(sum)))
		each = (now() - start) / 80000;
		best = each < best ? each : best;
	}
	return best;
}

/* What one turn of an empty loop costs; set once in each host. */
static double empty_turn;

static void measure_empty_turn(void)
{
	empty_turn = 1e9;
	for (unsigned i = 0; i < 20; i++) {
		double start = now(), turn;

		loop_nothing(NULL, 80000);
		turn = (now() - start) / 80000;
		empty_turn = turn < empty_turn ? turn : empty_turn;
	}
}

static double time_loop(const struct operation *operation, const struct subject *subject, unsigned long calls)
{
	double start = now();

	operation->loop(subject, calls);
	return (now() - start) / (double)calls - empty_turn;
}

static void finalise_all(const struct subject *subject, unsigned long calls)
{
	while (calls-- > 0 && subject->list->C_Finalize(NULL) == CKR_OK)
		;
}

static double time_nested(const struct operation *operation, const struct subject *subject,
                          unsigned long calls)
{
	double result;

	subject->list->C_Initialize(&os_locking);
	result = time_loop(operation, subject, calls);
	finalise_all(subject, calls + 1);
	return result;
}

/* Sessions that are only there. */
struct others {
	unsigned count;
	CK_SESSION_HANDLE session[MAX_OTHERS];
};

/* False: the module has no room for so many. */
static bool have_others(const struct subject *subject, unsigned count)
{
	struct others *others = subject->others;

	for (; others->count < count; others->count++)
		if (subject->list->C_OpenSession(subject->slot, CKF_SERIAL_SESSION, NULL, NULL,
		                                 &others->session[others->count]) != CKR_OK)
			return false;
	while (others->count > count)
		subject->list->C_CloseSession(others->session[--others->count]);
	return true;
}

/* The others stay open for the next time. */
static double time_beside_10(const struct operation *operation, const struct subject *subject,
                             unsigned long calls)
{
	return have_others(subject, 10) ? time_loop(operation, subject, calls) : -1;
}

static double time_beside_10000(const struct operation *operation, const struct subject *subject,
                                unsigned long calls)
{
	return have_others(subject, MAX_OTHERS) ? time_loop(operation, subject, calls) : -1;
}

/* Two threads on two processors that start together; the mean of both. */
struct together {
	const struct operation *operation;
	const struct subject *subject;
	unsigned long calls;
	int processors[2];
	_Atomic unsigned ready;
};

struct runner {
	pthread_t thread;
	struct together *together;
	int processor;
	double result;
	char apart[128];
};

static void *run_together(void *argument)
{
	struct runner *runner = argument;
	struct together *together = runner->together;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((unsigned)runner->processor, &set);
	pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
	atomic_fetch_add(&together->ready, 1);
	while (atomic_load(&together->ready) < 2)
		;
	runner->result = time_loop(together->operation, together->subject, together->calls);
	return NULL;
}

static bool two_processors(int *processors)
{
	unsigned found = 0;
	cpu_set_t set;

	sched_getaffinity(0, sizeof(set), &set);
	for (int i = 0; i < CPU_SETSIZE && found < 2; i++)
		if (CPU_ISSET((unsigned)i, &set))
			processors[found++] = i;
	return found == 2;
}

static double time_threads(const struct operation *operation, const struct subject *subject,
                           unsigned long calls)
{
	struct together together = {.operation = operation, .subject = subject, .calls = calls};
	struct runner runners[2] = {0};

	if (!two_processors(together.processors))
		return -1;
	for (unsigned i = 0; i < 2; i++) {
		runners[i].together = &together;
		runners[i].processor = together.processors[i];
		if (pthread_create(&runners[i].thread, NULL, run_together, &runners[i]) != 0)
			fail("no thread");
	}
	for (unsigned i = 0; i < 2; i++)
		pthread_join(runners[i].thread, NULL);
	return (runners[0].result + runners[1].result) / 2;
}

/* What one child finds; it comes back through shared memory. */
struct in_child {
	double ns;
	double faults; /* pages that it had to ask the kernel for meanwhile */
};

static double faults_so_far(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (double)usage.ru_minflt;
}

static struct in_child in_child(void (*act)(const struct subject *), const struct subject *subject)
{
	static struct in_child *shared;
	pid_t child;
	int status;

	if (shared == NULL)
		shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		              0);
	if (shared == MAP_FAILED)
		fail("no memory");
	child = fork();
	if (child == 0) {
		double start, faults;

		*shared = (struct in_child){now(), faults_so_far()}; /* what only the measuring needs */
		faults = faults_so_far();
		start = now();
		act(subject);
		shared->ns = now() - start;
		shared->faults = faults_so_far() - faults;
		_exit(0);
	}
	if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
		fail("the child failed");
	return *shared;
}

/* fork() as the parent sees it. */
static double time_fork(const struct operation *operation, const struct subject *subject, unsigned long calls)
{
	double start = now(), end;
	pid_t child = fork();

	(void)operation, (void)subject, (void)calls;
	if (child == 0)
		_exit(0);
	end = now();
	if (child < 0 || waitpid(child, NULL, 0) != child)
		fail("no child");
	return end - start;
}

static double time_fork_and_wait(const struct operation *operation, const struct subject *subject,
                                 unsigned long calls)
{
	double start = now();

	time_fork(operation, subject, calls);
	return now() - start;
}

static void first_call(const struct subject *subject)
{
	CK_ULONG count = 0;

	subject->list->C_GetSlotList(CK_TRUE, NULL, &count);
}

static void initialise_and_call(const struct subject *subject)
{
	subject->list->C_Initialize(&os_locking);
	first_call(subject);
}

static double time_first_call(const struct operation *operation, const struct subject *subject,
                              unsigned long calls)
{
	(void)operation, (void)calls;
	return in_child(first_call, subject).ns;
}

static double count_first_call_faults(const struct operation *operation, const struct subject *subject,
                                      unsigned long calls)
{
	(void)operation, (void)calls;
	return in_child(first_call, subject).faults;
}

static double time_child_initialise(const struct operation *operation, const struct subject *subject,
                                    unsigned long calls)
{
	(void)operation, (void)calls;
	return in_child(initialise_and_call, subject).ns;
}

/*
 * What this machine charges a child for the least that it must have of a layer
 * which notices forks by memory that the kernel wipes: a page of its file, a
 * wiped page to look at, and the same to write to.
 */
static volatile char *wiped;
static const volatile char *file;

static void least_faults(const struct subject *subject)
{
	(void)subject;
	(void)*file;
	(void)*wiped;
	*wiped = 1;
}

static double time_least_faults(const struct operation *operation, const struct subject *subject,
                                unsigned long calls)
{
	struct in_child found;

	(void)operation, (void)calls;
	if (wiped == NULL) {
		size_t size = (size_t)sysconf(_SC_PAGESIZE);
		int own = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
		void *of_file = mmap(NULL, size, PROT_READ, MAP_PRIVATE, own, 0);
		void *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (page == MAP_FAILED || of_file == MAP_FAILED || madvise(page, size, MADV_WIPEONFORK) != 0)
			fail("no page that is wiped");
		close(own);
		file = of_file;
		wiped = page;
		*wiped = *file;
	}
	found = in_child(least_faults, subject);
	if (found.faults != 3)
		fail("three page faults were %.0f", found.faults);
	return found.ns;
}

static const struct operation operations[] = {
        {"C_GetSessionInfo", CALLS, time_loop, loop_session_info},
        {"C_SignUpdate(32)", CALLS, time_loop, loop_sign_update},
        {"C_GetSlotList", CALLS, time_loop, loop_slot_list},
        {"C_GenerateRandom(16)", CALLS, time_loop, loop_generate_random},
        {"C_GetSessionInfo/2t", THREADS, time_threads, loop_session_info},
        {"C_SignUpdate(32)/2t", THREADS, time_threads, loop_sign_update},
        {"C_GetSlotList/2t", THREADS, time_threads, loop_slot_list},
        {"C_GenerateRandom(16)/2t", THREADS, time_threads, loop_generate_random},
        {"open+close, 10 open", SESSIONS, time_beside_10, loop_open_close},
        {"open+close, 10000 open", SESSIONS, time_beside_10000, loop_open_close},
        {"C_Initialize+C_Finalize", INITIALISE, time_loop, loop_initialise},
        {"nested C_Initialize", INITIALISE, time_nested, loop_nested},
        {"dlsym(DEFAULT,malloc)", LOOKUP, time_loop, loop_dlsym_default},
        {"dlsym(libm,cos)", LOOKUP, time_loop, loop_dlsym_libm},
        {"dlopen+dlclose(libc)", LOOKUP, time_loop, loop_dlopen},
        {"dlsym+C_GetFunctionList", LOOKUP, time_loop, loop_dlsym_list},
        {"fork", FORKS, time_fork, NULL},
        {"fork+exit+wait", FORKS, time_fork_and_wait, NULL},
        {"child: first call", FORKS, time_first_call, NULL},
        {"child: ... page faults", FORKS, count_first_call_faults, NULL},
        {"child: C_Initialize+call", FORKS, time_child_initialise, NULL},
        {"child: 3 page faults", FORKS, time_least_faults, NULL},
};

static const char *const titles[GROUPS] = {
        [CALLS] = "Calls",
        [THREADS] = "Calls, two threads at once",
        [SESSIONS] = "Opening and closing a session while others are open",
        [INITIALISE] = "Initialising",
        [LOOKUP] = "Lookups",
        [FORKS] = "Fork",
};

/* ---- measuring one host: a child process */

static void start(struct subject *subject)
{
	CK_SLOT_ID slots[16] = {0};
	CK_ULONG count = COUNT_OF(slots);
	CK_RV rv = subject->list->C_Initialize(&os_locking);

	if (rv != CKR_OK && rv != CKR_CRYPTOKI_ALREADY_INITIALIZED)
		fail("%s: C_Initialize: 0x%lx", subject->name, rv);
	if (subject->list->C_GetSlotList(CK_TRUE, slots, &count) == CKR_OK && count > 0)
		subject->slot = slots[0];
	subject->list->C_OpenSession(subject->slot, CKF_SERIAL_SESSION, NULL, NULL, &subject->session);
	subject->others = calloc(1, sizeof(*subject->others));
	if (subject->others == NULL)
		fail("no memory");
}

/* Doubles the batch until it is long enough. */
static unsigned long calibrate(const struct operation *operation, const struct subject *subject)
{
	unsigned long calls = 8;

	while (calls < 1UL << 20 && operation->time(operation, subject, calls) * (double)calls < BATCH_NS)
		calls *= 2;
	return calls;
}

/* Subjects take turns until the time is used up; prints best and median of each. */
static void measure(const struct operation *operation, const struct subject *subjects, unsigned count)
{
	static double samples[MAX_SUBJECTS][MAX_SAMPLES];
	unsigned long calls[MAX_SUBJECTS];
	unsigned taken = 0;
	double end;

	for (unsigned i = 0; i < count; i++)
		calls[i] = calibrate(operation, &subjects[i]);
	end = now() + (double)(operation->group == FORKS ? FORK_BUDGET_NS : BUDGET_NS) * count;
	for (; taken < MAX_SAMPLES && (taken < 5 || now() < end); taken++)
		for (unsigned i = 0; i < count; i++)
			samples[i][taken] = operation->time(operation, &subjects[i], calls[i]);
	for (unsigned i = 0; i < count; i++) {
		double middle = median(samples[i], taken);

		if (samples[i][0] >= 0 || (operation->group != THREADS && operation->group != SESSIONS))
			printf("%s\t%s\t%.3f\t%.3f\n", subjects[i].name, operation->name, samples[i][0],
			       middle);
	}
}

static void measure_group(unsigned group, const struct subject *subjects, unsigned count)
{
	for (size_t i = 0; i < COUNT_OF(operations); i++)
		if (operations[i].group == group)
			measure(&operations[i], subjects, count);
}

static int run_host(const struct host *host, const char *module)
{
	struct subject subjects[MAX_SUBJECTS];
	unsigned count = host->open(module, subjects);

	if (count == 0)
		return 0;
	measure_empty_turn();
	if (host->open == open_plain || host->open == open_empty || host->open == open_shim)
		measure_group(LOOKUP, subjects, 1);
	if (subjects[0].list == NULL)
		return 0;
	measure_group(INITIALISE, subjects, 1);
	/* The main subject alone, before any thread, as a server that forks its workers has it. */
	start(&subjects[0]);
	measure_group(FORKS, subjects, 1);
	for (unsigned i = 1; i < count; i++)
		start(&subjects[i]);
	measure_group(CALLS, subjects, count);
	measure_group(THREADS, subjects, count);
	/* Of the shim one list, since all share one view's sessions. */
	measure_group(SESSIONS, subjects, host->open == open_shim && count > 2 ? 2 : 1);
	return 0;
}

static const struct operation *find_operation(const char *name)
{
	for (size_t i = 0; i < COUNT_OF(operations); i++)
		if (strcmp(operations[i].name, name) == 0)
			return &operations[i];
	fail("no operation %s", name);
}

static const struct host *find_host(const char *name)
{
	for (size_t i = 0; i < COUNT_OF(hosts); i++)
		if (strcmp(hosts[i].name, name) == 0)
			return &hosts[i];
	fail("no host %s", name);
}

/* Makes the calls and nothing else, in the environment as it is: whoever starts this preloads what is due. */
static int count_calls(const char *host, const char *name, const char *operation_name, const char *calls,
                       const char *module)
{
	const struct operation *operation = find_operation(operation_name);
	struct subject subjects[MAX_SUBJECTS];
	unsigned count = find_host(host)->open(module, subjects);

	for (unsigned i = 0; i < count; i++)
		if (strcmp(subjects[i].name, name) == 0) {
			if (operation->group == CALLS || operation->group == SESSIONS)
				start(&subjects[i]);
			if (operation->group == SESSIONS)
				operation->time(operation, &subjects[i], strtoul(calls, NULL, 10));
			else
				operation->loop(&subjects[i], strtoul(calls, NULL, 10));
			return 0;
		}
	fail("host %s has no subject %s", host, name);
}

/* ---- collecting: the parent process */

struct cell {
	double best, medians[MAX_ROUNDS];
	unsigned rounds;
};

static struct cell cells[COUNT_OF(operations)][COUNT_OF(columns)];

static int column(const char *name)
{
	for (size_t i = 0; i < COUNT_OF(columns); i++)
		if (strcmp(columns[i], name) == 0)
			return (int)i;
	fail("no column %s", name);
}

static struct cell *cell(const char *subject, const char *operation)
{
	return &cells[find_operation(operation) - operations][column(subject)];
}

static void take(char *line)
{
	char *subject = strtok(line, "\t\n"), *operation = strtok(NULL, "\t\n");
	char *best = strtok(NULL, "\t\n"), *middle = strtok(NULL, "\t\n");
	struct cell *to;

	if (middle == NULL)
		fail("a child says: %s", line);
	to = cell(subject, operation);
	if (to->rounds == 0 || strtod(best, NULL) < to->best)
		to->best = strtod(best, NULL);
	to->medians[to->rounds++] = strtod(middle, NULL);
}

static void become_host(const struct host *host, const char *preload, const char *module)
{
	char self[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (length < 0)
		_exit(127);
	self[length] = 0;
	unsetenv("LD_PRELOAD");
	if (preload != NULL)
		setenv("LD_PRELOAD", preload, 1);
	if (host->setting != NULL)
		putenv(host->setting);
	execl(self, "bench", "--host", host->name, module, (char *)NULL);
	_exit(127);
}

static void run_in_child(const struct host *host, const char *preload, const char *module)
{
	char *line = NULL;
	size_t size = 0;
	int ends[2], status;
	FILE *from;
	pid_t child;

	fflush(NULL);
	if (pipe(ends) != 0 || (child = fork()) < 0)
		fail("%s", strerror(errno));
	if (child == 0) {
		dup2(ends[1], STDOUT_FILENO);
		close(ends[0]);
		close(ends[1]);
		become_host(host, preload, module);
	}
	close(ends[1]);
	from = fdopen(ends[0], "r");
	while (from != NULL && getline(&line, &size, from) > 0)
		take(line);
	free(line);
	fclose(from);
	if (waitpid(child, &status, 0) != child || status != 0)
		fail("host %s failed (wait status 0x%x)", host->name, (unsigned)status);
}

/* Where the hosts look for a user's settings: empty but for what the proxy's host writes. */
static char home[] = "/tmp/p11shim-bench.XXXXXX";

static void remove_home(void)
{
	char command[64];

	snprintf(command, sizeof(command), "rm -rf %s", home);
	if (system(command) != 0)
		fprintf(stderr, "bench: cannot remove %s\n", home);
}

static void make_home(void)
{
	if (mkdtemp(home) == NULL)
		fail("%s: %s", home, strerror(errno));
	atexit(remove_home);
	setenv("XDG_CONFIG_HOME", home, 1);
}

static void run_rounds(unsigned rounds, const char *shim, const char *empty, const char *module)
{
	const char *const preloads[] = {[NO_PRELOAD] = NULL, [EMPTY_LIBRARY] = empty, [SHIM_LIBRARY] = shim};

	make_home();
	for (unsigned round = 0; round < rounds; round++)
		for (size_t h = 0; h < COUNT_OF(hosts); h++) {
			const char *preload = preloads[hosts[h].preload];

			if (hosts[h].preload == NO_PRELOAD || preload != NULL)
				run_in_child(&hosts[h], preload, module);
		}
}

/* ---- printing */

static bool in_group(unsigned group, size_t col)
{
	for (size_t i = 0; i < COUNT_OF(operations); i++)
		if (operations[i].group == group && cells[i][col].rounds > 0)
			return true;
	return false;
}

static const char *number(double value)
{
	static char text[4][32];
	static unsigned turn;
	char *to = text[turn++ % 4];

	snprintf(to, sizeof(text[0]), value < 99.995 && value > -99.995 ? "%.2f" : "%.0f", value);
	return to;
}

static void print_cell(struct cell *c)
{
	char text[64] = "-";

	if (c->rounds > 0)
		snprintf(text, sizeof(text), "%s (%s)", number(median(c->medians, c->rounds)),
		         number(c->best));
	printf(" %17s", text);
}

static void print_group(unsigned group)
{
	printf("\n%s: ns, median (best)\n%-25s", titles[group], "");
	for (size_t col = 0; col < COUNT_OF(columns); col++)
		if (in_group(group, col))
			printf(" %17s", columns[col]);
	putchar('\n');
	for (size_t i = 0; i < COUNT_OF(operations); i++) {
		if (operations[i].group != group)
			continue;
		printf("%-25s", operations[i].name);
		for (size_t col = 0; col < COUNT_OF(columns); col++)
			if (in_group(group, col))
				print_cell(&cells[i][col]);
		putchar('\n');
	}
}

/* The direct counterpart of a subject: in its own process where there is one. */
static const char *base_of(const char *subject, const struct operation *operation)
{
	bool calls = operation->group == CALLS || operation->group == THREADS || operation->group == SESSIONS;
	bool through_shim = strncmp(subject, "shim", 4) == 0 || strcmp(subject, "serialised") == 0 ||
	                    strcmp(subject, "traced") == 0 || strcmp(subject, "logged") == 0;

	return calls && through_shim && cell("raw", operation->name)->rounds > 0 ? "raw" : "direct";
}

static void print_differences(const char *subject)
{
	printf("\n%s less direct: ns (ratio)\n%-25s %17s %17s\n", subject, "", "of medians", "of bests");
	for (size_t i = 0; i < COUNT_OF(operations); i++) {
		const struct operation *o = &operations[i];
		struct cell *base = cell(base_of(subject, o), o->name), *c = cell(subject, o->name);
		double base_median, c_median;
		char of_medians[64], of_bests[64];

		if (base->rounds == 0 || c->rounds == 0)
			continue;
		base_median = median(base->medians, base->rounds);
		c_median = median(c->medians, c->rounds);
		snprintf(of_medians, sizeof(of_medians), "%s (%.2f)", number(c_median - base_median),
		         c_median / base_median);
		snprintf(of_bests, sizeof(of_bests), "%s (%.2f)", number(c->best - base->best),
		         c->best / base->best);
		printf("%-25s %17s %17s\n", o->name, of_medians, of_bests);
	}
}

static void print_tables(unsigned rounds)
{
	printf("%u rounds; one cycle takes %.2f ns\n", rounds, cycle());
	for (unsigned group = 0; group < GROUPS; group++)
		print_group(group);
	if (in_group(CALLS, (size_t)column("shim")))
		print_differences("shim");
	if (in_group(CALLS, (size_t)column("shim-3.2")))
		print_differences("shim-3.2");
	if (in_group(CALLS, (size_t)column("serialised")))
		print_differences("serialised");
	if (in_group(CALLS, (size_t)column("traced")))
		print_differences("traced");
}

static void print_json(unsigned rounds)
{
	const char *separator = "";

	printf("{\"unit\": \"ns\", \"rounds\": %u, \"cycle\": %.3f, \"results\": [", rounds, cycle());
	for (size_t i = 0; i < COUNT_OF(operations); i++)
		for (size_t col = 0; col < COUNT_OF(columns); col++) {
			struct cell *c = &cells[i][col];

			if (c->rounds == 0)
				continue;
			printf("%s\n\t{\"operation\": \"%s\", \"subject\": \"%s\", \"median\": %.3f, ",
			       separator, operations[i].name, columns[col], median(c->medians, c->rounds));
			printf("\"best\": %.3f, \"lowest_median\": %.3f, \"highest_median\": %.3f}", c->best,
			       c->medians[0], c->medians[c->rounds - 1]);
			separator = ",";
		}
	puts("\n]}");
}

/* ---- figures that have limits; see scripts/bench */

/* Best of subject less best of base, the worst of the group's operations. */
static double worst_difference(unsigned group, const char *subject, const char *base)
{
	double worst = -1e9;

	for (size_t i = 0; i < COUNT_OF(operations); i++) {
		double difference =
		        cell(subject, operations[i].name)->best - cell(base, operations[i].name)->best;

		if (operations[i].group == group && difference > worst)
			worst = difference;
	}
	return worst;
}

/* What the subject adds to a call, over what spy adds to it; the worst. */
static double worst_share_of_spy(const char *subject)
{
	double worst = 0;

	for (size_t i = 0; i < COUNT_OF(operations); i++) {
		double raw = cell("raw", operations[i].name)->best,
		       spy = cell("spy", operations[i].name)->best;
		double share = (cell(subject, operations[i].name)->best - raw) / (spy - raw);

		if (operations[i].group == CALLS && share > worst)
			worst = share;
	}
	return worst;
}

/* How much more two threads slow the shim than they slow the direct call, in percent; the worst. */
static double worst_scaling(void)
{
	double worst = -1e9;

	for (size_t i = 0; i < COUNT_OF(operations); i++)
		for (size_t j = 0; j < COUNT_OF(operations); j++) {
			double shim, raw;

			if (operations[i].group != CALLS || operations[j].group != THREADS ||
			    operations[i].loop != operations[j].loop)
				continue;
			shim = cell("shim", operations[j].name)->best /
			       cell("shim", operations[i].name)->best;
			raw = cell("raw", operations[j].name)->best / cell("raw", operations[i].name)->best;
			worst = shim / raw > worst ? shim / raw : worst;
		}
	return (worst - 1) * 100;
}

/* What the shim adds to opening and closing a session. */
static double open_close(const char *operation)
{
	return cell("shim", operation)->best - cell("raw", operation)->best;
}

static double middle(const char *subject, const char *operation)
{
	struct cell *c = cell(subject, operation);

	return median(c->medians, c->rounds);
}

static void print_figures(void)
{
	double lookup, other;

	if (cell("shim", "C_GetSessionInfo")->rounds == 0 || cell("raw", "C_GetSessionInfo")->rounds == 0)
		return;
	printf("\nfigure gate-ns %.2f\n", worst_difference(CALLS, "shim", "raw"));
	printf("figure gate-cycles %.2f\n", worst_difference(CALLS, "shim", "raw") / cycle());
	if (cell("shim-3.2", "C_GetSessionInfo")->rounds > 0)
		printf("figure gate-3.2-ns %.2f\n", worst_difference(CALLS, "shim-3.2", "raw"));
	if (cell("shim", "C_GetSessionInfo/2t")->rounds > 0)
		printf("figure two-threads-percent %.1f\n", worst_scaling());
	if (cell("traced", "C_GetSessionInfo")->rounds > 0 && cell("spy", "C_GetSessionInfo")->rounds > 0)
		printf("figure trace-of-spy %.2f\n", worst_share_of_spy("traced"));
	if (cell("logged", "C_GetSessionInfo")->rounds > 0)
		printf("figure log-ns %.2f\n", worst_difference(CALLS, "logged", "shim"));
	if (cell("serialised", "C_GetSessionInfo")->rounds > 0)
		printf("figure serialised-ns %.2f\n", worst_difference(CALLS, "serialised", "raw"));
	if (cell("serialised", "C_GetSessionInfo/2t")->rounds > 0)
		printf("figure serialised-two-threads-ns %.2f\n",
		       worst_difference(THREADS, "serialised", "raw"));
	if (cell("shim", "open+close, 10000 open")->rounds > 0) {
		printf("figure open-close-ns %.1f\n", open_close("open+close, 10 open"));
		printf("figure sessions-10000-ratio %.2f\n",
		       open_close("open+close, 10000 open") / open_close("open+close, 10 open"));
	}
	lookup = cell("shim", "dlsym(DEFAULT,malloc)")->best - cell("direct", "dlsym(DEFAULT,malloc)")->best;
	other = cell("shim", "dlsym(libm,cos)")->best - cell("direct", "dlsym(libm,cos)")->best;
	printf("figure dlsym-ns %.2f\n", lookup > other ? lookup : other);
	printf("figure fork-percent %.1f\n", (middle("shim", "fork") / middle("direct", "fork") - 1) * 100);
	printf("figure child-first-call-ns %.0f\n",
	       cell("shim", "child: first call")->best - cell("direct", "child: C_Initialize+call")->best);
	printf("figure child-three-faults-ns %.0f\n", cell("direct", "child: 3 page faults")->best);
	printf("figure child-first-call-faults %.0f\n",
	       middle("shim", "child: ... page faults") - middle("direct", "child: ... page faults"));
}

static int list_names(void)
{
	for (size_t i = 0; i < COUNT_OF(hosts); i++)
		printf("host %s\n", hosts[i].name);
	for (size_t i = 0; i < COUNT_OF(columns); i++)
		printf("subject %s\n", columns[i]);
	for (size_t i = 0; i < COUNT_OF(operations); i++)
		printf("operation %s\n", operations[i].name);
	return 0;
}

static char *absolute(const char *path)
{
	char *resolved = realpath(path, NULL);

	if (resolved == NULL)
		fail("%s: %s", path, strerror(errno));
	return resolved;
}

int main(int argc, char **argv)
{
	const char *shim = NULL, *empty = NULL;
	unsigned rounds = 9;
	bool json = false;
	int i;

	if (argc == 2 && strcmp(argv[1], "--list") == 0)
		return list_names();
	if (argc == 7 && strcmp(argv[1], "--count") == 0)
		return count_calls(argv[2], argv[3], argv[4], argv[5], argv[6]);
	if (argc == 4 && strcmp(argv[1], "--host") == 0)
		return run_host(find_host(argv[2]), argv[3]);
	for (i = 1; i < argc - 1; i++) {
		if (strcmp(argv[i], "--json") == 0)
			json = true;
		else if (strcmp(argv[i], "--rounds") == 0)
			rounds = (unsigned)strtoul(argv[++i], NULL, 10);
		else if (strcmp(argv[i], "--shim") == 0)
			shim = absolute(argv[++i]);
		else if (strcmp(argv[i], "--empty") == 0)
			empty = absolute(argv[++i]);
		else
			fail("unknown option %s", argv[i]);
	}
	if (i != argc - 1 || rounds < 1 || rounds > MAX_ROUNDS)
		fail("usage: bench [--json] [--rounds 1..%d] [--shim LIBRARY] [--empty LIBRARY] MODULE",
		     MAX_ROUNDS);
	run_rounds(rounds, shim, empty, absolute(argv[i]));
	if (json)
		print_json(rounds);
	else {
		print_tables(rounds);
		print_figures();
	}
	return 0;
}
