/*
 * lock.h: a lock, and a wait queue, for memory that a fork may wipe while they are in use.
 *
 * Why not pthread's: these lie in memory that the kernel wipes in a forked child (host/process.h), and a
 * signal handler may fork in the middle of taking or holding one. The child's copy of that thread then goes
 * on with a lock of zeroes. Here a lock of zeroes is a free lock, and giving back a free lock does nothing.
 * glibc's mutex asserts its owner and would end the process. Waiting here is no cancellation point either, so
 * a cancelled thread never leaves a lock held.
 *
 * Zeroes are a free lock, and a wait queue that has not been woken yet.
 */
#ifndef P11SHIM_LOCK_H
#define P11SHIM_LOCK_H

#include <time.h>

#include "base/common.h"

struct lock {
	_Atomic(unsigned) word; /* 0 free, 1 held, 2 held and waited for */
};

struct wait_queue {
	_Atomic(unsigned) woken;
	unsigned waiters; /* changed under the lock that goes with the queue */
};

void lock_take(struct lock *lock);
bool lock_try(struct lock *lock); /* false: it is held */
void lock_give(struct lock *lock);

/*
 * Gives the lock back, sleeps until the queue is woken, and takes the lock again. It sleeps for at most so
 * many nanoseconds (0: without limit). It may also return without a reason, so the caller has to look again.
 */
void queue_wait(struct wait_queue *queue, struct lock *lock, uint64_t nanoseconds);

/* The time of that clock in nanoseconds: for how long to wait. */
uint64_t clock_at(clockid_t which);

/* Wakes all threads that wait. The caller holds the lock. */
void queue_wake_all(struct wait_queue *queue);

/*
 * The calling thread, never 0. This is the thread pointer itself, which is what glibc's pthread_self()
 * answers too; but to ask libc costs a new process a page fault.
 */
static inline uintptr_t thread_self(void)
{
	uintptr_t self;
#if defined __x86_64__
	__asm__("mov %%fs:0, %0" : "=r"(self));
#elif defined __i386__
	__asm__("movl %%gs:0, %0" : "=r"(self));
#elif defined __aarch64__
	__asm__("mrs %0, tpidr_el0" : "=r"(self));
#else
#error "no thread pointer for this architecture"
#endif
	return self;
}

#endif
