/*
 * exit-call: calls C_GetSlotList and C_Finalize while the process exits.
 *
 *	exit-call --when MOMENT [--module PATH]
 *
 *	atexit-before-load  from a handler registered before the module was
 *	                    loaded: it runs after the module's destructors
 *	atexit-after-init   from a handler registered after C_Initialize: it
 *	                    runs before them
 *	destructor          from an ELF destructor of the program
 *	pki-like            as strongSwan's pki: mutex callbacks and no flags;
 *	                    closes the session, finalises and unloads, from a
 *	                    handler registered first of all
 *
 *	--module            default: $SOFTHSM2_MODULE
 *
 * Environment: TOKEN_LABEL, TOKEN_PIN; without a label, or if the module has
 * no such token, it goes on without a session. Prints what each late call
 * returned; exit status 0 unless something dies or fails before the exit.
 */
#include "names.h"
#include "say.h"
#include "token.h"
#include <dlfcn.h>
#include <getopt.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static struct token token;
static void *module;
static int late_in_destructor, have_session;

static void late_calls(void)
{
	CK_ULONG count = 0;

	if (!token.list)
		return;
	printf("C_GetSlotList: %s\n", rv_name(token.list->C_GetSlotList(CK_FALSE, NULL, &count)));
	fflush(stdout);
	printf("C_Finalize: %s\n", rv_name(token.list->C_Finalize(NULL)));
	fflush(stdout);
}

static void pki_deinit(void)
{
	if (have_session) {
		printf("C_CloseSession: %s\n", rv_name(token.list->C_CloseSession(token.session)));
		fflush(stdout);
	}
	late_calls();
	dlclose(module);
}

__attribute__((destructor)) static void last_of_all(void)
{
	if (late_in_destructor)
		late_calls();
}

/* ---- Mutex callbacks as in strongSwan: thin wrappers of its own library */

static CK_RV create_mutex(void **mutex)
{
	pthread_mutex_t *new = malloc(sizeof(*new));

	if (!new)
		return CKR_HOST_MEMORY;
	pthread_mutex_init(new, NULL);
	*mutex = new;
	return CKR_OK;
}

static CK_RV destroy_mutex(void *mutex)
{
	pthread_mutex_destroy(mutex);
	free(mutex);
	return CKR_OK;
}

static CK_RV lock_mutex(void *mutex)
{
	return pthread_mutex_lock(mutex) ? CKR_GENERAL_ERROR : CKR_OK;
}

static CK_RV unlock_mutex(void *mutex)
{
	return pthread_mutex_unlock(mutex) ? CKR_GENERAL_ERROR : CKR_OK;
}

static int load_and_initialise(const char *path, CK_C_INITIALIZE_ARGS *arguments)
{
	CK_RV (*get_function_list)(CK_FUNCTION_LIST **);
	CK_FUNCTION_LIST *list;
	CK_RV rv;

	module = dlopen(path, RTLD_NOW);
	if (!module)
		return say("exit-call", "load", dlerror());
	*(void **)&get_function_list = dlsym(module, "C_GetFunctionList");
	if (!get_function_list)
		return say("exit-call", "C_GetFunctionList", dlerror());
	rv = get_function_list(&list);
	if (rv == CKR_OK)
		rv = list->C_Initialize(arguments);
	if (rv != CKR_OK)
		return say("exit-call", "C_Initialize", rv_name(rv));
	have_session = token_open(&token, list) == CKR_OK;
	token.list = list;
	return say("exit-call", have_session ? "initialise, with a session" : "initialise", NULL);
}

static void usage(void)
{
	fputs("usage: exit-call --when atexit-before-load|atexit-after-init|destructor|pki-like"
	      " [--module PATH]\n",
	      stderr);
	exit(2);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
	        {"when", required_argument, NULL, 'w'},
	        {"module", required_argument, NULL, 'm'},
	        {NULL, 0, NULL, 0},
	};
	CK_C_INITIALIZE_ARGS arguments = {.flags = CKF_OS_LOCKING_OK};
	const char *path = getenv("SOFTHSM2_MODULE"), *when = "";
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'w':
			when = optarg;
			break;
		case 'm':
			path = optarg;
			break;
		default:
			usage();
		}
	}
	if (!path || optind != argc)
		usage();

	if (!strcmp(when, "atexit-before-load"))
		atexit(late_calls);
	else if (!strcmp(when, "destructor"))
		late_in_destructor = 1;
	else if (!strcmp(when, "pki-like")) {
		atexit(pki_deinit);
		arguments = (CK_C_INITIALIZE_ARGS){create_mutex, destroy_mutex, lock_mutex, unlock_mutex, 0,
		                                   NULL};
	} else if (strcmp(when, "atexit-after-init"))
		usage();

	if (!load_and_initialise(path, &arguments))
		return 1;
	if (!strcmp(when, "atexit-after-init"))
		atexit(late_calls);
	return 0;
}
