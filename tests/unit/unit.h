/*
 * unit.h: what the tests of single rooms share. Each program links the whole
 * shim (its dlsym is then the program's own).
 */
#ifndef UNIT_H
#define UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* Runs body in a forked child, for what a process does only once. Its exit status, 99 for a signal. */
static inline int in_child(int (*body)(void))
{
	fflush(NULL);
	pid_t child = fork();
	if (child == 0) {
		alarm(60);
		_exit(body());
	}
	int status = -1;
	waitpid(child, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 99;
}

/* In a child: end with that line as the mark of what went wrong. */
#define CHILD_CHECK(condition)                                                                  \
	do {                                                                                    \
		if (!(condition)) {                                                             \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
			return 1;                                                               \
		}                                                                               \
	} while (0)

#endif
