/*
 * journal.h: what happened, told to every sink that is open: the log, one line an
 * event (contract I2), the trace (I3, trace.h), the last lines kept for a crash
 * (I5, crash.h). Off unless asked for; then nothing here costs more than a load
 * and a test.
 *
 * Never given a PIN, key material or the contents of any buffer.
 */
#ifndef P11SHIM_JOURNAL_H
#define P11SHIM_JOURNAL_H

#include "base/common.h"
#include "record/stack.h"
#include "standard/pkcs11.h"

struct view;
struct module;

extern _Atomic(bool) journal_open;  /* anything is recorded */
extern _Atomic(bool) journal_calls; /* ... every call too, so none may take the short way */

struct settings_recording;

/* Where to; called once, at the start (entrance/start.c). May load a library; no lock may be held. */
void journal_start(const struct settings_recording *settings);

/* When, who, and by what way. */
struct moment {
	uint64_t at; /* nanoseconds of CLOCK_MONOTONIC; 0: never */
	int pid, tid;
	stack_id stack;
};

/* Now. with_stack: no lock may be held. */
struct moment journal_moment(bool with_stack);

/* The wall clock: 2026-01-31T12:00:00.123456Z */
void journal_print_time(struct text *text);

/*
 * A life-cycle call of a consumer, and what it got; detail may be NULL, and so may
 * moment, for one without a stack.
 */
#define journal_call(view, function, rv, detail, moment)                        \
	do {                                                                    \
		if (UNLIKELY(journal_open))                                     \
			journal_write_call(view, function, rv, detail, moment); \
	} while (0)

/* Something about a module that no consumer asked for. */
#define journal_module(module, event, ...)                                \
	do {                                                              \
		if (UNLIKELY(journal_open))                               \
			journal_write_module(module, event, __VA_ARGS__); \
	} while (0)

/* The real C_Initialize or C_Finalize of a module, and what it answered; detail may be NULL. */
#define journal_real(module, function, rv, detail)                        \
	do {                                                              \
		if (UNLIKELY(journal_open))                               \
			journal_write_real(module, function, rv, detail); \
	} while (0)

/* Something about the process or the settings. */
#define journal_note(event, ...)                                \
	do {                                                    \
		if (UNLIKELY(journal_open))                     \
			journal_write_note(event, __VA_ARGS__); \
	} while (0)

void journal_write_call(const struct view *view, unsigned function, CK_RV rv, const char *detail,
                        const struct moment *moment);
void journal_write_module(const struct module *module, const char *event, const char *format, ...)
        __attribute__((format(printf, 3, 4)));
void journal_write_real(const struct module *module, unsigned function, CK_RV rv, const char *detail);
void journal_write_module_at(const struct module *module, const char *event, const struct moment *moment);
void journal_write_note(const char *event, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A module, or a view of one, is initialised from now on (at: or from then), or no longer. */
void journal_up(const struct module *module, bool up);
void journal_has(const struct view *view, bool has, uint64_t at);

/* This process has been found to be a forked one. */
void journal_forked(void);

/* A call, when it is over, for the sinks that want every call. */
void journal_recorded(const struct view *view, unsigned function, const uintptr_t *words, CK_RV rv,
                      const struct moment *began);

/* A finding (findings.h): what was wrong, and how it came to that. */
struct account {
	const char *what; /* "initialised by" */
	const char *who;  /* "libfoo.so" */
	struct moment moment;
};
void journal_finding(const struct view *view, const char *kind, const char *call, const char *what,
                     const struct account *accounts, unsigned count, unsigned more);

/*
 * For a crash, in a signal handler: the lines that are kept, oldest first, to
 * stderr, or to the log if that is a file. And a line of the handler's own.
 */
void journal_last_lines(void);
void journal_last_word(const char *line, size_t length);

#endif
