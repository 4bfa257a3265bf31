/*
 * trace.h: the journal as a file of Trace Event Format, one event a line (contract I3): `[`, then objects
 * with a comma behind each. All processes of a tree write to it, and it is valid wherever it ends.
 * docs/p11shim-trace.5.scd says what stands in it.
 *
 * Takes no lock. It is never given a PIN, key material or the contents of a buffer.
 */
#ifndef P11SHIM_TRACE_H
#define P11SHIM_TRACE_H

#include "record/journal.h"
#include "record/stack.h"

extern _Atomic(bool) trace_open;

/* False: the path cannot be kept. every_call: only for the trace to say so. */
bool trace_start(const char *path, bool every_call);

/* A call that is over. began: the moment it began; took: how long it took, in nanoseconds. */
void trace_call(const struct view *view, unsigned function, const uintptr_t *words, CK_RV rv,
                const struct moment *began, uint64_t took);

/*
 * Writes the names of the process and of the objects on the stack, unless they have been written. To be
 * called before trace_event(), by a function that has little on the stack.
 */
void trace_names(const struct moment *moment);

/* Something that happened. consumer and module are "-" where there is none; result and detail may be NULL. */
void trace_event(const char *consumer, const char *module, const char *event, const char *result,
                 const char *detail, const struct moment *moment);

/* A view has its module initialised from now on, or no longer. at: since then; 0: now. */
void trace_view(const struct view *view, bool begins, uint64_t at);

/* A module is initialised from now on, or no longer. */
void trace_module(const struct module *module, bool begins);

/* This process is a child of that thread, which was last seen at `at`. */
void trace_fork(int parent, int parent_thread, uint64_t at);

struct evidence_piece;

/* A finding, with its evidence. more: how often it came again without being told one by one. */
void trace_finding(const struct view *view, const char *kind, const char *call, const char *what,
                   const struct evidence_piece *pieces, unsigned count, unsigned more);

/* A fatal signal. Does only what a signal handler may do. */
void trace_crash(const char *signal, uintptr_t address, const uintptr_t *frames, unsigned count);

#endif
