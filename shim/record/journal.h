/*
 * journal.h: tells what happened to every sink that is open: the log (contract I2, log.h) and the trace (I3,
 * trace.h).
 *
 * It is never given a PIN, key material or the contents of any buffer.
 */
#ifndef P11SHIM_JOURNAL_H
#define P11SHIM_JOURNAL_H

#include "base/moment.h"
#include "standard/pkcs11.h"

struct view;
struct module;

struct settings_recording;

/* What journal_start() has opened: anything at all, and whether a sink wants every call. */
struct journal_wants {
	bool anything, every_call;
};

/* Opens the sinks; called once, by recorder.c. */
struct journal_wants journal_start(const struct settings_recording *settings);

/*
 * A life-cycle call of a consumer, and its answer; detail may be NULL. moment: when the call began and on
 * which stack; NULL: now, and it is not one of the recorded calls.
 */
void journal_write_call(const struct view *view, unsigned function, CK_RV rv, const char *detail,
                        const struct moment *moment);
/* Something about a module that no consumer asked for. */
void journal_write_module(const struct module *module, const char *event, const char *format, ...)
        __attribute__((format(printf, 3, 4)));
/* The real C_Initialize or C_Finalize of a module, and what it answered; detail may be NULL. */
void journal_write_real(const struct module *module, unsigned function, CK_RV rv, const char *detail);
void journal_write_module_at(const struct module *module, const char *event, const struct moment *moment);
/* Something about the process or the settings. */
void journal_write_note(const char *event, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A module, or a view of one, is initialised from now on, or no longer. at: since then; 0: now. */
void journal_up(const struct module *module, bool up);
void journal_has(const struct view *view, bool has, uint64_t at);

/* The shim has found this process to be a forked child. */
void journal_forked(void);

/* A call that is over, for the sinks that want every call. */
void journal_recorded(const struct view *view, unsigned function, const uintptr_t *words, CK_RV rv,
                      const struct moment *began);

/* A finding (findings.h): what was wrong, and the evidence for it. */
struct evidence_piece {
	const char *what; /* "initialised by" */
	const char *who;  /* "libfoo.so" */
	struct moment moment;
};
void journal_finding(const struct view *view, const char *kind, const char *call, const char *what,
                     const struct evidence_piece *pieces, unsigned count, unsigned more);

#endif
