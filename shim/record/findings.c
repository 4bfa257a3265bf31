/*
 * findings.c: see findings.h.
 */
#include <string.h>

#include "base/readable.h"
#include "core/life.h"
#include "core/sessions.h"
#include "core/view.h"
#include "host/object.h"
#include "host/process.h"
#include "record/conflicts.h"
#include "record/findings.h"
#include "record/history.h"
#include "record/now.h"
#include "record/observe.h"
#include "record/stack.h"
#include "standard/calls.h"

static void check_logout(const struct view *view, const uintptr_t *words,
                         const struct call_snapshot *snapshot)
{
	CK_SLOT_ID slot;
	struct who_when other;
	if (!sessions_slot(view->module, words[0], &slot))
		return;
	for (unsigned n = 0; history_logged_in(view, slot, n, &other); n++) {
		CK_SESSION_HANDLE session;
		struct evidence evidence = {.count = 0};
		if (view->module->settings.logout == LOGOUT_HELD ||
		    !sessions_nth(view->module, other.view, slot, 0, &session))
			continue;
		evidence_add(&evidence, "C_Logout by", view->name, tell_moment_of(snapshot));
		evidence_add_last(&evidence, "logged in by", other);
		tell_finding(view, OTHERS_LOGOUT, CALL_C_Logout, &evidence,
		             "$v logged out of a token of $m, but $o had logged in to it and still uses it",
		             other.view->name, 0);
	}
}

static void check_login(const struct view *view, const uintptr_t *words, CK_RV rv,
                        const struct call_snapshot *snapshot)
{
	CK_SLOT_ID slot;
	if ((rv == CKR_OK || rv == CKR_USER_ALREADY_LOGGED_IN) && words[1] != CKU_CONTEXT_SPECIFIC &&
	    sessions_slot(view->module, words[0], &slot))
		history_note_login(view, slot, &snapshot->now);
}

static bool needs_stack(unsigned function)
{
	return function == CALL_C_Initialize || function == CALL_C_Finalize ||
	       function == CALL_C_OpenSession || function == CALL_C_Login || function == CALL_C_LoginUser ||
	       function == CALL_C_Logout;
}

void findings_before(struct view *view, unsigned function, const uintptr_t *words,
                     struct call_snapshot *snapshot)
{
	bool observed = view->module->settings.observe;
	memset(snapshot, 0, sizeof *snapshot);
	snapshot->now = now_moment(needs_stack(function));
	if (!observed && !needs_stack(function))
		return;
	snapshot->standing = life_standing(view);
	if (function == CALL_C_Finalize) {
		snapshot->sessions = sessions_count(view, &snapshot->session);
		history_note_finalising(view, snapshot->now.at);
	}
	if (observed)
		observe_before(view, function, words, snapshot);
}

/*
 * After a call that went on to the core. The view's standing is looked at now if it was not before the call.
 */
static void after(struct view *view, unsigned function, const uintptr_t *words, CK_RV rv,
                  struct call_snapshot *snapshot)
{
	if (!needs_stack(function)) {
		if (rv != CKR_CRYPTOKI_NOT_INITIALIZED && rv != CKR_SESSION_HANDLE_INVALID)
			return;
		snapshot->standing = life_standing(view);
		if (snapshot->now.at <= history_finalising(view))
			return; /* the call was in flight at that C_Finalize, and is told of as that */
	}
	const struct standing *was = &snapshot->standing;
	struct standing is = life_standing(view);
	if (function == CALL_C_Initialize && rv == CKR_OK) {
		history_note_initialised(view, &snapshot->now, !was->up);
		history_follow(view);
	} else if (function == CALL_C_Finalize && rv == CKR_OK && !was->retired) {
		if (snapshot->standing.inherited && !was->up)
			tell_of_child(view, snapshot);
		if (is.left && snapshot->sessions > 0 && !snapshot->standing.inherited)
			tell_of_sessions(view, snapshot);
		if (is.left)
			history_note_finalised(view, &snapshot->now, true, !is.up);
		history_follow(view);
	} else if (function == CALL_C_Finalize && was->retired) {
		tell_of_exit(view, function, snapshot);
		history_note_finalised(view, &snapshot->now, true, false);
		history_note_left(view);
	} else if (function == CALL_C_Finalize && rv == CKR_CRYPTOKI_NOT_INITIALIZED) {
		tell_of_surplus(view, snapshot);
	} else if (rv == CKR_CRYPTOKI_NOT_INITIALIZED && was->retired) {
		tell_of_exit(view, function, snapshot);
	} else if (rv == CKR_CRYPTOKI_NOT_INITIALIZED && !was->counts && !snapshot->standing.inherited &&
	           (was->left || !was->up)) {
		tell_of_use(view, function, snapshot);
	} else if (rv == CKR_SESSION_HANDLE_INVALID && calls[function].kind[0] == PARAMETER_SESSION &&
	           sessions_translated(view->module)) {
		CK_SESSION_HANDLE real;
		if (!sessions_real(view->module, words[0], &real))
			tell_of_handle(view, function, words[0], snapshot);
	} else if (rv == CKR_CRYPTOKI_NOT_INITIALIZED && snapshot->standing.inherited &&
	           view->module->settings.fork == FORK_STRICT &&
	           calls[function].kind[0] == PARAMETER_SESSION) {
		tell_of_handle(view, function, words[0], snapshot);
	}
}

/* Has the module ended the session itself? */
static bool is_gone(CK_RV rv)
{
	return rv == CKR_SESSION_HANDLE_INVALID || rv == CKR_SESSION_CLOSED || rv == CKR_DEVICE_REMOVED ||
	       rv == CKR_TOKEN_NOT_PRESENT;
}

void findings_after(struct view *view, unsigned function, const uintptr_t *words, CK_RV rv,
                    struct call_snapshot *snapshot)
{
	if (calls_is_getter(function))
		return;
	if (function == CALL_C_Initialize)
		conflicts_check(view, words, rv, snapshot, snapshot->standing.up);
	if (view->module->settings.observe) {
		observe_after(view, function, rv, snapshot);
		if (function == CALL_C_Initialize || function == CALL_C_Finalize)
			observe_refresh(view->module);
	} else {
		after(view, function, words, rv, snapshot);
	}
	if (function == CALL_C_OpenSession && rv == CKR_OK && words[4] &&
	    is_readable((const void *)words[4], sizeof(CK_SESSION_HANDLE)))
		sessions_note_opened(view->module, *(CK_SESSION_HANDLE_PTR)words[4], &snapshot->now);
	if (calls[function].kind[0] == PARAMETER_SESSION && is_gone(rv))
		/* No consumer has to close that session any more. */
		sessions_note_opened(view->module, words[0], &(struct moment){0});
	if (function == CALL_C_Login || function == CALL_C_LoginUser)
		check_login(view, words, rv, snapshot);
	if (function == CALL_C_Logout && rv == CKR_OK)
		check_logout(view, words, snapshot);
}

/* ---- findings that come from other events than calls */

/* The module's consumer that is innermost on that stack; it may have called dlclose() by a library's help. */
static const struct view *consumer_in(const struct module *module, stack_id stack)
{
	const char *file;
	for (unsigned n = 0; (file = stack_path(stack, n)) != NULL; n++)
		for (unsigned i = 0; i < atomic_load(&views_made); i++)
			if (views[i].module == module && !views[i].shared &&
			    strcmp(stack_file_of(&views[i]), file) == 0)
				return &views[i];
	return NULL;
}

void findings_closed(const struct module *module)
{
	struct moment now = now_moment(true);
	history_note_closed(module, consumer_in(module, now.stack), &now);
	journal_write_module_at(module, "dlclose", &now);
	if (module->settings.observe)
		observe_refresh(module);
}

void findings_unloaded(const struct module *module, bool kept)
{
	for (unsigned i = 0; i < atomic_load(&views_made); i++)
		if (views[i].module == module && (kept || history_has(&views[i]) > 0) &&
		    history_closed(&views[i]).at)
			tell_of_unload(&views[i]);
	history_forget_module(module);
	if (module->settings.observe)
		observe_refresh(module);
}

void findings_at_exit(void)
{
	int pid = process_number();
	for (unsigned i = 0; i < atomic_load(&views_made); i++) {
		struct moment initialised = history_initialised(&views[i]);
		struct evidence evidence = {.count = 0};
		if (!history_has(&views[i]) || history_is_carried_over(&views[i]) || initialised.pid != pid)
			continue;
		evidence_add(&evidence, "initialised by", views[i].name, initialised);
		tell_finding(&views[i], INITIALISE_LEAKED, CALLS, &evidence, "$v never finalised $m", NULL,
		             0);
		if (history_closed(&views[i]).at &&
		    !(views[i].module->settings.observe && object_still_there(&views[i].module->object)))
			tell_of_unload(&views[i]);
	}
	tell_the_rest();
}
