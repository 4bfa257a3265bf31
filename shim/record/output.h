/*
 * output.h: a file that lines are appended to, by many threads and processes,
 * inside a host that knows nothing of it. The journal's and the trace's.
 *
 * Each line leaves in one write() to a descriptor opened for appending, so lines
 * do not mix. Whatever goes wrong, the line is lost and the program goes on.
 *
 * The host may close our descriptor or use its number for something else, as
 * daemons do. So before each line the file behind the number is compared with
 * the one that was opened; nothing is ever written into anything else. A file
 * that was moved away, or a descriptor that was closed, is opened anew by its
 * absolute path; if the process may not do that any more (it has changed user),
 * it goes on with what it has. The same comparison guards stderr: closed and used
 * for something else, it gets nothing.
 *
 * A reader that is gone, or a file at its size limit, raises a signal in whoever
 * writes. It is held back and taken off before it can reach the host.
 *
 * If a line is lost, the first time a person is told, on stderr, if that is a
 * terminal: anything else it may be is the program's own.
 *
 * Nothing here allocates or takes a lock, nor lets a thread be cancelled. errno is
 * not kept.
 */
#ifndef P11SHIM_OUTPUT_H
#define P11SHIM_OUTPUT_H

#include "base/common.h"

struct output {
	char *path; /* of so many bytes; absolute once started; "" for stderr */
	size_t path_size;
	const char *head;  /* what an empty file begins with; NULL: nothing */
	_Atomic(int) kept; /* the descriptor; 0: none yet */
	_Atomic(unsigned long long) device, inode;
	_Atomic(uint64_t) looked;   /* when the path was last looked at */
	_Atomic(unsigned) openings; /* how often a file was opened, or found emptied */
	_Atomic(bool) regular, may_signal, torn, warned;
};

/* To stderr as it is now. False: there is none. */
bool output_start_stderr(struct output *output);

/*
 * To that path, made absolute; it is opened by the first line. False: it cannot be
 * made absolute, or may not be: in a process with raised privileges.
 */
bool output_start(struct output *output, const char *path);

/*
 * Writes a line, with its end. now: nanoseconds of CLOCK_MONOTONIC, for lines that
 * come thick and fast: then whether the path still leads to the file is looked at
 * ten times a second only. 0: it is looked at. False: the line is lost.
 */
bool output_write(struct output *output, const char *line, size_t length, uint64_t now);

#endif
