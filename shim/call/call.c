/*
 * call.c: the full path around a real call. A gate slot that does not take the
 * short way comes here with the words of the call; see gate/ARCH.S.
 *
 * Nothing here holds a lock across a call into the module, except, for a
 * module that cannot lock, the one that lets one call in at a time.
 */
#include <pthread.h>
#include <string.h>

#include "base/readable.h"
#include "call/wait.h"
#include "core/gate.h"
#include "core/lists.h"
#include "core/logins.h"
#include "core/sessions.h"
#include "host/events.h"
#include "host/process.h"

struct call {
	struct list *list;
	struct view *view;
	struct module *module;
	unsigned function;
	const void *caller;
	uintptr_t word[CALL_PARAMETERS];
};

/* The module's own function with the consumer's words. */
static CK_RV real_call(struct call *call)
{
	return module_call(call->module, lists_target(call->list, call->function),
	                   calls[call->function].parameters, call->word, MODULE_CALL);
}

/* After a fork: the number that the module knows the session by (F4). */
static CK_RV translate_session(struct call *call)
{
	CK_SESSION_HANDLE real;
	if (!handles_translated(call->module) || calls[call->function].kind[0] != PARAMETER_SESSION)
		return CKR_OK;
	if (!handles_real(call->module, call->word[0], &real))
		return CKR_SESSION_HANDLE_INVALID;
	call->word[0] = real;
	return CKR_OK;
}

/* Any call between C_Initialize and C_Finalize. */
static CK_RV plain(struct call *call)
{
	struct ticket ticket;
	CK_RV rv = module_enter(call->view, &ticket, MODULE_CALL);
	if (rv != CKR_OK)
		return rv;
	rv = translate_session(call);
	if (rv == CKR_OK)
		rv = real_call(call);
	module_leave(call->view, &ticket);
	return rv;
}

static CK_RV on_C_Initialize(struct call *call)
{
	struct standing before = module_standing(call->view);
	CK_RV rv = module_initialise(call->view, call->list, (CK_VOID_PTR)call->word[0]);
	if (rv == CKR_OK && !before.counts)
		wait_joined(call->view, lists_target(call->list, CALL_C_WaitForSlotEvent), before.up);
	return rv;
}

static bool is_held(const struct call *call);
static void leave_token(struct call *call, struct view *view, CK_SLOT_ID slot);

static CK_RV on_C_Finalize(struct call *call)
{
	CK_RV rv = module_finalise(call->view, (CK_VOID_PTR)call->word[0]);
	if (rv == CKR_OK)
		wait_finalised(call->view);
	CK_SLOT_ID slot;
	while (rv == CKR_OK && is_held(call) && module_standing(call->view).left &&
	       login_slot(call->view, &slot))
		leave_token(call, call->view, slot);
	return rv;
}

static CK_RV on_C_GetFunctionList(struct call *call)
{
	return lists_get_function_list(call->list, call->caller, (CK_FUNCTION_LIST_PTR_PTR)call->word[0]);
}

static CK_RV on_C_GetInterface(struct call *call)
{
	return lists_get_interface(call->list, call->caller, call->word);
}

static CK_RV on_C_GetInterfaceList(struct call *call)
{
	return lists_get_interface_list(call->list, call->caller, call->word);
}

/* The view finalised while it opened this one, which nobody else would close. */
static CK_RV close_at_once(struct call *call, CK_SESSION_HANDLE shown)
{
	struct taken_session session;
	struct call close = *call;
	close.function = CALL_C_CloseSession;
	if (handles_take(call->module, shown, &session)) {
		close.word[0] = session.real;
		real_call(&close);
	}
	return CKR_CRYPTOKI_NOT_INITIALIZED;
}

static CK_RV on_C_OpenSession(struct call *call)
{
	struct ticket ticket;
	CK_RV rv = module_enter(call->view, &ticket, MODULE_CALL);
	if (rv != CKR_OK)
		return rv;
	CK_SESSION_HANDLE_PTR phSession = (CK_SESSION_HANDLE_PTR)call->word[4];
	rv = real_call(call);
	if (rv == CKR_OK && phSession)
		*phSession = handles_add(call->view, *phSession, call->word[0]);
	if (rv == CKR_OK && phSession && module_standing(call->view).left)
		rv = close_at_once(call, *phSession);
	module_leave(call->view, &ticket);
	return rv;
}

/* Is the session gone, now or already? */
static bool is_closed(CK_RV rv)
{
	return rv == CKR_OK || rv == CKR_SESSION_HANDLE_INVALID || rv == CKR_SESSION_CLOSED;
}

/*
 * The number may be given out again the moment the module has closed it, so it
 * is forgotten before, and put back if the session lives on.
 */
static CK_RV on_C_CloseSession(struct call *call)
{
	struct ticket ticket;
	CK_RV rv = module_enter(call->view, &ticket, MODULE_CALL);
	if (rv != CKR_OK)
		return rv;
	struct taken_session session;
	rv = CKR_SESSION_HANDLE_INVALID;
	if (handles_take(call->module, call->word[0], &session)) {
		call->word[0] = session.real;
		rv = real_call(call);
		if (!is_closed(rv))
			handles_put_back(call->module, &session);
		else if (is_held(call) && session.owner)
			leave_token(call, session.owner, session.slot);
	}
	module_leave(call->view, &ticket);
	return rv;
}

/*
 * The caller's own sessions, one by one (contract D1). What the module would
 * say of the slot itself is asked for where there are none.
 */
static CK_RV close_all(struct call *call)
{
	if (!lists_supports(call->list, call->function))
		return CKR_FUNCTION_NOT_SUPPORTED;
	CK_SLOT_ID slot = call->word[0];
	struct session *sessions = handles_take_all(call->view, &slot);
	if (!sessions) {
		CK_SLOT_INFO info;
		struct call ask = *call;
		ask.function = CALL_C_GetSlotInfo;
		ask.word[1] = (uintptr_t)&info;
		return lists_supports(call->list, ask.function) ? real_call(&ask) : CKR_OK;
	}
	CK_RV first = CKR_OK;
	struct call close = *call;
	close.function = CALL_C_CloseSession;
	struct taken_session session;
	while (handles_next(&sessions, &session)) {
		close.word[0] = session.real;
		CK_RV rv = real_call(&close);
		if (is_closed(rv))
			continue;
		handles_put_back(call->module, &session);
		if (first == CKR_OK)
			first = rv;
	}
	return first;
}

static CK_RV on_C_CloseAllSessions(struct call *call)
{
	struct ticket ticket;
	CK_RV rv = module_enter(call->view, &ticket, MODULE_CALL);
	if (rv != CKR_OK)
		return rv;
	CK_SLOT_ID slot = call->word[0];
	rv = close_all(call);
	if (is_held(call))
		leave_token(call, call->view, slot);
	module_leave(call->view, &ticket);
	return rv;
}

/* ---- login and logout (contract D2) */

static bool is_held(const struct call *call)
{
	return call->module->settings.logout == LOGOUT_HELD;
}

static CK_RV one_word(struct call *call, unsigned function, uintptr_t word)
{
	return module_call(call->module, lists_target(call->list, function), 1, &word, MODULE_CALL);
}

/* By whatever session there is; some may have died or are being closed. By a new one if there is none. */
static CK_RV log_out_by_any(struct call *call, CK_SLOT_ID slot)
{
	CK_SESSION_HANDLE session = 0;
	for (unsigned n = 0; handles_nth(call->module, NULL, slot, n, &session); n++) {
		CK_RV rv = one_word(call, CALL_C_Logout, session);
		if (!is_closed(rv) || rv == CKR_OK)
			return rv;
	}
	uintptr_t words[] = {slot, CKF_SERIAL_SESSION, 0, 0, (uintptr_t)&session};
	CK_RV rv = module_call(call->module, lists_target(call->list, CALL_C_OpenSession), COUNT(words),
	                       words, MODULE_CALL);
	if (rv != CKR_OK)
		return rv;
	rv = one_word(call, CALL_C_Logout, session);
	one_word(call, CALL_C_CloseSession, session);
	return rv;
}

/* What somebody wished for while others needed the token. */
static void log_out_at_last(struct call *call, CK_SLOT_ID slot)
{
	struct ticket ticket;
	if (module_enter(call->module->shared, &ticket, MODULE_CALL) != CKR_OK)
		return; /* finalised: logged out */
	CK_RV rv = log_out_by_any(call, slot);
	module_leave(call->module->shared, &ticket);
	tell_event(.kind = EVENT_LOGGED_OUT, .module = call->module, .rv = rv);
	if (rv == CKR_OK || rv == CKR_USER_NOT_LOGGED_IN)
		login_all_out(call->module, slot);
}

/*
 * The view has closed a session there, or finalised: does it still need the token?
 * Others wait for this thread, which must not be cancelled meanwhile.
 */
static void leave_token(struct call *call, struct view *view, CK_SLOT_ID slot)
{
	CK_SESSION_HANDLE session;
	int cancel;
	if (!module_standing(view).left && handles_nth(call->module, view, slot, 0, &session))
		return;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	bool begun = login_begin(call->module);
	if (login_leave(view, slot))
		log_out_at_last(call, slot);
	if (begun)
		login_end(call->module);
	pthread_setcancelstate(cancel, NULL);
}

static CK_RV held_login(struct call *call, CK_SLOT_ID slot)
{
	CK_RV rv = plain(call);
	if (rv == CKR_OK)
		login_all_out(call->module, slot); /* it was logged out, whoever may have been in before */
	if (rv == CKR_OK || rv == CKR_USER_ALREADY_LOGGED_IN)
		login_in(call->view, slot);
	return rv;
}

static CK_RV held_logout(struct call *call, CK_SLOT_ID slot)
{
	struct ticket ticket;
	bool was_in;
	CK_RV rv = module_enter(call->view, &ticket, MODULE_CALL);
	if (rv != CKR_OK)
		return rv;
	bool needed = login_out(call->view, slot, &was_in);
	module_leave(call->view, &ticket);
	if (needed)
		return was_in ? CKR_OK : CKR_USER_NOT_LOGGED_IN;
	rv = plain(call);
	if (rv == CKR_OK || rv == CKR_USER_NOT_LOGGED_IN)
		login_all_out(call->module, slot);
	return rv;
}

/*
 * One login or logout of a module at a time: others wait for this thread, which
 * must not be cancelled meanwhile.
 */
static CK_RV held(struct call *call)
{
	CK_SLOT_ID slot;
	int cancel;
	bool logs_out = call->function == CALL_C_Logout;
	if ((!logs_out && call->word[1] == CKU_CONTEXT_SPECIFIC) ||
	    !handles_slot(call->module, call->word[0], &slot))
		return plain(call);
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	bool begun = login_begin(call->module);
	CK_RV rv = logs_out ? held_logout(call, slot) : held_login(call, slot);
	if (begun)
		login_end(call->module);
	pthread_setcancelstate(cancel, NULL);
	return rv;
}

/* C_Login, C_LoginUser, C_Logout: the standard's, per process and token, unless logout = held. */
static CK_RV on_login(struct call *call)
{
	return is_held(call) ? held(call) : plain(call);
}

/* ---- slot events */

/* As it is: what the standard forbids to ask, and a module that answers at once. */
static CK_RV forward_wait(struct call *call)
{
	struct ticket ticket;
	CK_RV rv = module_enter(call->view, &ticket, MODULE_BLOCKS);
	if (rv != CKR_OK)
		return rv;
	rv = module_call(call->module, lists_target(call->list, call->function),
	                 calls[call->function].parameters, call->word, MODULE_BLOCKS);
	module_leave(call->view, &ticket);
	return rv;
}

static CK_RV on_C_WaitForSlotEvent(struct call *call)
{
	bool blocks = !(call->word[0] & CKF_DONT_BLOCK);
	if (!blocks && call->module->settings.wait == WAIT_FORWARD && wait_is_for_a_wrapper()) {
		call->word[0] &= ~(uintptr_t)CKF_DONT_BLOCK;
		return forward_wait(call);
	}
	if (!call->word[1] || (blocks && call->module->settings.wait == WAIT_FORWARD))
		return forward_wait(call);
	return wait_for_slot_event(call->view, lists_target(call->list, call->function), call->word[0],
	                           (CK_SLOT_ID_PTR)call->word[1], (CK_VOID_PTR)call->word[2]);
}

static CK_RV dispatch(struct call *call)
{
	switch (call->function) {
	case CALL_C_Initialize:
		return on_C_Initialize(call);
	case CALL_C_Finalize:
		return on_C_Finalize(call);
	case CALL_C_GetFunctionList:
		return on_C_GetFunctionList(call);
	case CALL_C_GetInterface:
		return on_C_GetInterface(call);
	case CALL_C_GetInterfaceList:
		return on_C_GetInterfaceList(call);
	case CALL_C_OpenSession:
		return on_C_OpenSession(call);
	case CALL_C_CloseSession:
		return on_C_CloseSession(call);
	case CALL_C_CloseAllSessions:
		return on_C_CloseAllSessions(call);
	case CALL_C_Login:
	case CALL_C_LoginUser:
	case CALL_C_Logout:
		return on_login(call);
	case CALL_C_WaitForSlotEvent:
		return on_C_WaitForSlotEvent(call);
	default:
		return plain(call);
	}
}

static void forget_sessions(struct session *sessions)
{
	struct taken_session session;
	while (handles_next(&sessions, &session))
		;
}

/* mode = observe, recorded: which sessions there are, as the module has answered. */
static void note_observed(const struct call *call)
{
	struct taken_session session;
	const CK_SESSION_HANDLE *opened = (const CK_SESSION_HANDLE *)call->word[4];
	switch (call->function) {
	case CALL_C_OpenSession:
		if (opened && is_readable(opened, sizeof *opened))
			handles_add(call->view, *opened, call->word[0]);
		break;
	case CALL_C_CloseSession:
		handles_take(call->module, call->word[0], &session);
		break;
	case CALL_C_CloseAllSessions:
		for (unsigned i = 0; i < atomic_load(&views_made); i++)
			if (views[i].module == call->module)
				forget_sessions(handles_take_all(&views[i], &(CK_SLOT_ID){call->word[0]}));
		break;
	default:
		break;
	}
}

/* mode = observe: the module's own answer, whatever it is. */
static CK_RV observe(struct call *call)
{
	void *target = lists_target(call->list, call->function);
	CK_RV rv = calls_invoke(target, calls[call->function].parameters,
	                        call->word); /* REENTRANT: no lock held */
	process_enter();
	if (!gate_is_live(call->list->number)) /* in a child, say */
		module_refresh(call->view);
	if (UNLIKELY(events_recorder()) && rv == CKR_OK)
		note_observed(call);
	return rv;
}

static CK_RV carry_out(struct call *call)
{
	return call->module->settings.observe && !calls_is_getter(call->function) ? observe(call)
	                                                                          : dispatch(call);
}

CK_RV p11shim_call(unsigned index, const struct gate_frame *frame);

CK_RV p11shim_call(unsigned index, const struct gate_frame *frame)
{
	struct call call = {
	        .list = lists_at(index / CALLS),
	        .function = index % CALLS,
	        .caller = frame->caller,
	};
	call.view = call.list->view;
	call.module = call.view->module;
	for (unsigned i = 0; i < calls[call.function].parameters; i++)
		call.word[i] = gate_word(frame, i);
	process_enter();
	const struct recorder *listening = events_recorder();
	if (UNLIKELY(listening)) {
		uintptr_t word[CALL_PARAMETERS]; /* carrying it out may change those of the call */
		memcpy(word, call.word, sizeof word);
		return listening->call(call.view, call.function, word, call.caller, &call, carry_out);
	}
	return carry_out(&call);
}
