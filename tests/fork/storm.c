/*
 * storm: a process forks again and again, in every way there is, while its
 * other threads are inside a module; each child must be able to use it.
 *
 *	storm [--how HOW] [--while WHAT] [--forks N] [--patience SECONDS]
 *	      [--threads N] --module PATH
 *
 *	--how       fork     (default)
 *	            clone    the system call, behind the back of libc
 *	            thread   fork() in a thread that was made for it
 *	            vfork, spawn   the child executes /bin/true
 *	--while     idle         no other thread (default)
 *	            initialise   another thread is inside C_Initialize
 *	            finalise     another thread is inside C_Finalize
 *	            call         other threads find the key and sign
 *	--forks     how many (2000)
 *	--threads   how many other threads call (2)
 *	--patience  after how many seconds a child has hung (5)
 *
 * A child initialises (every second one does not, where the parent's module was
 * up), opens a session, logs in, finds the key, signs, closes the session and
 * finalises. CKR_CRYPTOKI_ALREADY_INITIALIZED is fine with it.
 *
 * A child that crashes or hangs tells its parent the addresses on its stack.
 * The parent names the innermost object that is neither libc nor this program:
 * it is there that the child died or waited. Prints
 *
 *	2000 forks: 1994 ok, 0 wrong, 6 crashed (0 in the shim), 0 hung (0 in the shim)
 *
 * and a line for each different death or wrong answer, with how often it was
 * seen. Exit status 0 if the parent saw nothing but CKR_OK, no child got a wrong
 * answer and none died inside libp11shim.so; 2 if it could not even begin.
 *
 * Environment: TOKEN_LABEL, TOKEN_PIN (see scripts/token).
 */
#include "names.h"
#include "token.h"
#include <dlfcn.h>
#include <execinfo.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MOST_FRAMES = 48, MOST_KINDS = 24, SHOWN_FRAMES = 7, MOST_THREADS = 32 };

extern char **environ;

static CK_FUNCTION_LIST *list;
static int patience = 5;
static CK_C_INITIALIZE_ARGS arguments = {.flags = CKF_OS_LOCKING_OK};

static void load(const char *path)
{
	void *handle = dlopen(path, RTLD_NOW);
	CK_RV (*get)(CK_FUNCTION_LIST **) = NULL;

	if (handle)
		*(void **)&get = dlsym(handle, "C_GetFunctionList");
	if (!get || get(&list) != CKR_OK) {
		const char *error = dlerror();

		fprintf(stderr, "storm: %s: %s\n", path, error ? error : "no function list");
		exit(2);
	}
}

/* ---- in the child */

enum end { OK, WRONG, CRASHED, HUNG, ENDS };

/* What a child says before it ends; short enough for a pipe to take it whole. */
struct message {
	enum end end;
	int frames;
	void *frame[MOST_FRAMES];
	char text[80];
};

static int answer;

static void tell(struct message *message)
{
	if (write(answer, message, sizeof(*message)) != sizeof(*message))
		_exit(9);
	_exit(message->end);
}

static void on_signal(int number)
{
	struct message message = {.end = number == SIGALRM ? HUNG : CRASHED};

	message.frames = backtrace(message.frame, MOST_FRAMES);
	if (message.frames < 3 && number != SIGALRM)
		snprintf(message.text, sizeof(message.text), "%s at an address that is no code",
		         strsignal(number));
	tell(&message);
}

static void arrange_signals(void)
{
	static const int numbers[] = {SIGALRM, SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESETHAND};
	unsigned i;

	for (i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
		sigaction(numbers[i], &action, NULL);
	alarm(patience);
}

static void must(const char *step, CK_RV rv)
{
	struct message message = {.end = WRONG};

	if (rv == CKR_OK)
		return;
	snprintf(message.text, sizeof(message.text), "%s: %s", step, rv_name(rv));
	tell(&message);
}

static CK_RV initialise(void)
{
	CK_RV rv = list->C_Initialize(&arguments);

	return rv == CKR_CRYPTOKI_ALREADY_INITIALIZED ? CKR_OK : rv;
}

static void child(int initialises)
{
	struct message well = {.end = OK};
	struct token token;

	arrange_signals();
	if (initialises)
		must("C_Initialize", initialise());
	must("open, log in, find the key", token_open(&token, list));
	must("sign", token_sign(&token));
	must("C_CloseSession", list->C_CloseSession(token.session));
	must("C_Finalize", list->C_Finalize(NULL));
	tell(&well);
}

/* ---- how to fork */

static pid_t by_fork(int initialises)
{
	pid_t pid = fork();

	if (pid == 0)
		child(initialises);
	return pid;
}

static pid_t by_clone(int initialises)
{
	pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);

	if (pid == 0)
		child(initialises);
	return pid;
}

static void *in_thread(void *pid_and_flag)
{
	int *flag = pid_and_flag;

	*flag = by_fork(*flag);
	return NULL;
}

static pid_t by_thread(int initialises)
{
	pthread_t thread;
	int flag = initialises;

	if (pthread_create(&thread, NULL, in_thread, &flag) != 0)
		return -1;
	pthread_join(thread, NULL);
	return flag;
}

static char *const true_argv[] = {"true", NULL};

static pid_t by_vfork(int initialises)
{
	pid_t pid = vfork();

	(void)initialises;
	if (pid == 0) {
		execve("/bin/true", true_argv, environ);
		_exit(9);
	}
	return pid;
}

static pid_t by_spawn(int initialises)
{
	pid_t pid;

	(void)initialises;
	return posix_spawn(&pid, "/bin/true", NULL, NULL, true_argv, environ) == 0 ? pid : -1;
}

static const struct way {
	const char *name;
	pid_t (*fork)(int initialises);
	int execs;
} ways[] = {
        {"fork", by_fork, 0},   {"clone", by_clone, 0}, {"thread", by_thread, 0},
        {"vfork", by_vfork, 1}, {"spawn", by_spawn, 1}, {NULL, NULL, 0},
};

/* ---- what the other threads do */

enum phase { OUTSIDE, INITIALISING, INSIDE, FINALISING };

static atomic_bool enough;
static atomic_int phase, parent_failures;
static char parent_failure[100];

static void parent_must(const char *step, CK_RV rv)
{
	if (rv == CKR_OK)
		return;
	if (atomic_fetch_add(&parent_failures, 1) == 0)
		snprintf(parent_failure, sizeof(parent_failure), "%s: %s", step, rv_name(rv));
}

static void *comes_and_goes(void *unused)
{
	CK_ULONG count;

	while (!enough) {
		phase = INITIALISING;
		parent_must("C_Initialize", list->C_Initialize(&arguments));
		phase = INSIDE;
		parent_must("C_GetSlotList", list->C_GetSlotList(CK_FALSE, NULL, &count));
		phase = FINALISING;
		parent_must("C_Finalize", list->C_Finalize(NULL));
		phase = OUTSIDE;
		usleep(100);
	}
	return unused;
}

static void *calls(void *unused)
{
	struct token token;

	parent_must("open, log in, find the key", token_open(&token, list));
	while (!enough) {
		parent_must("find the key", token_find_key(&token));
		parent_must("sign", token_sign(&token));
	}
	parent_must("C_CloseSession", list->C_CloseSession(token.session));
	return unused;
}

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

/* Until the other thread is somewhere inside that phase: as deep as chance has
 * it, up to the longest that one was seen to last (but for those that other
 * work stretched). */
static void wait_for_phase(int wanted)
{
	static unsigned seed = 1;
	static int64_t usual = 200000;
	int64_t begin, end, until;

	while (phase == wanted)
		;
	while (phase != wanted)
		;
	begin = now_ns();
	until = begin + (int64_t)(rand_r(&seed) % 1000) * usual / 1000;
	while (phase == wanted && (end = now_ns()) < until)
		;
	if (phase == wanted)
		usual += usual / 16;
	else if (usual > 20000)
		usual -= usual / 16;
}

/* ---- in the parent: what became of a child */

static int count[ENDS], in_shim[ENDS];

static struct kind {
	enum end end;
	int times;
	char text[600];
} kinds[MOST_KINDS];

static void note(enum end end, const char *text)
{
	int i;

	for (i = 0; i < MOST_KINDS && kinds[i].times; i++)
		if (kinds[i].end == end && !strcmp(kinds[i].text, text))
			break;
	if (i == MOST_KINDS)
		return;
	kinds[i].end = end;
	kinds[i].times++;
	snprintf(kinds[i].text, sizeof(kinds[i].text), "%s", text);
}

static const char *base_name(const char *path)
{
	const char *slash = path ? strrchr(path, '/') : NULL;

	return slash ? slash + 1 : path ? path : "?";
}

static int is_libc(const char *object)
{
	return !strncmp(object, "libc.so", 7) || !strncmp(object, "libc-2", 6) ||
	       !strncmp(object, "ld-linux", 8) || !strncmp(object, "libpthread", 10) ||
	       !strncmp(object, "linux-vdso", 10) || !strncmp(object, "libgcc_s", 8) ||
	       !strncmp(object, "libstdc++", 9);
}

/* The stack below the signal frame, in words; says whose the innermost object is. */
static int describe(const struct message *message, char *text, size_t size)
{
	int i, shown = 0, culprit = -1;
	size_t length = 0;
	Dl_info self, info;

	dladdr((void *)(uintptr_t)describe, &self);
	text[0] = '\0';
	for (i = 0; i < message->frames && shown < SHOWN_FRAMES; i++) {
		const char *object;

		if (!dladdr(message->frame[i], &info))
			memset(&info, 0, sizeof(info));
		if (!shown && (info.dli_fbase == self.dli_fbase ||
		               (i < 3 && info.dli_sname && strstr(info.dli_sname, "restore_rt")) || i < 2))
			continue; /* the handler itself */
		object = base_name(info.dli_fname);
		if (culprit < 0 && !is_libc(object) && info.dli_fbase != self.dli_fbase)
			culprit = strstr(object, "p11shim") != NULL;
		length += snprintf(text + length, length < size ? size - length : 0, "%s%s",
		                   shown ? " < " : "", object);
		if (length < size && info.dli_sname && culprit != 1)
			length += snprintf(text + length, size - length, "(%s)", info.dli_sname);
		else if (length < size && info.dli_fbase)
			length += snprintf(text + length, size - length, "+%#tx",
			                   (char *)message->frame[i] - (char *)info.dli_fbase);
		if (length >= size)
			break;
		shown++;
	}
	return culprit == 1;
}

static void judge(const struct message *message)
{
	char text[600];

	count[message->end]++;
	if (message->end == OK)
		return;
	if (message->frames == 0) {
		note(message->end, message->text);
		return;
	}
	in_shim[message->end] += describe(message, text, sizeof(text));
	note(message->end, text[0] ? text : message->text);
}

/*
 * Children that have not ended yet. One that hangs sleeps, so that the next can
 * be forked meanwhile; only as many as this wait at a time.
 */
enum { MOST_PENDING = 64, GRACE_MS = 60 };

static struct pending {
	pid_t pid;
	int from;
	int64_t deadline;
} pending[MOST_PENDING];
static int pendings;

static void finish(const struct pending *child, int has_spoken, int execs)
{
	struct message message = {.end = HUNG, .text = ""};
	int status, silent = 0;

	if (!has_spoken && !execs)
		kill(child->pid, SIGKILL); /* cannot even say that it hangs */
	else if (read(child->from, &message, sizeof(message)) != sizeof(message))
		silent = 1;
	waitpid(child->pid, &status, 0);
	close(child->from);
	if (execs && status == 0) {
		message.end = OK;
	} else if (silent) {
		message.end = execs || WIFEXITED(status) ? WRONG : CRASHED;
		snprintf(message.text, sizeof(message.text), "without a word, status %#x", status);
	}
	judge(&message);
}

/* Lets those go that have ended; returns how many there were. */
static int gather(int milliseconds, int execs)
{
	struct pollfd polled[MOST_PENDING];
	int i, kept = 0, before = pendings;

	for (i = 0; i < pendings; i++)
		polled[i] = (struct pollfd){.fd = pending[i].from, .events = POLLIN};
	poll(polled, pendings, milliseconds);
	for (i = 0; i < pendings; i++) {
		if (polled[i].revents || now_ns() > pending[i].deadline)
			finish(&pending[i], polled[i].revents != 0, execs);
		else
			pending[kept++] = pending[i];
	}
	pendings = kept;
	return before - kept;
}

static void once(const struct way *way, int initialises)
{
	int ends[2], before = pendings;
	pid_t pid;
	int64_t grace;

	if (pipe2(ends, O_CLOEXEC) < 0) {
		perror("storm");
		exit(2);
	}
	answer = ends[1];
	pid = way->fork(initialises);
	close(ends[1]);
	if (pid < 0) {
		perror("storm");
		exit(2);
	}
	pending[pendings++] = (struct pending){pid, ends[0], now_ns() + (patience + 3) * INT64_C(1000000000)};
	grace = now_ns() + GRACE_MS * INT64_C(1000000);
	while (pendings > before && now_ns() < grace)
		gather(GRACE_MS / 4, way->execs);
	while (pendings == MOST_PENDING)
		gather(1000, way->execs);
}

static int report(int forks)
{
	static const char *const names[] = {"ok", "wrong", "crashed", "hung"};
	int i;

	printf("%d forks: %d ok, %d wrong, %d crashed (%d in the shim), %d hung (%d in the shim)\n", forks,
	       count[OK], count[WRONG], count[CRASHED], in_shim[CRASHED], count[HUNG], in_shim[HUNG]);
	for (i = 0; i < MOST_KINDS && kinds[i].times; i++)
		printf("  %d %s: %s\n", kinds[i].times, names[kinds[i].end],
		       kinds[i].text[0] ? kinds[i].text : "so deeply that it cannot say where");
	if (parent_failures)
		printf("parent: %d failures, first %s\n", (int)parent_failures, parent_failure);
	return parent_failures || count[WRONG] || in_shim[CRASHED] || in_shim[HUNG];
}

static void usage(void)
{
	fputs("usage: storm [--how fork|clone|thread|vfork|spawn] [--while idle|initialise|finalise|call]\n"
	      "             [--forks N] [--threads N] [--patience SECONDS] --module PATH\n",
	      stderr);
	exit(2);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
	        {"how", required_argument, NULL, 'h'},
	        {"while", required_argument, NULL, 'w'},
	        {"forks", required_argument, NULL, 'f'},
	        {"threads", required_argument, NULL, 't'},
	        {"patience", required_argument, NULL, 'p'},
	        {"module", required_argument, NULL, 'm'},
	        {NULL, 0, NULL, 0},
	};
	static const struct rlimit no_core = {0, 0};
	static pthread_t others[MOST_THREADS];
	const struct way *way = ways;
	const char *path = NULL, *what = "idle";
	struct token own;
	int option, i, threads = 2, forks = 2000, moment = OUTSIDE;
	void *frame[MOST_FRAMES];

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'h':
			for (way = ways; way->name && strcmp(way->name, optarg) != 0; way++)
				;
			break;
		case 'w':
			what = optarg;
			break;
		case 'f':
			forks = atoi(optarg);
			break;
		case 't':
			threads = atoi(optarg);
			break;
		case 'p':
			patience = atoi(optarg);
			break;
		case 'm':
			path = optarg;
			break;
		default:
			usage();
		}
	}
	if (!strcmp(what, "initialise"))
		moment = INITIALISING;
	else if (!strcmp(what, "finalise"))
		moment = FINALISING;
	else if (!strcmp(what, "idle"))
		threads = 0;
	else if (strcmp(what, "call") != 0)
		usage();
	if (!path || !way->name || optind != argc || threads > MOST_THREADS)
		usage();
	setrlimit(RLIMIT_CORE, &no_core);
	backtrace(frame, MOST_FRAMES); /* loads what it needs, which a child could not */
	load(path);

	if (moment != OUTSIDE) {
		threads = 1;
		pthread_create(&others[0], NULL, comes_and_goes, NULL);
	} else {
		parent_must("C_Initialize", list->C_Initialize(&arguments));
		parent_must("open, log in, find the key", token_open(&own, list));
		if (parent_failures) {
			fprintf(stderr, "storm: %s\n", parent_failure);
			return 2;
		}
		for (i = 0; i < threads; i++)
			pthread_create(&others[i], NULL, calls, NULL);
	}
	for (i = 0; i < forks; i++) {
		if (moment != OUTSIDE)
			wait_for_phase(moment);
		once(way, moment != OUTSIDE || i % 2);
	}
	while (pendings > 0)
		gather(1000, way->execs);
	enough = 1;
	for (i = 0; i < threads; i++)
		pthread_join(others[i], NULL);
	if (moment == OUTSIDE) {
		parent_must("sign", token_sign(&own));
		parent_must("C_Finalize", list->C_Finalize(NULL));
	}
	return report(forks);
}
