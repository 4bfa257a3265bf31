/*
 * log.c: see log.h.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/lock.h"
#include "record/log.h"
#include "record/now.h"
#include "record/output.h"

static enum { NO_LOG, TO_FILE, TO_SYSLOG } sink;
static bool keep_lines;
/*
 * This lies in .data on purpose, where it fills the rest of the one page that is written at every start. If
 * it lay in .bss, ld.so would have to clear that rest.
 */
static char path[3328] __attribute__((section(".data")));
static struct output output = {.path = path, .path_size = sizeof path};

/*
 * The last lines, kept for a crash and written word by word. If a thread is overtaken by as many lines as
 * there are places, its line becomes half another's, and nothing worse happens.
 */
#define KEPT 32
#define KEPT_WORDS 32
static _Atomic(uint64_t) kept[KEPT][KEPT_WORDS];
static _Atomic(unsigned) lines;

/*
 * Waits for room in the daemon's queue, but not for long. If the daemon does not read in that time, no thread
 * waits for it again for a while: logging must not hold up the program.
 */
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
	char message[LOG_LINE + 64];
	struct text text = text_in(message, sizeof message);
	text_put(&text, "<14>p11shim[");
	text_number(&text, (uint64_t)syscall(SYS_getpid));
	text_put(&text, "]: ");
	text_bytes(&text, line, length);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return;
	/* connected, so that a thread can wait for room in the daemon's queue, which is a short one */
	if (syscall(SYS_connect, fd, &syslog_socket, sizeof syslog_socket) == 0) {
		long sent = sendto(fd, message, text_length(&text), MSG_NOSIGNAL, NULL, 0);
		if (sent < 0 && errno == EAGAIN && wait_for_syslog(fd))
			sendto(fd, message, text_length(&text), MSG_NOSIGNAL, NULL, 0);
	}
	close(fd);
}

void log_begin(struct log_line *line, const char *consumer, const char *module, const char *event,
               const char *result, const struct moment *moment)
{
	line->error = errno;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &line->cancel);
	line->text = text_in(line->buffer, sizeof line->buffer - 1);
	now_print(&line->text);
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

static void keep(const struct log_line *line)
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

/* See log.h. */
void log_end(struct log_line *line, const struct moment *hot, bool to_log)
{
	if (keep_lines && !hot)
		keep(line);
	if (to_log && sink == TO_SYSLOG) {
		send_to_syslog(line->buffer, text_length(&line->text));
	} else if (to_log && sink == TO_FILE) {
		line->text.end++; /* room was kept for this */
		text_put(&line->text, "\n");
		output_write(&output, line->buffer, text_length(&line->text), hot ? hot->at : 0);
	}
	pthread_setcancelstate(line->cancel, NULL);
	errno = line->error;
}

void log_last_word(const char *line, size_t length)
{
	static char nowhere[1];
	struct output to_stderr = {.path = nowhere, .path_size = 1};
	if (sink == TO_FILE)
		output_write(&output, line, length, 0);
	else if (output_start_stderr(&to_stderr))
		output_write(&to_stderr, line, length, 0);
}

void log_last_lines(void)
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
		log_last_word(buffer, text_length(&text));
	}
}

bool log_start(const char *where, bool keep)
{
	keep_lines = keep;
	if (!where)
		return false;
	if (strcmp(where, "syslog") == 0) {
		sink = TO_SYSLOG;
	} else if (strcmp(where, "stderr") == 0) {
		sink = output_start_stderr(&output) ? TO_FILE : NO_LOG;
	} else {
		sink = output_start(&output, where) ? TO_FILE : NO_LOG;
	}
	return sink != NO_LOG;
}
