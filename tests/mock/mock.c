/*
 * mock.c: a PKCS #11 module that enforces the standard's own rules and aborts
 * when its caller breaks one. It knows options, counters, who is inside, and
 * the life cycle; lists.c and token.c are the rest of the module.
 *
 * Rules (each aborts with "mock: rule broken: ..."):
 *   - C_Initialize only while not initialised, nobody else inside meanwhile
 *   - C_Finalize only while initialised, nobody inside meanwhile, except threads
 *     that are blocked in C_WaitForSlotEvent
 *   - no other call before C_Initialize has returned or after C_Finalize began
 *   - arguments of C_Initialize legal; what follows the standard's structure is
 *     zero (NSS reads one pointer more); their memory stays as it was, for
 *     modules that keep the pointer
 *   - never two threads inside a module that was not asked for locking
 *   - C_CloseAllSessions closes sessions of one opener only (see token.c)
 *   - no call after the module's destructors ran
 */
#include "rooms.h"
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

struct options option = {
#define OPTION(name, value) .name = (value),
#include "options.def"
};
struct counters *counter;

static char nested_path[4096];

_Noreturn void broken(const char *format, ...)
{
	char text[512];
	va_list list;

	va_start(list, format);
	vsnprintf(text, sizeof text, format, list);
	va_end(list);
	dprintf(STDERR_FILENO, "mock: rule broken: %s\n", text);
	abort();
}

const char *nest_module(void)
{
	return nested_path[0] ? nested_path : NULL;
}

/*
 * Life: the state in the two low bits, the number of calls inside above them.
 * One word, so that "initialised" and "one more inside" are one step.
 */
enum state { NOT_INITIALISED, INITIALISING, INITIALISED, FINALISING };
#define STATE(word) ((enum state)((word)&3))
#define INSIDE(word) ((word) >> 2)
#define ONE_INSIDE 4UL
static atomic_ulong life;
static atomic_ulong epoch; /* counts finalisations, for waiters */
static atomic_int inherited, child_uninitialised, destroyed;

/* This thread: calls of the module it is in; C_Initialize or C_Finalize among them; its last call. */
static _Thread_local unsigned long depth;
static _Thread_local bool changing;
static _Thread_local struct mock_call last;

/* What the last successful C_Initialize was given. */
static CK_C_INITIALIZE_ARGS *kept;
static struct {
	CK_C_INITIALIZE_ARGS args;
	void *next; /* NSS's structure is one pointer longer */
} kept_copy;
static enum mock_locking locking;
static void *mutex;

/* Plain memory, written by C_Initialize and C_Finalize and read by every call: TSan sees a missing order. */
static unsigned long canary;
#define CANARY 0x600dUL

/* ---- which process is this? */

static pid_t loader;       /* the process that loaded the module */
static atomic_int process; /* the process that the state belongs to; negative while one thread takes over */

/* The first call in a child: whoever was inside the module in the parent is not inside here. */
static void take_over(void)
{
	unsigned long word = LOAD(life);
	enum state state = STATE(word);

	COUNT(forks);
	if (!changing && (state == INITIALISING || state == FINALISING))
		state = NOT_INITIALISED;
	if (state == INITIALISED) {
		STORE(inherited, 1);
		if (ASK(reset_on_fork)) {
			state = NOT_INITIALISED;
			STORE(inherited, 0);
			STORE(child_uninitialised, 1);
			forget_sessions();
		}
	}
	STORE(life, (unsigned long)state | depth * ONE_INSIDE);
}

static void notice_fork(void)
{
	int me = getpid(), was = LOAD(process);

	while (was != me) {
		if (was != -me && SWAP(process, was, -me)) {
			take_over();
			STORE(process, me);
			return;
		}
		usleep(100);
		was = LOAD(process);
	}
}

/* ---- the way in and out */

/* A thread stays here until the test lets it go. */
#define HOLD(option_name)                \
	do {                             \
		if (!ASK(option_name))   \
			break;           \
		COUNT(held);             \
		while (ASK(option_name)) \
			usleep(500);     \
		ADD(counter->held, -1);  \
	} while (0)

static bool about_life_or_lists(enum mock_function function)
{
	switch (function) {
	case MOCK_C_Initialize:
	case MOCK_C_Finalize:
	case MOCK_C_GetFunctionList:
	case MOCK_C_GetInterface:
	case MOCK_C_GetInterfaceList:
		return true;
	default:
		return false;
	}
}

static void check_arguments_kept(void)
{
	if (kept && !ASK(lenient) && memcmp(kept, &kept_copy, sizeof kept_copy))
		broken("the arguments of C_Initialize changed while initialised");
}

static void use_callbacks(void)
{
	CK_RV rv;

	if (locking != MOCK_CALLBACKS)
		return;
	COUNT(callback_locks);
	rv = kept_copy.args.LockMutex(mutex);
	if (rv == CKR_OK)
		rv = kept_copy.args.UnlockMutex(mutex);
	if (rv != CKR_OK)
		broken("a mutex callback answered 0x%lx", rv);
}

static CK_RV enter(const char *name)
{
	unsigned long word = LOAD(life), others;

	for (;;) {
		switch (STATE(word)) {
		case INITIALISED:
			break;
		case INITIALISING:
			if (changing && (ASK(nest_self) || nest_module()))
				break;
			broken("%s while C_Initialize runs", name);
		case FINALISING:
			broken("%s while C_Finalize runs", name);
		case NOT_INITIALISED:
			if (ASK(lenient) || LOAD(child_uninitialised)) {
				COUNT(refused_uninitialised);
				return CKR_CRYPTOKI_NOT_INITIALIZED;
			}
			broken("%s %s", name, LOAD(epoch) ? "after C_Finalize" : "before C_Initialize");
		}
		if (SWAP(life, word, word + ONE_INSIDE))
			break;
	}
	if (LOAD(inherited) && ASK(abort_in_child))
		broken("%s in a child before its own C_Initialize", name);
	others = INSIDE(word) - depth;
	if (others && locking == MOCK_NO_LOCKING && !ASK(already) && !ASK(lenient))
		broken("%s in a second thread of a module without locking", name);
	for (long most = LOAD(counter->most_inside); most < (long)others + 1;)
		if (SWAP(counter->most_inside, most, (long)others + 1))
			break;
	depth++;
	if (STATE(word) == INITIALISED && canary != CANARY && !ASK(already))
		broken("%s does not see what C_Initialize wrote", name);
	check_arguments_kept();
	use_callbacks();
	return CKR_OK;
}

static void leave(void)
{
	depth--;
	atomic_fetch_sub_explicit(&life, ONE_INSIDE, memory_order_relaxed);
}

bool before(const struct mock_call *call, CK_RV *answer)
{
	bool list_call = call->function == MOCK_C_GetFunctionList || call->function == MOCK_C_GetInterface ||
	                 call->function == MOCK_C_GetInterfaceList;
	bool child;

	if (LOAD(destroyed))
		broken("%s after the module's destructors", function_names[call->function]);
	notice_fork();
	child = getpid() != loader;
	ADD(counter->calls_of[child][call->function], 1);
	if (list_call) {
		COUNT(list_calls);
	} else {
		COUNT(calls);
		if (child)
			COUNT(calls_in_child);
	}
	if (about_life_or_lists(call->function))
		return true;
	last = *call;
	*answer = enter(function_names[call->function]);
	if (*answer != CKR_OK)
		return false;
	HOLD(hold_calls);
	if (ASK(slow_call_ms) || ASK(slow_call_us))
		usleep((useconds_t)(ASK(slow_call_ms) * 1000 + ASK(slow_call_us)));
	if (ASK(echo)) {
		*answer = MOCK_ANSWER(call->list, call->function);
		leave();
		return false;
	}
	return true;
}

static _Thread_local bool left_early;

void after(const struct mock_call *call)
{
	if (about_life_or_lists(call->function))
		return;
	if (!left_early)
		leave();
	left_early = false;
}

unsigned long wait_begins(void)
{
	unsigned long since = LOAD(epoch);

	leave();
	left_early = true;
	return since;
}

bool wait_is_over(unsigned long since)
{
	return LOAD(epoch) != since || STATE(LOAD(life)) == FINALISING;
}

/* ---- C_Initialize and C_Finalize */

/* Section 5.4 (2.40): what the arguments ask for, and whether this module can. */
static CK_RV judge_arguments(CK_C_INITIALIZE_ARGS *args, enum mock_locking *given)
{
	int callbacks;

	*given = MOCK_NO_LOCKING;
	if (!args)
		return ASK(refuse_null) || ASK(need_reserved) ? CKR_ARGUMENTS_BAD : CKR_OK;
	callbacks = !!args->CreateMutex + !!args->DestroyMutex + !!args->LockMutex + !!args->UnlockMutex;
	if (!ASK(lenient)) {
		if (callbacks != 0 && callbacks != 4)
			broken("C_Initialize with %d of 4 mutex callbacks", callbacks);
		if (args->flags & ~(CKF_LIBRARY_CANT_CREATE_OS_THREADS | CKF_OS_LOCKING_OK))
			broken("C_Initialize with flags 0x%lx", args->flags);
		if (((void **)(args + 1))[0])
			broken("C_Initialize: something follows the arguments");
	}
	if (callbacks)
		*given = args->flags & CKF_OS_LOCKING_OK ? MOCK_EITHER_LOCKING : MOCK_CALLBACKS;
	else
		*given = args->flags & CKF_OS_LOCKING_OK ? MOCK_OS_LOCKING : MOCK_NO_LOCKING;
	if (ASK(refuse_any_args) || (ASK(refuse_reserved) && args->pReserved) ||
	    (ASK(need_reserved) && !args->pReserved) || (callbacks && callbacks != 4))
		return CKR_ARGUMENTS_BAD;
	if (ASK(cannot_lock) || (ASK(refuse_os_locking) && *given == MOCK_OS_LOCKING) ||
	    (ASK(refuse_callbacks) && *given == MOCK_CALLBACKS) ||
	    (ASK(refuse_flags_0) && *given == MOCK_NO_LOCKING))
		return CKR_CANT_LOCK;
	if (ASK(need_threads) && args->flags & CKF_LIBRARY_CANT_CREATE_OS_THREADS)
		return CKR_NEED_TO_CREATE_THREADS;
	if (*given == MOCK_EITHER_LOCKING)
		*given = ASK(refuse_os_locking) ? MOCK_CALLBACKS : MOCK_OS_LOCKING;
	return CKR_OK;
}

static CK_FUNCTION_LIST *nested_list;

/* As a module does that loads others: everything through dlopen and dlsym. */
static CK_FUNCTION_LIST *list_of(const char *path, void **handle)
{
	CK_FUNCTION_LIST *list = NULL;
	CK_C_GetFunctionList get_list;
	CK_RV rv;

	*handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!*handle)
		broken("cannot load %s: %s", path, dlerror());
	get_list = (CK_C_GetFunctionList)(uintptr_t)dlsym(*handle, "C_GetFunctionList");
	rv = get_list(&list);
	return rv == CKR_OK ? list : NULL;
}

static void nest_in_self(void)
{
	CK_C_INITIALIZE_ARGS args = {.flags = (CK_FLAGS)ASK(nest_flags)};
	CK_FUNCTION_LIST *list;
	CK_INFO info;
	void *handle;
	Dl_info me;

	if (!dladdr((void *)(uintptr_t)&nest_in_self, &me) || !(list = list_of(me.dli_fname, &handle)))
		broken("the module does not find itself");
	STORE(counter->nested_initialise_rv, (long)list->C_Initialize(ASK(nest_flags) ? &args : NULL));
	STORE(counter->nested_get_info_rv, (long)list->C_GetInfo(&info));
	if (ASK(nest_self) == 1)
		STORE(counter->nested_finalise_rv, (long)list->C_Finalize(NULL));
	dlclose(handle);
}

static void nest_another(void)
{
	CK_C_INITIALIZE_ARGS args = {.flags = (CK_FLAGS)ASK(nest_flags)};
	CK_INFO info;
	void *handle; /* never closed: such a module keeps the other until it is unloaded itself */

	nested_list = list_of(nested_path, &handle);
	if (!nested_list)
		broken("no function list from %s", nested_path);
	STORE(counter->nested_initialise_rv, (long)nested_list->C_Initialize(ASK(nest_flags) ? &args : NULL));
	STORE(counter->nested_get_info_rv, (long)nested_list->C_GetInfo(&info));
}

static void fork_inside(void)
{
	pid_t child = fork();

	if (child == 0) {
		if (ASK(fork_in_init) == 1)
			_exit(0);
		notice_fork();
	} else {
		STORE(counter->forked_child, child);
		if (ASK(fork_in_init) == 1)
			while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
				;
	}
}

static CK_RV initialise(CK_C_INITIALIZE_ARGS *args)
{
	enum mock_locking given;
	CK_RV rv = judge_arguments(args, &given);

	if (rv != CKR_OK)
		return rv;
	HOLD(hold_init);
	if (ASK(slow_init_ms))
		usleep((useconds_t)ASK(slow_init_ms) * 1000);
	if (ASK(fail_init) && ASK(fail_init_times)) {
		if (ASK(fail_init_times) > 0)
			ADD(option.fail_init_times, -1);
		return (CK_RV)ASK(fail_init);
	}
	if (ASK(fork_in_init))
		fork_inside();
	if (ASK(nest_self))
		nest_in_self();
	if (nest_module() && !ASK(load_in_list))
		nest_another();
	kept = ASK(lenient) ? NULL : args;
	if (kept)
		memcpy(&kept_copy, args, sizeof kept_copy);
	else if (args)
		kept_copy.args = *args;
	else
		memset(&kept_copy, 0, sizeof kept_copy);
	locking = given;
	if (given == MOCK_CALLBACKS && args->CreateMutex(&mutex) != CKR_OK)
		return CKR_HOST_MEMORY;
	canary = CANARY;
	return CKR_OK;
}

CK_RV mock_C_Initialize(enum mock_list list, CK_VOID_PTR args)
{
	unsigned long word = LOAD(life);
	CK_RV rv;

	(void)list;
	COUNT(initialise_calls);
	if (ASK(already))
		return CKR_CRYPTOKI_ALREADY_INITIALIZED;
	if (STATE(word) == INITIALISING && changing && (ASK(nest_self) || nest_module())) {
		COUNT(nested_initialise_calls);
		return CKR_CRYPTOKI_ALREADY_INITIALIZED;
	}
	if (STATE(word) == INITIALISED && LOAD(inherited)) {
		if (!ASK(accept_in_child) && !ASK(abort_in_child))
			return CKR_CRYPTOKI_ALREADY_INITIALIZED;
		if (INSIDE(word))
			broken("C_Initialize in a child while %lu calls are inside", INSIDE(word));
		forget_sessions();
		STORE(inherited, 0);
		if (!SWAP(life, word, (unsigned long)INITIALISING))
			broken("another thread is in the module while C_Initialize starts in a child");
	} else {
		unsigned long expected = NOT_INITIALISED;

		while (!SWAP(life, expected, (unsigned long)INITIALISING)) {
			if (ASK(lenient) && STATE(expected) != NOT_INITIALISED)
				return CKR_CRYPTOKI_ALREADY_INITIALIZED;
			broken("C_Initialize while %s", STATE(expected) == INITIALISING ? "C_Initialize runs"
			                                : STATE(expected) == FINALISING ? "C_Finalize runs"
			                                                                : "initialised");
		}
	}
	changing = true;
	STORE(child_uninitialised, 0);
	rv = initialise(args);
	changing = false;
	if (rv == CKR_OK)
		COUNT(initialise_done);
	word = INITIALISING;
	if (!SWAP(life, word, (unsigned long)(rv == CKR_OK ? INITIALISED : NOT_INITIALISED)))
		broken("%lu calls are inside as C_Initialize ends", INSIDE(word));
	return rv;
}

CK_RV mock_C_Finalize(enum mock_list list, CK_VOID_PTR reserved)
{
	unsigned long word = LOAD(life);

	(void)list;
	COUNT(finalise_calls);
	if (reserved)
		return CKR_ARGUMENTS_BAD;
	if (ASK(already))
		broken("C_Finalize of a module that somebody else initialised");
	if (STATE(word) == INITIALISING && changing && (ASK(nest_self) || nest_module()))
		return CKR_OK;
	if (ASK(lenient) && STATE(word) != INITIALISED)
		return CKR_CRYPTOKI_NOT_INITIALIZED;
	if (STATE(word) == NOT_INITIALISED && LOAD(child_uninitialised))
		return CKR_CRYPTOKI_NOT_INITIALIZED;
	if (STATE(word) != INITIALISED)
		broken("C_Finalize while %s", STATE(word) == INITIALISING ? "C_Initialize runs"
		                              : STATE(word) == FINALISING ? "C_Finalize runs"
		                                                          : "not initialised");
	if (INSIDE(word))
		broken("C_Finalize while %lu calls are inside", INSIDE(word));
	check_arguments_kept();
	if (ASK(fail_finalize))
		return (CK_RV)ASK(fail_finalize);
	if (!SWAP(life, word, (unsigned long)FINALISING))
		broken("C_Finalize while another call begins");
	changing = true;
	if (ASK(slow_finalize_ms))
		usleep((useconds_t)ASK(slow_finalize_ms) * 1000);
	if (nested_list)
		STORE(counter->nested_finalise_rv, (long)nested_list->C_Finalize(NULL));
	nested_list = NULL;
	ADD(counter->sessions_at_finalise, open_sessions());
	forget_sessions();
	if (locking == MOCK_CALLBACKS)
		kept_copy.args.DestroyMutex(mutex);
	kept = NULL;
	canary = 0;
	changing = false;
	STORE(inherited, 0);
	ADD(epoch, 1);
	COUNT(finalise_done);
	word = FINALISING;
	if (!SWAP(life, word, (unsigned long)NOT_INITIALISED))
		broken("%lu calls are inside as C_Finalize ends", INSIDE(word));
	return CKR_OK;
}

/* ---- options and counters */

static atomic_long *find(const char *key)
{
	static const struct {
		const char *name;
		size_t offset;
		bool shared;
	} names[] = {
#define OPTION(name, value) {#name, offsetof(struct options, name), false},
#define COUNTER(name) {#name, offsetof(struct counters, name), true},
#include "options.def"
	};

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (!strcmp(names[i].name, key))
			return (atomic_long *)((char *)(names[i].shared ? (void *)counter : (void *)&option) +
			                       names[i].offset);
	for (int child = 0; child <= 1; child++) {
		const char *name = child && !strncmp(key, "child.", 6) ? key + 6 : key;

		for (int i = 0; i < MOCK_FUNCTIONS; i++)
			if ((!child || name != key) && !strcmp(function_names[i], name))
				return &counter->calls_of[child][i];
	}
	return NULL;
}

EXPORT long mock_get(const char *key)
{
	atomic_long *found = find(key);

	if (found)
		return LOAD(*found);
	if (!strcmp(key, "sessions"))
		return open_sessions();
	if (!strcmp(key, "logged_in")) /* bit by slot */
		return logged_in();
	if (!strcmp(key, "state")) /* 0 not initialised, 1 initialising, 2 initialised, 3 finalising */
		return (long)STATE(LOAD(life));
	if (!strcmp(key, "inside"))
		return (long)INSIDE(LOAD(life));
	if (!strcmp(key, "locking")) /* enum mock_locking */
		return (long)locking;
	if (!strcmp(key, "flags"))
		return (long)kept_copy.args.flags;
	if (!strcmp(key, "reserved"))
		return (long)(uintptr_t)kept_copy.args.pReserved;
	if (!strcmp(key, "arguments")) /* where the arguments lie, 0 for NULL */
		return (long)(uintptr_t)kept;
	if (!strcmp(key, "vendor_list"))
		return vendor_list();
	broken("mock_get(\"%s\"): unknown", key);
}

EXPORT void mock_set(const char *key, long value)
{
	atomic_long *found = find(key);

	if (!strcmp(key, "counters") && !value) {
		memset(counter, 0, sizeof *counter);
		return;
	}
	if (!found)
		broken("mock_set(\"%s\"): unknown", key);
	STORE(*found, value);
	if (found == &option.already)
		STORE(life, (unsigned long)(value ? INITIALISED : NOT_INITIALISED));
	if (found == &option.drop_session)
		drop_session((CK_SESSION_HANDLE)value);
	build_lists();
}

EXPORT void mock_set_text(const char *key, const char *text)
{
	if (strcmp(key, "nest_module"))
		broken("mock_set_text(\"%s\"): unknown", key);
	snprintf(nested_path, sizeof nested_path, "%s", text);
}

EXPORT void mock_last_call(struct mock_call *call)
{
	*call = last;
}

static void read_options(void)
{
	const char *text = getenv("MOCK_OPTIONS");
	char copy[4096], *rest = copy, *item;

	if (!text)
		return;
	snprintf(copy, sizeof copy, "%s", text);
	while ((item = strsep(&rest, ","))) {
		char *value = strchr(item, '=');

		if (!*item)
			continue;
		if (value)
			*value++ = 0;
		if (!strcmp(item, "nest_module"))
			mock_set_text(item, value ? value : "");
		else
			mock_set(item, value ? strtol(value, NULL, 0) : 1);
	}
}

#ifndef MOCK_NO_DESTRUCTOR
extern int __cxa_atexit(void (*)(void *), void *, void *);
extern void *__dso_handle __attribute__((visibility("hidden")));

static void destroy(void *unused)
{
	(void)unused;
	STORE(destroyed, 1);
}
#endif

__attribute__((constructor)) static void load(void)
{
	counter = mmap(NULL, sizeof *counter, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (counter == MAP_FAILED)
		broken("no memory for counters");
	loader = getpid();
	STORE(process, loader);
	build_lists();
	read_options();
#ifndef MOCK_NO_DESTRUCTOR
	if (ASK(destructor))
		__cxa_atexit(destroy, NULL, &__dso_handle);
#endif
}
