/*
 * forks.c: contract F1, F2, F3, F4, F6: what a forked child has of a module that
 * the parent initialised. Cases are named after the clause; those with "policy"
 * want P11SHIM_FORK.
 *
 * By default the mock carries its state over a fork, as SoftHSM does; with
 * reset_on_fork it has to be initialised in the child, as openCryptoki has.
 */
#include "driver.h"
#include <sys/syscall.h>
#include <sys/time.h>

/* A parent with a session, logged in, having signed. */
struct parent {
	struct user user;
	CK_SESSION_HANDLE session;
};

static struct parent parent_on(const char *options)
{
	struct parent p;

	if (options)
		setenv("MOCK_OPTIONS", options, 1);
	p.user = user_of(1, MOCK);
	IS(initialise(&p.user), CKR_OK);
	p.session = open_on(&p.user, 0);
	login(&p.user, p.session);
	IS(sign_on(&p.user, p.session, 0), CKR_OK);
	return p;
}

static void parent_is_well(struct parent *p)
{
	IS(sign_on(&p->user, p->session, 0), CKR_OK);
	IS(finalise(&p->user), CKR_OK);
	IS(finalise(&p->user), CKR_CRYPTOKI_NOT_INITIALIZED);
	EQUAL(p->user.mock.get("C_Initialize"), 1);
	EQUAL(p->user.mock.get("C_Finalize"), 1);
}

/* ---- the child just goes on */

static void goes_on_carried_over(void *argument)
{
	struct parent *p = argument;

	IS(slots_of(&p->user), CKR_OK);
	EQUAL(p->user.mock.get("child.C_Initialize"), 1);
	IS(sign_on(&p->user, p->session, 0), CKR_OK); /* with the inherited session */
	IS(work(&p->user), CKR_OK);
	IS(p->user.list->C_CloseSession(p->session), CKR_OK);
	EQUAL(p->user.mock.get("child.C_Initialize"), 1);
	EQUAL(p->user.mock.get("child.C_Finalize"), 0);
}

static void goes_on_reset(void *argument)
{
	struct parent *p = argument;

	IS(slots_of(&p->user), CKR_OK);
	EQUAL(p->user.mock.get("child.C_Initialize"), 1);
	EQUAL(p->user.mock.get("refused_uninitialised"), 0);
	IS(session_is(&p->user, p->session), CKR_SESSION_HANDLE_INVALID);
	IS(work(&p->user), CKR_OK);
	IS(p->user.list->C_CloseSession(p->session), CKR_SESSION_HANDLE_INVALID);
	EQUAL(p->user.mock.get("child.C_Initialize"), 1);
	IS(finalise(&p->user), CKR_OK);
	IS(slots_of(&p->user), CKR_CRYPTOKI_NOT_INITIALIZED);
	EQUAL(p->user.mock.get("child.C_Finalize"), 1);
}

static void carried_over(void)
{
	struct parent p = parent_on(NULL);

	in_child(goes_on_carried_over, &p);
	parent_is_well(&p);
}

static void reset_on_fork(void)
{
	struct parent p = parent_on("reset_on_fork=1");

	in_child(goes_on_reset, &p);
	parent_is_well(&p);
}

/* Whatever call comes first. */
static void signs_first(void *argument)
{
	struct parent *p = argument;

	IS(sign_on(&p->user, p->session, 0), CKR_SESSION_HANDLE_INVALID);
	EQUAL(p->user.mock.get("child.C_Initialize"), 1);
	IS(work(&p->user), CKR_OK);
}

static void opens_first(void *argument)
{
	struct parent *p = argument;

	IS(work(&p->user), CKR_OK);
	EQUAL(p->user.mock.get("child.C_Initialize"), 1);
}

static void closes_all_first(void *argument)
{
	struct parent *p = argument;

	IS(p->user.list->C_CloseAllSessions(0), CKR_OK);
	EQUAL(p->user.mock.get("child.C_Initialize"), 1);
	IS(work(&p->user), CKR_OK);
}

static void any_first_call(void)
{
	struct parent p = parent_on("reset_on_fork=1");

	in_child(signs_first, &p);
	p.user.mock.set("child.C_Initialize", 0);
	in_child(opens_first, &p);
	p.user.mock.set("child.C_Initialize", 0);
	in_child(closes_all_first, &p);
	EQUAL(p.user.mock.get("refused_uninitialised"), 0);
	parent_is_well(&p);
}

/* The module that only wants to be initialised again but would go on without: as OpenSC. */
static void accepts_in_child(void)
{
	struct parent p = parent_on("accept_in_child=1");

	in_child(goes_on_reset, &p);
	parent_is_well(&p);
}

/* And one for which anything else comes first breaks the rules. */
static void aborts_in_child(void)
{
	struct parent p = parent_on("abort_in_child=1");

	in_child(goes_on_reset, &p);
	p.user.mock.set("child.C_Initialize", 0);
	in_child(opens_first, &p);
	parent_is_well(&p);
}

/* The first initialise's arguments, although the caller's memory is long gone. */
static void looks_at_arguments(void *argument)
{
	struct parent *p = argument;

	IS(slots_of(&p->user), CKR_OK);
	EQUAL(p->user.mock.get("locking"), MOCK_OS_LOCKING);
	EQUAL(p->user.mock.get("flags"), CKF_OS_LOCKING_OK | CKF_LIBRARY_CANT_CREATE_OS_THREADS);
	EQUAL(p->user.mock.get("reserved"), argument);
}

static void original_arguments(void)
{
	struct parent p;
	CK_C_INITIALIZE_ARGS *args = malloc(sizeof *args);

	setenv("MOCK_OPTIONS", "reset_on_fork=1", 1);
	p.user = user_of(1, MOCK);
	*args = (CK_C_INITIALIZE_ARGS){.flags = CKF_LIBRARY_CANT_CREATE_OS_THREADS, .pReserved = &p};
	IS(p.user.list->C_Initialize(args), CKR_OK);
	memset(args, 0xee, sizeof *args);
	free(args);
	in_child(looks_at_arguments, &p);
	IS(finalise(&p.user), CKR_OK);
}

static const char parameters[] = "configdir='/etc/somewhere' flags=readOnly";

/* Text in pReserved, which the parent gave and has freed. */
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

/* C_Initialize fails in the child: an answer, no crash; it may be tried again. */
static void fails_in_child(void *argument)
{
	struct parent *p = argument;

	p->user.mock.set("fail_init", CKR_DEVICE_ERROR);
	TRUE(slots_of(&p->user) != CKR_OK);
	IS(initialise(&p->user), CKR_DEVICE_ERROR);
	EQUAL(p->user.mock.get("child.C_Finalize"), 0);
	p->user.mock.set("fail_init", 0);
	IS(initialise(&p->user), CKR_OK);
	IS(work(&p->user), CKR_OK);
}

static void failing_in_child(void)
{
	struct parent p = parent_on("reset_on_fork=1");

	in_child(fails_in_child, &p);
	parent_is_well(&p);
}

/* ---- F3: counts */

static void does_nothing(void *argument)
{
	(void)argument;
}

static void exits(void *argument)
{
	(void)argument;
	exit(0);
}

static void only_finalises(void *argument)
{
	struct parent *p = argument;

	IS(finalise(&p->user), CKR_OK);
	IS(finalise(&p->user), CKR_CRYPTOKI_NOT_INITIALIZED);
	IS(slots_of(&p->user), CKR_CRYPTOKI_NOT_INITIALIZED);
}

static void no_real_call(void)
{
	static const char *const options[] = {"carry_over_fork=1", "reset_on_fork=1"};

	for (int i = 0; i < 2; i++) {
		struct parent p = parent_on(options[i]);

		in_child(does_nothing, &p);
		in_child(exits, &p);
		in_child(only_finalises, &p);
		EQUAL(p.user.mock.get("calls_in_child"), 0);
		parent_is_well(&p);
		p.user.consumer->unload(p.user.module);
	}
}

static void initialises(void *argument)
{
	struct parent *p = argument;

	IS(initialise(&p->user), CKR_OK);
	IS(work(&p->user), CKR_OK);
	IS(finalise(&p->user), CKR_OK);
	IS(slots_of(&p->user), CKR_CRYPTOKI_NOT_INITIALIZED);
	IS(finalise(&p->user), CKR_CRYPTOKI_NOT_INITIALIZED);
	IS(initialise(&p->user), CKR_OK);
	IS(work(&p->user), CKR_OK);
	IS(finalise(&p->user), CKR_OK);
}

static void keeps_count(void *argument)
{
	struct parent *p = argument;

	IS(slots_of(&p->user), CKR_OK);
	IS(finalise(&p->user), CKR_OK);
	IS(slots_of(&p->user), CKR_OK);
	IS(finalise(&p->user), CKR_OK);
	IS(slots_of(&p->user), CKR_CRYPTOKI_NOT_INITIALIZED);
	IS(finalise(&p->user), CKR_CRYPTOKI_NOT_INITIALIZED);
}

static void counts_are_the_childs(void)
{
	static const char *const options[] = {"carry_over_fork=1", "reset_on_fork=1", "accept_in_child=1"};

	for (int i = 0; i < 3; i++) {
		struct parent p = parent_on(options[i]);

		IS(initialise(&p.user),
		   CKR_OK); /* twice: the child that initialises starts at one all the same */
		in_child(initialises, &p);
		in_child(keeps_count, &p);
		IS(finalise(&p.user), CKR_OK);
		parent_is_well(&p);
		p.user.consumer->unload(p.user.module);
	}
}

/* Two consumers: one initialises in the child, the other goes on. */
static struct user second;

static void both_in_child(void *argument)
{
	struct parent *p = argument;

	IS(initialise(&p->user), CKR_OK);
	IS(work(&second), CKR_OK);
	IS(finalise(&p->user), CKR_OK);
	IS(work(&second), CKR_OK);
	IS(finalise(&second), CKR_OK);
	IS(slots_of(&second), CKR_CRYPTOKI_NOT_INITIALIZED);
	EQUAL(p->user.mock.get("child.C_Initialize"), 1);
	EQUAL(p->user.mock.get("child.C_Finalize"), 1);
}

static void two_consumers(void)
{
	struct parent p = parent_on("reset_on_fork=1");

	second = user_of(2, MOCK);
	IS(initialise(&second), CKR_OK);
	in_child(both_in_child, &p);
	IS(finalise(&second), CKR_OK);
	parent_is_well(&p);
}

/* A child of a parent that never initialised, or has finalised, starts from nothing. */
static void starts_from_nothing(void *argument)
{
	struct user *user = argument;

	IS(slots_of(user), CKR_CRYPTOKI_NOT_INITIALIZED);
	EQUAL(user->mock.get("calls_in_child"), 0);
	IS(initialise(user), CKR_OK);
	IS(work(user), CKR_OK);
	IS(finalise(user), CKR_OK);
}

static void nothing_to_inherit(void)
{
	struct user a = user_of(1, MOCK);

	in_child(starts_from_nothing, &a);
	a.mock.set("calls_in_child", 0);
	IS(initialise(&a), CKR_OK);
	IS(finalise(&a), CKR_OK);
	in_child(starts_from_nothing, &a);
	IS(initialise(&a), CKR_OK);
	IS(work(&a), CKR_OK);
	IS(finalise(&a), CKR_OK);
}

/* C9: the shim keeps no module of the parent's in a child that has finalised it. */
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

/* ---- F1: however the child came about */

static void forks_again(void *argument)
{
	struct parent *p = argument;

	in_child(goes_on_reset, argument);
	p->user.mock.set("child.C_Initialize", 0);
	p->user.mock.set("child.C_Finalize", 0);
	goes_on_reset(argument);
}

static void double_fork(void)
{
	struct parent p = parent_on("reset_on_fork=1");

	in_child(forks_again, &p);
	parent_is_well(&p);
}

/* A system call that libc knows nothing of. */
static void raw_clone(void)
{
	struct parent p = parent_on("reset_on_fork=1");
	int status;
	pid_t child = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);

	if (child == 0) {
		alarm(PATIENCE);
		goes_on_reset(&p);
		_exit(0);
	}
	EQUAL(waitpid(child, &status, 0), child);
	EQUAL(status, 0);
	parent_is_well(&p);
}

static void *fork_here(void *argument)
{
	in_child(goes_on_reset, argument);
	return NULL;
}

static void fork_from_a_thread(void)
{
	struct parent p = parent_on("reset_on_fork=1");

	pthread_join(start(fork_here, &p), NULL);
	parent_is_well(&p);
}

/* Eight threads of the child make the first call together: one real C_Initialize. */
static pthread_barrier_t barrier;

static void *first_call(void *argument)
{
	pthread_barrier_wait(&barrier);
	IS(work(argument), CKR_OK);
	return NULL;
}

static void threads_of_child(void *argument)
{
	struct parent *p = argument;
	pthread_t threads[8];

	pthread_barrier_init(&barrier, NULL, 8);
	for (int i = 0; i < 8; i++)
		threads[i] = start(first_call, &p->user);
	for (int i = 0; i < 8; i++)
		pthread_join(threads[i], NULL);
	EQUAL(p->user.mock.get("child.C_Initialize"), 1);
}

static void eight_first_calls(void)
{
	struct parent p = parent_on("reset_on_fork=1,slow_init_ms=20");

	for (int i = 0; i < 20; i++) {
		in_child(threads_of_child, &p);
		p.user.mock.set("child.C_Initialize", 0);
	}
	parent_is_well(&p);
}

/* Fork while other threads are anywhere in the shim and the module. */
static atomic_bool enough;

static void *keep_busy(void *argument)
{
	struct user *user = argument;

	while (!enough) {
		IS(initialise(user), CKR_OK);
		IS(work(user), CKR_OK);
		IS(finalise(user), CKR_OK);
	}
	return NULL;
}

static void works_in_child(void *argument)
{
	struct user *user = argument;

	IS(initialise(user), CKR_OK);
	IS(work(user), CKR_OK);
	IS(finalise(user), CKR_OK);
}

static void works_after_keeping(void *argument)
{
	IS(work(argument), CKR_OK);
}

static void fork_among_threads(bool keep)
{
	static struct user users[4];
	struct user keeper;
	pthread_t threads[4];

	setenv("MOCK_OPTIONS", "reset_on_fork=1", 1);
	keeper = user_of(4, MOCK);
	if (keep)
		IS(initialise(&keeper), CKR_OK);
	for (int i = 0; i < 4; i++)
		users[i] = user_of(1 + i % 3, MOCK);
	for (int i = 0; i < 4; i++)
		threads[i] = start(keep_busy, &users[i]);
	for (int i = 0; i < 300 && (i < 20 || in_time()); i++) {
		in_child(works_in_child, &users[i % 3]);
		if (keep)
			in_child(works_after_keeping, &keeper);
	}
	enough = true;
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	if (keep)
		IS(finalise(&keeper), CKR_OK);
	EQUAL(keeper.mock.get("state"), 0);
}

static void while_others_work(void)
{
	fork_among_threads(true);
}

static void while_others_come_and_go(void)
{
	fork_among_threads(false);
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
		storm[i] = user_of_tiny(1 + i);
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

/* ---- F4: a number of before the fork never means a new session */

static void same_number(void *argument)
{
	struct parent *p = argument;
	CK_SESSION_HANDLE session;

	for (int i = 0; i < 3; i++) {
		session = open_on(&p->user, 0);
		TRUE(session != p->session);
		login(&p->user, session);
		IS(sign_on(&p->user, session, 0), CKR_OK);
		IS(session_is(&p->user, p->session), CKR_SESSION_HANDLE_INVALID);
	}
	IS(p->user.list->C_CloseSession(p->session), CKR_SESSION_HANDLE_INVALID);
	IS(sign_on(&p->user, session, 0), CKR_OK);
	IS(p->user.list->C_CloseSession(session), CKR_OK);
}

static void stale_number(void)
{
	struct parent p = parent_on("reset_on_fork=1,restart=1");

	in_child(same_number, &p);
	parent_is_well(&p);
}

/* ---- F2: policies, chosen by P11SHIM_FORK */

static void pristine(void *argument)
{
	struct parent *p = argument;

	IS(slots_of(&p->user), CKR_OK);
	EQUAL(p->user.mock.get("sessions"), 0);
	EQUAL(p->user.mock.get("logged_in"), 0);
	IS(session_is(&p->user, p->session), CKR_SESSION_HANDLE_INVALID);
	IS(work(&p->user), CKR_OK);
}

static void policy_reset(void)
{
	struct parent p = parent_on(NULL);

	in_child(pristine, &p);
	parent_is_well(&p);
}

static void strictly(void *argument)
{
	struct parent *p = argument;

	IS(slots_of(&p->user), CKR_CRYPTOKI_NOT_INITIALIZED);
	IS(session_is(&p->user, p->session), CKR_CRYPTOKI_NOT_INITIALIZED);
	EQUAL(p->user.mock.get("calls_in_child"), 0);
	IS(initialise(&p->user), CKR_OK);
	IS(work(&p->user), CKR_OK);
	IS(finalise(&p->user), CKR_OK);
}

static void policy_strict(void)
{
	struct parent p = parent_on("reset_on_fork=1");

	in_child(strictly, &p);
	parent_is_well(&p);
}

static void left_alone(void *argument)
{
	struct parent *p = argument;

	IS(sign_on(&p->user, p->session, 0), CKR_OK);
	EQUAL(p->user.mock.get("child.C_Initialize"), 0);
}

static void policy_off(void)
{
	struct parent p = parent_on(NULL);

	in_child(left_alone, &p);
	parent_is_well(&p);
}

int main(int argc, char **argv)
{
	static const struct test_case cases[] = {
	        {"F2-carried-over", carried_over},
	        {"F2-reset-on-fork", reset_on_fork},
	        {"F2-any-first-call", any_first_call},
	        {"F2-accepts-in-child", accepts_in_child},
	        {"F2-aborts-in-child", aborts_in_child},
	        {"F2-original-arguments", original_arguments},
	        {"F2-reserved-text-freed", reserved_text_freed},
	        {"F2-failing-in-child", failing_in_child},
	        {"F2-eight-first-calls", eight_first_calls},
	        {"F3-no-real-call", no_real_call},
	        {"F3-counts-are-the-childs", counts_are_the_childs},
	        {"F3-two-consumers", two_consumers},
	        {"F3-nothing-to-inherit", nothing_to_inherit},
	        {"F3-child-unloads", child_unloads},
	        {"F1-double-fork", double_fork},
	        {"F1-raw-clone", raw_clone},
	        {"F1-fork-from-a-thread", fork_from_a_thread},
	        {"F1-while-others-work", while_others_work},
	        {"F1-while-others-come-and-go", while_others_come_and_go},
	        {"F1-fork-from-signal", fork_from_signal},
	        {"F4-stale-number", stale_number},
	        {"F2-policy-reset", policy_reset},
	        {"F2-policy-strict", policy_strict},
	        {"F2-policy-off", policy_off},
	        {NULL, NULL},
	};

	return run_case(cases, argc, argv);
}
