/*
 * call.h: one call of a consumer on its way through this floor.
 *
 * A slot that does not take the fast path comes to call.c with the words of the call (core/gate.h). call.c
 * sends the call to the function here that looks after that function of the standard. These functions are
 * called with no lock held. They hold no lock across a call into the module, except that of core/serial.h,
 * and what the life cycle needs.
 */
#ifndef P11SHIM_CALL_H
#define P11SHIM_CALL_H

#include "core/model.h"

struct call {
	struct list *list;
	struct view *view;
	struct module *module;
	unsigned function;
	const void *caller;
	uintptr_t word[CALL_PARAMETERS];
};

/*
 * Makes the full path of all slots lead here. To be called before a list is handed out; may be called again.
 */
void call_start(void);

/* ---- forward.c */

/*
 * Calls the module's own function with the words of the call. The caller has entered the module (life_enter).
 */
CK_RV forward_real(struct call *call);

/* Any call between C_Initialize and C_Finalize with which the shim does nothing else. */
CK_RV forward_plain(struct call *call);

/* mode = observe: passes the call on, and the module's own answer back, whatever that is. */
CK_RV forward_observed(struct call *call);

/* ---- sessions.c (PKCS #11 2.40, 3.0, 3.2: 5.6 Session management) */

CK_RV call_C_OpenSession(struct call *call);
CK_RV call_C_CloseSession(struct call *call);
CK_RV call_C_CloseAllSessions(struct call *call);

/* ---- login.c (the same section; contract D2) */

/* C_Login, C_LoginUser, C_Logout. */
CK_RV call_login(struct call *call);

/* Does logout = held apply? Then a consumer's logout waits until no other consumer needs the token. */
bool login_is_held(const struct call *call);

/*
 * logout = held: the view has closed a session on that slot, or finalised. If no view needs the token any
 * longer, logs out if a logout was held back.
 */
void login_leave_token(struct call *call, struct view *view, CK_SLOT_ID slot);

/* Does the module's answer, to C_CloseSession or to a call with a session, say that the session is gone? */
static inline bool session_is_closed(CK_RV rv)
{
	return rv == CKR_OK || rv == CKR_SESSION_HANDLE_INVALID || rv == CKR_SESSION_CLOSED;
}

/* ---- wait.c (contract D3) */

CK_RV call_C_WaitForSlotEvent(struct call *call);

#endif
