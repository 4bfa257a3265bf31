/*
 * login.c: login and logout (contract D2). core/logins.h knows which view needs which token.
 */
#include <pthread.h>

#include "call/call.h"
#include "core/life.h"
#include "core/lists.h"
#include "core/logins.h"
#include "core/serial.h"
#include "core/sessions.h"
#include "host/events.h"

bool login_is_held(const struct call *call)
{
	return call->module->settings.logout == LOGOUT_HELD;
}

static CK_RV one_word(struct call *call, unsigned function, uintptr_t word)
{
	return serial_call(call->module, lists_target(call->list, function), 1, &word, MODULE_CALL);
}

/*
 * Logs out by any session on that slot that works; some may have died, or are being closed. If there is none,
 * by a new session.
 */
static CK_RV log_out_by_any(struct call *call, CK_SLOT_ID slot)
{
	CK_SESSION_HANDLE session = 0;
	for (unsigned n = 0; sessions_nth(call->module, NULL, slot, n, &session); n++) {
		CK_RV rv = one_word(call, CALL_C_Logout, session);
		if (!session_is_closed(rv) || rv == CKR_OK)
			return rv;
	}
	uintptr_t words[] = {slot, CKF_SERIAL_SESSION, 0, 0, (uintptr_t)&session};
	CK_RV rv = serial_call(call->module, lists_target(call->list, CALL_C_OpenSession), COUNT(words),
	                       words, MODULE_CALL);
	if (rv != CKR_OK)
		return rv;
	rv = one_word(call, CALL_C_Logout, session);
	one_word(call, CALL_C_CloseSession, session);
	return rv;
}

/* Does the logout that a view wished for while other views needed the token. */
static void log_out_at_last(struct call *call, CK_SLOT_ID slot)
{
	struct ticket ticket;
	if (life_enter(call->module->shared, &ticket, MODULE_CALL) != CKR_OK)
		return; /* the module is finalised, and so logged out */
	CK_RV rv = log_out_by_any(call, slot);
	life_leave(call->module->shared, &ticket);
	tell_event(.kind = EVENT_LOGGED_OUT, .module = call->module, .rv = rv);
	if (rv == CKR_OK || rv == CKR_USER_NOT_LOGGED_IN)
		logins_all_out(call->module, slot);
}

/*
 * The view has closed a session there, or finalised: does it still need the token? Other threads wait for
 * this thread, which must not be cancelled meanwhile.
 */
void login_leave_token(struct call *call, struct view *view, CK_SLOT_ID slot)
{
	CK_SESSION_HANDLE session;
	int cancel;
	if (!life_standing(view).left && sessions_nth(call->module, view, slot, 0, &session))
		return;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	bool begun = logins_begin(call->module);
	if (logins_leave(view, slot))
		log_out_at_last(call, slot);
	if (begun)
		logins_end(call->module);
	pthread_setcancelstate(cancel, NULL);
}

static CK_RV held_login(struct call *call, CK_SLOT_ID slot)
{
	CK_RV rv = forward_plain(call);
	if (rv == CKR_OK)
		logins_all_out(call->module, slot); /* it was logged out before: no view was logged in */
	if (rv == CKR_OK || rv == CKR_USER_ALREADY_LOGGED_IN)
		logins_in(call->view, slot);
	return rv;
}

static CK_RV held_logout(struct call *call, CK_SLOT_ID slot)
{
	struct ticket ticket;
	bool was_in;
	CK_RV rv = life_enter(call->view, &ticket, MODULE_CALL);
	if (rv != CKR_OK)
		return rv;
	bool needed = logins_out(call->view, slot, &was_in);
	life_leave(call->view, &ticket);
	if (needed)
		return was_in ? CKR_OK : CKR_USER_NOT_LOGGED_IN;
	rv = forward_plain(call);
	if (rv == CKR_OK || rv == CKR_USER_NOT_LOGGED_IN)
		logins_all_out(call->module, slot);
	return rv;
}

/*
 * One login or logout of a module at a time: other threads wait for this thread, which must not be cancelled
 * meanwhile.
 */
static CK_RV held(struct call *call)
{
	CK_SLOT_ID slot;
	int cancel;
	bool logs_out = call->function == CALL_C_Logout;
	if ((!logs_out && call->word[1] == CKU_CONTEXT_SPECIFIC) ||
	    !sessions_slot(call->module, call->word[0], &slot))
		return forward_plain(call);
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	bool begun = logins_begin(call->module);
	CK_RV rv = logs_out ? held_logout(call, slot) : held_login(call, slot);
	if (begun)
		logins_end(call->module);
	pthread_setcancelstate(cancel, NULL);
	return rv;
}

/*
 * C_Login, C_LoginUser, C_Logout. Unless logout = held, they work as the standard says: per process and
 * token.
 */
CK_RV call_login(struct call *call)
{
	return login_is_held(call) ? held(call) : forward_plain(call);
}
