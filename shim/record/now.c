/*
 * now.c: see now.h.
 *
 * Takes no lock and allocates nothing. errno is kept, except by now_start().
 */
#include <pthread.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/lock.h"
#include "host/process.h"
#include "record/now.h"
#include "record/stack.h"

void (*now_new_thread)(int pid, int tid, uint64_t at, bool once);

/* UTC is calculated here: gmtime() takes a lock that a child may find held. */
void now_print(struct text *text)
{
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	uint64_t days = (uint64_t)t.tv_sec / 86400, second = (uint64_t)t.tv_sec % 86400;
	uint64_t z = days + 719468, era = z / 146097, day_of_era = z % 146097;
	uint64_t year_of_era =
	        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	uint64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	uint64_t m = (5 * day_of_year + 2) / 153;
	uint64_t day = day_of_year - (153 * m + 2) / 5 + 1, month = m < 10 ? m + 3 : m - 9;
	uint64_t year = year_of_era + era * 400 + (month <= 2);
	const struct {
		uint64_t number;
		unsigned digits;
		char after[2];
	} part[] = {{year, 4, "-"},
	            {month, 2, "-"},
	            {day, 2, "T"},
	            {second / 3600, 2, ":"},
	            {second / 60 % 60, 2, ":"},
	            {second % 60, 2, "."},
	            {(uint64_t)t.tv_nsec / 1000, 6, "Z"}};
	for (unsigned i = 0; i < COUNT(part); i++) {
		text_padded(text, part[i].number, part[i].digits);
		text_put(text, part[i].after);
	}
}

/*
 * To ask for a thread's number costs a system call. So the thread keeps it, together with the number of the
 * process: in a forked child the one thread has another number. If one pointer does not hold both, there are
 * two keys. If no key can be had, the number is asked for each time.
 */
static pthread_key_t key, process_key; /* the second is used where a pointer does not hold both */
static bool has_key;
static _Atomic(uint64_t) last_moment; /* a child inherits it: nothing that the child does comes before */
static _Atomic(int) last_process;

static uint64_t kept_thread(void)
{
	if (!has_key)
		return 0;
	uint64_t mine = (uintptr_t)pthread_getspecific(key);
	if (sizeof(void *) < sizeof mine)
		mine |= (uint64_t)(uintptr_t)pthread_getspecific(process_key) << 32;
	return mine;
}

static int thread_of(int pid, uint64_t at)
{
	uint64_t mine = kept_thread();
	if (mine >> 32 == (uint64_t)pid)
		return (int)(mine & 0xffffffff);
	int tid = (int)syscall(SYS_gettid);
	if (has_key)
		pthread_setspecific(key, (void *)(uintptr_t)((uint64_t)pid << 32 | (unsigned)tid));
	if (has_key && sizeof(void *) < sizeof mine)
		pthread_setspecific(process_key, (void *)(uintptr_t)pid);
	if (now_new_thread)
		now_new_thread(pid, tid, at, has_key);
	return tid;
}

struct moment now_moment(bool with_stack)
{
	struct moment moment = {.at = clock_at(CLOCK_MONOTONIC), .pid = process_number()};
	if (!moment.pid)
		moment.pid = (int)syscall(SYS_getpid);
	moment.tid = thread_of(moment.pid, moment.at);
	moment.stack = with_stack ? stack_take() : 0;
	atomic_store_explicit(&last_moment, moment.at, memory_order_relaxed);
	return moment;
}

void now_note(uint64_t at)
{
	atomic_store_explicit(&last_moment, at, memory_order_relaxed);
}

/* The thread that forked has left its numbers where this thread, its copy in the child, finds them. */
struct moment now_forked(void)
{
	uint64_t parents = kept_thread();
	struct moment then = {0};
	then.at = atomic_load(&last_moment);
	then.pid = parents ? (int)(parents >> 32) : atomic_load(&last_process);
	then.tid = parents ? (int)(parents & 0xffffffff) : then.pid;
	atomic_store(&last_process, process_number());
	return then;
}

void now_start(void)
{
	has_key = pthread_key_create(&key, NULL) == 0 &&
	          (sizeof(void *) == 8 || pthread_key_create(&process_key, NULL) == 0);
	atomic_store(&last_process, process_number());
}
