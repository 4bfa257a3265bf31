/*
 * p11shim-ask.c: the part of p11shim-info that asks a module, which is foreign code and may do
 * anything that its user may.
 *
 * Three processes. We wait. A keeper starts the module's and does nothing else: it is what the
 * module finds as its parent, to stop or to kill. The module's own has /dev/null for standard
 * input, output and error, nothing else that was open, a session of its own, and limits. When it
 * has answered, its time is over, or we are told to end, both are killed with all that they
 * started, daemons too. If we are killed, so are they. No session is opened and no PIN is known.
 *
 * A filter of system calls keeps the module's signals from us, from the processes that started us, and
 * from all processes at once (kill(-1)). It is no pid namespace: what the module writes into lock
 * files, or tells a daemon, are numbers that others know.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "p11shim-guard.h"
#include "p11shim-info.h"

/* The part of every version's function list that is needed here. */
struct function_list {
	CK_VERSION version;
	CK_RV (*C_Initialize)(CK_VOID_PTR);
	CK_RV (*C_Finalize)(CK_VOID_PTR);
	CK_RV (*C_GetInfo)(CK_INFO_PTR);
};

/* What the keeper knows and we do not: how the module's process ended. */
struct kept {
	_Atomic(int) status;
	_Atomic(bool) ended;
};

/* ---- the module's process */

static void fail(struct answer *answer, const char *what, const char *why)
{
	snprintf(answer->error, sizeof answer->error, "%s: %s", what, why);
}

static struct function_list *load(const char *path, struct answer *answer)
{
	CK_RV (*get_function_list)(struct function_list **);
	struct function_list *list = NULL;
	void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!module) {
		fail(answer, "cannot be loaded", dlerror());
		return NULL;
	}
	get_function_list = (CK_RV(*)(struct function_list **))dlsym(module, "C_GetFunctionList");
	if (!get_function_list) {
		fail(answer, "no PKCS #11 module", "no C_GetFunctionList");
		return NULL;
	}
	CK_RV rv = get_function_list(&list);
	if (rv != CKR_OK || !list || !list->C_GetInfo) {
		fail(answer, "C_GetFunctionList", rv == CKR_OK ? "no functions" : result_name(rv));
		return NULL;
	}
	return list;
}

/* What is known is told before the module is asked on: it may not come back. In one piece. */
static void tell(struct answer *answer, enum asked next, int out)
{
	answer->asked = next;
	if (write(out, answer, sizeof *answer) != sizeof *answer)
		_exit(1);
}

static void get_info(struct function_list *list, struct answer *answer)
{
	CK_INFO info = {0};
	CK_RV rv = list->C_GetInfo(&info);
	if (rv == CKR_OK) {
		answer->info = info;
		answer->has_info = true;
	}
	if (answer->initialised == CKR_OK)
		answer->rv = rv;
}

static void ask(const char *path, bool initialise, int out)
{
	struct answer answer = {0};
	CK_C_INITIALIZE_ARGS arguments = {.flags = CKF_OS_LOCKING_OK};
	struct function_list *list = load(path, &answer);
	if (list) {
		answer.version = list->version;
		answer.has_version = true;
		tell(&answer, initialise ? ASKED_INITIALIZE : ASKED_INFO, out);
		if (initialise)
			answer.rv = answer.initialised = list->C_Initialize(&arguments);
		/* some that cannot be initialised without parameters of theirs answer all the same */
		tell(&answer, answer.rv == CKR_OK ? ASKED_INFO : ASKED_INFO_IN_VAIN, out);
		get_info(list, &answer);
		if (initialise && answer.initialised == CKR_OK) {
			tell(&answer, ASKED_FINALIZE, out);
			list->C_Finalize(NULL);
		}
	}
	tell(&answer, ASKED_ALL, out);
}

/*
 * Leaves without destructors, the module's above all; and by itself, if the others are stopped for
 * long.
 */
static _Noreturn void be_module(const char *path, bool initialise, int seconds, pid_t keeper, int out)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != keeper)
		_exit(1);
	alarm((unsigned)seconds + 1);
	setsid();
	int null = open("/dev/null", O_RDWR);
	if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(null, 2) < 0 || dup2(out, 3) < 0)
		_exit(1);
	guard_close_from(4);
	fcntl(3, F_SETFD, FD_CLOEXEC);
	guard_limit(seconds);
	ask(path, initialise, 3);
	_exit(0);
}

/* ---- the keeper */

static _Noreturn void be_keeper(const char *path, bool initialise, int seconds, struct kept *kept, int out,
                                const pid_t *spared, unsigned count)
{
	pid_t keeper = getpid(), ended;
	int status;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setsid();
	pid_t module = fork();
	if (module == 0) {
		munmap(kept, sizeof *kept); /* which the module is not to write */
		guard_signals(keeper, spared, count);
		be_module(path, initialise, seconds, keeper, out);
	}
	if (module < 0)
		_exit(1);
	close(out);
	do
		ended = waitpid(-1, &status, 0);
	while (ended != module && (ended > 0 || errno == EINTR));
	kept->status = status;
	kept->ended = ended == module;
	_exit(0);
}

/* ---- we */

static volatile sig_atomic_t told_to_end; /* by this signal */

static void note_signal(int signal)
{
	told_to_end = signal;
}

/* A signal that was ignored when we started stays ignored. */
static void handle_signals(void (*handler)(int))
{
	static const int signals[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM};
	for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
		struct sigaction action;
		if (sigaction(signals[i], NULL, &action) != 0 || action.sa_handler == SIG_IGN)
			continue;
		action.sa_handler = handler;
		sigaction(signals[i], &action, NULL);
	}
}

/* Has the keeper ended, or been stopped? It is left to be waited for. */
static bool is_over(pid_t keeper, bool *stopped)
{
	siginfo_t what = {0};
	if (waitid(P_PID, (id_t)keeper, &what, WEXITED | WSTOPPED | WNOHANG | WNOWAIT) != 0 ||
	    what.si_pid != keeper)
		return false;
	*stopped = what.si_code == CLD_STOPPED;
	return true;
}

/* What is said of one that has not answered all. */
enum outcome { ANSWERED, LATE, ENDED, STOPPED, CROWDED };

/*
 * The last answer that came, in time. What the child has started may hold the pipe open, so the
 * end of the pipe is not waited for.
 */
static enum outcome receive(int in, pid_t keeper, struct answer *answer, int seconds)
{
	long long deadline = guard_milliseconds() + seconds * 1000LL;
	unsigned long crowd = guard_crowd();
	while (answer->asked != ASKED_ALL && !told_to_end) {
		struct pollfd wait = {.fd = in, .events = POLLIN};
		bool stopped = false, over = is_over(keeper, &stopped), late = guard_milliseconds() >= deadline;
		if (poll(&wait, 1, over || late ? 0 : 20) > 0) {
			struct answer next;
			ssize_t n = read(in, &next, sizeof next);
			if (n == sizeof next && next.asked <= ASKED_ALL)
				*answer = next;
			else if (n <= 0)
				return ENDED;
		} else if (over || late) {
			return stopped ? STOPPED : over ? ENDED : LATE;
		} else if (guard_crowd() > crowd + GUARD_CROWD) {
			return CROWDED;
		}
	}
	return ANSWERED;
}

/* In both directions, if 0, 1 and 2 are closed: not where the child puts /dev/null. */
static bool make_pipe(int end[2])
{
	int low[2];
	if (pipe2(low, O_CLOEXEC) != 0)
		return false;
	for (int i = 0; i < 2; i++) {
		end[i] = fcntl(low[i], F_DUPFD_CLOEXEC, 3);
		close(low[i]);
	}
	return end[0] >= 0 && end[1] >= 0;
}

static void say_why(struct answer *answer, enum outcome outcome, const struct kept *kept, int seconds)
{
	char why[200];
	int status = kept->status;
	if (answer->asked == ASKED_INFO_IN_VAIN)
		return; /* it has said that it cannot be initialised, and nothing more was to be expected */
	if (outcome == LATE)
		snprintf(why, sizeof why, "no answer within %d seconds", seconds);
	else if (outcome == CROWDED)
		snprintf(why, sizeof why, "started processes without end");
	else if (outcome == STOPPED)
		snprintf(why, sizeof why, "it stopped the process that asked it");
	else if (!kept->ended)
		snprintf(why, sizeof why, "it killed the process that asked it");
	else if (WIFSIGNALED(status))
		snprintf(why, sizeof why, "crashed when asked: %s", strsignal(WTERMSIG(status)));
	else
		snprintf(why, sizeof why, "ended the process when asked");
	if (answer->asked == ASKED_FINALIZE)
		fail(answer, "C_Finalize", why);
	else
		snprintf(answer->error, sizeof answer->error, "%s", why);
}

/* Has this process children, running or ended? */
static bool has_children(void)
{
	siginfo_t what;
	return waitid(P_ALL, 0, &what, WEXITED | WNOHANG | WNOWAIT) == 0;
}

/*
 * What the module has started is killed with it: all that is below the keeper, or below us if we
 * are the heir of those whose parents have ended.
 */
static void end_all(pid_t keeper, bool heir)
{
	guard_end_tree(heir ? getpid() : keeper);
	kill(keeper, SIGKILL);
	waitpid(keeper, NULL, 0);
	/* each that dies may leave us others; what does not die in some seconds is left */
	long long end = guard_milliseconds() + 5000;
	while (heir && has_children() && guard_milliseconds() < end) {
		poll(NULL, 0, 10);
		guard_end_tree(getpid());
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
	}
}

void ask_in_child(const char *path, bool initialise, int seconds, struct answer *answer)
{
	int end[2];
	pid_t keeper = -1, spared[GUARD_SPARED];
	unsigned count = guard_ancestors(spared);
	struct kept *kept =
	        mmap(NULL, sizeof *kept, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	memset(answer, 0, sizeof *answer);
	/* the program that executed us may have left us its children: not to be killed with the others */
	bool heir = waitpid(-1, NULL, WNOHANG) < 0 && prctl(PR_SET_CHILD_SUBREAPER, 1) == 0;
	if (kept != MAP_FAILED && make_pipe(end))
		keeper = fork();
	if (keeper < 0) {
		fail(answer, "cannot start a process to ask it in", strerror(errno));
		return;
	}
	if (keeper == 0)
		be_keeper(path, initialise, seconds, kept, end[1], spared, count);
	handle_signals(note_signal);
	close(end[1]);
	enum outcome outcome = receive(end[0], keeper, answer, seconds);
	close(end[0]);
	if (outcome == ENDED) /* the pipe, and so the module's process in a moment */
		for (int i = 0; i < 200 && !kept->ended && !is_over(keeper, &(bool){false}); i++)
			poll(NULL, 0, 5);
	end_all(keeper, heir);
	handle_signals(SIG_DFL);
	if (told_to_end)
		raise(told_to_end);
	if (outcome != ANSWERED)
		say_why(answer, outcome, kept, seconds);
}
