/*
 * lock.c: see lock.h. The lock is the usual one of three states over a futex: a thread that finds it held
 * sets 2 before it sleeps, and a thread that gives back a 2 wakes one sleeper.
 */
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/lock.h"

static void sleep_while(_Atomic(unsigned) *word, unsigned value, const struct timespec *most)
{
	syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, most, NULL, 0);
}

static void wake(_Atomic(unsigned) *word, int threads)
{
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, threads, NULL, NULL, 0);
}

bool lock_try(struct lock *lock)
{
	unsigned free = 0;
	return atomic_compare_exchange_strong_explicit(&lock->word, &free, 1, memory_order_acquire,
	                                               memory_order_relaxed);
}

void lock_take(struct lock *lock)
{
	if (lock_try(lock))
		return;
	while (atomic_exchange_explicit(&lock->word, 2, memory_order_acquire) != 0)
		sleep_while(&lock->word, 2, NULL);
}

void lock_give(struct lock *lock)
{
	if (atomic_exchange_explicit(&lock->word, 0, memory_order_release) == 2)
		wake(&lock->word, 1);
}

void queue_wait(struct wait_queue *queue, struct lock *lock, uint64_t nanoseconds)
{
	struct timespec most = {.tv_sec = (time_t)(nanoseconds / 1000000000),
	                        .tv_nsec = (long)(nanoseconds % 1000000000)};
	unsigned woken = atomic_load(&queue->woken);
	queue->waiters++;
	lock_give(lock);
	sleep_while(&queue->woken, woken,
	            nanoseconds ? &most : NULL); /* returns at once if it has been woken meanwhile */
	lock_take(lock);
	queue->waiters--;
}

uint64_t clock_at(clockid_t which)
{
	struct timespec t;
	clock_gettime(which, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

void queue_wake_all(struct wait_queue *queue)
{
	atomic_fetch_add(&queue->woken, 1);
	if (queue->waiters > 0)
		wake(&queue->woken, INT_MAX);
}
