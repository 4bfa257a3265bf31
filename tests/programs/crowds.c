/*
 * crowds: three consumers of one PKCS #11 module, each a library of its own with
 * a thread of its own and 50 sessions. In turn one calls C_CloseAllSessions, one
 * its last C_Finalize: of the others' sessions none may go, and all must sign.
 *
 *	crowds [--rounds N] [--module PATH]
 *
 *	--rounds  how often (10)
 *	--module  default: $SOFTHSM2_MODULE
 *
 * Environment: TOKEN_LABEL, TOKEN_PIN; BUILD, below which the consumers lie.
 * Prints what was wrong, or `N rounds: ok`; exit status 0 only if nothing was.
 */
#include "consumer.h"
#include "names.h"
#include "token.h"
#include <getopt.h>
#include <pthread.h>
#include <stdatomic.h>

enum { CROWDS = 3, EACH = 50 };

static const char *module_path;
static int rounds = 10;
static pthread_barrier_t barrier;
static atomic_int failures;

struct crowd {
	int number;
	const struct consumer *consumer;
	struct token token; /* with the first of the sessions */
	CK_SESSION_HANDLE sessions[EACH];
};

/* Was it what it should be? Only the first few answers that were not are told. */
static int is(const struct crowd *c, const char *what, CK_RV rv, CK_RV expected)
{
	if (rv != expected && failures++ < 10) {
		printf("consumer %d: %s: %s", c->number, what, rv_name(rv));
		printf(" instead of %s\n", rv_name(expected));
	}
	return rv == expected;
}

static void load(struct crowd *c, int number)
{
	void *module;

	c->number = number;
	c->consumer = load_consumer(number);
	module = c->consumer->load(module_path);
	if (!module || !(c->token.list = c->consumer->list(module))) {
		fprintf(stderr, "crowds: %s: %s\n", module_path, dlerror());
		exit(2);
	}
}

static CK_RV arrive(struct crowd *c)
{
	CK_RV rv = c->consumer->initialise(c->token.list);
	CK_SLOT_ID slot;

	if (rv == CKR_OK)
		rv = token_open(&c->token, c->token.list);
	if (rv == CKR_OK)
		rv = token_slot(c->token.list, &slot);
	c->sessions[0] = c->token.session;
	for (int i = 1; rv == CKR_OK && i < EACH; i++)
		rv = c->consumer->open(c->token.list, slot, &c->sessions[i]);
	return rv;
}

/* All 50 are there, and the first one and the last one sign. */
static void look(struct crowd *c, const char *when)
{
	struct token last = c->token;
	CK_SESSION_INFO info;

	for (int i = 0; i < EACH; i++)
		if (!is(c, when, c->token.list->C_GetSessionInfo(c->sessions[i], &info), CKR_OK))
			return;
	last.session = c->sessions[EACH - 1];
	is(c, when, token_sign(&c->token), CKR_OK);
	is(c, when, token_sign(&last), CKR_OK);
}

static CK_RV close_all(struct crowd *c)
{
	CK_SESSION_INFO info;
	CK_SLOT_ID slot;
	CK_RV rv = token_slot(c->token.list, &slot);

	if (rv == CKR_OK)
		rv = c->token.list->C_CloseAllSessions(slot);
	for (int i = 0; rv == CKR_OK && i < EACH; i++)
		is(c, "its own after C_CloseAllSessions",
		   c->token.list->C_GetSessionInfo(c->sessions[i], &info), CKR_SESSION_HANDLE_INVALID);
	return rv;
}

static void *run(void *argument)
{
	struct crowd *c = argument;

	for (int round = 0; round < rounds; round++) {
		int closes = round % CROWDS == c->number - 1, leaves = (round + 1) % CROWDS == c->number - 1;

		is(c, "arrives", arrive(c), CKR_OK);
		pthread_barrier_wait(&barrier);
		if (closes)
			is(c, "C_CloseAllSessions", close_all(c), CKR_OK);
		else
			look(c, "while another closes all its own");
		pthread_barrier_wait(&barrier);
		if (!closes)
			look(c, "after another closed all its own");
		pthread_barrier_wait(&barrier);
		if (leaves)
			is(c, "last C_Finalize", c->consumer->finalise(c->token.list), CKR_OK);
		else if (!closes)
			look(c, "while another finalises");
		pthread_barrier_wait(&barrier);
		if (!leaves && !closes)
			look(c, "after another finalised");
		if (!leaves)
			is(c, "C_Finalize", c->consumer->finalise(c->token.list), CKR_OK);
		pthread_barrier_wait(&barrier);
	}
	return NULL;
}

static void usage(void)
{
	fputs("usage: crowds [--rounds N] [--module PATH]\n", stderr);
	exit(2);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
	        {"rounds", required_argument, NULL, 'r'},
	        {"module", required_argument, NULL, 'm'},
	        {NULL, 0, NULL, 0},
	};
	static struct crowd crowds[CROWDS];
	pthread_t threads[CROWDS];
	int option;

	module_path = getenv("SOFTHSM2_MODULE");
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'r')
			rounds = atoi(optarg);
		else if (option == 'm')
			module_path = optarg;
		else
			usage();
	}
	if (!module_path || optind != argc)
		usage();
	pthread_barrier_init(&barrier, NULL, CROWDS);
	for (int i = 0; i < CROWDS; i++)
		load(&crowds[i], i + 1);
	for (int i = 0; i < CROWDS; i++)
		pthread_create(&threads[i], NULL, run, &crowds[i]);
	for (int i = 0; i < CROWDS; i++)
		pthread_join(threads[i], NULL);
	if (!failures)
		printf("%d rounds: ok\n", rounds);
	return failures ? 1 : 0;
}
