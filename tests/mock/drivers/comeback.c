/*
 * comeback.c: modules and consumers that come back, go away or are copied at an
 * awkward moment. Run by bats/comeback.bats, which says what each case is about
 * and builds what lies in comeback/, the directory that $PARTS names then.
 */
#include "driver.h"
#include <limits.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>

static bool loaded(const char *path)
{
	void *handle = dlopen(path, RTLD_NOW | RTLD_NOLOAD);

	if (handle)
		dlclose(handle);
	return handle;
}

/* Seconds, from a clock that nobody sets. */
static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* Where something built from comeback/ lies. */
static const char *part(const char *name)
{
	static char path[PATH_MAX];

	TRUE(getenv("PARTS"));
	snprintf(path, sizeof path, "%s/%s", getenv("PARTS"), name);
	return path;
}

/* Like user_of(), by a path as it is, and of any module. */
static struct user user_at(const struct consumer *consumer, const char *module)
{
	struct user user = {.consumer = consumer, .module = consumer->load(module)};

	if (!user.module)
		fprintf(stderr, "%s\n", dlerror());
	TRUE(user.module);
	user.list = consumer->list(user.module);
	TRUE(user.list);
	return user;
}

/* By which list of comeback/module.c is its C_GetInfo called? See there. */
static CK_RV answer_of(const void *list)
{
	return ((const CK_FUNCTION_LIST *)list)->C_GetInfo(NULL);
}

/* ---- C9: the same file, loaded anew under another path */

/* Loaded, asked, initialised, used, finalised, unloaded. */
static void use_once(const struct consumer *consumer, const char *path)
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

/* A relative path, and the directory changes: nothing happens to the file. */
static void another_relative_path(void)
{
	const struct consumer *one = load_consumer(1), *two = load_consumer(2);
	char path[PATH_MAX];

	EQUAL(chdir(scratch), 0);
	EQUAL(mkdir("below", 0700), 0);
	copy_file(build_path(MOCK), "module.so");
	TRUE(realpath("module.so", path));
	for (int i = 0; i < 3; i++) {
		EQUAL(chdir(scratch), 0);
		use_once(one, "./module.so");
		EQUAL(chdir("below"), 0);
		use_once(one, "../module.so");
		use_once(two, "../below/../module.so");
		use_once(one, path);
	}
}

/* Extracted to a new path for each use, removed after it: a new file may have the old one's number. */
static void copied_anew(void)
{
	const struct consumer *one = load_consumer(1);
	char path[PATH_MAX];

	for (int i = 0; i < 20; i++) {
		snprintf(path, sizeof path, "%s/extracted-%d.so", scratch, i);
		copy_file(build_path(MOCK), path);
		use_once(one, path);
		EQUAL(unlink(path), 0);
	}
}

/* Renamed after each use: certainly the same file. */
static void renamed(void)
{
	const struct consumer *one = load_consumer(1);
	char path[PATH_MAX], next[PATH_MAX];

	snprintf(path, sizeof path, "%s/renamed.so", scratch);
	copy_file(build_path(MOCK), path);
	for (int i = 0; i < 20; i++) {
		use_once(one, path);
		snprintf(next, sizeof next, "%s/renamed-%d.so", scratch, i);
		EQUAL(rename(path, next), 0);
		strcpy(path, next);
	}
}

/* ---- B1: a list kept from before an unload */

static atomic_bool enough;

static void *insist(void *list)
{
	CK_FUNCTION_LIST *stale = list;
	CK_C_INITIALIZE_ARGS args = {.flags = CKF_OS_LOCKING_OK};

	while (!enough)
		if (stale->C_Initialize(&args) == CKR_OK)
			EQUAL(stale->C_Finalize(NULL), CKR_OK); /* what leads to one leads to the other */
	return NULL;
}

/* What another consumer does meanwhile, again and again, is right. */
static void stale_list_meanwhile(void)
{
	const struct consumer *two = load_consumer(2);
	struct user a = user_of(1, MOCK);
	double end = now() + 3;
	pthread_t insisting;

	EQUAL(a.consumer->unload(a.module), 0);
	TRUE(!loaded(build_path(MOCK)));
	insisting = start(insist, a.list);
	while (now() < end) {
		struct user b = user_at(two, build_path(MOCK));

		IS(initialise(&b), CKR_OK);
		for (int i = 0; i < 5; i++)
			IS(slots_of(&b), CKR_OK);
		IS(work(&b), CKR_OK);
		IS(finalise(&b), CKR_OK);
		IS(slots_of(&b), CKR_CRYPTOKI_NOT_INITIALIZED);
		EQUAL(b.consumer->unload(b.module), 0);
	}
	enough = true;
	pthread_join(insisting, NULL);
}

/* ---- B1: a consumer stays itself */

static void same_consumer(const struct user *before)
{
	struct user again = user_at(before->consumer, build_path(MOCK));

	EQUAL(again.list, before->list);
	IS(work(&again), CKR_OK);
	IS(finalise(&again), CKR_OK);
	IS(slots_of(&again), CKR_CRYPTOKI_NOT_INITIALIZED);
	EQUAL(behind(again.module).get("finalise_done"), 1);
}

static void consumer_by_relative_path(void)
{
	struct user a;

	EQUAL(chdir(scratch), 0);
	copy_file(build_path("consumers/consumer-1.so"), "consumer.so");
	a = user_at(load_consumer_file("./consumer.so"), build_path(MOCK));
	IS(initialise(&a), CKR_OK);
	EQUAL(chdir("/"), 0);
	same_consumer(&a);
}

static void consumer_replaced(void)
{
	char path[PATH_MAX], fresh[PATH_MAX];
	struct user a;

	snprintf(path, sizeof path, "%s/consumer.so", scratch);
	snprintf(fresh, sizeof fresh, "%s/fresh.so", scratch);
	copy_file(build_path("consumers/consumer-1.so"), path);
	a = user_at(load_consumer_file(path), build_path(MOCK));
	IS(initialise(&a), CKR_OK);
	copy_file(build_path("consumers/consumer-1.so"), fresh);
	EQUAL(rename(fresh, path), 0);
	same_consumer(&a);
}

/* ---- mutex callbacks that nobody is to call; a thread that the mock holds */

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

/* ---- C8: answers to the arguments, and answers that have another cause */

static void refused_otherwise(void)
{
	static const CK_RV refusals[] = {CKR_FUNCTION_NOT_SUPPORTED, CKR_ARGUMENTS_BAD,
	                                 CKR_NEED_TO_CREATE_THREADS};
	CK_C_INITIALIZE_ARGS plain = {0};
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
		IS(initialise_with_callbacks(&a), CKR_OK);
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
}

/* The device is away, say: asking again would only double the wait. */
static void failed_otherwise(void)
{
	static const CK_RV failures[] = {CKR_GENERAL_ERROR, CKR_FUNCTION_FAILED, CKR_DEVICE_ERROR};
	struct user a = user_of(1, MOCK);
	long calls = 0;

	for (size_t i = 0; i < sizeof failures / sizeof failures[0]; i++) {
		a.mock.set("fail_init", (long)failures[i]);
		a.mock.set("fail_init_times", -1);
		IS(a.list->C_Initialize(NULL), failures[i]);
		EQUAL(a.mock.get("initialise_calls"), calls += 1);
		IS(initialise_with_callbacks(&a), failures[i]);
		EQUAL(a.mock.get("initialise_calls"), calls += 1);
		IS(slots_of(&a), CKR_CRYPTOKI_NOT_INITIALIZED);

		a.mock.set("fail_init", 0); /* and now it is there */
		IS(a.list->C_Initialize(NULL), CKR_OK);
		EQUAL(a.mock.get("initialise_calls"), calls += 1);
		IS(work(&a), CKR_OK);
		IS(finalise(&a), CKR_OK);
	}
}

/* ---- B3: several lists of one version; the module is comeback/module.c */

static const CK_INTERFACE *interface_of(const struct user *user, CK_VERSION version, CK_FLAGS flags)
{
	CK_INTERFACE *interface = NULL;

	IS(user->consumer->ask_interface(user->module, "PKCS 11", &version, &interface, flags), CKR_OK);
	EQUAL(interface->flags, flags);
	return interface;
}

static void lists_of_one_version(void)
{
	for (int n = 1; n <= 2; n++) { /* each consumer, in each order */
		struct user a = user_at(load_consumer(n), part("module.so"));
		const CK_VERSION v2 = {2, 40}, v3 = {3, 0};
		CK_FLAGS first = n == 1 ? 0 : CKF_INTERFACE_FORK_SAFE, second = first ^ 1;
		const CK_INTERFACE *one = interface_of(&a, v3, first), *two = interface_of(&a, v3, second),
		                   *old = interface_of(&a, v2, 0);

		IS(initialise(&a), CKR_OK);
		IS(answer_of(one->pFunctionList), CKR_VENDOR_DEFINED | first);
		IS(answer_of(two->pFunctionList), CKR_VENDOR_DEFINED | second);
		IS(answer_of(old->pFunctionList), CKR_VENDOR_DEFINED | 2);
		IS(answer_of(a.list), CKR_VENDOR_DEFINED | 3);
		EQUAL(interface_of(&a, v3, first)->pFunctionList, one->pFunctionList);
		EQUAL(interface_of(&a, v2, 0)->pFunctionList, old->pFunctionList);
		EQUAL(a.consumer->list(a.module), a.list);
		IS(finalise(&a), CKR_OK);
		IS(answer_of(two->pFunctionList), CKR_CRYPTOKI_NOT_INITIALIZED); /* the state is the view's */
	}
}

/* The module says that it wrote far more than there is room for; behind the array is no memory. */
static void more_than_there_are(void)
{
	enum { GIVEN = 6 };
	struct user a = user_at(load_consumer(1), part("module.so"));
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *memory = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CK_INTERFACE *array = (CK_INTERFACE *)(uintptr_t)(memory + page) - GIVEN;
	CK_ULONG count = GIVEN;

	TRUE(memory != MAP_FAILED);
	EQUAL(mprotect(memory + page, page, PROT_NONE), 0);
	IS(initialise(&a), CKR_OK);
	IS(a.consumer->ask_interfaces(a.module, NULL, &count), CKR_OK);
	EQUAL(count, LONG_MAX);
	count = GIVEN;
	IS(a.consumer->ask_interfaces(a.module, array, &count), CKR_OK);
	EQUAL(count, LONG_MAX);
	IS(answer_of(array[0].pFunctionList), CKR_VENDOR_DEFINED | 0);
	IS(answer_of(array[1].pFunctionList), CKR_VENDOR_DEFINED | 1);
	EQUAL(array[2].pInterfaceName, 0);
	EQUAL(array[3].pFunctionList, 0);
	EQUAL(array[4].pFunctionList, 3); /* a vendor's, whatever that is */
	IS(answer_of(array[5].pFunctionList), CKR_VENDOR_DEFINED | 2);
	EQUAL(array[0].flags, 0);
	EQUAL(array[1].flags, CKF_INTERFACE_FORK_SAFE);
	IS(finalise(&a), CKR_OK);
}

/* ---- C10: who is destroyed when */

typedef void (*begin_function)(const char *);

/* comeback/library.c: a consumer with an ELF destructor, which says what it is answered. */
static begin_function begin_of_library(void)
{
	void *library = dlopen(part("library.so"), RTLD_NOW);
	begin_function begin = library ? (begin_function)(uintptr_t)dlsym(library, "begin") : NULL;

	TRUE(begin);
	return begin;
}

static const char *module_to_use(void)
{
	return getenv("MODULE") ? build_path(getenv("MODULE")) : part("module.so");
}

static void library_before_module(void)
{
	begin_of_library()(module_to_use());
}

static void library_after_module(void)
{
	TRUE(dlopen(module_to_use(), RTLD_NOW));
	begin_of_library()(module_to_use());
}

static struct user exiting;

/* An exit handler older than the module, with the module's view of it. */
static void exiting_user(void (*older)(void), void (*younger)(void), const char *module)
{
	EQUAL(atexit(older), 0);
	exiting = user_of(1, module);
	IS(initialise(&exiting), CKR_OK);
	EQUAL(atexit(younger), 0);
}

static void works(void)
{
	IS(work(&exiting), CKR_OK);
}

static void works_and_finalises(void)
{
	works();
	IS(finalise(&exiting), CKR_OK);
	EQUAL(exiting.mock.get("finalise_done"), 1);
	IS(slots_of(&exiting), CKR_CRYPTOKI_NOT_INITIALIZED);
}

/* Answered, and nothing of it reaches the module. */
static void is_retired(void)
{
	long calls = exiting.mock.get("calls");

	IS(slots_of(&exiting), CKR_CRYPTOKI_NOT_INITIALIZED);
	IS(initialise(&exiting), CKR_CRYPTOKI_NOT_INITIALIZED);
	IS(finalise(&exiting), CKR_OK);
	EQUAL(exiting.mock.get("calls"), calls);
}

static void is_retired_initialised(void)
{
	is_retired();
	EQUAL(exiting.mock.get("finalise_done"), 0);
}

static void is_retired_finalised(void)
{
	is_retired();
	EQUAL(exiting.mock.get("finalise_done"), 1);
}

/* It imports __cxa_atexit, and so would be retired by default; it does nothing with it here. */
static void at_exit_auto(void)
{
	exiting_user(is_retired_initialised, works, MOCK);
}

static void at_exit_forward(void)
{
	exiting_user(works_and_finalises, works, MOCK);
}

/* It cannot destroy itself, and so would be called to the end by default. */
static void at_exit_retire(void)
{
	exiting_user(is_retired_initialised, works, "mock/mock-immortal.so");
}

static void at_exit_finalize(void)
{
	exiting_user(is_retired_finalised, works, "mock/mock-immortal.so");
}

/* ---- F2: text in pReserved */

static const char parameters[] = "configdir='/etc/somewhere' flags=readOnly";

static void finds_text(void *user)
{
	struct user *a = user;

	IS(slots_of(a), CKR_OK);
	EQUAL(a->mock.get("child.C_Initialize"), 1);
	TRUE(a->mock.get("reserved"));
	TRUE(!strcmp((const char *)(uintptr_t)a->mock.get("reserved"), parameters));
}

static void reserved_text_freed(void)
{
	CK_C_INITIALIZE_ARGS args = {.flags = CKF_OS_LOCKING_OK, .pReserved = strdup(parameters)};
	struct user a;
	char *other;

	setenv("MOCK_OPTIONS", "reset_on_fork=1,need_reserved=1", 1);
	a = user_of(1, MOCK);
	IS(a.list->C_Initialize(&args), CKR_OK);
	memset(args.pReserved, 'X', sizeof parameters - 1);
	free(args.pReserved);
	other = strcpy(malloc(sizeof parameters), "something else of the consumer's");
	in_child(finds_text, &a);
	IS(work(&a), CKR_OK);
	IS(finalise(&a), CKR_OK);
	free(other);
}

/* ---- C2: a slow C_Initialize, and others */

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

/* ---- F1: forks from a signal handler, whatever the shim is doing */

static volatile sig_atomic_t is_child, failed_forks, round_number;
static struct user storm[2];

/* One signal at a time, so that between two of them the program gets on. */
static void next_signal(void)
{
	struct itimerval timer = {.it_value = {0, 100 + round_number * 37 % 400}};

	setitimer(ITIMER_REAL, &timer, NULL);
}

static void fork_now(int number)
{
	int error = errno;
	pid_t child = is_child ? -1 : fork();

	(void)number;
	if (child == 0) {
		is_child = 1;
		signal(SIGALRM, SIG_DFL);
		alarm(PATIENCE);
	} else if (!is_child) {
		failed_forks += child < 0;
		next_signal();
	}
	errno = error;
}

/* 0, or which step got a wrong answer. */
static int one_round(void)
{
	struct user *a = &storm[0], *b = &storm[1];
	CK_SESSION_HANDLE one, two;
	int step = 1;

	round_number++;
	if (initialise(a) != CKR_OK)
		return step;
	step++;
	if (answer_of(b->list) != (CKR_VENDOR_DEFINED | 3)) /* borrows */
		return step;
	step++;
	if (a->consumer->open(a->list, 0, &one) != CKR_OK || a->consumer->open(a->list, 0, &two) != CKR_OK)
		return step;
	step++;
	if (a->list->C_CloseSession(one) != CKR_OK)
		return step;
	step++;
	if (a->list->C_CloseAllSessions(0) != CKR_OK)
		return step;
	step++;
	if (finalise(a) != CKR_OK)
		return step;
	step++;
	return answer_of(b->list) == CKR_CRYPTOKI_NOT_INITIALIZED ? 0 : step;
}

/*
 * A fork in the middle of the shim's own books leaves the child with half an
 * entry, so what it is answered is not judged: it must neither crash nor hang.
 */
__attribute__((noreturn)) static void rest_of_child(void)
{
	for (int i = 0; i < 20; i++)
		one_round();
	_exit(0);
}

static void reap(int flags)
{
	int status;
	pid_t child;

	while ((child = waitpid(-1, &status, flags)) > 0 || (child < 0 && errno == EINTR)) {
		if (child < 0)
			continue;
		if (WIFSIGNALED(status))
			fprintf(stderr, "a child was ended by signal %d\n", WTERMSIG(status));
		TRUE(!WIFSIGNALED(status));
		EQUAL(WEXITSTATUS(status), 0);
	}
}

static void fork_from_signal(void)
{
	struct sigaction action = {.sa_handler = fork_now, .sa_flags = SA_RESTART};
	struct itimerval never = {0};
	double end = now() + 3;

	for (int i = 0; i < 2; i++)
		storm[i] = user_at(load_consumer(1 + i), part("module.so"));
	sigaction(SIGALRM, &action, NULL);
	next_signal();
	while (now() < end) {
		int step = one_round();

		if (is_child)
			rest_of_child();
		EQUAL(step, 0);
		reap(WNOHANG);
		if (is_child)
			rest_of_child();
	}
	signal(SIGALRM, SIG_IGN);
	setitimer(ITIMER_REAL, &never, NULL);
	if (is_child)
		rest_of_child();
	reap(0);
	TRUE(round_number > 100);
	EQUAL(failed_forks, 0);
}

/* ---- F3, C3 */

static void finalises_and_unloads(void *user)
{
	struct user *a = user;
	const char *path = strdup(build_path(MOCK));

	IS(finalise(a), CKR_OK);
	EQUAL(a->mock.get("calls_in_child"), 0);
	EQUAL(a->consumer->unload(a->module), 0);
	TRUE(!loaded(path));
	IS(slots_of(a), CKR_CRYPTOKI_NOT_INITIALIZED);
	use_once(a->consumer, path);
}

static void child_unloads(void)
{
	struct user a = user_of(1, MOCK);

	IS(initialise(&a), CKR_OK);
	in_child(finalises_and_unloads, &a);
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
	        {"C9-another-relative-path", another_relative_path},
	        {"C9-copied-anew", copied_anew},
	        {"C9-renamed", renamed},
	        {"B1-stale-list-meanwhile", stale_list_meanwhile},
	        {"B1-consumer-by-relative-path", consumer_by_relative_path},
	        {"B1-consumer-replaced", consumer_replaced},
	        {"C8-refused-otherwise", refused_otherwise},
	        {"C8-failed-otherwise", failed_otherwise},
	        {"B3-lists-of-one-version", lists_of_one_version},
	        {"B3-more-than-there-are", more_than_there_are},
	        {"C10-library-before-module", library_before_module},
	        {"C10-library-after-module", library_after_module},
	        {"C10-at-exit-auto", at_exit_auto},
	        {"C10-at-exit-forward", at_exit_forward},
	        {"C10-at-exit-retire", at_exit_retire},
	        {"C10-at-exit-finalize", at_exit_finalize},
	        {"F2-reserved-text-freed", reserved_text_freed},
	        {"C2-cancelled-while-waiting", cancelled_while_waiting},
	        {"C2-finalise-does-not-wait", finalise_does_not_wait},
	        {"F1-fork-from-signal", fork_from_signal},
	        {"F3-child-unloads", child_unloads},
	        {"C3-refused-finalise", refused_finalise},
	        {NULL, NULL},
	};

	return run_case(cases, argc, argv);
}
