/*
 * hammer.c: threads over several consumers use one module as hard as they can,
 * each in a loop: initialise, slots, open, log in, sign, close, finalise. Every
 * answer has to be what the contract says (C1 to C4, D1), and every signature
 * right.
 *
 *   hammer --module PATH [--seconds 5] [--threads 8] [--consumers 3]
 *          [--pin 1234] [--seed N]
 *
 * What a thread may expect follows from what it did itself: between its own
 * initialise and its own finalise the view's count is above zero, whatever the
 * other threads of its consumer do, so that everything works. What happens
 * outside is known only while nobody else of the same consumer moves: now and
 * then a thread takes the consumer for itself (a reader-writer lock that the
 * others hold for reading), knows that the count is zero, and finalises once
 * too often or calls without having initialised; or initialises several times.
 *
 * Login is the process's (D2): logging in answers OK or already logged in; no
 * thread logs out. The token is known by its first slot that has one.
 *
 * Exit status 0: nothing wrong. 1: something was, and was printed with the
 * seed. A hang ends by SIGALRM 30 s after the time is over.
 */
#include "consumer.h"
#include "mock.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>

enum { MOST_THREADS = 64, MOST_CONSUMERS = 4 };

static const char *module_path, *pin = MOCK_PIN;
static unsigned seconds = 5, thread_count = 8, consumer_count = 3;
static unsigned long seed;
static time_t end;
static atomic_ulong rounds, alone_rounds;

struct side {
	const struct consumer *consumer;
	void *module;
	CK_FUNCTION_LIST *list;
	pthread_rwlock_t lock; /* read: in a round; written: alone */
};
static struct side sides[MOST_CONSUMERS];

static CK_SLOT_ID the_slot;
static bool is_mock, numbers_grow;

/* Right signatures of a few texts, made once at the start. */
enum { TEXTS = 8, TEXT_SIZE = 24 };
static struct {
	char text[TEXT_SIZE];
	CK_BYTE signature[1024];
	CK_ULONG size;
} texts[TEXTS];

static const char *name_of(CK_RV rv)
{
	switch (rv) {
#define RETURN(name) \
	case name:   \
		return #name;
#include "standard/returns.def"
	}
	return "another value";
}

__attribute__((noreturn)) static void wrong(const char *what, CK_RV rv, const char *expected)
{
	fprintf(stderr, "hammer: %s: expected %s, got %s (0x%lx); seed %lu\n", what, expected, name_of(rv),
	        rv, seed);
	fflush(NULL);
	_exit(1);
}

static void is(const char *what, CK_RV rv, CK_RV expected)
{
	if (rv != expected)
		wrong(what, rv, name_of(expected));
}
#define IS(call, expected) is(#call, (call), (expected))

static unsigned long random_below(unsigned long *state, unsigned long limit)
{
	*state += 0x9e3779b97f4a7c15UL;
	unsigned long z = *state;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9UL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebUL;
	return (z ^ z >> 31) % limit;
}

static void sign(struct side *side, CK_SESSION_HANDLE session, unsigned long which)
{
	CK_BYTE signature[1024];
	CK_ULONG size = sizeof signature;

	IS(side->consumer->sign(side->list, session, texts[which].text, TEXT_SIZE, signature, &size), CKR_OK);
	if (size != texts[which].size || memcmp(signature, texts[which].signature, size))
		wrong("a signature", CKR_SIGNATURE_INVALID, "the right one");
}

static void login(struct side *side, CK_SESSION_HANDLE session)
{
	CK_RV rv = side->consumer->login(side->list, session, pin);

	if (rv != CKR_USER_ALREADY_LOGGED_IN)
		is("login", rv, CKR_OK);
}

static void check_slots(struct side *side)
{
	CK_SLOT_ID slots[64];
	CK_ULONG count = 64;

	IS(side->list->C_GetSlotList(CK_TRUE, slots, &count), CKR_OK);
	for (CK_ULONG i = 0; i < count; i++)
		if (slots[i] == the_slot)
			return;
	wrong("C_GetSlotList", CKR_OK, "the slot in use to be there");
}

/* Between one's own initialise and finalise. Sessions are closed, or left for others' finalise to close. */
static void use(struct side *side, unsigned long *state)
{
	CK_SESSION_HANDLE sessions[4];
	unsigned long count = 1 + random_below(state, 4);
	CK_SESSION_INFO info;

	check_slots(side);
	for (unsigned long i = 0; i < count; i++)
		IS(side->consumer->open(side->list, the_slot, &sessions[i]), CKR_OK);
	login(side, sessions[0]);
	sign(side, sessions[count - 1], random_below(state, TEXTS));
	for (unsigned long i = 0; i < count; i++) {
		IS(side->list->C_GetSessionInfo(sessions[i], &info), CKR_OK);
		if (random_below(state, 8) == 0)
			continue; /* left open */
		IS(side->list->C_CloseSession(sessions[i]), CKR_OK);
	}
}

/* No call outside initialise and finalise: another thread's finalise might be the last (finding of contract
 * I4). */
static void one_round(struct side *side, unsigned long *state)
{
	pthread_rwlock_rdlock(&side->lock);
	IS(side->consumer->initialise(side->list), CKR_OK);
	use(side, state);
	if (random_below(state, 4) == 0) {
		IS(side->list->C_Initialize(NULL), CKR_OK);
		use(side, state);
		IS(side->consumer->finalise(side->list), CKR_OK);
	}
	IS(side->consumer->finalise(side->list), CKR_OK);
	pthread_rwlock_unlock(&side->lock);
	atomic_fetch_add(&rounds, 1);
}

/* Nobody else of this consumer moves, and its count is zero. */
static void alone(struct side *side, unsigned long *state)
{
	unsigned long times = 1 + random_below(state, 3);
	CK_SESSION_HANDLE mine, stale;
	CK_SESSION_INFO session;
	CK_INFO info;

	pthread_rwlock_wrlock(&side->lock);
	for (unsigned long i = 0; i < times; i++)
		IS(side->consumer->finalise(side->list), CKR_CRYPTOKI_NOT_INITIALIZED);
	IS(side->list->C_GetInfo(&info), CKR_CRYPTOKI_NOT_INITIALIZED);
	IS(side->consumer->open(side->list, the_slot, &mine), CKR_CRYPTOKI_NOT_INITIALIZED);

	for (unsigned long i = 0; i < times; i++)
		IS(side->consumer->initialise(side->list), CKR_OK);
	IS(side->consumer->open(side->list, the_slot, &mine), CKR_OK);
	IS(side->consumer->open(side->list, the_slot, &stale), CKR_OK);
	login(side, mine);
	IS(side->list->C_CloseAllSessions(the_slot), CKR_OK);
	if (numbers_grow) /* otherwise somebody else may have it by now */
		IS(side->list->C_GetSessionInfo(stale, &session), CKR_SESSION_HANDLE_INVALID);
	IS(side->consumer->open(side->list, the_slot, &mine), CKR_OK);
	login(side, mine);
	for (unsigned long i = 1; i < times; i++) {
		IS(side->consumer->finalise(side->list), CKR_OK);
		sign(side, mine, random_below(state, TEXTS));
	}
	IS(side->consumer->finalise(side->list), CKR_OK);
	IS(side->list->C_GetSessionInfo(mine, &session), CKR_CRYPTOKI_NOT_INITIALIZED);
	IS(side->consumer->finalise(side->list), CKR_CRYPTOKI_NOT_INITIALIZED);
	pthread_rwlock_unlock(&side->lock);
	atomic_fetch_add(&alone_rounds, 1);
}

static void *hammer(void *argument)
{
	unsigned long number = (unsigned long)(uintptr_t)argument;
	unsigned long state = seed * 0x10001UL + number;
	struct side *side = &sides[number % consumer_count];

	while (time(NULL) < end) {
		if (random_below(&state, 20) == 0)
			alone(side, &state);
		else
			one_round(side, &state);
		if (random_below(&state, 3) ==
		    0) /* so that there are moments when nobody has it initialised */
			usleep((useconds_t)random_below(&state, 500));
	}
	return NULL;
}

/* The slot with the first token that can be logged in to, and the right signatures. */
static void prepare(void)
{
	struct side *side = &sides[0];
	CK_SLOT_ID slots[64];
	CK_ULONG count = 64;
	CK_SESSION_HANDLE session;
	bool found = false;

	IS(side->consumer->initialise(side->list), CKR_OK);
	IS(side->list->C_GetSlotList(CK_TRUE, slots, &count), CKR_OK);
	for (CK_ULONG i = 0; i < count && !found; i++) {
		CK_TOKEN_INFO info;

		the_slot = slots[i];
		found = side->list->C_GetTokenInfo(the_slot, &info) == CKR_OK &&
		        info.flags & CKF_TOKEN_INITIALIZED;
	}
	if (!found)
		wrong("C_GetSlotList", CKR_TOKEN_NOT_PRESENT, "an initialised token");
	IS(side->consumer->open(side->list, the_slot, &session), CKR_OK);
	login(side, session);
	for (int i = 0; i < TEXTS; i++) {
		CK_BYTE right[MOCK_SIGNATURE_SIZE];

		snprintf(texts[i].text, TEXT_SIZE, "text number %d", i);
		texts[i].size = sizeof texts[i].signature;
		IS(side->consumer->sign(side->list, session, texts[i].text, TEXT_SIZE, texts[i].signature,
		                        &texts[i].size),
		   CKR_OK);
		mock_signature(the_slot, texts[i].text, TEXT_SIZE, right);
		if (is_mock && memcmp(texts[i].signature, right, sizeof right))
			wrong("the first signature", CKR_SIGNATURE_INVALID, "the mock's");
	}
	IS(side->consumer->finalise(side->list), CKR_OK);
}

/* In the end everybody has finalised, so the module must be down; the mock knows. */
static void check_end(void)
{
	long (*get)(const char *) = (long (*)(const char *))(uintptr_t)dlsym(sides[0].module, "mock_get");
	CK_INFO info;

	for (unsigned i = 0; i < consumer_count; i++) {
		IS(sides[i].list->C_GetInfo(&info), CKR_CRYPTOKI_NOT_INITIALIZED);
		IS(sides[i].consumer->finalise(sides[i].list), CKR_CRYPTOKI_NOT_INITIALIZED);
	}
	if (!get)
		return;
	printf("hammer: %ld real initialises, %ld real finalises, at most %ld threads inside\n",
	       get("initialise_done"), get("finalise_done"), get("most_inside"));
	if (get("state") != 0 || get("sessions") != 0 || get("initialise_done") != get("finalise_done"))
		wrong("the end", CKR_GENERAL_ERROR, "the module finalised");
}

static void options(int argc, char **argv)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	seed = (unsigned long)now.tv_nsec ^ (unsigned long)now.tv_sec << 20 ^ (unsigned long)getpid();
	for (int i = 1; i + 1 < argc; i += 2) {
		const char *value = argv[i + 1];

		if (!strcmp(argv[i], "--module"))
			module_path = value;
		else if (!strcmp(argv[i], "--seconds"))
			seconds = (unsigned)strtoul(value, NULL, 0);
		else if (!strcmp(argv[i], "--threads"))
			thread_count = (unsigned)strtoul(value, NULL, 0);
		else if (!strcmp(argv[i], "--consumers"))
			consumer_count = (unsigned)strtoul(value, NULL, 0);
		else if (!strcmp(argv[i], "--pin"))
			pin = value;
		else if (!strcmp(argv[i], "--seed"))
			seed = strtoul(value, NULL, 0);
		else
			module_path = NULL, i = argc;
	}
	if (module_path && thread_count <= MOST_THREADS && consumer_count && consumer_count <= MOST_CONSUMERS)
		return;
	fprintf(stderr,
	        "usage: hammer --module PATH [--seconds N] [--threads N] [--consumers 1-4] [--pin PIN] "
	        "[--seed N]\n");
	exit(2);
}

int main(int argc, char **argv)
{
	pthread_t threads[MOST_THREADS];

	options(argc, argv);
	printf("hammer: %s, %u threads, %u consumers, %u s, seed %lu\n", module_path, thread_count,
	       consumer_count, seconds, seed);
	fflush(stdout);
	alarm(seconds + 30);
	for (unsigned i = 0; i < consumer_count; i++) {
		sides[i].consumer = load_consumer((int)i + 1);
		sides[i].module = sides[i].consumer->load(module_path);
		if (!sides[i].module) {
			fprintf(stderr, "hammer: %s\n", dlerror());
			return 2;
		}
		sides[i].list = sides[i].consumer->list(sides[i].module);
		pthread_rwlock_init(&sides[i].lock, NULL);
	}
	is_mock = dlsym(sides[0].module, "mock_get");
	numbers_grow =
	        is_mock && !((long (*)(const char *))(uintptr_t)dlsym(sides[0].module, "mock_get"))("reuse");
	prepare();
	for (unsigned i = 1; i < consumer_count; i++) { /* nobody only borrows: C4 */
		IS(sides[i].consumer->initialise(sides[i].list), CKR_OK);
		IS(sides[i].consumer->finalise(sides[i].list), CKR_OK);
	}
	end = time(NULL) + (time_t)seconds;
	for (unsigned i = 0; i < thread_count; i++)
		if (pthread_create(&threads[i], NULL, hammer, (void *)(uintptr_t)i)) {
			perror("hammer");
			return 2;
		}
	for (unsigned i = 0; i < thread_count; i++)
		pthread_join(threads[i], NULL);
	check_end();
	printf("hammer: %lu rounds, %lu alone, nothing wrong\n", atomic_load(&rounds),
	       atomic_load(&alone_rounds));
	return 0;
}
