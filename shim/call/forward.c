/*
 * forward.c: calls that go on to the module as they are.
 */
#include "base/readable.h"
#include "call/call.h"
#include "core/gate.h"
#include "core/life.h"
#include "core/lists.h"
#include "core/serial.h"
#include "core/sessions.h"
#include "host/events.h"
#include "host/process.h"

/* See call.h. */
CK_RV forward_real(struct call *call)
{
	return serial_call(call->module, lists_target(call->list, call->function),
	                   calls[call->function].parameters, call->word, MODULE_CALL);
}

/* After a fork: replaces the consumer's handle of the session by the module's (F4). */
static CK_RV translate_session(struct call *call)
{
	CK_SESSION_HANDLE real;
	if (!sessions_translated(call->module) || calls[call->function].kind[0] != PARAMETER_SESSION)
		return CKR_OK;
	if (!sessions_real(call->module, call->word[0], &real))
		return CKR_SESSION_HANDLE_INVALID;
	call->word[0] = real;
	return CKR_OK;
}

/* See call.h. */
CK_RV forward_plain(struct call *call)
{
	struct ticket ticket;
	CK_RV rv = life_enter(call->view, &ticket, MODULE_CALL);
	if (rv != CKR_OK)
		return rv;
	rv = translate_session(call);
	if (rv == CKR_OK)
		rv = forward_real(call);
	life_leave(call->view, &ticket);
	return rv;
}

static void forget_sessions(struct session *sessions)
{
	struct taken_session session;
	while (sessions_next(&sessions, &session))
		;
}

/* mode = observe, while recording: notes which sessions there are, by what the module has answered. */
static void note_observed(const struct call *call)
{
	struct taken_session session;
	const CK_SESSION_HANDLE *opened = (const CK_SESSION_HANDLE *)call->word[4];
	switch (call->function) {
	case CALL_C_OpenSession:
		if (opened && is_readable(opened, sizeof *opened))
			sessions_add(call->view, *opened, call->word[0]);
		break;
	case CALL_C_CloseSession:
		sessions_take(call->module, call->word[0], &session);
		break;
	case CALL_C_CloseAllSessions:
		for (unsigned i = 0; i < atomic_load(&views_made); i++)
			if (views[i].module == call->module)
				forget_sessions(sessions_take_all(&views[i], &(CK_SLOT_ID){call->word[0]}));
		break;
	default:
		break;
	}
}

/* See call.h. */
CK_RV forward_observed(struct call *call)
{
	void *target = lists_target(call->list, call->function);
	CK_RV rv = calls_invoke(target, calls[call->function].parameters,
	                        call->word); /* REENTRANT: no lock held */
	process_enter();
	if (!gate_is_fast(call->list->number)) /* in a child, say */
		life_refresh(call->view);
	if (UNLIKELY(events_recorder()) && rv == CKR_OK)
		note_observed(call);
	return rv;
}
