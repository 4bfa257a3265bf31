/*
 * call.c: see call.h.
 */
#include <string.h>

#include "call/call.h"
#include "call/getters.h"
#include "call/wait.h"
#include "core/gate.h"
#include "core/life.h"
#include "core/lists.h"
#include "core/logins.h"
#include "host/events.h"
#include "host/process.h"

static CK_RV call_C_Initialize(struct call *call)
{
	struct standing before = life_standing(call->view);
	CK_RV rv = life_initialise(call->view, call->list, (CK_VOID_PTR)call->word[0]);
	if (rv == CKR_OK && !before.counts)
		wait_joined(call->view, lists_target(call->list, CALL_C_WaitForSlotEvent), before.up);
	return rv;
}

static CK_RV call_C_Finalize(struct call *call)
{
	CK_RV rv = life_finalise(call->view, (CK_VOID_PTR)call->word[0]);
	if (rv == CKR_OK)
		wait_finalised(call->view);
	CK_SLOT_ID slot;
	while (rv == CKR_OK && login_is_held(call) && life_standing(call->view).left &&
	       logins_slot(call->view, &slot))
		login_leave_token(call, call->view, slot);
	return rv;
}

static CK_RV call_C_GetFunctionList(struct call *call)
{
	return getters_function_list(call->list, call->caller, (CK_FUNCTION_LIST_PTR_PTR)call->word[0]);
}

static CK_RV call_C_GetInterface(struct call *call)
{
	return getters_interface(call->list, call->caller, call->word);
}

static CK_RV call_C_GetInterfaceList(struct call *call)
{
	return getters_interface_list(call->list, call->caller, call->word);
}

static CK_RV dispatch(struct call *call)
{
	switch (call->function) {
	case CALL_C_Initialize:
		return call_C_Initialize(call);
	case CALL_C_Finalize:
		return call_C_Finalize(call);
	case CALL_C_GetFunctionList:
		return call_C_GetFunctionList(call);
	case CALL_C_GetInterface:
		return call_C_GetInterface(call);
	case CALL_C_GetInterfaceList:
		return call_C_GetInterfaceList(call);
	case CALL_C_OpenSession:
		return call_C_OpenSession(call);
	case CALL_C_CloseSession:
		return call_C_CloseSession(call);
	case CALL_C_CloseAllSessions:
		return call_C_CloseAllSessions(call);
	case CALL_C_Login:
	case CALL_C_LoginUser:
	case CALL_C_Logout:
		return call_login(call);
	case CALL_C_WaitForSlotEvent:
		return call_C_WaitForSlotEvent(call);
	default:
		return forward_plain(call);
	}
}

static CK_RV carry_out(struct call *call)
{
	return call->module->settings.observe && !calls_is_getter(call->function) ? forward_observed(call)
	                                                                          : dispatch(call);
}

static CK_RV full_path(unsigned index, const struct gate_frame *frame)
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
		uintptr_t word[CALL_PARAMETERS]; /* to carry it out may change the words of the call */
		memcpy(word, call.word, sizeof word);
		return listening->call(call.view, call.function, word, call.caller, &call, carry_out);
	}
	return carry_out(&call);
}

void call_start(void)
{
	if (!atomic_load_explicit(&gate_full_path, memory_order_relaxed))
		atomic_store_explicit(&gate_full_path, full_path, memory_order_release);
}
