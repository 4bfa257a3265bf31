/*
 * handles.h: which view opened which session (contract D1).
 *
 * All functions take life.sessions of the module and call nothing outside.
 * If memory runs out a session is not remembered, and nobody closes it but its
 * consumer.
 */
#ifndef P11SHIM_HANDLES_H
#define P11SHIM_HANDLES_H

#include "pkcs11.h"

#include <stdbool.h>

struct view;
struct module;
struct session;

/* The view opened it; whoever had that number before has it no more. */
void handles_add(struct view *view, CK_SESSION_HANDLE session, CK_SLOT_ID slot);

/*
 * The session is about to be closed: forgets it and says whose it was (NULL:
 * nobody's that is known), so that it can be put back if the module refuses.
 */
struct view *handles_take(struct module *module, CK_SESSION_HANDLE session, CK_SLOT_ID *slot);

/*
 * Takes all sessions of the view, on any slot or on that one, to be closed one
 * by one with handles_next().
 */
struct session *handles_take_all(struct view *view, const CK_SLOT_ID *slot);

/* The next of those taken; false: that was the last. Takes no lock. */
bool handles_next(struct session **taken, CK_SESSION_HANDLE *session);

/* The module is finalised: all its sessions are gone. */
void handles_forget_all(struct module *module);

/* In a new process: makes what was inherited safe to read. Under life.lock. */
void handles_adopt(struct module *module);

#endif
