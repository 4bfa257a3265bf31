/*
 * now.h: what time it is, and on which thread of which process, for what is recorded.
 */
#ifndef P11SHIM_NOW_H
#define P11SHIM_NOW_H

#include "base/moment.h"
#include "base/text.h"

/* To be called first, once. */
void now_start(void);

/*
 * Called for a thread, with its numbers and the time, when its number is first asked for. once: this is the
 * only time that it is asked for. NULL: nothing is called. May be set before a recorder is switched on.
 */
extern void (*now_new_thread)(int pid, int tid, uint64_t at, bool once);

/* The present moment. with_stack: no lock may be held. */
struct moment now_moment(bool with_stack);

/* Notes that a thread has looked at the clock, and that it was `at`: the last time known to now_forked(). */
void now_note(uint64_t at);

/*
 * In a forked child, once: which thread of which process forked (0: unknown), and when it was last seen.
 */
struct moment now_forked(void);

/* The wall clock: 2026-01-31T12:00:00.123456Z */
void now_print(struct text *text);

#endif
