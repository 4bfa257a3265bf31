/*
 * journal.h: what happened, one line an event (contract I1, I2). Off unless
 * asked for; then nothing here costs more than a load and a test.
 *
 * Never given a PIN, key material or the contents of any buffer.
 */
#ifndef P11SHIM_JOURNAL_H
#define P11SHIM_JOURNAL_H

#include "common.h"
#include "pkcs11.h"

struct view;
struct module;

extern _Atomic(bool) journal_open;

/* Where to: "stderr", "syslog" or a path; called once, by config.c. */
void journal_start(const char *where);

/* A life-cycle call of a consumer, and what it got; detail may be NULL. */
#define journal_call(view, function, rv, detail)                        \
	do {                                                            \
		if (UNLIKELY(journal_open))                             \
			journal_write_call(view, function, rv, detail); \
	} while (0)

/* Something about a module that no consumer asked for. */
#define journal_module(module, event, ...)                                \
	do {                                                              \
		if (UNLIKELY(journal_open))                               \
			journal_write_module(module, event, __VA_ARGS__); \
	} while (0)

/* Something about the process or the settings. */
#define journal_note(event, ...)                                \
	do {                                                    \
		if (UNLIKELY(journal_open))                     \
			journal_write_note(event, __VA_ARGS__); \
	} while (0)

void journal_write_call(const struct view *view, unsigned function, CK_RV rv, const char *detail);
void journal_write_module(const struct module *module, const char *event, const char *format, ...)
        __attribute__((format(printf, 3, 4)));
void journal_write_note(const char *event, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
