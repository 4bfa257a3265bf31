/*
 * observe.c: see observe.h.
 */
#include "core/life.h"
#include "core/sessions.h"
#include "host/object.h"
#include "record/history.h"
#include "record/observe.h"
#include "standard/calls.h"

/* Has this process opened that session? */
static bool is_own(const struct view *view, CK_SESSION_HANDLE session, const struct call_snapshot *snapshot)
{
	struct moment opened = {0};
	return sessions_opened(view->module, session, &opened) && opened.pid == snapshot->now.pid;
}

void observe_before(const struct view *view, unsigned function, const uintptr_t *words,
                    struct call_snapshot *snapshot)
{
	const struct module *module = view->module;
	struct who_when finalised = history_finalised_last(module);
	struct who_when initialised = history_initialised_last(module);
	struct evidence evidence = {.count = 0};
	bool mine = history_has(view) > 0;
	snapshot->standing.up = history_up(module) > 0;
	snapshot->standing.counts = mine;
	snapshot->standing.inherited = mine && history_initialised(view).pid != snapshot->now.pid;
	if (calls_is_getter(function) || history_is_foreign(module))
		return;
	if (history_closed(view).at && !object_still_there(&module->object))
		tell_of_unload(view);
	if (snapshot->standing.retired) {
		tell_of_exit(view, function, snapshot);
		return;
	}
	if (function == CALL_C_Initialize)
		return;
	if (snapshot->standing.inherited) {
		if (function == CALL_C_Finalize)
			tell_of_child(view, snapshot);
		else if (calls[function].kind[0] == PARAMETER_SESSION && !is_own(view, words[0], snapshot))
			tell_of_handle(view, function, words[0], snapshot);
		return;
	}
	if (function == CALL_C_Finalize && history_up(module) == 1 && mine)
		tell_of_flights(view);
	if (snapshot->standing.up && (function != CALL_C_Finalize || mine))
		return;
	evidence_add(&evidence, function == CALL_C_Finalize ? "C_Finalize by" : "the call by", view->name,
	             tell_moment_of(snapshot));
	if (!snapshot->standing.up)
		evidence_add_last(&evidence, "finalised earlier by", finalised);
	evidence_add_last(&evidence, "initialised by", initialised);
	if (function == CALL_C_Finalize && snapshot->standing.up)
		tell_finding(view, DOUBLE_FINALISE, function, &evidence,
		             "$v finalised $m, which $o had initialised",
		             initialised.view ? initialised.view->name : "", 0);
	else if (function == CALL_C_Finalize && finalised.view)
		tell_finding(view, DOUBLE_FINALISE, function, &evidence,
		             "$v finalised $m, which $o had finalised already", finalised.view->name, 0);
	else if (finalised.view)
		tell_finding(view, USE_AFTER_FINALISE, function, &evidence,
		             "$v called $c after $o had finalised $m", finalised.view->name, 0);
	else
		tell_finding(view, USE_BEFORE_INITIALISE, function, &evidence,
		             "$v called $c while no consumer had $m initialised", NULL, 0);
}

/* Which views' calls may take the fast path has changed. */
void observe_refresh(const struct module *module)
{
	for (unsigned i = 0; i < atomic_load(&views_made); i++)
		if (views[i].module == module) {
			history_decide_pass(&views[i]);
			life_refresh(&views[i]);
		}
}

void observe_after(struct view *view, unsigned function, CK_RV rv, const struct call_snapshot *snapshot)
{
	struct module *module = view->module;
	if (rv == CKR_CRYPTOKI_ALREADY_INITIALIZED && function == CALL_C_Initialize) {
		if (!history_up(module))
			history_note_foreign(module); /* by code out of sight */
		else if (snapshot->standing.inherited)
			history_note_carried_over(
			        view, &snapshot->now); /* the module carried its state over the fork */
	}
	if (function == CALL_C_Finalize && rv == CKR_CRYPTOKI_NOT_INITIALIZED && snapshot->standing.counts) {
		/* another consumer has finalised the module: this one knows it now */
		history_note_finalised(view, &snapshot->now, true, false);
		history_note_down(module);
		journal_has(view, false, 0);
	}
	if (rv != CKR_OK)
		return;
	switch (function) {
	case CALL_C_Initialize:
		if (snapshot->standing.inherited)
			history_forget_parents(module); /* the module has a new life in this child */
		history_note_initialised(view, &snapshot->now, true);
		if (history_up(module) == 1)
			journal_up(module, true);
		if (history_has(view) == 1)
			journal_has(view, true, 0);
		break;
	case CALL_C_Finalize:
		if (history_has(view) == 1 && !snapshot->standing.inherited && snapshot->sessions > 0)
			tell_of_sessions(view, snapshot);
		history_note_finalised(view, &snapshot->now, false, true);
		if (snapshot->standing.counts && history_has(view) == 0)
			journal_has(view, false, 0);
		if (snapshot->standing.up && history_up(module) == 0)
			journal_up(module, false);
		if (history_up(module) == 0)
			sessions_forget_all(module);
		break;
	default:
		break;
	}
}
