/*
 * flights.h: which recorded calls are in flight at any moment.
 *
 * Each call has a place of its own in a table; there are no locks. The table is wiped at fork
 * (host/process.h): the calls of other threads are not in the child.
 */
#ifndef P11SHIM_FLIGHTS_H
#define P11SHIM_FLIGHTS_H

#include "base/moment.h"
#include "core/model.h"

/*
 * To be called around a recorded call. moment: when the call began; it must last until the call is over.
 * caller: where the call returns to. Returns the place, for flight_end(); NULL: there was no room.
 */
struct flight *flight_begin(const struct view *view, unsigned function, const struct moment *moment,
                            const void *caller);
void flight_end(struct flight *flight);

/*
 * The calls in flight in that module (NULL: in any), at most so many. of_others: without those of the calling
 * thread.
 */
struct flying {
	const struct view *view;
	unsigned function;
	int tid;
	uint64_t began; /* nanoseconds of CLOCK_MONOTONIC */
	const void *caller;
};
unsigned flights_in(const struct module *module, struct flying *found, unsigned most, bool of_others);

/*
 * The call at that place of the table, 0 to FLIGHTS - 1; false: there is none. A signal handler may call this
 * function and the next one.
 */
bool flight_at(unsigned place, struct flying *found);

/* Is the calling thread in a recorded call? */
bool flight_of_this_thread(void);

#endif
