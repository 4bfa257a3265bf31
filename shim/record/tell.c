/*
 * tell.c: see tell.h.
 */
#include <sys/syscall.h>
#include <unistd.h>

#include "core/sessions.h"
#include "core/view.h"
#include "host/process.h"
#include "record/flights.h"
#include "record/now.h"
#include "record/stack.h"
#include "record/tell.h"
#include "standard/calls.h"

static const char finding_name[FINDINGS][25] = {
        [DOUBLE_FINALISE] = "double-finalise",
        [USE_AFTER_FINALISE] = "use-after-finalise",
        [USE_BEFORE_INITIALISE] = "use-before-initialise",
        [INITIALISE_LEAKED] = "initialise-leaked",
        [SESSIONS_LEAKED] = "sessions-leaked",
        [UNLOAD_WHILE_INITIALISED] = "unload-while-initialised",
        [INHERITED_HANDLE] = "inherited-handle",
        [FINALISE_IN_CHILD] = "finalise-in-child",
        [CALL_AT_EXIT] = "call-at-exit",
        [OTHERS_LOGOUT] = "others-logout",
        [INCOMPATIBLE_ARGUMENTS] = "incompatible-arguments",
        [CALL_IN_FLIGHT] = "call-in-flight",
};

#define KEPT 256
static struct {
	const struct view *view; /* NULL: free */
	enum finding kind;
	unsigned function;
	stack_id stack;
	const char *format;
	int pid; /* of the process that told it: a child does not count what its parent told */
	unsigned more;
} told[KEPT];
static struct {
	int pid;
	unsigned more;
} untold; /* findings for which told[] had no room */

static struct lock *lock(void)
{
	return &p11shim_forgotten.state.told;
}

void evidence_add(struct evidence *evidence, const char *what, const char *who, struct moment moment)
{
	if (moment.at && evidence->count < PIECES)
		evidence->piece[evidence->count++] = (struct evidence_piece){what, who, moment};
}

void evidence_add_last(struct evidence *evidence, const char *what, struct who_when deed)
{
	evidence_add(evidence, what, deed.view ? deed.view->name : "", deed.moment);
}

/* Is it the first time for that finding? If not, counts it. */
static bool is_new(const struct view *view, enum finding kind, unsigned function, stack_id stack,
                   const char *format)
{
	bool new = false;
	int pid = process_number();
	unsigned i = 0;
	lock_take(lock());
	while (i < KEPT && told[i].view && told[i].pid == pid &&
	       !(told[i].view == view && told[i].kind == kind && told[i].function == function &&
	         told[i].stack == stack && told[i].format == format))
		i++;
	if (i == KEPT) {
		untold.more = untold.pid == pid ? untold.more + 1 : 1;
		untold.pid = pid;
	} else if (told[i].view && told[i].pid == pid) {
		told[i].more++;
	} else {
		told[i].view = view;
		told[i].kind = kind;
		told[i].function = function;
		told[i].stack = stack;
		told[i].format = format;
		told[i].pid = pid;
		told[i].more = 0;
		new = true;
	}
	lock_give(lock());
	return new;
}

void tell_finding(const struct view *view, enum finding kind, unsigned function,
                  const struct evidence *evidence, const char *format, const char *other, uint64_t number)
{
	char what[320];
	struct text text = text_in(what, sizeof what - 1);
	const char *call = function < CALLS ? calls[function].name : "-";
	if (!is_new(view, kind, function, evidence->count ? evidence->piece[0].moment.stack : 0, format))
		return;
	for (const char *c = format; *c; c++) {
		if (*c != '$')
			text_bytes(&text, c, 1);
		else if (*++c == 'v')
			text_foreign(&text, view->name);
		else if (*c == 'm')
			text_foreign(&text, view->module->name);
		else if (*c == 'c')
			text_put(&text, call);
		else if (*c == 'o')
			text_foreign(&text, other);
		else
			text_number(&text, number);
	}
	*text.at = '\0';
	journal_finding(view, finding_name[kind], call, what, evidence->piece, evidence->count, 0);
}

struct moment tell_moment_of(const struct call_snapshot *snapshot)
{
	return snapshot->now.stack ? snapshot->now : now_moment(true);
}

void tell_of_exit(const struct view *view, unsigned function, const struct call_snapshot *snapshot)
{
	struct evidence evidence = {.count = 0};
	evidence_add(&evidence, "the call by", view->name, tell_moment_of(snapshot));
	evidence_add(&evidence, "initialised by", view->name, history_initialised(view));
	tell_finding(view, CALL_AT_EXIT, function, &evidence,
	             "$v called $c while the process was exiting; $m may have destroyed itself by then", NULL,
	             0);
}

void tell_of_child(const struct view *view, const struct call_snapshot *snapshot)
{
	struct evidence evidence = {.count = 0};
	evidence_add(&evidence, "C_Finalize in the child by", view->name, tell_moment_of(snapshot));
	evidence_add(&evidence, "initialised in the parent by", view->name, history_initialised(view));
	tell_finding(view, FINALISE_IN_CHILD, CALL_C_Finalize, &evidence,
	             "$v finalised $m in a forked child, but only the parent had initialised it", NULL, 0);
}

void tell_of_handle(const struct view *view, unsigned function, CK_SESSION_HANDLE session,
                    const struct call_snapshot *snapshot)
{
	struct evidence evidence = {.count = 0};
	struct moment opened = {0};
	evidence_add(&evidence, "the call by", view->name, tell_moment_of(snapshot));
	sessions_opened(view->module, session, &opened);
	evidence_add(&evidence, "session opened by", view->name, opened);
	evidence_add(&evidence, "initialised in the parent by", view->name, history_initialised(view));
	tell_finding(view, INHERITED_HANDLE, function, &evidence,
	             "$v called $c in a forked child, with session $n of the parent", NULL, session);
}

/* A view's surplus C_Finalize. What counts is the view's own life, not the module's (C3). */
void tell_of_surplus(const struct view *view, const struct call_snapshot *snapshot)
{
	struct moment finalised = history_finalised(view);
	struct evidence evidence = {.count = 0};
	evidence_add(&evidence, "C_Finalize by", view->name, tell_moment_of(snapshot));
	evidence_add(&evidence, "finalised earlier by", view->name, finalised);
	evidence_add(&evidence, "initialised by", view->name, history_initialised(view));
	if (!finalised.at)
		evidence_add_last(&evidence, "initialised by", history_initialised_last(view->module));
	tell_finding(view, DOUBLE_FINALISE, CALL_C_Finalize, &evidence,
	             finalised.at ? "$v called C_Finalize of $m more often than C_Initialize"
	                          : "$v called C_Finalize of $m without having initialised it",
	             NULL, 0);
}

void tell_of_use(const struct view *view, unsigned function, const struct call_snapshot *snapshot)
{
	struct evidence evidence = {.count = 0};
	evidence_add(&evidence, "the call by", view->name, tell_moment_of(snapshot));
	evidence_add(&evidence, "finalised by", view->name, history_finalised(view));
	if (snapshot->standing.left) {
		evidence_add(&evidence, "initialised by", view->name, history_initialised(view));
		tell_finding(view, USE_AFTER_FINALISE, function, &evidence,
		             "$v called $c after it had finalised $m", NULL, 0);
	} else {
		tell_finding(view, USE_BEFORE_INITIALISE, function, &evidence,
		             "$v called $c while no consumer had $m initialised", NULL, 0);
	}
}

void tell_of_sessions(const struct view *view, const struct call_snapshot *snapshot)
{
	struct evidence evidence = {.count = 0};
	evidence_add(&evidence, "C_Finalize by", view->name, tell_moment_of(snapshot));
	evidence_add(&evidence, "one of the sessions opened by", view->name, snapshot->session);
	tell_finding(view, SESSIONS_LEAKED, CALL_C_Finalize, &evidence,
	             "$v finalised $m with sessions left open: $n", NULL, snapshot->sessions);
}

void tell_of_unload(const struct view *view)
{
	struct evidence evidence = {.count = 0};
	evidence_add(&evidence, "dlclose of", view->module->name, history_closed(view));
	evidence_add(&evidence, "initialised by", view->name, history_initialised(view));
	tell_finding(view, UNLOAD_WHILE_INITIALISED, CALLS, &evidence,
	             "$m was closed while $v still had it initialised", NULL, 0);
}

/*
 * Finds the calls of other threads that are in the module, as far as they are recorded. Calls that wait for
 * slot events are left out, since C_Finalize ends them; so are calls of threads that are gone, since those
 * threads were cancelled in there.
 */
static unsigned in_flight(const struct module *module, struct flying *flying, unsigned most)
{
	unsigned found = flights_in(module, flying, most, true), n = 0;
	for (unsigned i = 0; i < found; i++)
		if (flying[i].function != CALL_C_WaitForSlotEvent &&
		    syscall(SYS_tgkill, process_number(), flying[i].tid, 0) == 0)
			flying[n++] = flying[i];
	return n;
}

void tell_of_flights(const struct view *view)
{
	struct flying flying[PIECES - 2];
	char what[COUNT(flying)][48];
	unsigned n = in_flight(view->module, flying, COUNT(flying));
	struct evidence evidence = {.count = 0};
	if (n == 0)
		return;
	evidence_add(&evidence, "C_Finalize by", view->name, now_moment(true));
	for (unsigned i = 0; i < n; i++) {
		struct moment began = {.at = flying[i].began,
		                       .pid = process_number(),
		                       .tid = flying[i].tid,
		                       .stack = stack_of_caller(flying[i].caller)};
		struct text text = text_in(what[i], sizeof what[i] - 1);
		text_put(&text, calls[flying[i].function].name);
		text_put(&text, " by");
		*text.at = '\0';
		evidence_add(&evidence, what[i], flying[i].view->name, began);
	}
	tell_finding(view, CALL_IN_FLIGHT, CALL_C_Finalize, &evidence,
	             "$v was the last to finalise $m, while calls were still running in it: $n", NULL, n);
}

void tell_of_lost_calls(const struct view *view, unsigned inside)
{
	struct evidence evidence = {.count = 0};
	evidence_add(&evidence, "C_Finalize by", view->name, now_moment(true));
	tell_finding(view, CALL_IN_FLIGHT, CALL_C_Finalize, &evidence,
	             "$v finalised $m although calls in it did not return in time: $n", NULL, inside);
}

void tell_the_rest(void)
{
	int pid = process_number();
	for (unsigned i = 0; i < KEPT && told[i].view; i++)
		if (told[i].pid == pid && told[i].more)
			journal_finding(told[i].view, finding_name[told[i].kind],
			                told[i].function < CALLS ? calls[told[i].function].name : "-",
			                "the same as before", NULL, 0, told[i].more);
	if (untold.pid == pid)
		journal_write_note("findings", "%u more, for which the library had no room", untold.more);
}
