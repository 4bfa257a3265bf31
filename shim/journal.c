/*
 * journal.c: see journal.h.
 *
 * A line is made on the stack and leaves in one write() to a descriptor opened
 * for appending, so lines of many threads and processes do not mix. The file is
 * opened for each line and closed again: a host that closes or reuses all
 * descriptors, as daemons do, can neither break the log nor get it into one of
 * its own files. Life-cycle events are rare enough for that. Nothing here
 * allocates or takes a lock; whatever goes wrong, the line is lost and the
 * program goes on. errno is kept.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "calls.h"
#include "journal.h"
#include "view.h"

_Atomic(bool) journal_open;

static enum { TO_PATH, TO_STDERR, TO_SYSLOG } sink;
/*
 * In .data on purpose, where it fills the rest of the one page that is written
 * at every start: as part of .bss, ld.so would have to clear that rest.
 */
static char path[3584] __attribute__((section(".data")));

#define LINE 1024

void journal_start(const char *where)
{
	if (strcmp(where, "stderr") == 0)
		sink = TO_STDERR;
	else if (strcmp(where, "syslog") == 0)
		sink = TO_SYSLOG;
	else if (strlen(where) < sizeof path)
		strcpy(path, where);
	else
		return;
	atomic_store(&journal_open, true);
}

/* UTC by calculation: gmtime() takes a lock that a child may find held. */
static size_t print_time(char *line, size_t size)
{
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	long days = t.tv_sec / 86400, second = t.tv_sec % 86400;
	long z = days + 719468, era = z / 146097, day_of_era = z % 146097;
	long year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	long day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	long m = (5 * day_of_year + 2) / 153;
	long day = day_of_year - (153 * m + 2) / 5 + 1, month = m < 10 ? m + 3 : m - 9;
	long year = year_of_era + era * 400 + (month <= 2);
	return (size_t)snprintf(line, size, "%04ld-%02ld-%02ldT%02ld:%02ld:%02ld.%06ldZ", year, month, day,
	                        second / 3600, second / 60 % 60, second % 60, t.tv_nsec / 1000);
}

static void put(char *line, size_t length)
{
	/* Names come from file systems and consumers: one event stays one line. */
	for (size_t i = 0; i < length; i++)
		if ((unsigned char)line[i] < ' ' || line[i] == 127)
			line[i] = '?';
	if (sink == TO_SYSLOG) {
		syslog(LOG_USER | LOG_INFO, "p11shim: %s", line);
		return;
	}
	line[length++] = '\n';
	int fd = STDERR_FILENO;
	if (sink == TO_PATH)
		fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0600);
	if (fd < 0)
		return;
	while (write(fd, line, length) < 0 && errno == EINTR)
		;
	if (sink == TO_PATH)
		close(fd);
}

static void print(const char *consumer, const char *module, const char *event, const char *result,
                  const char *format, va_list arguments)
{
	int error = errno;
	char line[LINE + 2];
	size_t n = print_time(line, LINE);
	n += (size_t)snprintf(line + n, LINE - n, " pid=%ld tid=%ld consumer=%s module=%s %s",
	                      (long)syscall(SYS_getpid), (long)syscall(SYS_gettid), consumer, module, event);
	if (n < LINE && result)
		n += (size_t)snprintf(line + n, LINE - n, " %s", result);
	if (n < LINE && format) {
		n += (size_t)snprintf(line + n, LINE - n, " ");
		if (n < LINE)
			n += (size_t)vsnprintf(line + n, LINE - n, format, arguments);
	}
	put(line, n < LINE ? n : LINE - 1);
	errno = error;
}

static void print_detail(const char *consumer, const char *module, const char *event, const char *result,
                         const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	print(consumer, module, event, result, format, arguments);
	va_end(arguments);
}

void journal_write_call(const struct view *view, unsigned function, CK_RV rv, const char *detail)
{
	char number[32];
	const char *result = calls_return_name(rv);
	if (!result) {
		snprintf(number, sizeof number, "0x%lx", rv);
		result = number;
	}
	print_detail(view->name, view->module->name, calls[function].name, result, detail ? "%s" : NULL,
	             detail);
}

void journal_write_module(const struct module *module, const char *event, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	print("-", module->name, event, NULL, format, arguments);
	va_end(arguments);
}

void journal_write_note(const char *event, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	print("-", "-", event, NULL, format, arguments);
	va_end(arguments);
}
