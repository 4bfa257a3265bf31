/*
 * sessions.c: sessions are opened and closed, each by the view that owns it (contract D1).
 */
#include "call/call.h"
#include "core/life.h"
#include "core/lists.h"
#include "core/sessions.h"

/* The view finalised while it opened this session. No other call would close it, so it is closed here. */
static CK_RV close_at_once(struct call *call, CK_SESSION_HANDLE shown)
{
	struct taken_session session;
	struct call close = *call;
	close.function = CALL_C_CloseSession;
	if (sessions_take(call->module, shown, &session)) {
		close.word[0] = session.real;
		forward_real(&close);
	}
	return CKR_CRYPTOKI_NOT_INITIALIZED;
}

CK_RV call_C_OpenSession(struct call *call)
{
	struct ticket ticket;
	CK_RV rv = life_enter(call->view, &ticket, MODULE_CALL);
	if (rv != CKR_OK)
		return rv;
	CK_SESSION_HANDLE_PTR phSession = (CK_SESSION_HANDLE_PTR)call->word[4];
	rv = forward_real(call);
	if (rv == CKR_OK && phSession)
		*phSession = sessions_add(call->view, *phSession, call->word[0]);
	if (rv == CKR_OK && phSession && life_standing(call->view).left)
		rv = close_at_once(call, *phSession);
	life_leave(call->view, &ticket);
	return rv;
}

/*
 * The module may give the handle out again the moment it has closed the session. So the session is forgotten
 * before that, and put back if it lives on.
 */
CK_RV call_C_CloseSession(struct call *call)
{
	struct ticket ticket;
	CK_RV rv = life_enter(call->view, &ticket, MODULE_CALL);
	if (rv != CKR_OK)
		return rv;
	struct taken_session session;
	rv = CKR_SESSION_HANDLE_INVALID;
	if (sessions_take(call->module, call->word[0], &session)) {
		call->word[0] = session.real;
		rv = forward_real(call);
		if (!session_is_closed(rv))
			sessions_put_back(call->module, &session);
		else if (login_is_held(call) && session.owner)
			login_leave_token(call, session.owner, session.slot);
	}
	life_leave(call->view, &ticket);
	return rv;
}

/*
 * Closes the consumer's own sessions, one by one (contract D1). If it has none, the module is asked about the
 * slot, so that the answer is what the module would say of the slot itself.
 */
static CK_RV close_all(struct call *call)
{
	if (!lists_supports(call->list, call->function))
		return CKR_FUNCTION_NOT_SUPPORTED;
	CK_SLOT_ID slot = call->word[0];
	struct session *sessions = sessions_take_all(call->view, &slot);
	if (!sessions) {
		CK_SLOT_INFO info;
		struct call ask = *call;
		ask.function = CALL_C_GetSlotInfo;
		ask.word[1] = (uintptr_t)&info;
		return lists_supports(call->list, ask.function) ? forward_real(&ask) : CKR_OK;
	}
	CK_RV first = CKR_OK;
	struct call close = *call;
	close.function = CALL_C_CloseSession;
	struct taken_session session;
	while (sessions_next(&sessions, &session)) {
		close.word[0] = session.real;
		CK_RV rv = forward_real(&close);
		if (session_is_closed(rv))
			continue;
		sessions_put_back(call->module, &session);
		if (first == CKR_OK)
			first = rv;
	}
	return first;
}

CK_RV call_C_CloseAllSessions(struct call *call)
{
	struct ticket ticket;
	CK_RV rv = life_enter(call->view, &ticket, MODULE_CALL);
	if (rv != CKR_OK)
		return rv;
	CK_SLOT_ID slot = call->word[0];
	rv = close_all(call);
	if (login_is_held(call))
		login_leave_token(call, call->view, slot);
	life_leave(call->view, &ticket);
	return rv;
}
