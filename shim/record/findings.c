/*
 * findings.c: see findings.h.
 *
 * The same act, from the same place, is told of once; how often it came again is
 * said at exit.
 */
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/readable.h"
#include "core/sessions.h"
#include "host/process.h"
#include "record/crash.h"
#include "record/findings.h"
#include "record/history.h"
#include "standard/calls.h"

enum finding {
	DOUBLE_FINALISE,
	USE_AFTER_FINALISE,
	USE_BEFORE_INITIALISE,
	INITIALISE_LEAKED,
	SESSIONS_LEAKED,
	UNLOAD_WHILE_INITIALISED,
	INHERITED_HANDLE,
	FINALISE_IN_CHILD,
	CALL_AT_EXIT,
	OTHERS_LOGOUT,
	INCOMPATIBLE_ARGUMENTS,
	CALL_IN_FLIGHT,
	FINDINGS
};

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

/* What C_Initialize was given, as far as it matters to others. */
struct wishes {
	CK_FLAGS flags;
	bool callbacks, some_callbacks;
	const void *reserved;
	uint32_t reserved_text; /* hash of the text there */
};

static struct wishes wishes_of_first[MODULES]; /* of whoever initialised it; under `told` */

#define KEPT 256
static struct {
	const struct view *view; /* NULL: free */
	enum finding kind;
	unsigned function;
	stack_id stack;
	const char *format;
	int pid; /* what a parent has told of counts for itself */
	unsigned more;
} told[KEPT];
static struct {
	int pid;
	unsigned more;
} untold; /* for which there was no room in there */

static struct lock *lock(void)
{
	return &p11shim_forgotten.state.told;
}

/* ---- telling */

/* How it came to the act: made one by one, in an array of accounts. */
#define ACCOUNTS 10
struct story {
	struct account account[ACCOUNTS];
	unsigned count;
};

static void add(struct story *story, const char *what, const char *who, struct moment moment)
{
	if (moment.at && story->count < ACCOUNTS)
		story->account[story->count++] = (struct account){what, who, moment};
}

static void add_deed(struct story *story, const char *what, struct deed deed)
{
	add(story, what, deed.view ? deed.view->name : "", deed.moment);
}

/* Is it the first time? Counts the others. */
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

static void tell(const struct view *view, enum finding kind, unsigned function, const struct story *story,
                 const char *format, const char *other, uint64_t number)
{
	char what[320];
	struct text text = text_in(what, sizeof what - 1);
	const char *call = function < CALLS ? calls[function].name : "-";
	if (!is_new(view, kind, function, story->count ? story->account[0].moment.stack : 0, format))
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
	journal_finding(view, finding_name[kind], call, what, story->account, story->count, 0);
}

/* ---- arguments (contract C8) */

static struct wishes wishes_of(const CK_C_INITIALIZE_ARGS *args)
{
	struct wishes wishes = {0};
	if (!args || !is_readable(args, sizeof *args))
		return wishes;
	int callbacks = !!args->CreateMutex + !!args->DestroyMutex + !!args->LockMutex + !!args->UnlockMutex;
	wishes.flags = args->flags;
	wishes.callbacks = callbacks == 4;
	wishes.some_callbacks = callbacks > 0 && callbacks < 4;
	wishes.reserved = args->pReserved;
	if (wishes.reserved && is_readable(wishes.reserved, 1)) {
		const unsigned char *c = wishes.reserved;
		const unsigned char *end = c + (4096 - (uintptr_t)c % 4096);
		wishes.reserved_text = 2166136261u;
		while (c < end && *c)
			wishes.reserved_text = (wishes.reserved_text ^ *c++) * 16777619u;
	}
	return wishes;
}

static bool locks(const struct wishes *wishes)
{
	return wishes->callbacks || wishes->flags & CKF_OS_LOCKING_OK;
}

static const char *conflict(const struct wishes *first, const struct wishes *second, bool observed)
{
	if (second->reserved && second->reserved != first->reserved &&
	    second->reserved_text != first->reserved_text)
		return "$v passed parameters in pReserved that $m, initialised already by $o, never saw";
	if (second->flags & CKF_LIBRARY_CANT_CREATE_OS_THREADS &&
	    !(first->flags & CKF_LIBRARY_CANT_CREATE_OS_THREADS))
		return "$v forbids $m to create threads; $o, which initialised it, had allowed it";
	if (observed && locks(second) && !locks(first))
		return "$v wants $m to lock; $o, which initialised it, had not asked for that";
	return NULL;
}

static void check_arguments(const struct view *view, const uintptr_t *words, CK_RV rv,
                            const struct looked *looked, bool was_up)
{
	unsigned m = module_number(view->module);
	struct wishes mine = wishes_of((const CK_C_INITIALIZE_ARGS *)words[0]);
	struct story story = {.count = 0};
	add(&story, "C_Initialize of", view->name, looked->now);
	if (mine.some_callbacks && rv == CKR_ARGUMENTS_BAD) {
		tell(view, INCOMPATIBLE_ARGUMENTS, CALL_C_Initialize, &story,
		     "$v gave some of the four mutex functions, but not all", NULL, 0);
		return;
	}
	if (!was_up && rv == CKR_OK) {
		lock_take(lock());
		wishes_of_first[m] = mine;
		lock_give(lock());
	}
	if (!was_up || (rv != CKR_OK && rv != CKR_CRYPTOKI_ALREADY_INITIALIZED))
		return;
	struct deed first = history_initialised_last(view->module);
	lock_take(lock());
	struct wishes its = wishes_of_first[m];
	lock_give(lock());
	const char *what = conflict(&its, &mine, view->module->settings.observe);
	if (!what || !first.view || first.view == view)
		return;
	add_deed(&story, "initialised by", first);
	tell(view, INCOMPATIBLE_ARGUMENTS, CALL_C_Initialize, &story, what, first.view->name, 0);
}

/* ---- before and after a call */

static struct moment act(const struct looked *looked)
{
	return looked->now.stack ? looked->now : journal_moment(true);
}

static void tell_of_exit(const struct view *view, unsigned function, const struct looked *looked)
{
	struct story story = {.count = 0};
	add(&story, "the call, by", view->name, act(looked));
	add(&story, "initialised by", view->name, history_initialised(view));
	tell(view, CALL_AT_EXIT, function, &story,
	     "$v called $c while the process was exiting, when $m may have destroyed itself", NULL, 0);
}

static void tell_of_child(const struct view *view, const struct looked *looked)
{
	struct story story = {.count = 0};
	add(&story, "C_Finalize in the child, by", view->name, act(looked));
	add(&story, "initialised in the parent by", view->name, history_initialised(view));
	tell(view, FINALISE_IN_CHILD, CALL_C_Finalize, &story,
	     "$v, in a forked child, finalised $m, which only its parent had initialised", NULL, 0);
}

static void tell_of_handle(const struct view *view, unsigned function, CK_SESSION_HANDLE session,
                           const struct looked *looked)
{
	struct story story = {.count = 0};
	struct moment opened = {0};
	add(&story, "the call, by", view->name, act(looked));
	handles_opened(view->module, session, &opened);
	add(&story, "session opened by", view->name, opened);
	add(&story, "initialised in the parent by", view->name, history_initialised(view));
	tell(view, INHERITED_HANDLE, function, &story,
	     "$v, in a forked child, called $c with session $n of its parent", NULL, session);
}

/* The surplus C_Finalize of a view, whose own life is what counts (C3). */
static void tell_of_surplus(const struct view *view, const struct looked *looked)
{
	struct moment finalised = history_finalised(view);
	struct story story = {.count = 0};
	add(&story, "C_Finalize of", view->name, act(looked));
	add(&story, "finalised before by", view->name, finalised);
	add(&story, "initialised by", view->name, history_initialised(view));
	if (!finalised.at)
		add_deed(&story, "initialised by", history_initialised_last(view->module));
	tell(view, DOUBLE_FINALISE, CALL_C_Finalize, &story,
	     finalised.at ? "$v called C_Finalize of $m more often than C_Initialize"
	                  : "$v called C_Finalize of $m without having initialised it",
	     NULL, 0);
}

static void tell_of_use(const struct view *view, unsigned function, const struct looked *looked)
{
	struct story story = {.count = 0};
	add(&story, "the call, by", view->name, act(looked));
	add(&story, "finalised by", view->name, history_finalised(view));
	if (looked->standing.left) {
		add(&story, "initialised by", view->name, history_initialised(view));
		tell(view, USE_AFTER_FINALISE, function, &story, "$v called $c after it had finalised $m",
		     NULL, 0);
	} else {
		tell(view, USE_BEFORE_INITIALISE, function, &story,
		     "$v called $c before anybody had initialised $m", NULL, 0);
	}
}

static void tell_of_sessions(const struct view *view, const struct looked *looked)
{
	struct story story = {.count = 0};
	add(&story, "C_Finalize of", view->name, act(looked));
	add(&story, "one of them opened by", view->name, looked->session);
	tell(view, SESSIONS_LEAKED, CALL_C_Finalize, &story, "$v finalised $m with sessions left open: $n",
	     NULL, looked->sessions);
}

static void check_logout(const struct view *view, const uintptr_t *words, const struct looked *looked)
{
	CK_SLOT_ID slot;
	struct deed other;
	if (!handles_slot(view->module, words[0], &slot))
		return;
	for (unsigned n = 0; history_logged_in(view, slot, n, &other); n++) {
		CK_SESSION_HANDLE session;
		struct story story = {.count = 0};
		if (view->module->settings.logout == LOGOUT_HELD ||
		    !handles_nth(view->module, other.view, slot, 0, &session))
			continue;
		add(&story, "C_Logout of", view->name, act(looked));
		add_deed(&story, "logged in by", other);
		tell(view, OTHERS_LOGOUT, CALL_C_Logout, &story,
		     "$v logged out a token of $m that $o had logged in to and still uses", other.view->name,
		     0);
	}
}

static void check_login(const struct view *view, const uintptr_t *words, CK_RV rv,
                        const struct looked *looked)
{
	CK_SLOT_ID slot;
	if ((rv == CKR_OK || rv == CKR_USER_ALREADY_LOGGED_IN) && words[1] != CKU_CONTEXT_SPECIFIC &&
	    handles_slot(view->module, words[0], &slot))
		history_note_login(view, slot, &looked->now);
}

/* Has this process opened it? */
static bool is_own(const struct view *view, CK_SESSION_HANDLE session, const struct looked *looked)
{
	struct moment opened = {0};
	return handles_opened(view->module, session, &opened) && opened.pid == looked->now.pid;
}

static void tell_of_unload(const struct view *view)
{
	struct story story = {.count = 0};
	add(&story, "dlclose of", view->module->name, history_closed(view));
	add(&story, "initialised by", view->name, history_initialised(view));
	tell(view, UNLOAD_WHILE_INITIALISED, CALLS, &story, "$m was closed while $v had it initialised", NULL,
	     0);
}

/* ---- mode = observe: the module answers, so what comes is told of before it does */

static void observe_before(const struct view *view, unsigned function, const uintptr_t *words,
                           struct looked *looked)
{
	const struct module *module = view->module;
	struct deed finalised = history_finalised_last(module);
	struct deed initialised = history_initialised_last(module);
	struct story story = {.count = 0};
	bool mine = history_has(view) > 0;
	looked->standing.up = history_up(module) > 0;
	looked->standing.counts = mine;
	looked->standing.inherited = mine && history_initialised(view).pid != looked->now.pid;
	if (calls_is_getter(function) || history_is_foreign(module))
		return;
	if (history_closed(view).at && !scope_still_there(&module->object))
		tell_of_unload(view);
	if (looked->standing.retired) {
		tell_of_exit(view, function, looked);
		return;
	}
	if (function == CALL_C_Initialize)
		return;
	if (looked->standing.inherited) {
		if (function == CALL_C_Finalize)
			tell_of_child(view, looked);
		else if (calls[function].kind[0] == PARAMETER_SESSION && !is_own(view, words[0], looked))
			tell_of_handle(view, function, words[0], looked);
		return;
	}
	if (function == CALL_C_Finalize && history_up(module) == 1 && mine)
		findings_in_flight(view);
	if (looked->standing.up && (function != CALL_C_Finalize || mine))
		return;
	add(&story, function == CALL_C_Finalize ? "C_Finalize of" : "the call, by", view->name, act(looked));
	if (!looked->standing.up)
		add_deed(&story, "finalised before by", finalised);
	add_deed(&story, "initialised by", initialised);
	if (function == CALL_C_Finalize && looked->standing.up)
		tell(view, DOUBLE_FINALISE, function, &story, "$v finalised $m, which $o had initialised",
		     initialised.view ? initialised.view->name : "", 0);
	else if (function == CALL_C_Finalize && finalised.view)
		tell(view, DOUBLE_FINALISE, function, &story,
		     "$v finalised $m, which $o had finalised already", finalised.view->name, 0);
	else if (finalised.view)
		tell(view, USE_AFTER_FINALISE, function, &story, "$v called $c after $o had finalised $m",
		     finalised.view->name, 0);
	else
		tell(view, USE_BEFORE_INITIALISE, function, &story,
		     "$v called $c before anybody had initialised $m", NULL, 0);
}

/* Whose calls may take the short way has changed. */
static void refresh(const struct module *module)
{
	for (unsigned i = 0; i < atomic_load(&views_made); i++)
		if (views[i].module == module) {
			history_decide_pass(&views[i]);
			module_refresh(&views[i]);
		}
}

static void observe_after(struct view *view, unsigned function, CK_RV rv, const struct looked *looked)
{
	struct module *module = view->module;
	if (rv == CKR_CRYPTOKI_ALREADY_INITIALIZED && function == CALL_C_Initialize) {
		if (!history_up(module))
			history_note_foreign(module); /* by somebody out of sight */
		else if (looked->standing.inherited)
			history_note_adopted(view,
			                     &looked->now); /* the module carried its state over the fork */
	}
	if (function == CALL_C_Finalize && rv == CKR_CRYPTOKI_NOT_INITIALIZED && looked->standing.counts) {
		/* another has finalised it: it knows now */
		history_note_finalised(view, &looked->now, true, false);
		history_note_down(module);
		journal_has(view, false, 0);
	}
	if (rv != CKR_OK)
		return;
	switch (function) {
	case CALL_C_Initialize:
		if (looked->standing.inherited)
			history_forget_parents(module); /* it is a new life in this child */
		history_note_initialised(view, &looked->now, true);
		if (history_up(module) == 1)
			journal_up(module, true);
		if (history_has(view) == 1)
			journal_has(view, true, 0);
		break;
	case CALL_C_Finalize:
		if (history_has(view) == 1 && !looked->standing.inherited && looked->sessions > 0)
			tell_of_sessions(view, looked);
		history_note_finalised(view, &looked->now, false, true);
		if (looked->standing.counts && history_has(view) == 0)
			journal_has(view, false, 0);
		if (looked->standing.up && history_up(module) == 0)
			journal_up(module, false);
		if (history_up(module) == 0)
			handles_forget_all(module);
		break;
	default:
		break;
	}
}

/* ---- */

static bool needs_stack(unsigned function)
{
	return function == CALL_C_Initialize || function == CALL_C_Finalize ||
	       function == CALL_C_OpenSession || function == CALL_C_Login || function == CALL_C_LoginUser ||
	       function == CALL_C_Logout;
}

void findings_before(struct view *view, unsigned function, const uintptr_t *words, struct looked *looked)
{
	bool observed = view->module->settings.observe;
	memset(looked, 0, sizeof *looked);
	looked->now = journal_moment(needs_stack(function));
	if (!observed && !needs_stack(function))
		return;
	looked->standing = module_standing(view);
	if (function == CALL_C_Finalize) {
		looked->sessions = handles_count(view, &looked->session);
		history_note_finalising(view, looked->now.at);
	}
	if (observed)
		observe_before(view, function, words, looked);
}

/* Its standing is looked at now if it was not before. */
static void after(struct view *view, unsigned function, const uintptr_t *words, CK_RV rv,
                  struct looked *looked)
{
	if (!needs_stack(function)) {
		if (rv != CKR_CRYPTOKI_NOT_INITIALIZED && rv != CKR_SESSION_HANDLE_INVALID)
			return;
		looked->standing = module_standing(view);
		if (looked->now.at <= history_finalising(view))
			return; /* it was in flight then, and is told of as that */
	}
	const struct standing *was = &looked->standing;
	struct standing is = module_standing(view);
	if (function == CALL_C_Initialize && rv == CKR_OK) {
		history_note_initialised(view, &looked->now, !was->up);
		history_follow(view);
	} else if (function == CALL_C_Finalize && rv == CKR_OK && !was->retired) {
		if (looked->standing.inherited && !was->up)
			tell_of_child(view, looked);
		if (is.left && looked->sessions > 0 && !looked->standing.inherited)
			tell_of_sessions(view, looked);
		if (is.left)
			history_note_finalised(view, &looked->now, true, !is.up);
		history_follow(view);
	} else if (function == CALL_C_Finalize && was->retired) {
		tell_of_exit(view, function, looked);
		history_note_finalised(view, &looked->now, true, false);
		history_note_left(view);
	} else if (function == CALL_C_Finalize && rv == CKR_CRYPTOKI_NOT_INITIALIZED) {
		tell_of_surplus(view, looked);
	} else if (rv == CKR_CRYPTOKI_NOT_INITIALIZED && was->retired) {
		tell_of_exit(view, function, looked);
	} else if (rv == CKR_CRYPTOKI_NOT_INITIALIZED && !was->counts && !looked->standing.inherited &&
	           (was->left || !was->up)) {
		tell_of_use(view, function, looked);
	} else if (rv == CKR_SESSION_HANDLE_INVALID && calls[function].kind[0] == PARAMETER_SESSION &&
	           handles_translated(view->module)) {
		CK_SESSION_HANDLE real;
		if (!handles_real(view->module, words[0], &real))
			tell_of_handle(view, function, words[0], looked);
	} else if (rv == CKR_CRYPTOKI_NOT_INITIALIZED && looked->standing.inherited &&
	           view->module->settings.fork == FORK_STRICT &&
	           calls[function].kind[0] == PARAMETER_SESSION) {
		tell_of_handle(view, function, words[0], looked);
	}
}

/* Has the module ended the session itself? */
static bool is_gone(CK_RV rv)
{
	return rv == CKR_SESSION_HANDLE_INVALID || rv == CKR_SESSION_CLOSED || rv == CKR_DEVICE_REMOVED ||
	       rv == CKR_TOKEN_NOT_PRESENT;
}

void findings_after(struct view *view, unsigned function, const uintptr_t *words, CK_RV rv,
                    struct looked *looked)
{
	if (calls_is_getter(function))
		return;
	if (function == CALL_C_Initialize)
		check_arguments(view, words, rv, looked, looked->standing.up);
	if (view->module->settings.observe) {
		observe_after(view, function, rv, looked);
		if (function == CALL_C_Initialize || function == CALL_C_Finalize)
			refresh(view->module);
	} else {
		after(view, function, words, rv, looked);
	}
	if (function == CALL_C_OpenSession && rv == CKR_OK && words[4] &&
	    is_readable((const void *)words[4], sizeof(CK_SESSION_HANDLE)))
		handles_note_opened(view->module, *(CK_SESSION_HANDLE_PTR)words[4], &looked->now);
	if (calls[function].kind[0] == PARAMETER_SESSION && is_gone(rv))
		handles_note_opened(view->module, words[0], &(struct moment){0}); /* nobody's to close */
	if (function == CALL_C_Login || function == CALL_C_LoginUser)
		check_login(view, words, rv, looked);
	if (function == CALL_C_Logout && rv == CKR_OK)
		check_logout(view, words, looked);
}

/* ---- what is found out otherwise */

/*
 * Calls of other threads that are in the module, as far as they are recorded; not
 * those that wait for slot events, which C_Finalize ends, and not of threads that
 * are gone: they were cancelled in there.
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

void findings_in_flight(const struct view *view)
{
	struct flying flying[ACCOUNTS - 2];
	char what[COUNT(flying)][48];
	unsigned n = in_flight(view->module, flying, COUNT(flying));
	struct story story = {.count = 0};
	if (n == 0)
		return;
	add(&story, "C_Finalize of", view->name, journal_moment(true));
	for (unsigned i = 0; i < n; i++) {
		struct moment began = {.at = flying[i].began,
		                       .pid = process_number(),
		                       .tid = flying[i].tid,
		                       .stack = stack_of_caller(flying[i].caller)};
		struct text text = text_in(what[i], sizeof what[i] - 1);
		text_put(&text, calls[flying[i].function].name);
		text_put(&text, " of");
		*text.at = '\0';
		add(&story, what[i], flying[i].view->name, began);
	}
	tell(view, CALL_IN_FLIGHT, CALL_C_Finalize, &story,
	     "$v finalised $m last, with calls still in it: $n", NULL, n);
}

void findings_never_came_back(const struct view *view, unsigned inside)
{
	struct story story = {.count = 0};
	add(&story, "C_Finalize of", view->name, journal_moment(true));
	tell(view, CALL_IN_FLIGHT, CALL_C_Finalize, &story,
	     "$v finalised $m though calls did not come back in time: $n", NULL, inside);
}

/* The innermost of the module's consumers that a stack leads through; it may close by a library's help. */
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
	struct moment now = journal_moment(true);
	history_note_closed(module, consumer_in(module, now.stack), &now);
	journal_write_module_at(module, "dlclose", &now);
	if (module->settings.observe)
		refresh(module);
}

void findings_unloaded(const struct module *module, bool kept)
{
	for (unsigned i = 0; i < atomic_load(&views_made); i++)
		if (views[i].module == module && (kept || history_has(&views[i]) > 0) &&
		    history_closed(&views[i]).at)
			tell_of_unload(&views[i]);
	history_forget_module(module);
	if (module->settings.observe)
		refresh(module);
}

void findings_at_exit(void)
{
	int pid = process_number();
	for (unsigned i = 0; i < atomic_load(&views_made); i++) {
		struct moment initialised = history_initialised(&views[i]);
		struct story story = {.count = 0};
		if (!history_has(&views[i]) || history_is_adopted(&views[i]) || initialised.pid != pid)
			continue;
		add(&story, "initialised by", views[i].name, initialised);
		tell(&views[i], INITIALISE_LEAKED, CALLS, &story, "$v never finalised $m", NULL, 0);
		if (history_closed(&views[i]).at &&
		    !(views[i].module->settings.observe && scope_still_there(&views[i].module->object)))
			tell_of_unload(&views[i]);
	}
	for (unsigned i = 0; i < KEPT && told[i].view; i++)
		if (told[i].pid == pid && told[i].more)
			journal_finding(told[i].view, finding_name[told[i].kind],
			                told[i].function < CALLS ? calls[told[i].function].name : "-",
			                "the same as before", NULL, 0, told[i].more);
	if (untold.pid == pid)
		journal_write_note("findings", "%u more than there was room to tell of", untold.more);
}
