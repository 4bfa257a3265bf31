/*
 * event-watch: two consumers of one module, three threads that wait for slot
 * events: two of the first consumer, one that blocks and one that asks again and
 * again, and one of the second, which blocks.
 *
 *	event-watch [--only-block] MODULE
 *
 *	--only-block   that one blocks too
 *
 * Prints `ready` once all wait, then a line for each event that a thread is told
 * of: `THREAD SLOT`, THREAD being a-blocks, a-polls or b-blocks. SIGTERM ends it:
 * it finalises both and prints how each thread came back, and
 * `idle: PERCENT % of a processor` for the time in between. Exit status 0 if all
 * that wait blocking came back with CKR_CRYPTOKI_NOT_INITIALIZED.
 */
#include "consumer.h"
#include "names.h"

#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <time.h>

static struct watcher {
	const char *name;
	int consumer;
	CK_FLAGS flags;
} watchers[] = {{"a-blocks", 0, 0}, {"a-polls", 0, CKF_DONT_BLOCK}, {"b-blocks", 1, 0}};

static CK_FUNCTION_LIST *lists[2];
static volatile int ends;

static void *watch(void *argument)
{
	const struct watcher *w = argument;
	CK_SLOT_ID slot;
	CK_RV rv;

	for (;;) {
		rv = lists[w->consumer]->C_WaitForSlotEvent(w->flags, &slot, NULL);
		if (rv == CKR_OK) {
			printf("%s %lu\n", w->name, slot);
			fflush(stdout);
		} else if (rv == CKR_NO_EVENT && w->flags && !ends) {
			usleep(100000);
		} else {
			break;
		}
	}
	printf("%s ends: %s\n", w->name, rv_name(rv));
	return (void *)(uintptr_t)rv;
}

static double seconds(struct timespec t)
{
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double clock_at(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return seconds(t);
}

int main(int argc, char **argv)
{
	pthread_t threads[3];
	double used, began;
	sigset_t signals;
	int good = 1, number;

	if (argc == 3 && !strcmp(argv[1], "--only-block")) {
		watchers[1].flags = 0;
		argv++;
	} else if (argc != 2) {
		return 2;
	}
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	for (int i = 0; i < 2; i++) {
		const struct consumer *consumer = load_consumer(i + 1);
		void *module = consumer->load(argv[1]);

		lists[i] = module ? consumer->list(module) : NULL;
		if (!lists[i] || consumer->initialise(lists[i]) != CKR_OK)
			return 1;
	}
	for (int i = 0; i < 3; i++)
		if (pthread_create(&threads[i], NULL, watch, (void *)&watchers[i]))
			return 1;
	usleep(500000); /* so that what they begin with is not counted as idle */
	puts("ready");
	fflush(stdout);
	began = clock_at(CLOCK_MONOTONIC);
	used = clock_at(CLOCK_PROCESS_CPUTIME_ID);
	sigwait(&signals, &number);
	used = clock_at(CLOCK_PROCESS_CPUTIME_ID) - used;
	printf("idle: %.3f %% of a processor\n", used / (clock_at(CLOCK_MONOTONIC) - began) * 100);
	ends = 1;
	for (int i = 0; i < 2; i++)
		if (lists[i]->C_Finalize(NULL) != CKR_OK)
			good = 0;
	for (int i = 0; i < 3; i++) {
		void *answer;

		pthread_join(threads[i], &answer);
		if (!watchers[i].flags && (CK_RV)(uintptr_t)answer != CKR_CRYPTOKI_NOT_INITIALIZED)
			good = 0;
	}
	return !good;
}
