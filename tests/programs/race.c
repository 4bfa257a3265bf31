/*
 * race: threads that have never heard of each other initialise one PKCS #11
 * module at the same moment.
 *
 *	race [--threads N] [--runs N] [--args null|os] [--reserved STRING]
 *	     [--function NAME] [--patience SECONDS] MODULE
 *
 *	--threads   how many (4)
 *	--runs      fresh processes, one after the other; each loads the module
 *	            and races once (1)
 *	--args      what C_Initialize gets: NULL, or CKF_OS_LOCKING_OK (os)
 *	--reserved  parameter string of NSS's softoken; it goes where the
 *	            standard has pReserved
 *	--function  how the function list is obtained (C_GetFunctionList)
 *	--patience  after how many seconds a run counts as hung (60)
 *
 * Each thread: barrier, C_Initialize, C_GetSlotList, barrier, C_Finalize. Two
 * threads have nothing in common but the process, so each must be answered
 * CKR_OK three times, and all must count the same slots as a process with one
 * thread does. Prints
 *
 *	200 runs: 150 ok, 20 wrong, 29 crashed, 1 hung
 *
 * and, for the first runs that were not ok, what was wrong. Exit status 0
 * only if all were ok.
 */
#include "names.h"
#include <dlfcn.h>
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST_THREADS = 64, SHOWN = 3 };

/* NSS's structure is one pointer longer than the standard's: its parameter
 * string lies at pReserved, its own pReserved follows. */
struct arguments {
	CK_C_INITIALIZE_ARGS standard;
	void *nss_reserved;
};

static const char *module_path, *function = "C_GetFunctionList";
static struct arguments arguments;
static int args_null, patience = 60;

/* ---- In the child: one race */

static CK_FUNCTION_LIST *list;
static pthread_barrier_t barrier;

struct runner {
	pthread_t thread;
	CK_RV initialise, slot_list, finalise;
	CK_ULONG slots;
};

static void *run(void *argument)
{
	struct runner *runner = argument;

	pthread_barrier_wait(&barrier);
	runner->initialise = list->C_Initialize(args_null ? NULL : &arguments);
	runner->slot_list = list->C_GetSlotList(CK_FALSE, NULL, &runner->slots);
	pthread_barrier_wait(&barrier);
	runner->finalise = list->C_Finalize(NULL);
	return NULL;
}

static void load(void)
{
	void *handle = dlopen(module_path, RTLD_NOW);
	CK_RV (*get)(CK_FUNCTION_LIST **) = NULL;

	if (handle)
		*(void **)&get = dlsym(handle, function);
	if (!get || get(&list) != CKR_OK) {
		const char *error = dlerror();

		fprintf(stderr, "race: %s: %s\n", module_path, error ? error : "no function list");
		exit(2);
	}
}

/* What is said about a run, through a pipe to the parent. */
struct verdict {
	CK_ULONG slots;
	char text[160];
};

/* slots is what a lone thread saw. Returns whether all was well. */
static int judge(const struct runner *runner, CK_ULONG slots, struct verdict *verdict)
{
	if (runner->initialise != CKR_OK)
		snprintf(verdict->text, sizeof(verdict->text), "C_Initialize: %s",
		         rv_name(runner->initialise));
	else if (runner->slot_list != CKR_OK)
		snprintf(verdict->text, sizeof(verdict->text), "C_GetSlotList: %s",
		         rv_name(runner->slot_list));
	else if (runner->slots != slots)
		snprintf(verdict->text, sizeof(verdict->text), "C_GetSlotList: %lu slots instead of %lu",
		         runner->slots, slots);
	else if (runner->finalise != CKR_OK)
		snprintf(verdict->text, sizeof(verdict->text), "C_Finalize: %s", rv_name(runner->finalise));
	else
		return 1;
	return 0;
}

static void child(int threads, CK_ULONG slots, int answer)
{
	static struct runner runners[MOST_THREADS];
	struct verdict verdict = {0, ""};
	int i, good = 1;

	alarm(patience);
	load();
	pthread_barrier_init(&barrier, NULL, threads);
	for (i = 0; i < threads; i++)
		pthread_create(&runners[i].thread, NULL, run, &runners[i]);
	for (i = 0; i < threads; i++)
		pthread_join(runners[i].thread, NULL);
	verdict.slots = runners[0].slots;
	if (threads == 1)
		slots = verdict.slots;
	for (i = 0; good && i < threads; i++)
		good = judge(&runners[i], slots, &verdict);
	if (write(answer, &verdict, sizeof(verdict)) != sizeof(verdict))
		exit(2);
	exit(good ? 0 : 1);
}

/* ---- In the parent */

enum outcome { OK, WRONG, CRASHED, HUNG, IMPOSSIBLE };

static enum outcome race(int threads, CK_ULONG slots, struct verdict *verdict)
{
	int status, answer[2];
	pid_t pid;

	memset(verdict, 0, sizeof(*verdict));
	fflush(stdout);
	if (pipe(answer) < 0 || (pid = fork()) < 0) {
		perror("race");
		exit(2);
	}
	if (pid == 0) {
		close(answer[0]);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		child(threads, slots, answer[1]);
	}
	close(answer[1]);
	if (read(answer[0], verdict, sizeof(*verdict)) < 0)
		perror("race");
	close(answer[0]);
	waitpid(pid, &status, 0);
	if (WIFSIGNALED(status)) {
		snprintf(verdict->text, sizeof(verdict->text), "%s", strsignal(WTERMSIG(status)));
		return WTERMSIG(status) == SIGALRM ? HUNG : CRASHED;
	}
	return WEXITSTATUS(status) == 0 ? OK : WEXITSTATUS(status) == 1 ? WRONG : IMPOSSIBLE;
}

static void usage(void)
{
	fputs("usage: race [--threads N] [--runs N] [--args null|os] [--reserved STRING]\n"
	      "            [--function NAME] [--patience SECONDS] MODULE\n",
	      stderr);
	exit(2);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
	        {"threads", required_argument, NULL, 't'},
	        {"runs", required_argument, NULL, 'r'},
	        {"args", required_argument, NULL, 'a'},
	        {"reserved", required_argument, NULL, 'R'},
	        {"function", required_argument, NULL, 'f'},
	        {"patience", required_argument, NULL, 'p'},
	        {NULL, 0, NULL, 0},
	};
	static const struct rlimit no_core = {0, 0};
	int option, i, threads = 4, runs = 1, shown = 0, count[5] = {0};
	struct verdict verdict;
	enum outcome outcome;
	CK_ULONG slots;

	arguments.standard.flags = CKF_OS_LOCKING_OK;
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 't':
			threads = atoi(optarg);
			break;
		case 'r':
			runs = atoi(optarg);
			break;
		case 'a':
			args_null = !strcmp(optarg, "null");
			break;
		case 'R':
			arguments.standard.pReserved = optarg;
			break;
		case 'f':
			function = optarg;
			break;
		case 'p':
			patience = atoi(optarg);
			break;
		default:
			usage();
		}
	}
	if (optind != argc - 1 || threads < 1 || threads > MOST_THREADS)
		usage();
	module_path = argv[optind];
	setrlimit(RLIMIT_CORE, &no_core);

	/* One thread alone shows how many slots there are. */
	outcome = race(1, 0, &verdict);
	if (outcome != OK) {
		fprintf(stderr, "race: even one thread alone fails: %s\n", verdict.text);
		return 2;
	}
	slots = verdict.slots;
	for (i = 0; i < runs; i++) {
		outcome = race(threads, slots, &verdict);
		count[outcome]++;
		if (outcome != OK && shown++ < SHOWN)
			printf("run %d: %s\n", i + 1, verdict.text);
	}
	printf("%d runs: %d ok, %d wrong, %d crashed, %d hung\n", runs, count[OK],
	       count[WRONG] + count[IMPOSSIBLE], count[CRASHED], count[HUNG]);
	return count[OK] == runs ? 0 : 1;
}
