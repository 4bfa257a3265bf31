/*
 * journal.c: see journal.h.
 *
 * Each event is put together on the stack, once for the log and once for the
 * trace; nothing here takes a lock, so lines of different threads stand in the
 * order in which they were written. Nothing here allocates (syslog() would; its
 * socket is written to directly). Whatever goes wrong, the line is lost and the
 * program goes on. errno is kept. No write or open here lets a thread be cancelled.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/readable.h"
#include "core/view.h"
#include "host/process.h"
#include "record/crash.h"
#include "record/describe.h"
#include "record/journal.h"
#include "record/output.h"
#include "record/trace.h"
#include "settings/settings.h"
#include "standard/calls.h"

static enum { NO_LOG, TO_FILE, TO_SYSLOG } sink;
static bool log_calls, trace_calls, keep_lines;
/*
 * In .data on purpose, where it fills the rest of the one page that is written
 * at every start: as part of .bss, ld.so would have to clear that rest.
 */
static char path[3328] __attribute__((section(".data")));
static struct output output = {.path = path, .path_size = sizeof path};

#define LINE 2048

/*
 * The last lines, for a crash, by words: a thread that is overtaken by as many
 * lines as there are leaves one that is half another's, no more.
 */
#define KEPT 32
#define KEPT_WORDS 32
static _Atomic(uint64_t) kept[KEPT][KEPT_WORDS];
static _Atomic(unsigned) lines;

/* ---- when and who */

/* UTC by calculation: gmtime() takes a lock that a child may find held. */
void journal_print_time(struct text *text)
{
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	uint64_t days = (uint64_t)t.tv_sec / 86400, second = (uint64_t)t.tv_sec % 86400;
	uint64_t z = days + 719468, era = z / 146097, day_of_era = z % 146097;
	uint64_t year_of_era =
	        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	uint64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	uint64_t m = (5 * day_of_year + 2) / 153;
	uint64_t day = day_of_year - (153 * m + 2) / 5 + 1, month = m < 10 ? m + 3 : m - 9;
	uint64_t year = year_of_era + era * 400 + (month <= 2);
	const struct {
		uint64_t number;
		unsigned digits;
		char after[2];
	} part[] = {{year, 4, "-"},
	            {month, 2, "-"},
	            {day, 2, "T"},
	            {second / 3600, 2, ":"},
	            {second / 60 % 60, 2, ":"},
	            {second % 60, 2, "."},
	            {(uint64_t)t.tv_nsec / 1000, 6, "Z"}};
	for (unsigned i = 0; i < COUNT(part); i++) {
		text_padded(text, part[i].number, part[i].digits);
		text_put(text, part[i].after);
	}
}

/*
 * A thread's number costs a system call, so it is kept by the thread, together
 * with that of the process: a forked child's one thread has another. Where both do
 * not fit one pointer there are two. Without a key to be had it is asked for each time.
 */
static pthread_key_t key, process_key; /* the second where a pointer does not hold both */
static bool has_key;
static _Atomic(uint64_t) last_moment; /* inherited by a child: nothing of its own is before */
static _Atomic(int) last_process;

static uint64_t kept_thread(void)
{
	if (!has_key)
		return 0;
	uint64_t mine = (uintptr_t)pthread_getspecific(key);
	if (sizeof(void *) < sizeof mine)
		mine |= (uint64_t)(uintptr_t)pthread_getspecific(process_key) << 32;
	return mine;
}

static int thread_of(int pid, uint64_t at)
{
	uint64_t mine = kept_thread();
	if (mine >> 32 == (uint64_t)pid)
		return (int)(mine & 0xffffffff);
	int tid = (int)syscall(SYS_gettid);
	if (has_key)
		pthread_setspecific(key, (void *)(uintptr_t)((uint64_t)pid << 32 | (unsigned)tid));
	if (has_key && sizeof(void *) < sizeof mine)
		pthread_setspecific(process_key, (void *)(uintptr_t)pid);
	if (atomic_load(&trace_open))
		trace_thread(pid, tid, at, has_key);
	return tid;
}

struct moment journal_moment(bool with_stack)
{
	struct moment now = {.at = clock_at(CLOCK_MONOTONIC), .pid = process_number()};
	if (!now.pid)
		now.pid = (int)syscall(SYS_getpid);
	now.tid = thread_of(now.pid, now.at);
	now.stack = with_stack ? stack_take() : 0;
	atomic_store_explicit(&last_moment, now.at, memory_order_relaxed);
	return now;
}

/* The thread that forked had left its numbers where this one, its copy, finds them. */
void journal_forked(void)
{
	uint64_t parents = kept_thread(), at = atomic_load(&last_moment);
	int parent = parents ? (int)(parents >> 32) : atomic_load(&last_process);
	int thread = parents ? (int)(parents & 0xffffffff) : parent;
	if (atomic_load(&trace_open) && parent)
		trace_fork(parent, thread, at);
	atomic_store(&last_process, process_number());
	journal_write_note("fork", "child of a process that uses PKCS #11");
}

/* ---- the log */

/* Not long, and not again for a while by one that does not read: it is to hold up nobody. */
static bool wait_for_syslog(int fd)
{
	static _Atomic(uint64_t) deaf_until;
	const struct timespec most = {0, 50000000};
	struct pollfd room = {.fd = fd, .events = POLLOUT};
	if (clock_at(CLOCK_MONOTONIC) < deaf_until)
		return false;
	if (syscall(SYS_ppoll, &room, 1L, &most, NULL, 0L) > 0)
		return true;
	deaf_until = clock_at(CLOCK_MONOTONIC) + 1000000000;
	return false;
}

static void send_to_syslog(const char *line, size_t length)
{
	static const struct sockaddr_un syslog_socket = {.sun_family = AF_UNIX, .sun_path = "/dev/log"};
	char message[LINE + 64];
	struct text text = text_in(message, sizeof message);
	text_put(&text, "<14>p11shim[");
	text_number(&text, (uint64_t)syscall(SYS_getpid));
	text_put(&text, "]: ");
	text_bytes(&text, line, length);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return;
	/* connected, so that one can wait for room in the daemon's queue, which is a short one */
	if (syscall(SYS_connect, fd, &syslog_socket, sizeof syslog_socket) == 0) {
		long sent = sendto(fd, message, text_length(&text), MSG_NOSIGNAL, NULL, 0);
		if (sent < 0 && errno == EAGAIN && wait_for_syslog(fd))
			sendto(fd, message, text_length(&text), MSG_NOSIGNAL, NULL, 0);
	}
	close(fd);
}

/* A line of the log, in the making. */
struct line {
	char buffer[LINE];
	struct text text;
	int error, cancel;
};

static void begin(struct line *line, const char *consumer, const char *module, const char *event,
                  const char *result, const struct moment *moment)
{
	line->error = errno;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &line->cancel);
	line->text = text_in(line->buffer, sizeof line->buffer - 1);
	journal_print_time(&line->text);
	text_put(&line->text, " pid=");
	text_number(&line->text, (uint64_t)moment->pid);
	text_put(&line->text, " tid=");
	text_number(&line->text, (uint64_t)moment->tid);
	text_put(&line->text, " consumer=");
	text_foreign(&line->text, consumer);
	text_put(&line->text, " module=");
	text_foreign(&line->text, module);
	text_put(&line->text, " ");
	text_foreign(&line->text, event);
	text_put(&line->text, result && result[0] ? " " : "");
	text_put(&line->text, result);
}

static void keep(const struct line *line)
{
	_Atomic(uint64_t) *place = kept[atomic_fetch_add(&lines, 1) % KEPT];
	size_t length = text_length(&line->text);
	for (size_t i = 0; i < KEPT_WORDS; i++) {
		uint64_t word = 0;
		size_t from = i * sizeof word, left = from < length ? length - from : 0;
		memcpy(&word, line->buffer + from, left < sizeof word ? left : sizeof word);
		atomic_store_explicit(&place[i], word, memory_order_relaxed);
	}
}

/* hot: one of many; the time then is near enough. */
static void end(struct line *line, const struct moment *hot, bool to_log)
{
	if (keep_lines && !hot)
		keep(line);
	if (to_log && sink == TO_SYSLOG) {
		send_to_syslog(line->buffer, text_length(&line->text));
	} else if (to_log && sink == TO_FILE) {
		line->text.end++; /* kept for this */
		text_put(&line->text, "\n");
		output_write(&output, line->buffer, text_length(&line->text), hot ? hot->at : 0);
	}
	pthread_setcancelstate(line->cancel, NULL);
	errno = line->error;
}

__attribute__((noinline)) static void tell_log(const char *consumer, const char *module, const char *event,
                                               const char *result, const char *detail,
                                               const struct moment *moment, bool is_call)
{
	struct line line;
	begin(&line, consumer, module, event, result, moment);
	text_put(&line.text, detail && detail[0] ? " " : "");
	text_foreign(&line.text, detail);
	end(&line, NULL, !(is_call && log_calls));
}

/*
 * A life-cycle event, to all sinks; not to the log if that has it as a call. One
 * after the other, so that their lines are not on the stack together.
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
	struct moment now = moment ? *moment : journal_moment(atomic_load(&trace_open));
	describe_return(&text, rv);
	*text.at = '\0';
	tell(view->name, view->module->name, calls[function].name, result, detail, &now, moment != NULL);
}

__attribute__((format(printf, 3, 0))) static void tell_formatted(const char *module, const char *event,
                                                                 const char *format, va_list arguments)
{
	char detail[1024];
	int error = errno;
	struct moment now = journal_moment(atomic_load(&trace_open));
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
	struct moment now = journal_moment(atomic_load(&trace_open));
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
	uint64_t took = now > began->at ? now - began->at : 0; /* some make that clock go backwards */
	atomic_store_explicit(&last_moment, now, memory_order_relaxed);
	if (trace_calls)
		trace_call(view, function, words, rv, began, took);
	if (log_calls) {
		struct line line;
		char result[64];
		struct text text = text_in(result, sizeof result - 1);
		describe_return(&text, rv);
		*text.at = '\0';
		begin(&line, view->name, view->module->name, calls[function].name, result, began);
		text_put(&line.text, " us=");
		text_microseconds(&line.text, took);
		describe_call(&line.text, function, words, rv, false);
		end(&line, began, true);
	}
	errno = error;
}

void journal_finding(const struct view *view, const char *kind, const char *call, const char *what,
                     const struct account *accounts, unsigned count, unsigned more)
{
	struct moment now = count ? accounts[0].moment : journal_moment(false);
	int error = errno;
	if (atomic_load(&trace_open)) /* a finding may come before what crashes: the trace has all of it */
		trace_finding(view, kind, call, what, accounts, count, more);
	errno = error;
	struct line line;
	begin(&line, view->name, view->module->name, "finding", kind, &now);
	text_put(&line.text, ": ");
	text_foreign(&line.text, what);
	if (more) {
		text_put(&line.text, ", ");
		text_number(&line.text, more);
		text_put(&line.text, " times more");
	}
	end(&line, NULL, true);
	for (unsigned i = 0; i < count; i++) {
		const struct moment *then = &accounts[i].moment;
		begin(&line, view->name, view->module->name, "stack", NULL, &now);
		text_put(&line.text, ": ");
		text_put(&line.text, accounts[i].what);
		text_put(&line.text, " ");
		text_foreign(&line.text, accounts[i].who);
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
		end(&line, NULL, true);
	}
}

/* ---- crash */

void journal_last_word(const char *line, size_t length)
{
	static char nowhere[1];
	struct output to_stderr = {.path = nowhere, .path_size = 1};
	if (sink == TO_FILE)
		output_write(&output, line, length, 0);
	else if (output_start_stderr(&to_stderr))
		output_write(&to_stderr, line, length, 0);
}

void journal_last_lines(void)
{
	unsigned last = atomic_load(&lines);
	for (unsigned i = last > KEPT ? last - KEPT : 0; i < last; i++) {
		uint64_t words[KEPT_WORDS + 1] = {0};
		char buffer[sizeof words + 8];
		struct text text = text_in(buffer, sizeof buffer);
		for (unsigned w = 0; w < KEPT_WORDS; w++)
			words[w] = atomic_load_explicit(&kept[i % KEPT][w], memory_order_relaxed);
		text_put(&text, "  ");
		text_put(&text, (const char *)words);
		text_put(&text, "\n");
		journal_last_word(buffer, text_length(&text));
	}
}

/* ---- start */

static void start_log(const char *where)
{
	if (strcmp(where, "syslog") == 0) {
		sink = TO_SYSLOG;
	} else if (strcmp(where, "stderr") == 0) {
		sink = output_start_stderr(&output) ? TO_FILE : NO_LOG;
	} else {
		sink = output_start(&output, where) ? TO_FILE : NO_LOG;
	}
}

struct journal_wants journal_start(const struct settings_recording *settings)
{
	int cancel;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	readable_start();
	stack_start(); /* REENTRANT: no lock held */
	has_key = pthread_key_create(&key, NULL) == 0 &&
	          (sizeof(void *) == 8 || pthread_key_create(&process_key, NULL) == 0);
	atomic_store(&last_process, process_number());
	keep_lines = settings->on_crash;
	if (settings->log)
		start_log(settings->log);
	log_calls = settings->log_calls && sink != NO_LOG;
	trace_calls = settings->trace && settings->trace_calls;
	if (settings->trace)
		atomic_store(&trace_open, trace_start(settings->trace, trace_calls));
	if (settings->on_crash)
		crash_start();
	pthread_setcancelstate(cancel, NULL);
	return (struct journal_wants){.anything = sink != NO_LOG || trace_open || settings->on_crash,
	                              .every_call = log_calls || trace_calls || settings->on_crash};
}
