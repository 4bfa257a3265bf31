/*
 * trace.h: the journal as a file of Trace Event Format, one event a line
 * (contract I3): `[`, then objects with a comma behind each, by all processes of a
 * tree, valid wherever it ends. docs/p11shim-trace.5.scd says what stands in it.
 *
 * Takes no lock. Never given a PIN, key material or the contents of a buffer.
 */
#ifndef P11SHIM_TRACE_H
#define P11SHIM_TRACE_H

#include "record/journal.h"
#include "record/stack.h"

extern _Atomic(bool) trace_open;

/* False: no path that can be kept. every_call: for the record. */
bool trace_start(const char *path, bool every_call);

/* A thread's name, before its first event, and before that of a new process, who that is. */
void trace_thread(int pid, int tid, uint64_t at, bool first);

/* A call, when it is over: began is the moment it began, took in nanoseconds. */
void trace_call(const struct view *view, unsigned function, const uintptr_t *words, CK_RV rv,
                const struct moment *began, uint64_t took);

/*
 * To be called before trace_event(), by a function that has little on the stack: who
 * the process is, and what the objects on the stack are, unless that was said.
 */
void trace_names(const struct moment *moment);

/* Something that happened: names "-" where there is none, result "" too. */
void trace_event(const char *consumer, const char *module, const char *event, const char *result,
                 const char *detail, const struct moment *moment);

/* A view has its module initialised from then on (0: from now on), or no longer. */
void trace_view(const struct view *view, bool begins, uint64_t at);

/* A module is initialised from now on, or no longer. */
void trace_module(const struct module *module, bool begins);

/* This process is a child of that thread, which was there at `at` still. */
void trace_fork(int parent, int parent_thread, uint64_t at);

struct account;

/* What was wrong, with the moments that tell of it. more: so often again, not told of one by one. */
void trace_finding(const struct view *view, const char *kind, const char *call, const char *what,
                   const struct account *accounts, unsigned count, unsigned more);

/* A fatal signal. Only what a signal handler may do. */
void trace_crash(const char *signal, uintptr_t address, const uintptr_t *frames, unsigned count);

#endif
