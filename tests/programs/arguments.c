/*
 * arguments: what real PKCS #11 modules make of the arguments of C_Initialize,
 * when the consumer that comes first is not the only one (contract C8).
 *
 *	arguments forms [--reserved STRING] MODULE
 *	arguments load [--seconds N] MODULE
 *	arguments unloaded [--plugin NAME] [--finalises] MODULE
 *
 *	forms     every form that the standard has, each as the first consumer's;
 *	          a second one comes with OS locking and stays longer. One line
 *	          each: what the first was answered, and the first token.
 *	load      the first consumer knows no threads and gives NULL; the second
 *	          signs in four threads meanwhile, and after the first has left
 *	unloaded  the first consumer is a plugin (plugin-callbacks.so) with mutex
 *	          functions of its own; it is unloaded, and a second goes on
 *
 *	--reserved   a parameter string, where the standard has pReserved; never
 *	             with NULL, which has no room for it
 *	--seconds    how long (3)
 *	--finalises  the plugin finalises before it goes
 *
 * Environment: BUILD, below which consumers and plugins lie; for load and
 * unloaded also TOKEN_LABEL, TOKEN_PIN. Exit status 0 only if all was well.
 */
#include "callbacks.h"
#include "consumer.h"
#include "names.h"
#include "plugin.h"
#include "say.h"
#include "token.h"
#include <getopt.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>

static const char *module_path, *plugin_name = "plugin-callbacks.so";
static char *reserved;
static int seconds = 3;
static bool finalises;

static const char *reason(CK_RV rv)
{
	return rv == CKR_OK ? NULL : rv_name(rv);
}

struct user {
	const struct consumer *consumer;
	CK_FUNCTION_LIST *list;
};

static struct user user_of(int number)
{
	struct user user = {.consumer = load_consumer(number)};
	void *module = user.consumer->load(module_path);

	if (!module || !(user.list = user.consumer->list(module))) {
		fprintf(stderr, "arguments: %s: %s\n", module_path, dlerror());
		exit(2);
	}
	return user;
}

/* ---- forms */

#define NONE NULL, NULL, NULL, NULL

/* NSS's structure: its parameter string lies at pReserved, and its own pReserved follows. */
struct longer {
	CK_C_INITIALIZE_ARGS standard;
	void *nss_reserved;
};

static const struct form {
	const char *name;
	bool null;
	CK_C_INITIALIZE_ARGS args;
} forms[] = {
        {"NULL", true, {NONE, 0, NULL}},
        {"flags 0", false, {NONE, 0, NULL}},
        {"no threads", false, {NONE, CKF_LIBRARY_CANT_CREATE_OS_THREADS, NULL}},
        {"OS locking", false, {NONE, CKF_OS_LOCKING_OK, NULL}},
        {"OS locking, no threads",
         false,
         {NONE, CKF_OS_LOCKING_OK | CKF_LIBRARY_CANT_CREATE_OS_THREADS, NULL}},
        {"callbacks", false, {CALLBACKS, 0, NULL}},
        {"callbacks or OS locking", false, {CALLBACKS, CKF_OS_LOCKING_OK, NULL}},
        {"as NSS", false, {CALLBACKS, CKF_OS_LOCKING_OK | CKF_LIBRARY_CANT_CREATE_OS_THREADS, NULL}},
};

/* The label of the first token, without the blanks; "no token" if there is none. */
static CK_RV first_token(const struct user *user, char label[33])
{
	CK_SLOT_ID slots[64];
	CK_ULONG count = sizeof slots / sizeof *slots;
	CK_TOKEN_INFO info;
	CK_RV rv = user->list->C_GetSlotList(CK_TRUE, slots, &count);
	int size = 32;

	strcpy(label, "no token");
	if (rv != CKR_OK || count == 0)
		return rv;
	rv = user->list->C_GetTokenInfo(slots[0], &info);
	while (rv == CKR_OK && size > 0 && info.label[size - 1] == ' ')
		size--;
	if (rv == CKR_OK)
		snprintf(label, 33, "%.*s", size, (const char *)info.label);
	return rv;
}

static CK_RV initialise(const struct user *user, const struct form *form)
{
	struct longer longer = {form->args, NULL};

	longer.standard.pReserved = reserved;
	return user->list->C_Initialize(form->null ? NULL : &longer);
}

/* The second consumer's locking is needed; what it answers is told only if wrong. */
static void try_form(const struct user *first, const struct user *second, const struct form *form)
{
	char label[33] = "", again[33] = "";
	CK_RV rv = initialise(first, form);

	if (rv == CKR_OK)
		rv = first_token(first, label);
	if (!say(form->name, label[0] ? label : "C_Initialize", reason(rv)))
		return;
	rv = second->consumer->initialise(second->list);
	if (rv == CKR_OK)
		rv = first_token(second, again);
	if (rv == CKR_OK)
		rv = first->list->C_Finalize(NULL);
	if (rv == CKR_OK)
		rv = first_token(second, again);
	if (rv == CKR_OK)
		rv = second->list->C_Finalize(NULL);
	if (rv != CKR_OK || strcmp(label, again))
		say(form->name, "a second consumer", rv == CKR_OK ? again : rv_name(rv));
}

static void try_forms(void)
{
	struct user first = user_of(1), second = user_of(2);

	for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
		try_form(&first, &second, &forms[i]);
}

/* ---- load */

enum { THREADS = 4 };

static atomic_bool over;
static atomic_ulong signatures, wrong;

static CK_RV sign(struct token *token, CK_BYTE signature[TOKEN_SIGNATURE_SIZE])
{
	CK_MECHANISM mechanism = {CKM_SHA256_RSA_PKCS, NULL, 0};
	CK_ULONG size = TOKEN_SIGNATURE_SIZE;
	CK_RV rv = token->list->C_SignInit(token->session, &mechanism, token->key);

	if (rv == CKR_OK)
		rv = token->list->C_Sign(token->session, (CK_BYTE *)"to be signed", 12, signature, &size);
	return rv;
}

/*
 * Now and then anew from the slot to the key; the signature is always the same (PKCS #1
 * v1.5). At least one is compared, however late the thread comes to it.
 */
static CK_RV sign_until_over(CK_FUNCTION_LIST *list)
{
	CK_BYTE first[TOKEN_SIGNATURE_SIZE], signature[TOKEN_SIGNATURE_SIZE];
	struct token token;
	CK_RV rv = token_open(&token, list);

	if (rv == CKR_OK)
		rv = sign(&token, first);
	for (unsigned long n = 1; rv == CKR_OK && (n == 1 || !over); n++) {
		rv = sign(&token, signature);
		wrong += rv == CKR_OK && memcmp(signature, first, sizeof first);
		signatures++;
		if (rv == CKR_OK && n % 4 == 0)
			rv = list->C_CloseSession(token.session);
		if (rv == CKR_OK && n % 4 == 0)
			rv = token_open(&token, list);
	}
	return rv;
}

static void *sign_in_thread(void *list)
{
	say("second consumer", "a thread", reason(sign_until_over(list)));
	return NULL;
}

/* The first consumer, in the only thread that it has. */
static CK_RV sign_for(CK_FUNCTION_LIST *list, double time)
{
	struct timespec start, now;
	struct token token;
	CK_RV rv = token_open(&token, list);

	clock_gettime(CLOCK_MONOTONIC, &start);
	do {
		if (rv == CKR_OK)
			rv = token_sign(&token);
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (rv == CKR_OK &&
	         (double)(now.tv_sec - start.tv_sec) + (double)(now.tv_nsec - start.tv_nsec) * 1e-9 < time);
	return rv;
}

static void work_under_load(void)
{
	struct user first = user_of(1), second = user_of(2), third = user_of(3);
	struct token keeper;
	pthread_t threads[THREADS];

	say("first consumer", "C_Initialize(NULL)", reason(first.list->C_Initialize(NULL)));
	say("first consumer", "log in", reason(token_open(&keeper, first.list)));
	say("second consumer", "C_Initialize", reason(second.consumer->initialise(second.list)));
	for (int i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, sign_in_thread, second.list);
	say("first consumer", "sign", reason(sign_for(first.list, seconds / 2.0)));
	say("first consumer", "C_Finalize", reason(first.list->C_Finalize(NULL)));
	say("third consumer", "C_Initialize(NULL)", reason(third.list->C_Initialize(NULL)));
	say("third consumer", "sign", reason(sign_for(third.list, seconds / 2.0)));
	over = true;
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	say("all threads", "right signatures", wrong ? "wrong ones" : NULL);
	say("second consumer", "C_Finalize", reason(second.list->C_Finalize(NULL)));
	say("third consumer", "C_Finalize", reason(third.list->C_Finalize(NULL)));
	printf("%lu signatures\n", signatures);
}

/* ---- unloaded */

/* Does anything of the file lie in memory? */
static bool mapped(const char *name)
{
	char line[8192];
	bool found = false;
	FILE *maps = fopen("/proc/self/maps", "r");

	while (maps && fgets(line, sizeof line, maps))
		found = found || strstr(line, name);
	if (maps)
		fclose(maps);
	return found || !maps;
}

static const struct plugin *load_plugin(const char *name, void **handle)
{
	char path[8192];
	plugin_entry *get = NULL;

	snprintf(path, sizeof path, "programs/%s", name);
	*handle = dlopen(build_path(path), RTLD_NOW | RTLD_LOCAL);
	if (*handle)
		*(void **)&get = dlsym(*handle, "plugin_get");
	if (!get) {
		fprintf(stderr, "arguments: %s\n", dlerror());
		exit(2);
	}
	return get();
}

static CK_RV sign_often(const struct plugin *plugin)
{
	CK_RV rv = CKR_OK;

	for (int i = 0; rv == CKR_OK && i < 20; i++)
		rv = plugin->sign();
	for (int i = 0; rv == CKR_OK && i < 20; i++)
		rv = plugin->sign_anew();
	return rv;
}

static void unload_first(void)
{
	void *handle, *other;
	const struct plugin *plugin = load_plugin(plugin_name, &handle);
	const struct plugin *stays = load_plugin("plugin-b.so", &other);
	struct user late;

	say(plugin_name, "start", reason(plugin->start(module_path, 1)));
	say("plugin-b.so", "start", reason(stays->start(module_path, 1)));
	say(plugin_name, "sign", reason(plugin->sign()));
	if (finalises)
		say(plugin_name, "finalise", reason(plugin->stop()));
	dlclose(handle);
	say(plugin_name, "is gone from memory", mapped(plugin_name) ? "it is not" : NULL);
	say("plugin-b.so", "sign", reason(sign_often(stays)));
	late = user_of(1);
	say("a third consumer", "C_Initialize", reason(late.consumer->initialise(late.list)));
	over = true; /* it signs just once */
	say("a third consumer", "sign", reason(sign_until_over(late.list)));
	say("plugin-b.so", "finalise", reason(stays->stop()));
	say("a third consumer", "C_Finalize", reason(late.list->C_Finalize(NULL)));
	say("a third consumer", "C_Initialize", reason(late.consumer->initialise(late.list)));
	say("a third consumer", "sign", reason(sign_until_over(late.list)));
	say("a third consumer", "C_Finalize", reason(late.list->C_Finalize(NULL)));
}

/* ---- main */

static void usage(void)
{
	fputs("usage: arguments forms [--reserved STRING] MODULE\n"
	      "       arguments load [--seconds N] MODULE\n"
	      "       arguments unloaded [--plugin NAME] [--finalises] MODULE\n",
	      stderr);
	exit(2);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
	        {"reserved", required_argument, NULL, 'r'},
	        {"seconds", required_argument, NULL, 's'},
	        {"plugin", required_argument, NULL, 'p'},
	        {"finalises", no_argument, NULL, 'f'},
	        {NULL, 0, NULL, 0},
	};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'r')
			reserved = optarg;
		else if (option == 's')
			seconds = atoi(optarg);
		else if (option == 'p')
			plugin_name = optarg;
		else if (option == 'f')
			finalises = true;
		else
			usage();
	}
	if (optind != argc - 2)
		usage();
	module_path = argv[optind + 1];
	if (!strcmp(argv[optind], "forms"))
		try_forms();
	else if (!strcmp(argv[optind], "load"))
		work_under_load();
	else if (!strcmp(argv[optind], "unloaded"))
		unload_first();
	else
		usage();
	return say_failures ? 1 : 0;
}
