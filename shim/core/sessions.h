/*
 * sessions.h: which view opened which session (contract D1), and by which handle its consumer knows it (F4).
 *
 * A consumer's handle (`shown`) is the same as the module's handle (`real`), with one exception. After a fork
 * and a real C_Initialize in the child, the handles from before the fork are stale: they mean nothing any
 * more, and must not come to mean something else. If the module gives a new session a stale handle, the
 * consumer gets another one.
 *
 * All functions take life.sessions of the module and call nothing outside. If memory runs out, a session is
 * not remembered, and then only its consumer closes it.
 */
#ifndef P11SHIM_SESSIONS_H
#define P11SHIM_SESSIONS_H

#include <stdbool.h>

#include "standard/pkcs11.h"

struct view;
struct module;
struct session;
struct moment;

/* One session that was taken out of the tables to be closed. */
struct taken_session {
	CK_SESSION_HANDLE shown, real;
	CK_SLOT_ID slot;
	struct view *owner; /* NULL: the session is not a known one */
};

/*
 * The view has opened the session whose module's handle is `real`. If an older session had that handle, it
 * has ended. Returns the consumer's handle.
 */
CK_SESSION_HANDLE sessions_add(struct view *view, CK_SESSION_HANDLE real, CK_SLOT_ID slot);

/*
 * Are handles to be looked up at all in this process? If not, consumer's handle and module's handle are the
 * same, and none is stale.
 */
bool sessions_translated(const struct module *module);

/* The module's handle of a session; false: the session is stale. */
bool sessions_real(struct module *module, CK_SESSION_HANDLE shown, CK_SESSION_HANDLE *real);

/* The slot that a session is on; false: the session is not a known one. */
bool sessions_slot(struct module *module, CK_SESSION_HANDLE shown, CK_SLOT_ID *slot);

/*
 * The module's handle of the n-th session (from 0) on that slot, of that view or (NULL) of any view; false:
 * there are not so many.
 */
bool sessions_nth(struct module *module, const struct view *view, CK_SLOT_ID slot, unsigned n,
                  CK_SESSION_HANDLE *real);

/* The session is about to be closed: forgets it. False: it is stale. */
bool sessions_take(struct module *module, CK_SESSION_HANDLE shown, struct taken_session *taken);

/*
 * The module refused to close the session: remembers it again, unless its handle was given out again
 * meanwhile.
 */
void sessions_put_back(struct module *module, const struct taken_session *taken);

/*
 * Takes all sessions of the view, on that slot or (NULL) on any. The caller closes them one by one, with
 * sessions_next().
 */
struct session *sessions_take_all(struct view *view, const CK_SLOT_ID *slot);

/* The next of the sessions taken; false: there is none left. Takes no lock. */
bool sessions_next(struct session **sessions, struct taken_session *taken);

/*
 * For the record. sessions_note_opened() and sessions_opened(): when and by which calls a session was opened;
 * the latter knows stale sessions too. sessions_count(): how many sessions the view has that it opened in
 * this process, and how one of them was opened.
 */
void sessions_note_opened(struct module *module, CK_SESSION_HANDLE shown, const struct moment *moment);
bool sessions_opened(struct module *module, CK_SESSION_HANDLE shown, struct moment *moment);
unsigned sessions_count(const struct view *view, struct moment *moment);

/* The module is finalised: all its sessions are gone. */
void sessions_forget_all(struct module *module);

/* A child has initialised the module anew: all sessions that it inherited become stale. */
void sessions_make_stale(struct module *module);

/* In a new process: makes the inherited tables safe to read. Under life.lock. */
void sessions_inherit(struct module *module);

#endif
