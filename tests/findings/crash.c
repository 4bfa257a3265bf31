/*
 * crash: dies in one way or another while it has a module initialised (contract I5).
 *
 *   crash MODULE HOW [handler|late-handler]
 *
 *   fault, illegal, breakpoint, forbidden (a system call, by seccomp), abort, raise
 *   inside     a fault in the module, which is finalised twice (with mode = observe)
 *   wait       says "ready" and its number, and waits to be killed
 *   busy       a fault while another thread is in C_GetInfo (for fragile.so)
 *   two        two threads, the second one while the first is being told of
 *   small      a fault, with 8192 bytes for signal handlers and not one more
 *   overflow   of the stack, with as much for signal handlers
 *
 *   handler        one that the program has set before it loads the module: says what
 *                  it was told, and exits with 7
 *   late-handler   the same, set when the module is initialised
 *   harmless       one of before for a breakpoint's signal, which comes back, and has
 *                  the system call restarted that was interrupted; HOW is "read": says
 *                  what became of a read() then
 */
#include "finding.h"
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#define FAULTY ((volatile int *)0x1230)

static CK_FUNCTION_LIST *list;
static void *module;

/* ---- the program's own handler */

static void own_handler(int number, siginfo_t *info, void *context)
{
	(void)context;
	if (info->si_code > 0)
		dprintf(1, "own handler: signal %d, code %d, address %p\n", number, info->si_code,
		        info->si_addr);
	else
		dprintf(1, "own handler: signal %d, code %d, from %s\n", number, info->si_code,
		        info->si_pid == getpid() ? "itself" : "another");
	_exit(7);
}

static void set_own_handlers(void)
{
	static const int fatal[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS, SIGTRAP};
	struct sigaction action = {.sa_sigaction = own_handler, .sa_flags = SA_SIGINFO};

	for (size_t i = 0; i < sizeof fatal / sizeof *fatal; i++)
		CHECK(sigaction(fatal[i], &action, NULL) == 0);
}

static atomic_int came_back;

static void harmless_handler(int number)
{
	(void)number;
	atomic_fetch_add(&came_back, 1);
}

static void set_harmless_handler(void)
{
	struct sigaction action = {.sa_handler = harmless_handler, .sa_flags = SA_RESTART};

	CHECK(sigaction(SIGTRAP, &action, NULL) == 0);
}

/* ---- ways to die */

static void fault(void)
{
	*FAULTY = 1;
}

static void illegal(void)
{
	__builtin_trap();
}

static void breakpoint(void)
{
#if defined __x86_64__ || defined __i386__
	__asm__ volatile("int3");
#else
	raise(SIGTRAP);
#endif
}

static void forbidden(void)
{
	struct sock_filter rule[] = {
	        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
	        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
	        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog rules = {sizeof rule / sizeof *rule, rule};

	CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &rules) == 0);
	syscall(SYS_getppid);
}

static void raise_it(void)
{
	raise(SIGSEGV);
}

static void wait_for_it(void)
{
	printf("ready %d\n", getpid());
	fflush(stdout);
	for (;;)
		pause();
}

/* Does the first thread sleep? */
static int is_asleep(void)
{
	FILE *file = fopen("/proc/self/stat", "r");
	char state = 0;

	CHECK(file && fscanf(file, "%*d (%*[^)]) %c", &state) == 1);
	fclose(file);
	return state == 'S';
}

static int end[2];
static atomic_int reads;

static void *interrupt(void *first)
{
	while (!atomic_load(&reads) || !is_asleep())
		usleep(200);
	CHECK(pthread_kill(*(pthread_t *)first, SIGTRAP) == 0);
	while (!atomic_load(&came_back))
		usleep(200);
	CHECK(write(end[1], "x", 1) == 1);
	return NULL;
}

static void read_interrupted(void)
{
	pthread_t thread, self = pthread_self();
	char byte;
	ssize_t size;

	CHECK(pipe(end) == 0 && pthread_create(&thread, NULL, interrupt, &self) == 0);
	atomic_store(&reads, 1);
	size = read(end[0], &byte, 1);
	printf("read: %s\n", size < 0 ? strerror(errno) : "ok");
	CHECK(pthread_join(thread, NULL) == 0);
}

static void *be_busy(void *unused)
{
	CK_INFO info;

	list->C_GetInfo(&info);
	return unused;
}

static void busy(void)
{
	int (*waiting)(void) = (int (*)(void))(uintptr_t)dlsym(module, "fragile_waiting");
	pthread_t thread;

	CHECK(waiting && pthread_create(&thread, NULL, be_busy, NULL) == 0);
	while (!waiting())
		usleep(200);
	fault();
}

/*
 * Standard error is a pipe, which nobody reads: when it is full the first thread
 * stays in the middle of what is told of it. Then comes the second; whoever sees its
 * file may read.
 */
#define FILLED 4000

static void *fault_second(void *unused)
{
	int told = 0;

	while (ioctl(STDERR_FILENO, FIONREAD, &told) == 0 && told <= FILLED)
		usleep(200);
	CHECK(open("second", O_CREAT | O_WRONLY | O_CLOEXEC, 0600) >= 0);
	fault();
	return unused;
}

static void two(void)
{
	static char filling[FILLED];
	pthread_t thread;

	CHECK(fcntl(STDERR_FILENO, F_SETPIPE_SZ, 4096) == 4096);
	CHECK(write(STDERR_FILENO, memset(filling, '\n', FILLED), FILLED) == FILLED);
	CHECK(pthread_create(&thread, NULL, fault_second, NULL) == 0);
	fault();
}

/* Whoever needs more than these 8192 bytes touches a page that may not be touched. */
static void have_little_room(void)
{
	char *room = mmap(NULL, 12288, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	stack_t stack = {.ss_sp = room + 4096, .ss_size = 8192};

	CHECK(room != MAP_FAILED && mprotect(room + 4096, 8192, PROT_READ | PROT_WRITE) == 0);
	CHECK(sigaltstack(&stack, NULL) == 0);
}

static void small(void)
{
	have_little_room();
	fault();
}

static void inside(void)
{
	list->C_Finalize(NULL);
	list->C_Finalize(NULL);
}

static volatile char sink;

static void recurse(int depth)
{
	char page[4096];

	memset(page, depth, sizeof page);
	sink = page[depth % 4096];
	if (depth < 1 << 24)
		recurse(depth + 1);
	sink = page[0];
}

static void overflow(void)
{
	have_little_room();
	recurse(0);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*die)(void);
	} way[] = {{"fault", fault},           {"illegal", illegal}, {"breakpoint", breakpoint},
	           {"forbidden", forbidden},   {"abort", abort},     {"raise", raise_it},
	           {"wait", wait_for_it},      {"busy", busy},       {"two", two},
	           {"read", read_interrupted}, {"small", small},     {"overflow", overflow},
	           {"inside", inside}};
	const char *handler = argc > 3 ? argv[3] : "";

	alarm(60);
	if (strcmp(handler, "handler") == 0)
		set_own_handlers();
	if (strcmp(handler, "harmless") == 0)
		set_harmless_handler();
	module = load_module(argv[1]);
	list = list_of(module);
	MUST(list->C_Initialize(NULL));
	if (strcmp(handler, "late-handler") == 0)
		set_own_handlers();
	for (size_t i = 0; i < sizeof way / sizeof *way; i++)
		if (is_variant(argc, argv, way[i].name))
			way[i].die();
	return 0;
}
