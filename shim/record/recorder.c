/*
 * recorder.c: see recorder.h.
 *
 * Any thread may tell an event, wherever it is but inside malloc or the dynamic linker. It holds no lock of
 * the lower floors then.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/readable.h"
#include "core/model.h"
#include "host/events.h"
#include "record/crash.h"
#include "record/findings.h"
#include "record/flights.h"
#include "record/history.h"
#include "record/journal.h"
#include "record/now.h"
#include "record/recorder.h"
#include "record/stack.h"
#include "record/tell.h"
#include "settings/settings.h"
#include "standard/calls.h"

/* Tells a setting that applies to this module and not to all modules, and where it was set. */
static void tell_setting(void *module, const struct explanation *e)
{
	if (!e->global && strcmp(e->section, "*") != 0)
		journal_write_module(module, "setting", "%s = %s (%s:%d)", e->key, e->value, e->source,
		                     e->line);
}

static void on_event_of_process(const struct event *e)
{
	switch (e->kind) {
	case EVENT_FORKED:
		journal_forked();
		break;
	case EVENT_PROBLEM:
		journal_write_note("settings", "%s", e->text);
		break;
	case EVENT_NO_ROOM_FOR_MODULE:
		journal_write_note("no room", "for another module: the library does not handle %s", e->text);
		break;
	case EVENT_EXIT:
		findings_at_exit();
		break;
	default:
		break;
	}
}

static void on_event_of_module(const struct event *e)
{
	const struct module *m = e->module;
	switch (e->kind) {
	case EVENT_LOADED:
		journal_write_module(m, "load", "%s", e->text);
		settings_explain(e->text, tell_setting, (void *)m);
		break;
	case EVENT_OPENED_AGAIN:
		history_note_opened(m);
		break;
	case EVENT_CLOSED:
		findings_closed(m);
		break;
	case EVENT_UNLOADED:
		journal_write_module(m, "unload", "%s", e->text);
		findings_unloaded(m, false);
		break;
	case EVENT_GONE_AT_LAST:
		findings_unloaded(m, true);
		break;
	case EVENT_SERIALISED:
		journal_write_module(m, "serialise",
		                     "the module cannot lock: the library lets in one call at a time");
		break;
	case EVENT_REAL_INITIALISE:
		journal_write_real(m, CALL_C_Initialize, e->rv, e->text);
		break;
	case EVENT_REAL_FINALISE:
		journal_write_real(m, CALL_C_Finalize, e->rv, e->text);
		break;
	case EVENT_UP:
		journal_up(m, true);
		break;
	case EVENT_DOWN:
		journal_up(m, false);
		break;
	case EVENT_LOGGED_OUT:
		journal_write_module(m, "C_Logout", "held back until now: %s",
		                     calls_return_name(e->rv) ? calls_return_name(e->rv) : "vendor error");
		break;
	case EVENT_RETIRED:
		journal_write_module(m, "retire", "the process is exiting: no more calls");
		break;
	case EVENT_RETIRED_FOR_LATER:
		journal_write_module(m, "retire",
		                     "the process is exiting: no more calls of consumers loaded later");
		break;
	case EVENT_NO_ROOM_FOR_VIEW:
		journal_write_module(m, "no room", "for another consumer's view: %s gets the shared one",
		                     e->text);
		break;
	default:
		break;
	}
}

static void on_event_of_view(const struct event *e)
{
	const struct view *view = e->view;
	switch (e->kind) {
	case EVENT_NO_ROOM_FOR_LIST:
		journal_write_module(view->module, "no room", "for another list: %s gets %s", view->name,
		                     e->number ? "the shared one" : "the module's own");
		break;
	case EVENT_LIST_GIVEN:
		journal_write_call(view, e->function, e->rv, NULL, NULL);
		break;
	case EVENT_SESSIONS_CLOSED:
		journal_write_module(view->module, "sessions closed", "%lu that %s had left open", e->number,
		                     view->name);
		break;
	case EVENT_LAST_FINALISE:
		tell_of_flights(view);
		break;
	case EVENT_CALLS_DID_NOT_RETURN:
		tell_of_lost_calls(view, (unsigned)e->number);
		break;
	default:
		break;
	}
}

static void on_event(const struct event *e)
{
	if (e->view)
		on_event_of_view(e);
	else if (e->module)
		on_event_of_module(e);
	else
		on_event_of_process(e);
}

/* Is it C_Initialize, C_Finalize, or a function that concerns logins? */
static bool is_life_cycle(unsigned function)
{
	return function == CALL_C_Initialize || function == CALL_C_Finalize || function == CALL_C_Login ||
	       function == CALL_C_LoginUser || function == CALL_C_Logout;
}

/* Tells of a life-cycle call, but never the PIN. */
static void tell_life_cycle(const struct view *view, unsigned function, const uintptr_t *words, CK_RV rv,
                            const struct moment *moment)
{
	char detail[64] = "";
	if (view->module->settings.observe)
		;
	else if (function == CALL_C_Finalize && rv == CKR_CRYPTOKI_NOT_INITIALIZED)
		strcpy(detail, "finalised more often than initialised");
	else if (function == CALL_C_Logout)
		snprintf(detail, sizeof detail, "session=%lu", (unsigned long)words[0]);
	else if (function == CALL_C_Login || function == CALL_C_LoginUser)
		snprintf(detail, sizeof detail, "session=%lu user=%lu", (unsigned long)words[0],
		         (unsigned long)words[1]);
	journal_write_call(view, function, rv, detail[0] ? detail : NULL, moment);
}

static struct recorder listening;

/*
 * Records a call. What the consumer has passed is looked at when the call is over, by the words as the
 * consumer gave them.
 */
static CK_RV on_call(struct view *view, unsigned function, const uintptr_t *words, const void *caller,
                     struct call *call, CK_RV (*carry_out)(struct call *call))
{
	struct call_snapshot snapshot;
	struct flight *flight;
	int error = errno;
	findings_before(view, function, words, &snapshot);
	flight = flight_begin(view, function, &snapshot.now, caller);
	errno = error;
	CK_RV rv = carry_out(call);
	error = errno;
	flight_end(flight);
	if (is_life_cycle(function))
		tell_life_cycle(view, function, words, rv, &snapshot.now);
	if (listening.every_call &&
	    !calls_is_getter(function)) /* EVENT_LIST_GIVEN tells of those, by the true consumer */
		journal_recorded(view, function, words, rv, &snapshot.now);
	findings_after(view, function, words, rv, &snapshot);
	errno = error;
	return rv;
}

void recorder_start(const struct settings_recording *settings)
{
	int cancel;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	readable_start();
	stack_start(); /* REENTRANT: no lock held */
	now_start();
	struct journal_wants wants = journal_start(settings);
	if (settings->on_crash) {
		crash_start();
		wants = (struct journal_wants){.anything = true, .every_call = true};
	}
	listening = (struct recorder){.every_call = wants.every_call, .event = on_event, .call = on_call};
	if (wants.anything)
		atomic_store_explicit(&recorder, &listening, memory_order_release);
	pthread_setcancelstate(cancel, NULL);
}
