/*
 * process.c: see process.h.
 *
 * Where the kernel (or an emulator) cannot wipe memory at a fork, a pthread_atfork child handler empties it
 * instead. That handler runs at fork(), but not when a raw system call forks.
 */
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "host/events.h"
#include "host/linker.h"
#include "host/process.h"

#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif

/*
 * The library is linked without start files (Makefile) and is never unloaded: handlers that it registers
 * belong to no object.
 */
extern void *__dso_handle;
__attribute__((weak)) void *__dso_handle;

union forgotten_memory p11shim_forgotten __attribute__((aligned(FORGOTTEN_PAGE)));

/*
 * How the memory is wiped. This is ordinary memory, which a child inherits. It is written once, under
 * `entering`. If a fork comes meanwhile, it is unknown in the child, and the child asks again.
 */
static enum { WIPE_UNKNOWN, WIPE_BY_KERNEL, WIPE_BY_HANDLER } wipe;

/* How many threads are between process_linker_begin() and _end(). */
static _Atomic(unsigned) in_linker;

static void forget(void)
{
	memset(&p11shim_forgotten, 0, sizeof p11shim_forgotten);
}

/* Some emulators answer 0 to any advice. An advice that cannot exist tells whether this is one of them. */
static void arrange_to_forget(void)
{
	bool page_fits = sysconf(_SC_PAGESIZE) <= FORGOTTEN_PAGE;
	if (page_fits && madvise(&p11shim_forgotten, FORGOTTEN_SIZE, -1) != 0 &&
	    madvise(&p11shim_forgotten, FORGOTTEN_SIZE, MADV_WIPEONFORK) == 0) {
		wipe = WIPE_BY_KERNEL;
		return;
	}
	if (pthread_atfork(NULL, NULL, forget) == 0)
		wipe = WIPE_BY_HANDLER;
}

void process_enter(void)
{
	struct forgotten *now = &p11shim_forgotten.state;
	bool noticed = false;
	if (atomic_load_explicit(&now->entered, memory_order_acquire) != 0)
		return;
	lock_take(&now->entering);
	if (atomic_load(&now->entered) == 0) {
		noticed = wipe != WIPE_UNKNOWN;
		now->linker_suspect = noticed && atomic_load(&in_linker) > 0;
		if (now->linker_suspect)
			atomic_store(&in_linker, 0); /* those threads are not in this child */
		if (wipe == WIPE_UNKNOWN)
			arrange_to_forget();
		atomic_store_explicit(&now->entered, getpid(), memory_order_release);
	}
	lock_give(&now->entering);
	if (noticed)
		tell_event(.kind = EVENT_FORKED);
}

int process_number(void)
{
	return atomic_load_explicit(&p11shim_forgotten.state.entered, memory_order_relaxed);
}

bool process_alone(void)
{
	static const char never = 0;
	static _Atomic(const char *) single;
	const char *answer = atomic_load_explicit(&single, memory_order_acquire);
	if (UNLIKELY(!answer)) {
		answer = linker_dlsym(RTLD_DEFAULT, "__libc_single_threaded"); /* REENTRANT: no lock held */
		if (!answer) {
			linker_dlsym(RTLD_DEFAULT, "dlsym"); /* found, so dlerror() has nothing to tell */
			answer = &never;
		}
		atomic_store_explicit(&single, answer, memory_order_release);
	}
	return *(const volatile char *)answer != 0;
}

int process_linker_begin(void)
{
	atomic_fetch_add(&in_linker, 1);
	return process_number();
}

void process_linker_end(int begun)
{
	if (begun == process_number()) /* else a fork came between: nothing was counted in this process */
		atomic_fetch_sub(&in_linker, 1);
}

bool process_linker_suspect(void)
{
	return p11shim_forgotten.state.linker_suspect;
}
