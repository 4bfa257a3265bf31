/*
 * malloc-preload.c: an allocator wrapper that finds the real functions by
 * dlsym(RTLD_NEXT) inside the first call, as leak checkers and profilers do.
 * An allocation made by dlsym itself would come back here without end: it is
 * counted (door_malloc_count) and, inside the first lookup, fatal.
 */
#include "doors.h"

unsigned long door_malloc_count(void);

static void *(*real_malloc)(size_t);
static void *(*real_calloc)(size_t, size_t);
static void *(*real_realloc)(void *, size_t);
static void (*real_free)(void *);

static unsigned long calls;
static int resolving;

static void allocated_inside(void)
{
	static const char words[] = "FAILED: dlsym allocated memory inside malloc\n";

	(void)!write(2, words, sizeof(words) - 1);
	_exit(1);
}

/* In the first call of any of them, while there is one thread. */
static void resolve(void)
{
	if (real_free)
		return;
	if (resolving)
		allocated_inside();
	resolving = 1;
	real_malloc = (void *(*)(size_t))dlsym(RTLD_NEXT, "malloc");
	real_calloc = (void *(*)(size_t, size_t))dlsym(RTLD_NEXT, "calloc");
	real_realloc = (void *(*)(void *, size_t))dlsym(RTLD_NEXT, "realloc");
	real_free = (void (*)(void *))dlsym(RTLD_NEXT, "free");
	if (!real_malloc || !real_calloc || !real_realloc || !real_free)
		_exit(1);
}

/* Calls to any of them, by the program or by anyone it calls. */
unsigned long door_malloc_count(void)
{
	return calls;
}

void *malloc(size_t size)
{
	resolve();
	calls++;
	return real_malloc(size);
}

void *calloc(size_t count, size_t size)
{
	resolve();
	calls++;
	return real_calloc(count, size);
}

void *realloc(void *block, size_t size)
{
	resolve();
	calls++;
	return real_realloc(block, size);
}

void free(void *block)
{
	resolve();
	calls++;
	real_free(block);
}
