/*
 * p11shim-guard.c: see p11shim-guard.h.
 *
 * Memory is limited by what a process may write and has to itself (RLIMIT_DATA), not by addresses
 * (RLIMIT_AS): a JVM and Go reserve many times what they use. Half of what the machine has, 4 GiB at
 * most, 512 MiB at least: a JVM starts with a 64th of the machine's memory and some 300 MiB besides, and
 * takes a quarter at most unless told otherwise; OpenSC and SoftHSM need some 20 MiB. What evades that
 * (shared memory) is for the kernel to notice: this process is the first that it ends then.
 *
 * Files: 64 MiB, more than any log or token directory gets within seconds; writing on fails, and
 * does not kill. Processor time: what all processors give within the time that is granted.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "p11shim-guard.h"

#define MIB (1024ULL * 1024)

/* ---- limits */

/* Not above what is allowed already. */
static void limit(int what, unsigned long long most)
{
	struct rlimit now;
	if (getrlimit((__rlimit_resource_t)what, &now) != 0)
		return;
	if (now.rlim_max == RLIM_INFINITY || now.rlim_max > most)
		now.rlim_max = (rlim_t)most;
	if (now.rlim_cur == RLIM_INFINITY || now.rlim_cur > now.rlim_max)
		now.rlim_cur = now.rlim_max;
	setrlimit((__rlimit_resource_t)what, &now);
}

static unsigned long long memory(void)
{
	unsigned long long half =
	        (unsigned long long)sysconf(_SC_PHYS_PAGES) * (unsigned long long)sysconf(_SC_PAGESIZE) / 2;
	return half > 4096 * MIB ? 4096 * MIB : half < 512 * MIB ? 512 * MIB : half;
}

/* The first processor that we may use: theirs. */
static void stay_on_one(void)
{
	cpu_set_t all, one;
	int processor = 0;
	if (sched_getaffinity(0, sizeof all, &all) != 0)
		return;
	while (processor < CPU_SETSIZE - 1 && !CPU_ISSET(processor, &all))
		processor++;
	CPU_ZERO(&one);
	CPU_SET(processor, &one);
	sched_setaffinity(0, sizeof one, &one);
}

void guard_limit(int seconds)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	int first = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	if (first >= 0) {
		(void)!write(first, "1000", 4);
		close(first);
	}
	if (geteuid() == 0)
		stay_on_one();
	signal(SIGXFSZ, SIG_IGN);
	limit(RLIMIT_CORE, 0);
	limit(RLIMIT_DATA, memory());
	limit(RLIMIT_FSIZE, 64 * MIB);
	limit(RLIMIT_NOFILE, 1024);
	limit(RLIMIT_CPU,
	      ((unsigned long long)seconds + 1) * (unsigned long long)(processors > 0 ? processors : 1));
	/* of the whole user, who has no more than the machine */
	if (guard_crowd() > 0)
		limit(RLIMIT_NPROC, guard_crowd() + 100);
}

unsigned long guard_crowd(void)
{
	char text[100], *slash;
	int fd = open("/proc/loadavg", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
	if (fd >= 0)
		close(fd);
	text[n > 0 ? n : 0] = '\0';
	slash = strchr(text, '/'); /* running/all */
	return slash ? strtoul(slash + 1, NULL, 10) : 0;
}

void guard_close_from(int first)
{
#ifdef SYS_close_range
	if (syscall(SYS_close_range, first, ~0U, 0) == 0)
		return;
#endif
	for (int fd = first; fd < 1024; fd++)
		close(fd);
}

/* ---- processes */

long long guard_milliseconds(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

static pid_t parent_of(pid_t pid, char *state)
{
	char path[40], text[512], *end;
	int parent = 0;
	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
	if (fd >= 0)
		close(fd);
	text[n > 0 ? n : 0] = '\0';
	end = strrchr(text, ')'); /* behind the name, which may have anything in it */
	return end && sscanf(end, ") %c %d", state, &parent) == 2 ? parent : 0;
}

unsigned guard_ancestors(pid_t pids[GUARD_SPARED])
{
	unsigned count = 0;
	for (pid_t pid = getpid(); pid > 1 && count < GUARD_SPARED; pid = parent_of(pid, &(char){0}))
		pids[count++] = pid;
	return count;
}

struct process {
	pid_t pid, parent;
	char state;
	bool known, below;
};

static int by_number(const void *a, const void *b)
{
	return ((const struct process *)a)->pid - ((const struct process *)b)->pid;
}

/* All processes, in the order of their numbers; to be freed. */
static struct process *all_processes(size_t *count)
{
	struct process *all = NULL;
	size_t room = 0;
	DIR *directory = opendir("/proc");
	const struct dirent *entry;
	*count = 0;
	while (directory && (entry = readdir(directory)) != NULL) {
		struct process process = {.pid = atoi(entry->d_name)};
		if (process.pid <= 0)
			continue;
		if (*count == room) {
			struct process *more = realloc(all, (room = 2 * room + 1000) * sizeof *all);
			if (!more)
				break;
			all = more;
		}
		process.parent = parent_of(process.pid, &process.state);
		all[(*count)++] = process;
	}
	if (directory)
		closedir(directory);
	qsort(all, *count, sizeof *all, by_number);
	return all;
}

/* Is it below root? Parents are asked once. */
static bool is_below(struct process *all, size_t count, struct process *process, pid_t root)
{
	const struct process wanted = {.pid = process->parent};
	struct process *parent;
	if (!process->known) {
		process->known = true; /* also an end to circles, where numbers were used again meanwhile */
		parent = bsearch(&wanted, all, count, sizeof *all, by_number);
		process->below = process->parent == root || (parent && is_below(all, count, parent, root));
	}
	return process->below;
}

/* Signals those below root that are not in one of these states. How many? */
static unsigned signal_tree(pid_t root, int signal, const char *but)
{
	size_t count;
	unsigned signalled = 0;
	struct process *all = all_processes(&count);
	for (size_t i = 0; i < count; i++)
		if (is_below(all, count, &all[i], root) && !strchr(but, all[i].state) &&
		    kill(all[i].pid, signal) == 0)
			signalled++;
	free(all);
	return signalled;
}

/*
 * Processes that multiply are not to be had by killing: for each that is gone another one may come.
 * Those that are stopped do not multiply, and count where their number is limited; one that has a
 * signal to take cannot fork any more. So all are stopped first, for two seconds at most, and killed
 * when none runs any longer. The number of root's is not limited; but they share one processor, and
 * leave us the others.
 */
void guard_end_tree(pid_t root)
{
	long long end = guard_milliseconds() + 2000;
	while (signal_tree(root, SIGSTOP, "TtZXx") > 0 && guard_milliseconds() < end)
		poll(NULL, 0, 1); /* they have to run to be stopped */
	signal_tree(root, SIGKILL, "ZXx");
}

#if defined __x86_64__
#define OWN_ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined __i386__
#define OWN_ARCHITECTURE AUDIT_ARCH_I386
#elif defined __aarch64__
#define OWN_ARCHITECTURE AUDIT_ARCH_AARCH64
#endif

#ifdef OWN_ARCHITECTURE

/*
 * System calls by which a process is signalled or stopped; which argument says who, and which says
 * by what signal (none: -1).
 */
static const struct {
	unsigned call, whom;
	int signal;
} signalling[] = {
        {SYS_kill, 0, 1},
        {SYS_tkill, 0, 1},
        {SYS_tgkill, 0, 2},
        {SYS_rt_sigqueueinfo, 0, 1},
        {SYS_rt_tgsigqueueinfo, 0, 2},
        {SYS_prlimit64, 0, -1},
        {SYS_ptrace, 1, -1},
#ifdef SYS_pidfd_open
        {SYS_pidfd_open, 0, -1},
#endif
};

#define LOAD(offset) (struct sock_filter) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (unsigned)(offset))
#define IF(test, value, yes, no) \
	(struct sock_filter) BPF_JUMP(BPF_JMP | (test) | BPF_K, (unsigned)(value), yes, no)
#define ANSWER(value) (struct sock_filter) BPF_STMT(BPF_RET | BPF_K, (unsigned)(value))
#define REFUSE ANSWER(SECCOMP_RET_ERRNO | EPERM)
#define ALLOW ANSWER(SECCOMP_RET_ALLOW)
#define ARGUMENT(n) (offsetof(struct seccomp_data, args) + 8 * (size_t)(n)) /* its lower half */
#define OF_A_CALL 10 /* instructions, and one for each who is spared */

/*
 * Of one system call: goes on behind itself with another one. A process that began before this one
 * is none that it has started: the numbers below its own are refused, which spares the processes
 * that started us, however many they are. One of those may have a higher number, since all have
 * been used once: it is among the spared. To ask whether a process is there, by signal 0, does no harm.
 */
static unsigned add_call(struct sock_filter *code, unsigned which, const pid_t *spared, unsigned count)
{
	unsigned n = 0, allow = OF_A_CALL + count - 1, refuse = allow - 1;
	code[n++] = IF(BPF_JEQ, signalling[which].call, 0, (unsigned char)allow);
	if (signalling[which].signal >= 0) {
		code[n++] = LOAD(ARGUMENT(signalling[which].signal));
		code[n] = IF(BPF_JEQ, 0, (unsigned char)(allow - n - 1), 0);
		n++;
	} else {
		code[n++] = LOAD(ARGUMENT(0)); /* so that all are of one length */
		code[n++] = LOAD(ARGUMENT(0));
	}
	code[n++] = LOAD(ARGUMENT(signalling[which].whom));
	code[n] = IF(BPF_JEQ, 0, (unsigned char)(allow - n - 1), 0); /* itself, its group */
	n++;
	for (unsigned i = 0; i < count; i++, n++)
		code[n] = IF(BPF_JEQ, spared[i], (unsigned char)(refuse - n - 1), 0);
	code[n] = IF(BPF_JEQ, -getpid(), (unsigned char)(allow - n - 1), 0);
	n++;
	code[n++] = IF(BPF_JGE, 0x80000000U, 1, 0); /* others' groups, and all */
	code[n++] = IF(BPF_JGE, getpid(), 1, 0);
	code[n++] = REFUSE;
	code[n++] = ALLOW;
	return n;
}

void guard_signals(pid_t keeper, const pid_t *spared, unsigned count)
{
	enum { MOST = 5 + (sizeof signalling / sizeof signalling[0]) * (GUARD_SPARED + 1 + OF_A_CALL + 1) };
	struct sock_filter code[MOST];
	pid_t all[GUARD_SPARED + 1] = {keeper};
	unsigned n = 0;
	memcpy(all + 1, spared, count * sizeof all[0]);
	code[n++] = LOAD(offsetof(struct seccomp_data, arch));
	code[n++] = IF(BPF_JEQ, OWN_ARCHITECTURE, 1, 0);
	code[n++] = REFUSE;
	for (unsigned i = 0; i < sizeof signalling / sizeof signalling[0]; i++) {
		code[n++] = LOAD(offsetof(struct seccomp_data, nr));
		n += add_call(code + n, i, all, count + 1);
	}
	code[n++] = ALLOW;
	struct sock_fprog program = {.len = (unsigned short)n, .filter = code};
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
	}
}

#else

void guard_signals(pid_t keeper, const pid_t *spared, unsigned count)
{
	(void)keeper, (void)spared, (void)count;
}

#endif
