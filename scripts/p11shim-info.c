/*
 * p11shim-info: what `p11shim list` wishes to know and a shell cannot find out.
 *
 *	p11shim-info --config [MODULE]     see p11shim-settings.c
 *	p11shim-info --info [--init] [--seconds N] MODULE
 *	p11shim-info --version
 *
 *	--info      what the PKCS #11 module at that path says of itself
 *	--init      C_Initialize before C_GetInfo and C_Finalize after it, for a module
 *	            that answers nothing without, as the standard allows
 *	--seconds   how long it may take (5)
 *
 * Prints lines `NAME<TAB>TEXT`: cryptoki, manufacturer, description, version; or
 * `silent` with the return value that C_GetInfo (with --init C_Initialize) had for us;
 * or `error` with what is wrong. What is no printable UTF-8 is shown as ?. Exit status: 0,
 * 1 after an error, or if the lines cannot be written, 2 if misused.
 *
 * A module is foreign code. It is loaded into a child, which has /dev/null for
 * standard input, output and error, leaves no core, and is killed with all that it
 * started, daemons too, when it has answered, its time is over, or we are told to end.
 * If we are killed, so is the child. No session is opened and no PIN is known.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "p11shim-info.h"
#include "text.h"
#include "pkcs11.h"

/* The part of every version's function list that is needed here. */
struct function_list {
	CK_VERSION version;
	CK_RV (*C_Initialize)(CK_VOID_PTR);
	CK_RV (*C_Finalize)(CK_VOID_PTR);
	CK_RV (*C_GetInfo)(CK_INFO_PTR);
};

/* What the child writes, in one piece. */
struct answer {
	CK_VERSION version;
	CK_INFO info;
	CK_RV rv;        /* of C_GetInfo, or of a C_Initialize that failed */
	char error[400]; /* it did not come that far */
};

static const char *result_name(CK_RV rv)
{
	static char number[32];
	static const struct {
		CK_RV value;
		const char *name;
	} names[] = {
#define RETURN(name) {name, #name},
#include "returns.def"
	};
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (names[i].value == rv)
			return names[i].name;
	snprintf(number, sizeof number, "0x%lx", rv);
	return number;
}

/* ---- the child */

static void ask(const char *path, bool initialise, struct answer *answer)
{
	CK_RV (*get_function_list)(struct function_list **);
	struct function_list *list = NULL;
	void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!module) {
		snprintf(answer->error, sizeof answer->error, "cannot be loaded: %s", dlerror());
		return;
	}
	get_function_list = (CK_RV(*)(struct function_list **))dlsym(module, "C_GetFunctionList");
	if (!get_function_list) {
		snprintf(answer->error, sizeof answer->error, "no PKCS #11 module: no C_GetFunctionList");
		return;
	}
	CK_RV rv = get_function_list(&list);
	if (rv != CKR_OK || !list || !list->C_GetInfo) {
		snprintf(answer->error, sizeof answer->error, "C_GetFunctionList: %s",
		         rv == CKR_OK ? "no functions" : result_name(rv));
		return;
	}
	answer->version = list->version;
	CK_C_INITIALIZE_ARGS arguments = {.flags = CKF_OS_LOCKING_OK};
	if (initialise)
		answer->rv = list->C_Initialize(&arguments);
	if (answer->rv == CKR_OK) {
		answer->rv = list->C_GetInfo(&answer->info);
		if (initialise)
			list->C_Finalize(NULL);
	}
}

/*
 * Leaves without destructors, the module's above all; and by itself, if the parent is killed or
 * stopped for long.
 */
static _Noreturn void child(const char *path, bool initialise, int seconds, pid_t parent, int out)
{
	struct answer answer = {0};
	const struct rlimit none = {0, 0};
	int null = open("/dev/null", O_RDWR);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	alarm((unsigned)seconds + 1);
	setsid();
	setrlimit(RLIMIT_CORE, &none);
	if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(null, 2) < 0)
		_exit(1);
	ask(path, initialise, &answer);
	_exit(write(out, &answer, sizeof answer) != sizeof answer);
}

/* ---- the parent */

static volatile sig_atomic_t told_to_end; /* by this signal */

static void note_signal(int signal)
{
	told_to_end = signal;
}

/* What whoever started us ignores stays ignored. */
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

static long long milliseconds(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

/* Has the child ended? It is left to be waited for. */
static bool ended(pid_t pid)
{
	siginfo_t what = {0};
	return waitid(P_PID, (id_t)pid, &what, WEXITED | WNOHANG | WNOWAIT) == 0 && what.si_pid == pid;
}

/*
 * All of the answer, in time. On false errno is ETIMEDOUT, or 0: it ended without one. What
 * the child has started may hold the pipe open, so the end of the pipe is not waited for.
 */
static bool receive(int in, pid_t pid, struct answer *answer, int seconds)
{
	size_t have = 0;
	long long deadline = milliseconds() + seconds * 1000LL;
	while (have < sizeof *answer && !told_to_end) {
		struct pollfd wait = {.fd = in, .events = POLLIN};
		bool over = ended(pid), late = milliseconds() >= deadline;
		if (poll(&wait, 1, over || late ? 0 : 20) <= 0) {
			errno = over ? 0 : ETIMEDOUT;
			if (over || late)
				return false;
			continue;
		}
		ssize_t n = read(in, (char *)answer + have, sizeof *answer - have);
		if (n <= 0) {
			errno = 0;
			return false;
		}
		have += (size_t)n;
	}
	return have == sizeof *answer;
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

static void say_why(struct answer *answer, int status, bool late, int seconds)
{
	memset(answer, 0, sizeof *answer);
	if (late)
		snprintf(answer->error, sizeof answer->error, "no answer within %d seconds", seconds);
	else if (WIFSIGNALED(status))
		snprintf(answer->error, sizeof answer->error, "crashed when asked: %s",
		         strsignal(WTERMSIG(status)));
	else
		snprintf(answer->error, sizeof answer->error, "ended the process when asked");
}

/* Kills our children. Were there any? */
static bool kill_children(void)
{
	int pid;
	bool any = false;
	FILE *children = fopen("/proc/thread-self/children", "re");
	while (children && fscanf(children, "%d", &pid) == 1)
		any = kill(pid, SIGKILL) == 0 || any;
	if (children)
		fclose(children);
	return any;
}

/*
 * What the child has started is killed with it: its session, and, if we are the heir, what has
 * left that. Of a child that is dying already that changes no exit status. Returns it.
 */
static int end_child(pid_t pid, bool heir)
{
	int status = 0;
	kill(-pid, SIGKILL);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	/* each that dies may leave us others; what does not die in a second is left */
	for (int i = 0; heir && i < 100 && kill_children(); i++) {
		poll(NULL, 0, 10);
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
	}
	return status;
}

/* Does not return if we are told to end meanwhile. */
static void ask_in_child(const char *path, bool initialise, int seconds, struct answer *answer)
{
	int end[2];
	pid_t parent = getpid();
	memset(answer, 0, sizeof *answer);
	/* whoever executed us may have left us children of his own: not to be killed with the others */
	bool heir = waitpid(-1, NULL, WNOHANG) < 0 && prctl(PR_SET_CHILD_SUBREAPER, 1) == 0;
	pid_t pid = make_pipe(end) ? fork() : -1;
	if (pid < 0) {
		snprintf(answer->error, sizeof answer->error, "no child to ask it in: %s", strerror(errno));
		return;
	}
	if (pid == 0)
		child(path, initialise, seconds, parent, end[1]);
	handle_signals(note_signal);
	close(end[1]);
	bool answered = receive(end[0], pid, answer, seconds);
	bool late = !answered && errno == ETIMEDOUT;
	close(end[0]);
	int status = end_child(pid, heir);
	handle_signals(SIG_DFL);
	if (told_to_end)
		raise(told_to_end);
	if (!answered)
		say_why(answer, status, late, seconds);
}

/* One line. Text comes from a module: blank-padded, and not for a terminal to obey. */
static void print(const char *name, const char *padded, size_t size)
{
	char string[sizeof((struct answer *)0)->error + 1], shown[sizeof string];
	struct text text = text_in(shown, sizeof shown - 1);
	while (size > 0 && (padded[size - 1] == ' ' || padded[size - 1] == '\0'))
		size--;
	snprintf(string, sizeof string, "%.*s", (int)size, padded);
	text_foreign(&text, string);
	*text.at = '\0';
	printf("%s\t%s\n", name, shown);
}

static void print_version(const char *name, CK_VERSION version, const char *format)
{
	char text[16];
	snprintf(text, sizeof text, format, version.major, version.minor);
	print(name, text, strlen(text));
}

static int info(const char *path, bool initialise, int seconds)
{
	struct answer answer;
	ask_in_child(path, initialise, seconds, &answer);
	if (answer.error[0]) {
		print("error", answer.error, strnlen(answer.error, sizeof answer.error));
		return 1;
	}
	/* 2.40 is major 2, minor 40; 2.01 is 2 and 1 */
	print_version("cryptoki", answer.version, "%d.%02d");
	if (answer.rv != CKR_OK) {
		const char *name = result_name(answer.rv);
		print("silent", name, strlen(name));
		return 0;
	}
	const CK_INFO *of = &answer.info;
	print("manufacturer", (const char *)of->manufacturerID, sizeof of->manufacturerID);
	print("description", (const char *)of->libraryDescription, sizeof of->libraryDescription);
	print_version("version", of->libraryVersion, "%d.%d");
	return 0;
}

static int usage(void)
{
	fprintf(stderr, "usage: p11shim-info --info [--init] [--seconds N] MODULE\n"
	                "       p11shim-info --config [MODULE]\n"
	                "       p11shim-info --version\n");
	return 2;
}

static int run(int count, char **argument)
{
	bool initialise = false;
	int seconds = 5, i = 2;
	if (count == 2 && strcmp(argument[1], "--version") == 0) {
		printf("p11shim-info %s\n", p11shim_version);
		return 0;
	}
	if ((count == 2 || count == 3) && strcmp(argument[1], "--config") == 0)
		return tell_settings(argument[2]);
	if (count < 3 || strcmp(argument[1], "--info") != 0)
		return usage();
	for (; i < count && argument[i][0] == '-'; i++) {
		if (strcmp(argument[i], "--init") == 0)
			initialise = true;
		else if (strcmp(argument[i], "--seconds") == 0 && i + 1 < count)
			seconds = atoi(argument[++i]);
		else
			return usage();
	}
	return i + 1 == count && seconds > 0 ? info(argument[i], initialise, seconds) : usage();
}

/* An answer that nobody gets is none. */
int main(int count, char **argument)
{
	int status = run(count, argument);
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	fprintf(stderr, "p11shim-info: cannot write: %s\n", strerror(errno));
	return status ? status : 1;
}
