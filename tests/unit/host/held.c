/*
 * held.c: a library to be loaded, held and unloaded by test-object.c. It has an
 * exit handler and a destructor of its own.
 */
#include <stdlib.h>

int held(void);

static void bye(void)
{
}

__attribute__((constructor)) static void hello(void)
{
	atexit(bye);
}

static volatile int ended;

__attribute__((destructor)) static void end(void)
{
	ended = 1;
}

int held(void)
{
	return 1;
}
