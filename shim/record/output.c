/*
 * output.c: see output.h.
 *
 * Many system calls are made here by their number and not by libc's function. Each function of libc that the
 * library names costs every process a little at its start, and more if it is of a version of glibc that no
 * other function has.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"
#include "host/linker.h"
#include "record/output.h"

#define LOOK_EVERY 100000000u /* ns */
#define RLIMIT_FSIZE 1
#define BIT(signal) (1ull << ((signal)-1)) /* in a set of the kernel's */
#define MARK 61                            /* see is_marked() */
#define HIGH 100                           /* out of the way of hosts that expect low numbers to be free */

struct file {
	unsigned long long device, inode, size;
	unsigned mode;
};

#if defined __x86_64__ || defined __aarch64__
/* The quickest way; by number, so that it works on old systems too. See host/object.c. */
static bool identify_descriptor(int fd, struct file *file)
{
	struct stat now;
	if (syscall(SYS_fstat, fd, &now) != 0)
		return false;
	*file = (struct file){now.st_dev, now.st_ino, (unsigned long long)now.st_size, now.st_mode};
	return true;
}

static bool identify_path(const char *path, struct file *file)
{
	struct stat now;
	if (syscall(SYS_newfstatat, AT_FDCWD, path, &now, 0) != 0)
		return false;
	*file = (struct file){now.st_dev, now.st_ino, (unsigned long long)now.st_size, now.st_mode};
	return true;
}
#else
static bool identify(int directory, const char *name, int flags, struct file *file)
{
	struct statx now;
	if (syscall(SYS_statx, directory, name, flags | AT_STATX_DONT_SYNC, STATX_BASIC_STATS, &now) != 0)
		return false;
	*file = (struct file){(unsigned long long)now.stx_dev_major << 32 | now.stx_dev_minor, now.stx_ino,
	                      now.stx_size, now.stx_mode};
	return true;
}

static bool identify_descriptor(int fd, struct file *file)
{
	return identify(fd, "", AT_EMPTY_PATH, file);
}

static bool identify_path(const char *path, struct file *file)
{
	return identify(AT_FDCWD, path, 0, file);
}
#endif

/* A file stays what it is, unlike the number of its descriptor. */
static bool is_ours(const struct output *output, const struct file *file)
{
	return output->device == file->device && output->inode == file->inode;
}

static void take_over(struct output *output, const struct file *file)
{
	output->device = file->device;
	output->inode = file->inode;
	output->regular = S_ISREG(file->mode);
	output->may_signal = !S_ISCHR(file->mode);
}

/*
 * The value that fcntl(F_SETSIG) sets belongs to the open file, and not to the number. It means nothing where
 * signals are not asked for, and no other code sets it to MARK. To ask for it costs half of what fstat()
 * costs.
 */
static bool is_marked(int fd)
{
	return syscall(SYS_fcntl, fd, F_GETSIG, 0) == MARK;
}

static bool write_all(int fd, const char *line, size_t length, size_t *done)
{
	*done = 0;
	while (*done < length) {
		ssize_t n = write(fd, line + *done, length - *done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		*done += (size_t)n;
	}
	return true;
}

/* Writes while those signals are held back that writing may raise. On Linux they go to the writing thread. */
static bool write_held(int fd, const char *line, size_t length, size_t *done)
{
	const uint64_t raised = BIT(SIGPIPE) | BIT(SIGXFSZ);
	const struct timespec no_time = {0, 0};
	uint64_t before = 0, pending = 0;
	syscall(SYS_rt_sigpending, &pending, sizeof pending);
	syscall(SYS_rt_sigprocmask, SIG_BLOCK, &raised, &before, sizeof raised);
	bool good = write_all(fd, line, length, done);
	int error = errno;
	if (!good &&
	    ((error == EPIPE && !(pending & BIT(SIGPIPE))) || (error == EFBIG && !(pending & BIT(SIGXFSZ)))))
		syscall(SYS_rt_sigtimedwait, &raised, NULL, &no_time, sizeof raised);
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &before, NULL, sizeof before);
	errno = error;
	return good;
}

/*
 * Writes the first line of a file that is empty. If several processes open the file together, one of them
 * writes the line: no process writes anything else before it has seen that the file is not empty. If a
 * process does not give the lock back, the others do not wait for it long. False: the line cannot be written,
 * so nothing else shall be.
 */
static bool begin(struct output *output, int fd)
{
	const struct timespec pause = {0, 2000000};
	struct file now;
	size_t done;
	bool empty = identify_descriptor(fd, &now) && now.size == 0, good = true;
	for (int i = 0; i < 25 && empty && S_ISREG(now.mode); i++) {
		if (syscall(SYS_flock, fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK)
			break;
		syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &pause, NULL);
		empty = identify_descriptor(fd, &now) && now.size == 0;
	}
	if (empty && identify_descriptor(fd, &now) && now.size == 0)
		good = write_held(fd, output->head, strlen(output->head), &done) || done > 0;
	int error = errno;
	syscall(SYS_flock, fd, LOCK_UN);
	errno = error;
	atomic_fetch_add(&output->openings, 1);
	return good;
}

/*
 * Opens the file; returns the descriptor. Once there is a descriptor, its number stays and the file behind it
 * is replaced: another thread may be about to write to that number. If several threads open the file for the
 * first time together, one wins, and the others close theirs after use.
 */
static int open_anew(struct output *output, int kept, bool usable)
{
	struct file now;
	int opened =
	        open(output->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0600);
	if (opened < 0)
		return usable ? kept : -1;
	if (!identify_descriptor(opened, &now))
		return opened;
	take_over(output, &now);
	syscall(SYS_fcntl, opened, F_SETSIG, MARK);
	if (usable && syscall(SYS_dup3, opened, kept, O_CLOEXEC) == kept) {
		close(opened);
		return kept;
	}
	int high = (int)syscall(SYS_fcntl, opened, F_DUPFD_CLOEXEC, HIGH);
	if (high < 0)
		high = (int)syscall(SYS_fcntl, opened, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	close(opened);
	if (high < 0)
		return -1;
	opened = high;
	atomic_compare_exchange_strong(&output->kept, &kept, opened);
	return opened;
}

/*
 * Is the descriptor still the file's? Its mark tells, or, if the mark is gone or the path is to be looked at,
 * the identity of the file behind it.
 */
static bool is_usable(struct output *output, int fd, uint64_t now, unsigned long long *size, bool *look)
{
	struct file file = {0};
	*look = !now || now - output->looked >= LOOK_EVERY;
	if (fd > 0 && !*look && is_marked(fd)) {
		*size = output->regular ? (unsigned long long)syscall(SYS_lseek, fd, 0L, SEEK_END) : ~0ull;
		return true;
	}
	*look = output->path[0] != '\0';
	bool usable = fd > 0 && identify_descriptor(fd, &file) && is_ours(output, &file);
	*size = file.size;
	return usable;
}

/* The descriptor to write to; -1: there is none. size: how big the file is. */
static int descriptor(struct output *output, uint64_t now, unsigned long long *size)
{
	struct file there;
	bool look, opened = false;
	int fd = atomic_load(&output->kept);
	bool usable = is_usable(output, fd, now, size, &look);
	if (look) {
		output->looked = now;
		if (!usable || !identify_path(output->path, &there) || !is_ours(output, &there)) {
			*size = 0; /* the size is unknown, but the file is begun if it is empty */
			fd = open_anew(output, fd, usable);
			opened = usable = fd >= 0;
		}
	}
	if (usable && output->head && *size == 0 && (output->regular || opened) && !begin(output, fd)) {
		if (fd != atomic_load(&output->kept))
			close(fd);
		return -1;
	}
	return usable ? fd : -1;
}

/*
 * Is it certain that writing raises no signal? So it is with devices, and with files that are far from their
 * limit.
 */
static bool is_quiet(const struct output *output, unsigned long long size, size_t length)
{
	uint64_t limit[2]; /* the kernel's struct rlimit64 */
	if (!output->may_signal)
		return true;
	return output->regular && syscall(SYS_prlimit64, 0, RLIMIT_FSIZE, NULL, limit) == 0 &&
	       (limit[0] == UINT64_MAX || (size != 0 && size != ~0ull && size + length + 65536 < limit[0]));
}

/*
 * The terminal may belong to other processes. While its signal is blocked, writing there does not stop this
 * process.
 */
static void warn(struct output *output, int error)
{
	char buffer[512];
	struct text text = text_in(buffer, sizeof buffer - 1);
	const uint64_t stops = BIT(SIGTTOU);
	uint64_t before = 0;
	char terminal[64]; /* more than the kernel's struct termios */
	if (atomic_exchange(&output->warned, true) || !output->path[0] ||
	    syscall(SYS_ioctl, STDERR_FILENO, TCGETS, terminal) != 0)
		return;
	text_put(&text, "p11shim: ");
	text_foreign(&text, output->path);
	text_put(&text, " cannot be written");
	text_put(&text, error == ENOSPC   ? ": the disk is full"
	                : error == EACCES ? ": permission denied"
	                : error == ENOENT ? ": no such directory"
	                : error == EISDIR ? ": it is a directory"
	                                  : "");
	text.end++;
	text_put(&text, "\n");
	syscall(SYS_rt_sigprocmask, SIG_BLOCK, &stops, &before, sizeof stops);
	if (write(STDERR_FILENO, buffer, text_length(&text)) < 0)
		atomic_store(&output->warned, true);
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &before, NULL, sizeof before);
}

static bool write_line(struct output *output, const char *line, size_t length, uint64_t now)
{
	unsigned long long size;
	size_t done;
	int fd = descriptor(output, now, &size);
	if (fd < 0) {
		warn(output, errno);
		return false;
	}
	bool quiet = is_quiet(output, size, length), good;
	if (output->torn && write_held(fd, "\n", 1, &done))
		output->torn = false; /* this ends a line that did not fit */
	good = quiet ? write_all(fd, line, length, &done) : write_held(fd, line, length, &done);
	if (!good && done > 0)
		output->torn = true;
	if (!good)
		warn(output, errno);
	if (fd != atomic_load(&output->kept))
		close(fd);
	return good;
}

bool output_write(struct output *output, const char *line, size_t length, uint64_t now)
{
	int cancel;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	bool good = write_line(output, line, length, now);
	pthread_setcancelstate(cancel, NULL);
	return good;
}

bool output_start_stderr(struct output *output)
{
	struct file now;
	if (!identify_descriptor(STDERR_FILENO, &now))
		return false;
	take_over(output, &now);
	output->path[0] = '\0';
	output->kept = STDERR_FILENO;
	return true;
}

static bool is_secure(void)
{
	unsigned long (*value)(unsigned long) =
	        (unsigned long (*)(unsigned long))linker_dlsym(RTLD_DEFAULT, "getauxval");
	return !value || value(AT_SECURE);
}

bool output_start(struct output *output, const char *path)
{
	size_t n = 0;
	if (path[0] != '/') {    /* the host may change its directory */
		if (is_secure()) /* where its user would choose where raised privileges write */
			return false;
		if (syscall(SYS_getcwd, output->path, output->path_size - 1) < 0)
			return false;
		n = strlen(output->path);
		output->path[n++] = '/';
	}
	if (n + strlen(path) >= output->path_size) {
		output->path[0] = '\0';
		return false;
	}
	strcpy(output->path + n, path);
	return true;
}
