/*
 * steps: a program that uses a module, and meanwhile has things done to itself
 * and to the files around it, one after another, as it is told:
 *
 *	steps MODULE STEP...
 *
 *	init, finalise       C_Initialize, C_Finalize
 *	call N               C_GetInfo, so often
 *	say N                the same; after each a line, at once: PROCESS THREAD NUMBER
 *	deep N               initialise once and finalise twice, at the end of N nested calls
 *	threads T N          T threads named worker-0 and so on: C_GetInfo N times each.
 *	                     The last is told of as: NAME PROCESS THREAD N
 *	restless T N         T threads that initialise, call and finalise, N times each
 *	saying T N           T threads that `say N`
 *	cancelled N          a thread that has been cancelled, and does not know it yet: the
 *	                     same; no call may be where it ends
 *	tree P N             a tree of P processes, this one among them, that all do
 *	                     `call N` at the same time: PROCESS PARENT, a line each
 *	child STEP...        fork; the child executes this program anew, with the rest
 *	exec STEP...         the same without a fork
 *	name NAME            of this thread
 *	gate                 read standard input to its end; as the first step, before the
 *	                     module is loaded
 *	sh COMMAND           runs it, without the library
 *	limit BYTES          RLIMIT_FSIZE; 0: none
 *	reuse PATH N         close all descriptors but 0 to 2; open that file, by N numbers
 *	                     from 3 on
 *	lowest               the lowest number that a descriptor can get
 *	unwritten            is it empty, and still there by all of them?
 *	hold FIFO            open it for reading, and never read
 *	chroot DIRECTORY, chdir DIRECTORY, user N
 *	exit N, _exit N, abort, kill
 *
 * Prints a line for each step, so that two runs can be compared. Numbers of
 * processes and threads appear only where it says so above.
 */
#include "names.h"
#include "standard/pkcs11.h"
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static CK_FUNCTION_LIST *list;
static char **arguments; /* of the program, up to the first step */

__attribute__((noreturn)) static void fail(const char *what)
{
	fprintf(stderr, "steps: %s: %m\n", what);
	_exit(99);
}

/* In one write(), so that lines of threads and processes do not mix; nothing is kept for later. */
__attribute__((format(printf, 1, 2))) static void print(const char *format, ...)
{
	char line[512];
	va_list values;
	int length;

	va_start(values, format);
	length = vsnprintf(line, sizeof line, format, values);
	va_end(values);
	if (write(STDOUT_FILENO, line, (size_t)length) != length)
		_exit(98); /* nobody reads: nothing more is to be proved */
}

static int number_of_thread(void)
{
	return (int)syscall(SYS_gettid);
}

static CK_RV call(long times)
{
	CK_INFO info;
	CK_RV rv = CKR_OK;

	for (long i = 0; i < times && rv == CKR_OK; i++)
		rv = list->C_GetInfo(&info);
	return rv;
}

static CK_RV call_and_say(long times)
{
	CK_RV rv = CKR_OK;

	for (long i = 1; i <= times && rv == CKR_OK; i++) {
		rv = call(1);
		/* long, so that a pipe does not hold many */
		print("%d %d %-200ld\n", (int)getpid(), number_of_thread(), i);
	}
	return rv;
}

__attribute__((noinline)) static CK_RV deep(long frames)
{
	CK_RV rv;

	if (frames > 1) {
		rv = deep(frames - 1);
		__asm__ volatile("" : "+r"(rv)); /* no loop of it */
		return rv;
	}
	rv = list->C_Initialize(NULL);
	if (rv == CKR_OK)
		rv = list->C_Finalize(NULL);
	list->C_Finalize(NULL);
	return rv;
}

/* ---- threads */

struct worker {
	pthread_t thread;
	int number;
	long times;
};

static void *work(void *argument)
{
	const struct worker *worker = argument;
	char name[16];

	snprintf(name, sizeof name, "worker-%d", worker->number);
	prctl(PR_SET_NAME, name);
	if (call(worker->times) == CKR_OK)
		print("%s %d %d %ld\n", name, (int)getpid(), number_of_thread(), worker->times);
	return NULL;
}

static void *work_saying(void *argument)
{
	call_and_say(((const struct worker *)argument)->times);
	return NULL;
}

static void *work_restless(void *argument)
{
	const struct worker *worker = argument;
	CK_RV rv = CKR_OK;

	for (long i = 0; i < worker->times && rv == CKR_OK; i++) {
		rv = list->C_Initialize(NULL);
		if (rv == CKR_OK)
			rv = call(1);
		if (rv == CKR_OK)
			rv = list->C_Finalize(NULL);
	}
	print("restless: %s\n", rv_name(rv));
	return NULL;
}

static void threads(int count, long times, void *(*do_work)(void *))
{
	struct worker workers[64];

	if (count > 64)
		fail("at most 64 threads");
	for (int i = 0; i < count; i++) {
		workers[i] = (struct worker){.number = i, .times = times};
		if (pthread_create(&workers[i].thread, NULL, do_work, &workers[i]))
			fail("thread");
	}
	for (int i = 0; i < count; i++)
		pthread_join(workers[i].thread, NULL);
}

static void *work_cancelled(void *argument)
{
	CK_RV rv;

	pthread_cancel(pthread_self());
	rv = call(*(long *)argument);
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	if (rv == CKR_OK)
		print("cancelled: ok\n");
	return NULL;
}

static void cancelled(long times)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, work_cancelled, &times))
		fail("thread");
	pthread_join(thread, NULL);
}

/* ---- processes */

static void wait_for_children(void)
{
	int status;

	while (wait(&status) > 0)
		if (status)
			fail("a child failed");
}

/* Process number `me` of `count`; its children are 2 me + 1 and 2 me + 2. */
static void branch(int me, int count, long times, atomic_int *there)
{
	for (int child = 2 * me + 1; child <= 2 * me + 2 && child < count; child++) {
		pid_t pid;

		if (call(1) != CKR_OK)
			fail("C_GetInfo");
		pid = fork();
		if (pid < 0)
			fail("fork");
		if (pid == 0) {
			branch(child, count, times, there);
			_exit(0);
		}
	}
	atomic_fetch_add(there, 1);
	while (atomic_load(there) < count)
		sched_yield();
	if (call(times) != CKR_OK)
		fail("C_GetInfo");
	print("%d %d\n", (int)getpid(), me ? (int)getppid() : 0);
	wait_for_children();
}

static void tree(int count, long times)
{
	atomic_int *there =
	        mmap(NULL, sizeof *there, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (there == MAP_FAILED)
		fail("mmap");
	branch(0, count, times, there);
}

static void execute(char **steps)
{
	char *all[64] = {arguments[0], arguments[1]};

	for (int i = 0; steps[i]; i++) {
		if (i == 60)
			fail("too many steps");
		all[i + 2] = steps[i];
	}
	execv("/proc/self/exe", all);
	fail("exec");
}

static void child(char **steps)
{
	pid_t pid = fork();

	if (pid < 0)
		fail("fork");
	if (pid == 0)
		execute(steps);
	wait_for_children();
}

/* Its own environment, without what it would load too. */
static void shell(const char *command)
{
	pid_t pid = fork();

	if (pid < 0)
		fail("fork");
	if (pid == 0) {
		unsetenv("LD_PRELOAD");
		execl("/bin/sh", "sh", "-c", command, (char *)NULL);
		_exit(127);
	}
	wait_for_children();
}

/* Says when it is there. */
static void gate(void)
{
	char byte;

	print("waiting\n");
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
}

/* ---- what a host does to itself */

static void limit(long bytes)
{
	struct rlimit new;

	getrlimit(RLIMIT_FSIZE, &new);
	new.rlim_cur = bytes ? (rlim_t)bytes : new.rlim_max;
	if (setrlimit(RLIMIT_FSIZE, &new))
		fail("limit");
}

static int reused; /* so many numbers, from 3 on */
static struct stat reused_file;

/* At once: within a tenth of a second the journal may not look whether its file is still there. */
static void reuse(const char *path, int count)
{
	int fd;

	for (int i = 3; i < 1024; i++)
		close(i);
	fd = open(path, O_CREAT | O_RDWR | O_TRUNC, 0600);
	for (int i = 3; i < 3 + count; i++)
		if (fd != i && dup2(fd, i) < 0)
			fail("reuse");
	reused = count;
	fstat(3, &reused_file);
}

/* All still lead there, and nothing is in it. */
static const char *unwritten(void)
{
	struct stat now;

	for (int i = 3; i < 3 + reused; i++)
		if (fstat(i, &now) || now.st_ino != reused_file.st_ino || now.st_dev != reused_file.st_dev)
			return "not what was opened";
		else if (now.st_size)
			return "written to";
	return "ok";
}

static int lowest(void)
{
	int fd = dup(STDOUT_FILENO);

	close(fd);
	return fd;
}

/* ---- steps */

static char *next(char ***at)
{
	if (!**at) {
		fputs("steps: a step wants more\n", stderr);
		_exit(99);
	}
	return *(*at)++;
}

static long next_number(char ***at)
{
	return atol(next(at));
}

static int is(const char *step, const char *name)
{
	return !strcmp(step, name);
}

/* False: it was none of these. */
static int calls(const char *step, char ***at)
{
	CK_RV rv;

	if (is(step, "init"))
		rv = list->C_Initialize(NULL);
	else if (is(step, "finalise"))
		rv = list->C_Finalize(NULL);
	else if (is(step, "call"))
		rv = call(next_number(at));
	else if (is(step, "deep"))
		rv = deep(next_number(at));
	else if (is(step, "say"))
		rv = call_and_say(next_number(at));
	else
		return 0;
	print("%s: %s\n", step, rv_name(rv));
	return 1;
}

static int crowds(const char *step, char ***at)
{
	int count;

	if (is(step, "threads") || is(step, "saying") || is(step, "restless")) {
		count = (int)next_number(at);
		threads(count, next_number(at),
		        is(step, "saying")     ? work_saying
		        : is(step, "restless") ? work_restless
		                               : work);
	} else if (is(step, "cancelled")) {
		cancelled(next_number(at));
	} else if (is(step, "tree")) {
		count = (int)next_number(at);
		tree(count, next_number(at));
	} else if (is(step, "child")) {
		child(*at);
		exit(0);
	} else if (is(step, "exec")) {
		execute(*at);
	} else {
		return 0;
	}
	return 1;
}

static int is_end(const char *step, char ***at)
{
	if (is(step, "exit"))
		exit((int)next_number(at));
	if (is(step, "_exit"))
		_exit((int)next_number(at));
	if (is(step, "abort"))
		abort();
	if (is(step, "kill"))
		kill(getpid(), SIGKILL);
	return 0;
}

static void happens(const char *step, char ***at)
{
	const char *path;
	int failed = 0;

	if (is(step, "name"))
		failed = prctl(PR_SET_NAME, next(at));
	else if (is(step, "gate"))
		gate();
	else if (is(step, "sh"))
		shell(next(at));
	else if (is(step, "limit"))
		limit(next_number(at));
	else if (is(step, "lowest"))
		print("lowest: %d\n", lowest());
	else if (is(step, "hold"))
		failed = open(next(at), O_RDONLY | O_NONBLOCK) < 0;
	else if (is(step, "chroot"))
		failed = chroot(next(at)) || chdir("/");
	else if (is(step, "chdir"))
		failed = chdir(next(at));
	else if (is(step, "user"))
		failed = setuid((uid_t)next_number(at));
	else if (is(step, "reuse")) {
		path = next(at);
		reuse(path, (int)next_number(at));
	} else if (is(step, "unwritten"))
		print("unwritten: %s\n", unwritten());
	else {
		errno = EINVAL;
		failed = 1;
	}
	if (failed)
		fail(step);
	print("%s\n", step);
}

int main(int argc, char **argv)
{
	CK_C_GetFunctionList get;
	void *module;
	char **at = argv + 2;

	if (argc < 3) {
		fputs("usage: steps MODULE STEP...\n", stderr);
		return 99;
	}
	arguments = argv;
	if (is(*at, "gate")) {
		gate();
		at++;
	}
	module = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
	get = module ? (CK_C_GetFunctionList)(uintptr_t)dlsym(module, "C_GetFunctionList") : NULL;
	if (!get || get(&list) != CKR_OK) {
		fprintf(stderr, "steps: %s: no module\n", argv[1]);
		return 99;
	}
	while (*at) {
		const char *step = *at++;

		if (!calls(step, &at) && !crowds(step, &at) && !is_end(step, &at))
			happens(step, &at);
	}
	return 0;
}
