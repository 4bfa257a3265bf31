/*
 * journal.c: see journal.h.
 *
 * A line is made on the stack and leaves in one write() to a descriptor opened
 * for appending, so lines of many threads and processes do not mix.
 *
 * The host knows nothing of our descriptor and may close it or use its number
 * for something else, as daemons do. So before each line the file behind the
 * number is compared with the one that was opened (device and inode); the log is
 * never written into anything else. A file that was moved away, or a descriptor
 * that was closed, is opened anew by its absolute path; if the process may not
 * do that any more (it has changed user), it goes on with what it has. The same
 * comparison guards stderr: closed and used for something else, it gets nothing.
 *
 * A reader that is gone, or a file at its size limit, raises a signal in whoever
 * writes. It is held back and taken off before it can reach the host.
 *
 * Nothing here allocates or takes a lock (syslog() would; its socket is written
 * to directly). Whatever goes wrong, the line is lost and the program goes on.
 * errno is kept. No write or open here lets a thread be cancelled.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
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

struct file_identity {
	unsigned long long device, inode;
};

/* By number, so that it is there on old systems too; see scope.c. */
static bool identify(int directory, const char *name, int flags, struct file_identity *identity)
{
	struct statx file;
	if (syscall(SYS_statx, directory, name, flags | AT_STATX_DONT_SYNC, STATX_INO, &file) != 0)
		return false;
	identity->device = (unsigned long long)file.stx_dev_major << 32 | file.stx_dev_minor;
	identity->inode = file.stx_ino;
	return true;
}

/* A file that is written to: unlike its number, it stays what it is. */
struct watched_file {
	_Atomic(unsigned long long) device, inode;
};

static bool is_watched(const struct watched_file *watched, struct file_identity file)
{
	return watched->device == file.device && watched->inode == file.inode;
}

static void watch(struct watched_file *watched, struct file_identity file)
{
	watched->device = file.device;
	watched->inode = file.inode;
}

static _Atomic(int) kept; /* the log's descriptor; 0: none yet */
static struct watched_file kept_file, stderr_file;

/*
 * The log's descriptor. Its number, once there is one, is replaced in place:
 * another thread may be about to write to it. Of threads that open the log for
 * the first time together one wins, and the others close theirs after use.
 */
static int open_log(void)
{
	struct file_identity now, there;
	int fd = atomic_load(&kept);
	bool usable = fd > 0 && identify(fd, "", AT_EMPTY_PATH, &now) && is_watched(&kept_file, now);
	if (usable && identify(AT_FDCWD, path, 0, &there) && is_watched(&kept_file, there))
		return fd;
	int opened = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0600);
	if (opened < 0)
		return usable ? fd : -1;
	if (!identify(opened, "", AT_EMPTY_PATH, &now))
		return opened;
	watch(&kept_file, now);
	if (usable && syscall(SYS_dup3, opened, fd, O_CLOEXEC) == fd) {
		close(opened);
		return fd;
	}
	int high =
	        fcntl(opened, F_DUPFD_CLOEXEC, 100); /* out of the way of hosts that count on low numbers */
	if (high >= 0) {
		close(opened);
		opened = high;
	}
	atomic_compare_exchange_strong(&kept, &fd, opened);
	return opened;
}

static void write_line(int fd, const char *line, size_t length)
{
	sigset_t raised, before, pending;
	const struct timespec no_time = {0, 0};
	sigemptyset(&raised);
	sigaddset(&raised, SIGPIPE);
	sigaddset(&raised, SIGXFSZ);
	sigpending(&pending);
	sigprocmask(SIG_BLOCK, &raised, &before); /* on Linux the thread's own */
	ssize_t written;
	do
		written = write(fd, line, length);
	while (written < 0 && errno == EINTR);
	if (written < 0 && errno == EPIPE && !sigismember(&pending, SIGPIPE))
		sigtimedwait(&raised, NULL, &no_time);
	if (written < 0 && errno == EFBIG && !sigismember(&pending, SIGXFSZ))
		sigtimedwait(&raised, NULL, &no_time);
	sigprocmask(SIG_SETMASK, &before, NULL);
}

static void send_to_syslog(const char *line)
{
	static const struct sockaddr_un syslog_socket = {.sun_family = AF_UNIX, .sun_path = "/dev/log"};
	char message[LINE + 32];
	int n = snprintf(message, sizeof message, "<14>p11shim[%ld]: %s", (long)syscall(SYS_getpid), line);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return;
	sendto(fd, message, n < (int)sizeof message ? (size_t)n : sizeof message - 1, MSG_NOSIGNAL,
	       (const struct sockaddr *)&syslog_socket, sizeof syslog_socket);
	close(fd);
}

static void put(char *line, size_t length)
{
	struct file_identity now;
	/* Names come from file systems and consumers: one event stays one line. */
	for (size_t i = 0; i < length; i++)
		if ((unsigned char)line[i] < ' ' || line[i] == 127)
			line[i] = '?';
	if (sink == TO_SYSLOG) {
		send_to_syslog(line);
		return;
	}
	line[length++] = '\n';
	int fd = STDERR_FILENO;
	if (sink == TO_PATH)
		fd = open_log();
	else if (!identify(fd, "", AT_EMPTY_PATH, &now) || !is_watched(&stderr_file, now))
		fd = -1;
	if (fd < 0)
		return;
	write_line(fd, line, length);
	if (sink == TO_PATH && fd != atomic_load(&kept))
		close(fd);
}

static void print(const char *consumer, const char *module, const char *event, const char *result,
                  const char *format, va_list arguments)
{
	int error = errno, cancel;
	char line[LINE + 2];
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
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
	pthread_setcancelstate(cancel, NULL);
	errno = error;
}

/* The path made absolute: the host may change its directory. False: too long. */
static bool keep_path(const char *where)
{
	size_t n = 0;
	if (where[0] != '/') {
		if (syscall(SYS_getcwd, path, sizeof path - 1) < 0)
			return false;
		n = strlen(path);
		path[n++] = '/';
	}
	if (n + strlen(where) >= sizeof path)
		return false;
	strcpy(path + n, where);
	return true;
}

void journal_start(const char *where)
{
	struct file_identity now;
	if (strcmp(where, "syslog") == 0)
		sink = TO_SYSLOG;
	else if (strcmp(where, "stderr") != 0)
		sink = TO_PATH;
	else if (identify(STDERR_FILENO, "", AT_EMPTY_PATH, &now))
		sink = TO_STDERR;
	else
		return;
	if (sink == TO_STDERR)
		watch(&stderr_file, now);
	if (sink == TO_PATH && !keep_path(where))
		return;
	atomic_store(&journal_open, true);
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
