/*
 * nss-wait: NSS waits for a token event in one thread and is called off by
 * another, as a browser does at its end or when a module is unloaded, while a
 * second consumer has the same module initialised and keeps it.
 *
 *	nss-wait [--times N] [--alone] [--counting] MODULE
 *
 *	--times     how often (1)
 *	--alone     there is no second consumer
 *	--counting  there is one, and all that stands between the two and the
 *	            module is a count: the module's own C_Initialize and C_Finalize
 *	            are called for the first and for the last of them only
 *
 * The waiter is called off once it sleeps. Prints `N of N called off, slowest MS
 * ms`; exit status 0 only if each came back within a second. One that does not
 * come back within five ends the program with status 3.
 */

#include <dlfcn.h>
#include <getopt.h>
#include <nss.h>
#include <pk11pub.h>
#include <pkcs11.h>
#include <prerror.h>
#include <pthread.h>
#include <secmod.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define LATENCY 500 /* milliseconds, for modules that NSS itself has to poll */

static SECMODModule *module;
static volatile pid_t waiter;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static int fail(const char *what, const char *why)
{
	fprintf(stderr, "nss-wait: %s: %s\n", what, why);
	return 1;
}

static const char *nss_error(void)
{
	const char *name = PR_ErrorToName(PR_GetError());

	return name ? name : "no error code";
}

static void *wait_for_event(void *unused)
{
	PK11SlotInfo *slot;

	waiter = (pid_t)syscall(SYS_gettid);
	slot = SECMOD_WaitForAnyTokenEvent(module, 0, PR_MillisecondsToInterval(LATENCY));
	if (slot)
		PK11_FreeSlot(slot);
	return unused;
}

/* The states of the waiter, ten in a row: it sleeps, and not just on its way. */
static int sleeps(void)
{
	char path[64], state = 0;
	FILE *file;

	for (int i = 0; i < 10; i++) {
		snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)waiter);
		file = waiter ? fopen(path, "r") : NULL;
		if (!file || fscanf(file, "%*d (%*[^)]) %c", &state) != 1)
			state = 0;
		if (file)
			fclose(file);
		usleep(1000);
		if (state != 'S')
			return 0;
	}
	return 1;
}

/* ---- counting, and nothing else */

static CK_C_Initialize real_initialize;
static CK_C_Finalize real_finalize;
static int count;

static CK_RV count_up(CK_VOID_PTR args)
{
	return count++ ? CKR_OK : real_initialize(args);
}

static CK_RV count_down(CK_VOID_PTR reserved)
{
	return --count ? CKR_OK : real_finalize(reserved);
}

/* A list may lie where nobody writes any more. */
static void replace(CK_FUNCTION_LIST *list)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	uintptr_t first = (uintptr_t)list / page * page;

	mprotect((void *)first, (uintptr_t)(list + 1) - first, PROT_READ | PROT_WRITE);
	list->C_Initialize = count_up;
	list->C_Finalize = count_down;
}

/* In the module's own lists, which NSS finds too: the one of C_GetFunctionList, and of C_GetInterface. */
static void put_count_between(CK_FUNCTION_LIST *list, void *handle)
{
	CK_C_GetInterface get_interface = (CK_C_GetInterface)dlsym(handle, "C_GetInterface");
	CK_INTERFACE *interface = NULL;

	real_initialize = list->C_Initialize;
	real_finalize = list->C_Finalize;
	replace(list);
	if (!get_interface || get_interface(NULL, NULL, &interface, 0) != CKR_OK)
		return;
	replace(interface->pFunctionList);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"times", required_argument, NULL, 't'},
	                                        {"alone", no_argument, NULL, 'a'},
	                                        {"counting", no_argument, NULL, 'c'},
	                                        {0}};
	CK_C_INITIALIZE_ARGS args = {.flags = CKF_OS_LOCKING_OK};
	int option, times = 1, alone = 0, with_count = 0, done = 0;
	CK_RV (*get_list)(CK_FUNCTION_LIST_PTR_PTR);
	CK_FUNCTION_LIST *list = NULL;
	double slowest = 0;
	char spec[4096];
	void *handle;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 't')
			times = atoi(optarg);
		else if (option == 'a')
			alone = 1;
		else if (option == 'c')
			with_count = 1;
		else
			return 2;
	}
	if (optind != argc - 1)
		return 2;
	handle = dlopen(argv[optind], RTLD_NOW | RTLD_LOCAL);
	get_list = handle ? (CK_RV(*)(CK_FUNCTION_LIST_PTR_PTR))dlsym(handle, "C_GetFunctionList") : NULL;
	if (!get_list || get_list(&list) != CKR_OK)
		return fail(argv[optind], "no function list");
	if (with_count)
		put_count_between(list, handle);
	if (!alone && list->C_Initialize(&args) != CKR_OK)
		return fail("C_Initialize", "refused");
	if (NSS_NoDB_Init(NULL) != SECSuccess)
		return fail("NSS_NoDB_Init", nss_error());
	snprintf(spec, sizeof(spec), "library=\"%s\" name=\"waited for\"", argv[optind]);
	module = SECMOD_LoadUserModule(spec, NULL, PR_FALSE);
	if (!module || !module->loaded)
		return fail("SECMOD_LoadUserModule", nss_error());
	for (int i = 0; i < times; i++) {
		struct timespec end;
		pthread_t thread;
		double start;

		waiter = 0;
		if (pthread_create(&thread, NULL, wait_for_event, NULL))
			return fail("pthread_create", "no thread");
		for (int tries = 0; !sleeps() && tries < 200; tries++)
			usleep(5000);
		start = now();
		if (SECMOD_CancelWait(module) != SECSuccess)
			return fail("SECMOD_CancelWait", nss_error());
		clock_gettime(CLOCK_REALTIME, &end);
		end.tv_sec += 5;
		if (pthread_timedjoin_np(thread, NULL, &end)) {
			printf("%d of %d called off, then one hung\n", done, times);
			fflush(stdout);
			_exit(3);
		}
		if (now() - start < 1000)
			done++;
		if (now() - start > slowest)
			slowest = now() - start;
	}
	printf("%d of %d called off, slowest %.0f ms\n", done, times, slowest);
	if (!alone && !with_count && list->C_GetSlotList(CK_FALSE, NULL, &args.flags) != CKR_OK)
		return fail("the second consumer", "has lost its module");
	fflush(stdout);
	_exit(done == times ? 0 : 1);
}
