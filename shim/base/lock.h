/*
 * lock.h: a lock and a bell, for memory that is emptied under their feet.
 *
 * Why not pthread's: these lie in memory that a fork wipes (process.h), and a
 * fork may come from a signal handler in the middle of taking or holding one.
 * The child's copy of that thread then goes on with a lock of zeroes. Here that
 * is a free lock, and giving back a free lock does nothing; glibc's mutex
 * asserts its owner and ends the process. Waiting is no cancellation point
 * either, so a cancelled thread never takes a lock with it.
 *
 * Zero is a free lock and a bell that has not been rung.
 */
#ifndef P11SHIM_LOCK_H
#define P11SHIM_LOCK_H

#include <time.h>

#include "base/common.h"

struct lock {
	_Atomic(unsigned) word; /* 0 free, 1 held, 2 held and waited for */
};

struct bell {
	_Atomic(unsigned) rung;
	unsigned waiters; /* under the lock that goes with it */
};

void lock_take(struct lock *lock);
bool lock_try(struct lock *lock); /* false: it is held */
void lock_give(struct lock *lock);

/*
 * Gives the lock back, waits for the bell, at most so many nanoseconds (0: for
 * ever), or for nothing: look again; takes the lock.
 */
void bell_wait(struct bell *bell, struct lock *lock, uint64_t nanoseconds);

/* A clock in nanoseconds, for how long to wait. */
uint64_t clock_at(clockid_t which);

/* Wakes all who wait. With the lock held. */
void bell_ring(struct bell *bell);

/*
 * The calling thread, never 0. The thread pointer itself, which is what glibc's
 * pthread_self() answers: but to ask libc costs a new process a page fault.
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
