/*
 * rooms.h: what the mock's own files know of each other.
 *
 *   mock.c    options, counters, the rules, C_Initialize and C_Finalize
 *   lists.c   function lists, interfaces, and the way from an entry to a function
 *   stubs.c   everything else, answering MOCK_ANSWER()
 *   token.c   slots, sessions, login, objects, signatures, slot events
 */
#ifndef MOCK_ROOMS_H
#define MOCK_ROOMS_H

#include "each.h"
#include "mock.h"
#include <stdatomic.h>
#include <stdbool.h>

/*
 * All state that threads share is atomic and relaxed. Anything stronger would
 * order threads that the shim itself forgot to order, and hide that from TSan.
 */
#define LOAD(object) atomic_load_explicit(&(object), memory_order_relaxed)
#define STORE(object, value) atomic_store_explicit(&(object), (value), memory_order_relaxed)
#define ADD(object, value) atomic_fetch_add_explicit(&(object), (value), memory_order_relaxed)
#define SWAP(object, old, new)                                                                  \
	atomic_compare_exchange_strong_explicit(&(object), &(old), (new), memory_order_relaxed, \
	                                        memory_order_relaxed)

#define EXPORT __attribute__((visibility("default")))

/* Every function of calls.def; token.c, mock.c and lists.c replace those that have behaviour. */
#define CALL(name, route, ...) CK_RV mock_##name(enum mock_list list, EACH(TYPED, __VA_ARGS__));
#define P PAIR
#include "standard/calls.def"

/* ---- mock.c */

struct options {
#define OPTION(name, value) atomic_long name;
#include "options.def"
};
extern struct options option;
#define ASK(name) LOAD(option.name)

struct counters {
#define COUNTER(name) atomic_long name;
#include "options.def"
	atomic_long calls_of[2][MOCK_FUNCTIONS]; /* by the loading process, by others */
};
extern struct counters *counter;
#define COUNT(name) ADD(counter->name, 1)

/* "mock: rule broken: ..." on standard error, then abort(). */
_Noreturn void broken(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The way into and out of every function; if `before` says false, *answer is the answer. */
bool before(const struct mock_call *call, CK_RV *answer);
void after(const struct mock_call *call);

/* For a waiter: leave the module early (`after` then does nothing), and see whether it was finalised since.
 */
unsigned long wait_begins(void);
bool wait_is_over(unsigned long since);

const char *nest_module(void);

/* ---- lists.c */
void build_lists(void);
extern const char *const function_names[MOCK_FUNCTIONS];
long vendor_list(void);

/* ---- token.c */
void forget_sessions(void);
void drop_session(CK_SESSION_HANDLE handle);
long open_sessions(void);
long logged_in(void);

#endif
