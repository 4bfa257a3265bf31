/*
 * output.h: a file that lines are appended to, by many threads and processes, inside a host that knows
 * nothing of it. The log and the trace are such files.
 *
 * Each line leaves in one write() to a descriptor opened for appending, so lines do not mix. Whatever goes
 * wrong, the line is lost and the program goes on.
 *
 * The host may close the descriptor, or use its number for something else, as daemons do. So before each line
 * the file behind the number is compared with the file that was opened; nothing is ever written into anything
 * else. If the file was moved away, or the descriptor closed, the file is opened anew by its absolute path.
 * If the process may not do that any more (it has changed user), it goes on with what it has. The same
 * comparison guards stderr: if that was closed, and is used for something else now, it gets nothing.
 *
 * If its reader is gone, or the file is at its size limit, writing raises a signal in the thread that writes.
 * The signal is held back and taken off before it can reach the host.
 *
 * When a line is lost for the first time, a message for people goes to stderr, if that is a terminal:
 * anything else that stderr may be is the program's own.
 *
 * Nothing here allocates or takes a lock, nor lets a thread be cancelled. errno is not kept.
 */
#ifndef P11SHIM_OUTPUT_H
#define P11SHIM_OUTPUT_H

#include "base/common.h"

struct output {
	char *path; /* of path_size bytes; absolute once started; "" for stderr */
	size_t path_size;
	const char *head;  /* what an empty file begins with; NULL: nothing */
	_Atomic(int) kept; /* the descriptor; 0: none yet */
	_Atomic(unsigned long long) device, inode;
	_Atomic(uint64_t) looked;   /* when the path was last looked at */
	_Atomic(unsigned) openings; /* how often a file was opened, or found emptied */
	_Atomic(bool) regular, may_signal, torn, warned;
};

/* Lets the output go to stderr as it is now. False: there is no stderr. */
bool output_start_stderr(struct output *output);

/*
 * Lets the output go to that path, made absolute; the first line opens the file. False: the path cannot be
 * made absolute, or may not be: in a process with raised privileges.
 */
bool output_start(struct output *output, const char *path);

/*
 * Writes a line, with its end. False: the line is lost. now: nanoseconds of CLOCK_MONOTONIC, for lines that
 * come thick and fast: then it is checked only ten times a second whether the path still leads to the file.
 * 0: it is checked now.
 */
bool output_write(struct output *output, const char *line, size_t length, uint64_t now);

#endif
