/*
 * sessions.h: which view opened which session (contract D1), and under which
 * number consumers know it (F4).
 *
 * A consumer is shown the module's own number, with one exception. After a fork
 * and a real C_Initialize in the child the numbers from before the fork are
 * stale: they mean nothing any more, and must not come to mean something else. A
 * new session to which the module gives a stale number is shown under another.
 *
 * All functions take life.sessions of the module and call nothing outside.
 * If memory runs out a session is not remembered, and nobody closes it but its
 * consumer.
 */
#ifndef P11SHIM_SESSIONS_H
#define P11SHIM_SESSIONS_H

#include <stdbool.h>

#include "standard/pkcs11.h"

struct view;
struct module;
struct session;
struct moment;

/* One session, taken out to be closed. */
struct taken_session {
	CK_SESSION_HANDLE shown, real;
	CK_SLOT_ID slot;
	struct view *owner; /* NULL: not one that is known */
};

/*
 * The view has opened the session that the module calls `real`; whoever had that
 * one before has it no more. The number to show.
 */
CK_SESSION_HANDLE sessions_add(struct view *view, CK_SESSION_HANDLE real, CK_SLOT_ID slot);

/*
 * Are numbers to be looked up at all in this process? If not, shown and real
 * are the same and nothing is stale.
 */
bool sessions_translated(const struct module *module);

/* The module's number of a session; false: it is stale. */
bool sessions_real(struct module *module, CK_SESSION_HANDLE shown, CK_SESSION_HANDLE *real);

/* The slot that a session is on; false: not one that is known. */
bool sessions_slot(struct module *module, CK_SESSION_HANDLE shown, CK_SLOT_ID *slot);

/*
 * The n-th session (from 0) on that slot, of the view or (NULL) of any, as the
 * module knows it; false: there are not so many.
 */
bool sessions_nth(struct module *module, const struct view *view, CK_SLOT_ID slot, unsigned n,
                  CK_SESSION_HANDLE *real);

/* The session is about to be closed: forgets it. False: its number is stale. */
bool sessions_take(struct module *module, CK_SESSION_HANDLE shown, struct taken_session *taken);

/* The module refused to close it: as before. Not if its number was given out again. */
void sessions_put_back(struct module *module, const struct taken_session *taken);

/*
 * Takes all sessions of the view, on any slot or on that one, to be closed one
 * by one with sessions_next().
 */
struct session *sessions_take_all(struct view *view, const CK_SLOT_ID *slot);

/* The next of those taken; false: that was the last. Takes no lock. */
bool sessions_next(struct session **sessions, struct taken_session *taken);

/*
 * For the record: when and how a session was opened, by whoever holds it or, if it
 * is stale, held it. And how many sessions that it opened in this process a view
 * has, and how one of them was opened.
 */
void sessions_note_opened(struct module *module, CK_SESSION_HANDLE shown, const struct moment *moment);
bool sessions_opened(struct module *module, CK_SESSION_HANDLE shown, struct moment *moment);
unsigned sessions_count(const struct view *view, struct moment *moment);

/* The module is finalised: all its sessions are gone. */
void sessions_forget_all(struct module *module);

/* A child has initialised the module anew: all sessions it knows of are stale. */
void sessions_make_stale(struct module *module);

/* In a new process: makes what was inherited safe to read. Under life.lock. */
void sessions_inherit(struct module *module);

#endif
