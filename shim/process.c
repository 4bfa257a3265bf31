/*
 * process.c: see process.h.
 *
 * Where the kernel (or an emulator) cannot wipe, a pthread_atfork child handler
 * empties the memory instead. That notices fork(), but no raw system call.
 */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "journal.h"
#include "process.h"

#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif

/*
 * The library is linked without start files (Makefile) and never unloaded:
 * handlers registered by it belong to no object.
 */
extern void *__dso_handle;
__attribute__((weak)) void *__dso_handle;

union forgotten_memory p11shim_forgotten __attribute__((aligned(FORGOTTEN_PAGE)));

/*
 * Ordinary memory, inherited by a child. Written only under `entering`, once a
 * process. A fork in the middle of the writing leaves `entered` zero in the
 * child, who writes all of them anew.
 */
static _Atomic(unsigned) generation;
static enum { WIPE_UNKNOWN, WIPE_BY_KERNEL, WIPE_BY_HANDLER } wipe;

static void forget(void)
{
	memset(&p11shim_forgotten, 0, sizeof p11shim_forgotten);
}

/*
 * Some emulators answer 0 to any advice; one that cannot exist tells. Called
 * under `entering`, so that a fork meanwhile finds `wipe` either still unknown,
 * which makes the child ask again, or right.
 */
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

static bool entered(void)
{
	return atomic_load_explicit(&p11shim_forgotten.state.entered, memory_order_acquire) != 0;
}

void process_enter(void)
{
	if (entered())
		return;
	struct forgotten *now = &p11shim_forgotten.state;
	bool child = false;
	pthread_mutex_lock(&now->entering);
	if (!entered()) {
		if (wipe == WIPE_UNKNOWN)
			arrange_to_forget();
		unsigned g = atomic_load(&generation) + 1;
		atomic_store(&generation, g);
		child = g > 1;
		atomic_store_explicit(&now->entered, 1, memory_order_release);
	}
	pthread_mutex_unlock(&now->entering);
	if (child)
		journal_note("fork", "child of a process that uses PKCS #11");
}

unsigned process_generation(void)
{
	return atomic_load_explicit(&generation, memory_order_relaxed);
}
