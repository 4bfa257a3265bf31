/*
 * now.h: when it is, and on which thread of which process, for what is recorded.
 */
#ifndef P11SHIM_NOW_H
#define P11SHIM_NOW_H

#include "base/moment.h"
#include "base/text.h"

/* To be called first, once. */
void now_start(void);

/*
 * Is called for each thread, with its numbers and the time, when that is first asked for; once: it is asked
 * for once only. NULL: nothing is. May be set before a recorder is switched on.
 */
extern void (*now_new_thread)(int pid, int tid, uint64_t at, bool once);

/* Now. with_stack: no lock may be held. */
struct moment now_moment(bool with_stack);

/* The last time that was looked at, on any thread; that time was `at`. */
void now_note(uint64_t at);

/*
 * In a forked child, once: which thread of which process forked (0: unknown), and when it was last seen.
 */
struct moment now_forked(void);

/* The wall clock: 2026-01-31T12:00:00.123456Z */
void now_print(struct text *text);

#endif
