/*
 * file.h: reads a file whole, and checks which users may write it. It makes system calls directly, so that no
 * thread is cancelled in here.
 */
#ifndef P11SHIM_FILE_H
#define P11SHIM_FILE_H

#include "base/common.h"

/*
 * Which files are believed. Only root may say what root is to do. So for a process whose effective user is
 * root, a file counts only if the file and all directories on its path, links followed, belong to root, and
 * if root alone may write there.
 */
enum file_trust {
	FILE_SHOWN,  /* any file: nothing depends on it */
	FILE_NAMED,  /* any user's file; for root, only root's */
	FILE_OF_USER /* the user's own file, or root's; for root, only root's */
};

#define FILE_DOUBT 80

/*
 * A file's text, with blanks in place of zeros; the caller frees it.
 *
 * NULL with errno: the file cannot be read. This is also the answer for a file that would have to be waited
 * for (a pipe or a terminal), and for one that does not end. NULL and a doubt that is not empty: other users
 * may write the file; the doubt says how.
 */
char *file_text(const char *path, enum file_trust trust, size_t *length, char doubt[FILE_DOUBT]);

#endif
