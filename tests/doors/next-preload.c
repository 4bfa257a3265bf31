/*
 * next-preload.c: a preload library of the common kind: it wraps getenv and
 * time, and finds the ones behind it by dlsym(RTLD_NEXT). Built twice (COUNT
 * differs), so that a test can put one on either side of the shim.
 *
 * If RTLD_NEXT were answered from the shim's place in the chain instead of
 * ours, a library behind the shim would find itself, without end.
 */
#include "doors.h"
#include <time.h>

int COUNT(void);

static int calls, depth;

static void found_itself(void)
{
	static const char words[] = "FAILED: RTLD_NEXT led back to its caller\n";

	(void)!write(1, words, sizeof(words) - 1);
	_exit(1);
}

int COUNT(void)
{
	return calls;
}

char *getenv(const char *name)
{
	static char *(*next)(const char *);
	char *value;

	if (!next)
		next = (char *(*)(const char *))dlsym(RTLD_NEXT, "getenv");
	if (next == getenv || depth > 8)
		found_itself();
	if (!strcmp(name, "DOOR_NEXT"))
		calls++;
	depth++;
	value = next(name);
	depth--;
	return value;
}

time_t time(time_t *to)
{
	static time_t (*next)(time_t *);

	if (!next)
		next = (time_t(*)(time_t *))dlsym(RTLD_NEXT, "time");
	if (next == time)
		found_itself();
	calls++;
	return next(to);
}
