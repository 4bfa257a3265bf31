/*
 * trace.c: see trace.h.
 */
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/view.h"
#include "host/process.h"
#include "record/describe.h"
#include "record/flights.h"
#include "record/now.h"
#include "record/output.h"
#include "record/trace.h"
#include "standard/calls.h"

#define CALL_LINE 2048
#define EVENT_LINE 5120 /* on a thread's stack, which may be small */
#define CRASH_LINE 32768
#define FINDING_LINE 65536

_Atomic(bool) trace_open;

static char path[4096];
static struct output output = {.path = path, .path_size = sizeof path, .head = "[\n"};
/*
 * Which process has last written its own name, and in which file (mark_of()). If a file was rotated away, the
 * names from before are in that one, and the new file needs them again.
 */
static _Atomic(uint64_t) introduced;
static bool every_call;

/* ---- lines */

struct line {
	struct text text;
	uint64_t now; /* for output_write() */
};

/* Room is kept for the end of a line, so that every line is whole. */
#define ENDING 8

static struct line line_in(char *buffer, size_t size)
{
	return (struct line){text_in(buffer, size - ENDING), 0};
}

static inline void put_when(struct line *line, int pid, int tid, uint64_t at)
{
	text_put(&line->text, ",\"pid\":");
	text_number(&line->text, (uint64_t)pid);
	text_put(&line->text, ",\"tid\":");
	text_number(&line->text, (uint64_t)tid);
	text_put(&line->text, ",\"ts\":");
	text_microseconds(&line->text, at);
}

static void begin(struct line *line, const char *head, const char *name, int pid, int tid, uint64_t at)
{
	text_put(&line->text, head); /* {"ph":...,"name": */
	text_json(&line->text, name);
	put_when(line, pid, tid, at);
}

/* Puts ,"key":"value", or nothing of it if it does not fit. */
static void put_pair(struct line *line, const char *key, const char *value)
{
	struct text before = line->text;
	text_put(&line->text, key[0] == '{' ? "{\"" : ",\"");
	text_put(&line->text, key + (key[0] == '{'));
	text_put(&line->text, "\":");
	text_json(&line->text, value ? value : "");
	if (line->text.cut) {
		text_back(&line->text, &before);
		text_put(&line->text, key[0] == '{' ? "{\"cut\":true" : "");
	}
}

/* A name of which it is known whether it is plain (text_is_plain()). */
static inline void put_name(struct line *line, const char *head, const char *name, bool plain)
{
	text_put(&line->text, head);
	if (plain) {
		text_put(&line->text, "\"");
		text_put(&line->text, name);
		text_put(&line->text, "\"");
	} else {
		text_json(&line->text, name);
	}
}

static void put_pair_number(struct line *line, const char *key, uint64_t value)
{
	text_put(&line->text, ",\"");
	text_put(&line->text, key);
	text_put(&line->text, "\":");
	text_number(&line->text, value);
}

static void finish(struct line *line, const char *ending)
{
	line->text.end += ENDING;
	text_put(&line->text, ending);
	output_write(&output, line->text.start, text_length(&line->text), line->now);
}

/* ---- the names of processes, threads and objects */

static void introduce_process(int pid, int tid, uint64_t at)
{
	char buffer[EVENT_LINE], name[17] = "", wall[32];
	struct line line = line_in(buffer, sizeof buffer);
	const char *slash = strrchr(stack_program(), '/');
	syscall(SYS_prctl, PR_GET_NAME, name);
	begin(&line, "{\"ph\":\"M\",\"name\":", "process_name", pid, tid, at);
	text_put(&line.text, ",\"args\":");
	put_pair(&line, "{name", slash ? slash + 1 : name);
	finish(&line, "}},\n");

	struct text time = text_in(wall, sizeof wall - 1);
	now_print(&time);
	*time.at = '\0';
	line = line_in(buffer, sizeof buffer);
	begin(&line, "{\"ph\":\"i\",\"s\":\"p\",\"cat\":\"process\",\"name\":", "start", pid, tid, at);
	text_put(&line.text, ",\"args\":");
	put_pair(&line, "{program", stack_program());
	put_pair_number(&line, "parent", (uint64_t)syscall(SYS_getppid));
	put_pair(&line, "time", wall);
	put_pair(&line, "version", "1");
	put_pair(&line, "mode", every_call ? "calls" : "life");
	finish(&line, "}},\n");
}

static uint64_t mark_of(int pid)
{
	return (uint64_t)atomic_load_explicit(&output.openings, memory_order_relaxed) << 32 | (unsigned)pid;
}

static void introduce(int pid, int tid, uint64_t at)
{
	uint64_t mark = mark_of(pid);
	if (UNLIKELY(atomic_load_explicit(&introduced, memory_order_relaxed) != mark) &&
	    atomic_exchange(&introduced, mark) != mark) {
		introduce_process(pid, tid, at);
		atomic_store(&introduced, mark_of(pid)); /* writing that may have opened the file */
	}
}

/*
 * Writes a thread's name, before its first event. If the process is new in the file, writes its name before
 * that.
 */
static void tell_thread(int pid, int tid, uint64_t at, bool first)
{
	char buffer[512], name[17] = "";
	introduce(pid, tid, at);
	if (!first)
		/*
		 * Whether this is the thread's first event is unknown: better no name than a name before
		 * every event.
		 */
		return;
	struct line line = line_in(buffer, sizeof buffer);
	syscall(SYS_prctl, PR_GET_NAME, name);
	begin(&line, "{\"ph\":\"M\",\"name\":", "thread_name", pid, tid, at);
	text_put(&line.text, ",\"args\":");
	put_pair(&line, "{name", name);
	finish(&line, "}},\n");
}

static void introduce_object(const struct stack_object *object)
{
	char buffer[EVENT_LINE], id[2 * sizeof object->build_id + 1];
	struct line line = line_in(buffer, sizeof buffer);
	struct moment now = now_moment(false);
	for (unsigned i = 0; i < object->build_id_size; i++) {
		id[2 * i] = "0123456789abcdef"[object->build_id[i] >> 4];
		id[2 * i + 1] = "0123456789abcdef"[object->build_id[i] & 15];
	}
	id[2 * object->build_id_size] = '\0';
	begin(&line, "{\"ph\":\"M\",\"name\":", "object", now.pid, now.tid, now.at);
	text_put(&line.text, ",\"args\":");
	put_pair(&line, "{path", object->path);
	put_pair(&line, "build_id", id);
	finish(&line, "}},\n");
}

static void put_stack(struct line *line, stack_id stack)
{
	struct text before = line->text;
	text_put(&line->text, ",\"stack\":");
	stack_print(&line->text, stack, true);
	if (line->text.cut)
		text_back(&line->text, &before);
}

/* ---- events */

void trace_call(const struct view *view, unsigned function, const uintptr_t *words, CK_RV rv,
                const struct moment *began, uint64_t took)
{
	char buffer[CALL_LINE];
	struct line line = line_in(buffer, sizeof buffer);
	introduce(began->pid, began->tid, began->at);
	put_name(&line, "{\"ph\":\"X\",\"cat\":\"call\",\"name\":", calls[function].name, true);
	put_when(&line, began->pid, began->tid, began->at);
	text_put(&line.text, ",\"dur\":");
	text_microseconds(&line.text, took);
	text_put(&line.text, ",\"args\":");
	put_name(&line, "{\"consumer\":", view->name, view->plain);
	put_name(&line, ",\"module\":", view->module->name, view->module->plain);
	text_put(&line.text, ",\"rv\":\"");
	describe_return(&line.text, rv);
	text_put(&line.text, "\"");
	describe_call(&line.text, function, words, rv, true);
	line.now = began->at + took;
	finish(&line, "}},\n");
}

void trace_names(const struct moment *moment)
{
	introduce(moment->pid, moment->tid, moment->at);
	stack_untold(moment->stack, mark_of(moment->pid), introduce_object);
}

void trace_event(const char *consumer, const char *module, const char *event, const char *result,
                 const char *detail, const struct moment *moment)
{
	char buffer[EVENT_LINE];
	struct line line = line_in(buffer, sizeof buffer);
	begin(&line, "{\"ph\":\"i\",\"s\":\"t\",\"cat\":\"life\",\"name\":", event, moment->pid, moment->tid,
	      moment->at);
	text_put(&line.text, ",\"args\":");
	put_pair(&line, "{consumer", consumer);
	put_pair(&line, "module", module);
	put_pair(&line, "rv", result);
	put_pair(&line, "detail", detail);
	put_stack(&line, moment->stack);
	finish(&line, "}},\n");
}

static void span(const char *category, unsigned number, const char *consumer, const struct module *module,
                 const char *its_path, bool begins, uint64_t at)
{
	char buffer[EVENT_LINE], head[64];
	struct line line = line_in(buffer, sizeof buffer);
	struct moment now = now_moment(false);
	struct text text = text_in(head, sizeof head - 1);
	if (at)
		now.at = at;
	text_put(&text, begins ? "{\"ph\":\"b\",\"cat\":\"" : "{\"ph\":\"e\",\"cat\":\"");
	text_put(&text, category);
	text_put(&text, "\",\"name\":");
	*text.at = '\0';
	begin(&line, head, consumer ? consumer : module->name, now.pid, now.tid, now.at);
	text_put(&line.text, ",\"id\":\"");
	text_number(&line.text, (uint64_t)now.pid);
	text_put(&line.text, ".");
	text_number(&line.text, number);
	text_put(&line.text, "\",\"args\":");
	put_pair(&line, "{module", module->name);
	if (begins && consumer)
		put_pair(&line, "consumer", consumer);
	if (begins)
		put_pair(&line, "path", its_path);
	finish(&line, "}},\n");
}

void trace_view(const struct view *view, bool begins, uint64_t at)
{
	span("consumer", (unsigned)(MODULES + (view - views)), view->name, view->module, stack_file_of(view),
	     begins, at);
}

void trace_module(const struct module *module, bool begins)
{
	span("module", module_number(module), NULL, module, module->path, begins, 0);
}

/*
 * When this process began, in nanoseconds of CLOCK_MONOTONIC, to a hundredth of a second; 0: unknown. It is
 * read from /proc, without stdio, which allocates.
 */
static uint64_t began(void)
{
	char buffer[1024];
	int cancel;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : syscall(SYS_read, fd, buffer, sizeof buffer - 1);
	if (fd >= 0)
		close(fd);
	pthread_setcancelstate(cancel, NULL);
	if (n <= 0)
		return 0;
	buffer[n] = '\0';
	char *at = strrchr(buffer, ')'); /* the 2nd field; the 22nd is wanted */
	for (int field = 2; at && field < 22; field++)
		at = strchr(at + 1, ' ');
	uint64_t ticks = 0, hertz = (uint64_t)sysconf(_SC_CLK_TCK);
	for (at = at ? at + 1 : buffer + n; *at >= '0' && *at <= '9'; at++)
		ticks = ticks * 10 + (uint64_t)(*at - '0');
	uint64_t age = clock_at(CLOCK_BOOTTIME) - ticks * (1000000000 / hertz);
	uint64_t now = clock_at(CLOCK_MONOTONIC);
	return ticks && age < now ? now - age : 0;
}

static void fork_event(const char *head, const char *name, int pid, int tid, uint64_t at, const char *key,
                       int other)
{
	char buffer[512];
	struct line line = line_in(buffer, sizeof buffer);
	begin(&line, head, name, pid, tid, at);
	text_put(&line.text, ",\"dur\":1.000,\"args\":{\"");
	text_put(&line.text, key);
	text_put(&line.text, "\":");
	text_number(&line.text, (uint64_t)other);
	finish(&line, "}},\n");
}

static void flow_event(const char *head, int pid, int tid, uint64_t at, int child, uint64_t id)
{
	char buffer[512];
	struct line line = line_in(buffer, sizeof buffer);
	begin(&line, head, "fork", pid, tid, at);
	text_put(&line.text, ",\"id\":\"");
	text_number(&line.text, (uint64_t)child);
	text_put(&line.text, ".");
	text_number(&line.text, id / 1000);
	finish(&line, "\"},\n");
}

void trace_fork(int parent, int parent_thread, uint64_t at)
{
	struct moment now = now_moment(false);
	uint64_t then = began();
	if (then < at)
		then = at;
	if (then + 1000 > now.at)
		then = now.at - 1000;
	fork_event("{\"ph\":\"X\",\"cat\":\"fork\",\"name\":", "fork", parent, parent_thread, then, "child",
	           now.pid);
	flow_event("{\"ph\":\"s\",\"cat\":\"fork\",\"name\":", parent, parent_thread, then, now.pid, then);
	fork_event("{\"ph\":\"X\",\"cat\":\"fork\",\"name\":", "forked", now.pid, now.tid, now.at, "parent",
	           parent);
	flow_event("{\"ph\":\"f\",\"bp\":\"e\",\"cat\":\"fork\",\"name\":", now.pid, now.tid, now.at, now.pid,
	           then);
}

static bool put_piece(struct line *line, const struct evidence_piece *piece, bool first)
{
	struct text before = line->text;
	char what[256];
	struct text text = text_in(what, sizeof what - 1);
	text_put(&text, piece->what);
	text_put(&text, piece->who && piece->who[0] ? " " : "");
	text_foreign(&text, piece->who);
	*text.at = '\0';
	text_put(&line->text, first ? "" : ",");
	put_pair(line, "{what", what);
	put_pair_number(line, "pid", (uint64_t)piece->moment.pid);
	put_pair_number(line, "tid", (uint64_t)piece->moment.tid);
	text_put(&line->text, ",\"ts\":");
	text_microseconds(&line->text, piece->moment.at);
	put_stack(line, piece->moment.stack);
	text_put(&line->text, "}");
	if (!line->text.cut)
		return true;
	text_back(&line->text, &before);
	return false;
}

/* The line is too long for a thread's stack, so memory is mapped for it; there are few such lines. */
void trace_finding(const struct view *view, const char *kind, const char *call, const char *what,
                   const struct evidence_piece *pieces, unsigned count, unsigned more)
{
	struct moment now = now_moment(false);
	char *buffer = mmap(NULL, FINDING_LINE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (buffer == MAP_FAILED)
		return;
	introduce(now.pid, now.tid, now.at);
	for (unsigned i = 0; i < count; i++)
		stack_untold(pieces[i].moment.stack, mark_of(now.pid), introduce_object);
	struct line line = line_in(buffer, FINDING_LINE);
	begin(&line, "{\"ph\":\"i\",\"s\":\"g\",\"cat\":\"finding\",\"cname\":\"terrible\",\"name\":", kind,
	      now.pid, now.tid, now.at);
	text_put(&line.text, ",\"args\":");
	put_pair(&line, "{consumer", view->name);
	put_pair(&line, "module", view->module->name);
	put_pair(&line, "call", call);
	put_pair(&line, "text", what);
	if (more)
		put_pair_number(&line, "more", more);
	text_put(&line.text, ",\"stacks\":[");
	for (unsigned i = 0, told = 0; i < count; i++)
		told += put_piece(&line, &pieces[i], told == 0);
	finish(&line, "]}},\n");
	munmap(buffer, FINDING_LINE);
}

/* The line does not lie on the stack, which may be a small one for signals; this is called once. */
void trace_crash(const char *signal, uintptr_t address, const uintptr_t *frames, unsigned count)
{
	static char buffer[CRASH_LINE];
	struct line line = line_in(buffer, sizeof buffer);
	struct flying flying[16];
	unsigned n = flights_in(NULL, flying, COUNT(flying), false);
	int pid = (int)syscall(SYS_getpid), tid = (int)syscall(SYS_gettid);
	uint64_t now = clock_at(CLOCK_MONOTONIC);
	if (!atomic_load(&trace_open))
		return;
	begin(&line, "{\"ph\":\"i\",\"s\":\"p\",\"cat\":\"crash\",\"name\":", signal, pid, tid, now);
	text_put(&line.text, ",\"args\":{\"address\":\"");
	text_hex(&line.text, address);
	text_put(&line.text, "\",\"stack\":[");
	line.text.end -= CRASH_LINE / 4; /* for what comes after it */
	for (unsigned i = 0; i < count; i++) {
		struct text before = line.text;
		text_put(&line.text, i > 0 ? "," : "");
		stack_print_address(&line.text, frames[i], true);
		if (line.text.cut)
			text_back(&line.text, &before);
	}
	line.text.end += CRASH_LINE / 4;
	text_put(&line.text, "],\"in_flight\":[");
	for (unsigned i = 0; i < n; i++) {
		struct text before = line.text;
		text_put(&line.text, i > 0 ? ",{\"tid\":" : "{\"tid\":");
		text_number(&line.text, (uint64_t)flying[i].tid);
		put_pair(&line, "consumer", flying[i].view->name);
		put_pair(&line, "module", flying[i].view->module->name);
		put_pair(&line, "call", calls[flying[i].function].name);
		put_pair_number(&line, "us", now > flying[i].began ? (now - flying[i].began) / 1000 : 0);
		text_put(&line.text, "}");
		if (line.text.cut)
			text_back(&line.text, &before);
	}
	finish(&line, "]}},\n");
}

bool trace_start(const char *where, bool calls_too)
{
	every_call = calls_too;
	if (!output_start(&output, where))
		return false;
	now_new_thread = tell_thread;
	return true;
}
