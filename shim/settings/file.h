/*
 * file.h: a file that is read whole, and who may write it. By system calls, so that no thread is
 * cancelled in here.
 */
#ifndef P11SHIM_FILE_H
#define P11SHIM_FILE_H

#include "base/common.h"

/*
 * Whose word is taken. Nobody but root says what root is to do: to a process whose effective user
 * is root, a file counts only if it and all directories on its path, links followed, belong to
 * root, and nobody else may write there.
 */
enum file_trust {
	FILE_SHOWN,  /* whoever wrote it: nothing depends on it */
	FILE_NAMED,  /* anybody's; to root, root's */
	FILE_OF_USER /* the user's own, or root's; to root, root's */
};

#define FILE_DOUBT 80

/*
 * A file's text, with blanks for zeros, to be freed. NULL with errno: also for one that would have
 * to be waited for, a pipe or a terminal, or that does not end. NULL and a doubt that is not empty:
 * others may write it; the doubt says how.
 */
char *file_text(const char *path, enum file_trust trust, size_t *length, char doubt[FILE_DOUBT]);

#endif
