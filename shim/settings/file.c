/*
 * file.c: see file.h.
 *
 * Why the walk is safe: it starts at the root directory, or goes up to it from the current directory. It
 * enters a directory, or follows a link, only if root alone can have put it there. So root alone can change
 * what the walk comes to afterwards. And at its end the walk must have come to the very file that is open.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "settings/file.h"

#define LARGEST_FILE (1 << 20) /* bytes */
#define LONGEST_PATH 2048
#define MOST_LINKS 40

#ifdef SYS_geteuid32 /* the other system call knows only users of 16 bits */
#define EFFECTIVE_USER SYS_geteuid32
#else
#define EFFECTIVE_USER SYS_geteuid
#endif

/* The layout of struct stat differs between architectures, that of struct statx does not. */
static bool look_at(int directory, const char *name, int flags, struct statx *found)
{
	return syscall(SYS_statx, directory, name, flags | AT_STATX_DONT_SYNC, STATX_BASIC_STATS, found) == 0;
}

static bool is_same(const struct statx *a, const struct statx *b)
{
	return a->stx_ino == b->stx_ino && a->stx_dev_major == b->stx_dev_major &&
	       a->stx_dev_minor == b->stx_dev_minor;
}

/*
 * Is the user root, or the owner of the root directory? That owner can do all that root can. In a user
 * namespace that does not contain root, files of root appear there as files of that owner.
 */
static bool is_root(unsigned user)
{
	struct statx top;
	return user == 0 || (look_at(AT_FDCWD, "/", 0, &top) && top.stx_uid == user);
}

/*
 * Is root the only user that may write there? In a sticky directory other users may not touch what is root's.
 */
static bool is_roots(const struct statx *file)
{
	bool sticky = S_ISDIR(file->stx_mode) && (file->stx_mode & S_ISVTX);
	return is_root(file->stx_uid) &&
	       (S_ISLNK(file->stx_mode) || sticky || !(file->stx_mode & (S_IWGRP | S_IWOTH)));
}

static bool doubtful(char doubt[FILE_DOUBT], const char *what, const struct statx *file)
{
	snprintf(doubt, FILE_DOUBT, "%sowner %u, mode %04o", what, (unsigned)file->stx_uid,
	         (unsigned)(file->stx_mode & 07777));
	return true;
}

/*
 * A walk on its way: the directory that it has reached, what is left of the path, and why it went no further.
 */
struct walk {
	int directory;
	unsigned links;
	char rest[LONGEST_PATH];
	char *doubt;
};

static bool go_into(struct walk *walk, const char *name)
{
	int next = (int)syscall(SYS_openat, walk->directory, name,
	                        O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct statx found;
	if (walk->directory >= 0)
		syscall(SYS_close, walk->directory);
	walk->directory = next;
	if (next < 0 || !look_at(next, "", AT_EMPTY_PATH, &found))
		return false;
	return is_roots(&found) || !doubtful(walk->doubt, "a directory on its path: ", &found);
}

/* Goes from the current directory up to the root directory, and then starts in the current one. */
static bool start_here(struct walk *walk)
{
	struct statx here, above;
	if (!go_into(walk, "."))
		return false;
	for (;;) {
		if (!look_at(walk->directory, "", AT_EMPTY_PATH, &here) || !go_into(walk, "..") ||
		    !look_at(walk->directory, "", AT_EMPTY_PATH, &above))
			return false;
		if (is_same(&here, &above))
			break;
	}
	syscall(SYS_close, walk->directory);
	walk->directory = AT_FDCWD;
	return go_into(walk, ".");
}

static bool follow(struct walk *walk, const char *name)
{
	char path[LONGEST_PATH];
	long length = syscall(SYS_readlinkat, walk->directory, name, path, sizeof path);
	size_t left = strlen(walk->rest) + 1;
	if (length < 0)
		return false;
	if (++walk->links > MOST_LINKS || (size_t)length + 1 + left > sizeof walk->rest) {
		errno = ELOOP;
		return false;
	}
	memmove(walk->rest + length + 1, walk->rest, left);
	memcpy(walk->rest, path, (size_t)length);
	walk->rest[length] = '/';
	return path[0] != '/' || go_into(walk, "/");
}

/* Puts the next part of the path into name; false: there is none. */
static bool next_part(struct walk *walk, char name[256])
{
	const char *part = walk->rest + strspn(walk->rest, "/");
	size_t length = strcspn(part, "/");
	if (length == 0 || length > 255)
		return false;
	memcpy(name, part, length);
	name[length] = '\0';
	part += length + strspn(part + length, "/");
	memmove(walk->rest, part, strlen(part) + 1);
	return true;
}

/* Does the path lead to that file, and by root's leave alone? On false, errno or a doubt says why not. */
static bool leads_to(struct walk *walk, const struct statx *file)
{
	char name[256];
	struct statx found;
	if (walk->rest[0] == '/' ? !go_into(walk, "/") : !start_here(walk))
		return false;
	while (next_part(walk, name)) {
		if (!look_at(walk->directory, name, AT_SYMLINK_NOFOLLOW, &found))
			return false;
		if (!is_roots(&found))
			return !doubtful(walk->doubt,
			                 S_ISDIR(found.stx_mode)   ? "a directory on its path: "
			                 : S_ISLNK(found.stx_mode) ? "a link on its path: "
			                                           : "",
			                 &found);
		if (S_ISLNK(found.stx_mode) ? !follow(walk, name) : walk->rest[0] && !go_into(walk, name))
			return false;
		if (!S_ISLNK(found.stx_mode) && !walk->rest[0] && is_same(&found, file))
			return true;
	}
	errno = ESTALE; /* the path led to another file a moment ago */
	return false;
}

static bool is_reached_by_root_alone(const char *path, const struct statx *file, char doubt[FILE_DOUBT])
{
	struct walk walk = {.directory = AT_FDCWD, .doubt = doubt};
	bool reached = false;
	errno = ENAMETOOLONG;
	if (strlen(path) < sizeof walk.rest) {
		strcpy(walk.rest, path);
		reached = leads_to(&walk, file);
	}
	int error = errno;
	if (walk.directory >= 0)
		syscall(SYS_close, walk.directory);
	if (!reached && !doubt[0])
		snprintf(doubt, FILE_DOUBT, "cannot tell who: error %d", error);
	return reached;
}

static bool is_trusted(int fd, const char *path, enum file_trust trust, char doubt[FILE_DOUBT])
{
	struct statx file;
	unsigned user = (unsigned)syscall(EFFECTIVE_USER);
	if (trust == FILE_SHOWN || (user != 0 && trust == FILE_NAMED))
		return true;
	if (!look_at(fd, "", AT_EMPTY_PATH, &file)) {
		snprintf(doubt, FILE_DOUBT, "cannot tell who: error %d", errno);
		return user != 0;
	}
	if (user != 0)
		return file.stx_uid == user || is_root(file.stx_uid) || !doubtful(doubt, "", &file);
	if (!is_roots(&file))
		return !doubtful(doubt, "", &file);
	return is_reached_by_root_alone(path, &file, doubt);
}

static char *read_whole(int fd, size_t *length)
{
	char *text = NULL;
	size_t room = 0;
	long got = 1;
	while (got > 0) {
		if (*length + 1 >= room) {
			room = room ? 2 * room : 4096;
			char *more = room <= LARGEST_FILE ? realloc(text, room) : NULL;
			if (!more) {
				errno = room > LARGEST_FILE ? EFBIG : ENOMEM;
				got = -1;
				break;
			}
			text = more;
		}
		got = syscall(SYS_read, fd, text + *length, room - *length - 1);
		*length += got > 0 ? (size_t)got : 0;
	}
	if (got == 0) {
		text[*length] = '\0';
		for (size_t i = 0; i < *length; i++)
			text[i] = text[i] ? text[i] : ' ';
		return text;
	}
	int error = errno;
	free(text);
	errno = error;
	return NULL;
}

char *file_text(const char *path, enum file_trust trust, size_t *length, char doubt[FILE_DOUBT])
{
	int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	char *text = NULL;
	*length = 0;
	doubt[0] = '\0';
	if (fd < 0)
		return NULL;
	text = read_whole(fd, length);
	int error = errno;
	if (text && !is_trusted(fd, path, trust, doubt)) {
		free(text);
		text = NULL;
	}
	syscall(SYS_close, fd);
	errno = error;
	return text;
}
