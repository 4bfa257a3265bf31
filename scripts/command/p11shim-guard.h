/*
 * p11shim-guard.h: what a process of foreign code may use up, and whom it may signal.
 */
#ifndef P11SHIM_GUARD_H
#define P11SHIM_GUARD_H

#include <stdbool.h>
#include <sys/types.h>

/*
 * Limits for this process and its children: memory, processor time, size of files, descriptors,
 * processes (root: one processor, see guard_end_tree), no core. What of these cannot be had is left.
 */
void guard_limit(int seconds);

/* Who started us, and they who started those, as far as this goes: not ours to be signalled. */
#define GUARD_SPARED 16
unsigned guard_ancestors(pid_t pids[GUARD_SPARED]);

/*
 * From now on this process, and what it starts, cannot signal the keeper, the spared, processes
 * that were there before it, other process groups, or all processes. Where there are no filters
 * nothing happens.
 */
void guard_signals(pid_t keeper, const pid_t *spared, unsigned count);

/* How many threads the machine has. More than so many new ones while a module is asked are its. */
#define GUARD_CROWD 500
unsigned long guard_crowd(void);

/* Ends all that this process has started, and what those have, but not the process itself. */
void guard_end_tree(pid_t root);

void guard_close_from(int first);

/* Of a clock that is never set. */
long long guard_milliseconds(void);

#endif
