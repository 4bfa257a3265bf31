/*
 * journal.c: see journal.h.
 *
 * Each event is put together on the stack, once for the log and once for the trace. Nothing here takes a
 * lock or allocates. errno is kept.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/lock.h"
#include "core/view.h"
#include "record/describe.h"
#include "record/journal.h"
#include "record/log.h"
#include "record/now.h"
#include "record/stack.h"
#include "record/trace.h"
#include "settings/settings.h"
#include "standard/calls.h"

static bool log_calls, trace_calls;

__attribute__((noinline)) static void tell_log(const char *consumer, const char *module, const char *event,
                                               const char *result, const char *detail,
                                               const struct moment *moment, bool is_call)
{
	struct log_line line;
	log_begin(&line, consumer, module, event, result, moment);
	text_put(&line.text, detail && detail[0] ? " " : "");
	text_foreign(&line.text, detail);
	log_end(&line, NULL, !(is_call && log_calls));
}

/*
 * Tells a life-cycle event to all sinks; not to the log if the log has it as a call. The sinks come one after
 * the other, so that their lines are not on the stack together.
 */
static void tell(const char *consumer, const char *module, const char *event, const char *result,
                 const char *detail, const struct moment *moment, bool is_call)
{
	int error = errno;
	tell_log(consumer, module, event, result, detail, moment, is_call);
	if (atomic_load(&trace_open)) {
		trace_names(moment);
		trace_event(consumer, module, event, result, detail, moment);
	}
	errno = error;
}

void journal_write_call(const struct view *view, unsigned function, CK_RV rv, const char *detail,
                        const struct moment *moment)
{
	char result[64];
	struct text text = text_in(result, sizeof result - 1);
	struct moment now = moment ? *moment : now_moment(atomic_load(&trace_open));
	describe_return(&text, rv);
	*text.at = '\0';
	tell(view->name, view->module->name, calls[function].name, result, detail, &now, moment != NULL);
}

__attribute__((format(printf, 3, 0))) static void tell_formatted(const char *module, const char *event,
                                                                 const char *format, va_list arguments)
{
	char detail[1024];
	int error = errno;
	struct moment now = now_moment(atomic_load(&trace_open));
	errno = error; /* for %m */
	vsnprintf(detail, sizeof detail, format, arguments);
	tell("-", module, event, NULL, detail, &now, false);
	errno = error;
}

void journal_write_module(const struct module *module, const char *event, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	tell_formatted(module->name, event, format, arguments);
	va_end(arguments);
}

void journal_write_real(const struct module *module, unsigned function, CK_RV rv, const char *detail)
{
	char result[64];
	struct text text = text_in(result, sizeof result - 1);
	struct moment now = now_moment(atomic_load(&trace_open));
	describe_return(&text, rv);
	*text.at = '\0';
	tell("-", module->name, function == CALL_C_Initialize ? "real C_Initialize" : "real C_Finalize",
	     result, detail, &now, false);
}

void journal_write_module_at(const struct module *module, const char *event, const struct moment *moment)
{
	tell("-", module->name, event, NULL, NULL, moment, false);
}

void journal_write_note(const char *event, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	tell_formatted("-", event, format, arguments);
	va_end(arguments);
}

void journal_up(const struct module *module, bool up)
{
	if (UNLIKELY(trace_open))
		trace_module(module, up);
}

void journal_has(const struct view *view, bool has, uint64_t at)
{
	if (UNLIKELY(trace_open))
		trace_view(view, has, at);
}

void journal_recorded(const struct view *view, unsigned function, const uintptr_t *words, CK_RV rv,
                      const struct moment *began)
{
	int error = errno;
	uint64_t now = clock_at(CLOCK_MONOTONIC);
	uint64_t took = now > began->at ? now - began->at : 0; /* some systems make that clock go backwards */
	now_note(now);
	if (trace_calls)
		trace_call(view, function, words, rv, began, took);
	if (log_calls) {
		struct log_line line;
		char result[64];
		struct text text = text_in(result, sizeof result - 1);
		describe_return(&text, rv);
		*text.at = '\0';
		log_begin(&line, view->name, view->module->name, calls[function].name, result, began);
		text_put(&line.text, " us=");
		text_microseconds(&line.text, took);
		describe_call(&line.text, function, words, rv, false);
		log_end(&line, began, true);
	}
	errno = error;
}

void journal_finding(const struct view *view, const char *kind, const char *call, const char *what,
                     const struct evidence_piece *pieces, unsigned count, unsigned more)
{
	struct moment now = count ? pieces[0].moment : now_moment(false);
	int error = errno;
	/* the module may crash right after a finding: the trace, which has all of it, comes first */
	if (atomic_load(&trace_open))
		trace_finding(view, kind, call, what, pieces, count, more);
	errno = error;
	struct log_line line;
	log_begin(&line, view->name, view->module->name, "finding", kind, &now);
	text_put(&line.text, ": ");
	text_foreign(&line.text, what);
	if (more) {
		text_put(&line.text, ", ");
		text_number(&line.text, more);
		text_put(&line.text, " times more");
	}
	log_end(&line, NULL, true);
	for (unsigned i = 0; i < count; i++) {
		const struct moment *then = &pieces[i].moment;
		log_begin(&line, view->name, view->module->name, "stack", NULL, &now);
		text_put(&line.text, ": ");
		text_put(&line.text, pieces[i].what);
		text_put(&line.text, " ");
		text_foreign(&line.text, pieces[i].who);
		text_put(&line.text, ", thread ");
		text_number(&line.text, (uint64_t)then->pid);
		text_put(&line.text, "/");
		text_number(&line.text, (uint64_t)then->tid);
		if (i > 0 && then->at && now.at > then->at) {
			text_put(&line.text, ", ");
			text_microseconds(&line.text, (now.at - then->at) / 1000); /* ms */
			text_put(&line.text, " ms before");
		}
		text_put(&line.text, ": ");
		stack_print(&line.text, then->stack, false);
		log_end(&line, NULL, true);
	}
}

void journal_forked(void)
{
	struct moment then = now_forked();
	if (atomic_load(&trace_open) && then.pid)
		trace_fork(then.pid, then.tid, then.at);
	journal_write_note("fork", "child of a process that uses PKCS #11");
}

struct journal_wants journal_start(const struct settings_recording *settings)
{
	bool to_log = log_start(settings->log, settings->on_crash);
	log_calls = settings->log_calls && to_log;
	trace_calls = settings->trace && settings->trace_calls;
	if (settings->trace)
		atomic_store(&trace_open, trace_start(settings->trace, trace_calls));
	return (struct journal_wants){.anything = to_log || trace_open,
	                              .every_call = log_calls || trace_calls};
}
