/*
 * crash.h: what was going on when the process died (contract I5), and which calls
 * are in flight at any moment. On request only: P11SHIM_ON_CRASH=1.
 *
 * On SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS or SIGTRAP the last
 * life-cycle events, the calls in flight and the stack are written, with what a
 * signal handler may use; then the disposition of before takes over, at the same
 * instruction with the same information: a core dump, or the program's own handler.
 * That happens once. Where the program had a handler and no PKCS #11 call is on the
 * thread, that is called and nothing written; a handler that the program sets later
 * has our place.
 *
 * A recorded call in flight has a place of its own in a table; no locks. The table is wiped
 * at fork (process.h): the calls of other threads are not in the child.
 */
#ifndef P11SHIM_CRASH_H
#define P11SHIM_CRASH_H

#include "record/journal.h"

/* Sets the handlers. */
void crash_start(void);

/*
 * Around a recorded call. moment: when it began; it must last until it is over.
 * caller: where it returns to. The place, for flight_end(); NULL: there was none.
 */
struct flight *flight_begin(const struct view *view, unsigned function, const struct moment *moment,
                            const void *caller);
void flight_end(struct flight *flight);

/* The calls in flight in that module (NULL: any), at most so many; of others: not the calling thread's. */
struct flying {
	const struct view *view;
	unsigned function;
	int tid;
	uint64_t began; /* nanoseconds of CLOCK_MONOTONIC */
	const void *caller;
};
unsigned flights_in(const struct module *module, struct flying *found, unsigned most, bool of_others);

#endif
