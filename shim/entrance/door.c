/*
 * door.c: the C side of door/ARCH.S. Each p11shim_door_NAME() is asked where a
 * call of NAME should go on to, and answers with the next NAME in the chain of
 * interposers, nearly always.
 *
 * This runs for every dlsym of a host that may never have heard of PKCS #11:
 * inside malloc, inside constructors that run before ours would, in a signal
 * handler, between fork and exec. So the way through takes no lock, allocates
 * nothing, reads no environment, and there is no constructor at all: the next
 * functions are found on first use (host/linker.c). errno is kept.
 */
#include <errno.h>
#include <string.h>

#include "core/module.h"
#include "entrance/door.h"
#include "entrance/lookup.h"
#include "host/events.h"
#include "host/linker.h"

/* Called by, or standing in, door/ARCH.S. */
void *p11shim_door_answer(void *first);
void *p11shim_door_dlsym(struct door_frame *frame);
void *p11shim_door_dlopen(struct door_frame *frame);
void *p11shim_door_dlmopen(struct door_frame *frame);
void *p11shim_door_dlclose(struct door_frame *frame);

/* A C_* name, asked of a real handle: perhaps one of ours to answer. */
__attribute__((noinline)) static void *divert(struct door_frame *frame)
{
	int error = errno;
	void *answer =
	        lookup_symbol((void *)frame->argument[0], (const char *)frame->argument[1], frame->caller);
	errno = error;
	if (!answer)
		return linker_next(LINKER_DLSYM); /* asks again: so result and dlerror() are its own */
	frame->argument[0] = (uintptr_t)answer;
	return (void *)p11shim_door_answer;
}

UNSANITIZED void *p11shim_door_dlsym(struct door_frame *frame)
{
	const char *name = (const char *)frame->argument[1];
	void *handle = (void *)frame->argument[0];
	if (UNLIKELY(name && name[0] == 'C' && name[1] == '_') && handle != RTLD_DEFAULT &&
	    handle != RTLD_NEXT)
		return divert(frame);
	return linker_next(LINKER_DLSYM);
}

/*
 * The others are only watched. Loading: a module that is loaded where an
 * unloaded one was must not be taken for it, so modules look whether they are
 * still there (only where there are any). RTLD_DEEPBIND is the one flag that
 * hides a consumer from the shim; taking it away is for the user to ask for.
 */
UNSANITIZED static bool watched(int flags)
{
	return linker_hides(flags) || atomic_load_explicit(&modules_made, memory_order_relaxed);
}

UNSANITIZED void *p11shim_door_dlopen(struct door_frame *frame)
{
	if (UNLIKELY(watched((int)frame->argument[1])) &&
	    lookup_before_load((const char *)frame->argument[0], (int)frame->argument[1]))
		frame->argument[1] &= ~LINKER_HIDES;
	return linker_next(LINKER_DLOPEN);
}

UNSANITIZED void *p11shim_door_dlmopen(struct door_frame *frame)
{
	if (UNLIKELY(watched((int)frame->argument[2])) &&
	    lookup_before_load((const char *)frame->argument[1], (int)frame->argument[2]))
		frame->argument[2] &= ~LINKER_HIDES;
	return linker_next(LINKER_DLMOPEN);
}

UNSANITIZED void *p11shim_door_dlclose(struct door_frame *frame)
{
	if (UNLIKELY(events_recorder()))
		lookup_before_unload((const void *)frame->argument[0]);
	return linker_next(LINKER_DLCLOSE);
}
