/*
 * door.c: the C side of door/ARCH.S. Each p11shim_door_NAME() is asked where a call of NAME should go on to.
 * Its answer is nearly always the next NAME in the chain of interposers.
 *
 * This runs for every dlsym of a host that may never have heard of PKCS #11: inside malloc, inside
 * constructors that run before the shim's would, in a signal handler, between fork and exec. So the way
 * through takes no lock, allocates nothing and reads no environment, and there is no constructor at all: the
 * next functions are found on first use (host/linker.c). errno is kept.
 */
#include <errno.h>
#include <string.h>

#include "core/module.h"
#include "entrance/door.h"
#include "entrance/lookup.h"
#include "host/events.h"
#include "host/linker.h"

/* Called by door/ARCH.S; the first one is defined there. */
void *p11shim_door_answer(void *first);
void *p11shim_door_dlsym(struct door_frame *frame);
void *p11shim_door_dlopen(struct door_frame *frame);
void *p11shim_door_dlmopen(struct door_frame *frame);
void *p11shim_door_dlclose(struct door_frame *frame);

/* dlsym of a C_* name with a real handle: perhaps the shim is to answer it. */
__attribute__((noinline)) static void *divert(struct door_frame *frame)
{
	int error = errno;
	void *answer =
	        lookup_symbol((void *)frame->argument[0], (const char *)frame->argument[1], frame->caller);
	errno = error;
	if (!answer)
		return linker_next(LINKER_DLSYM); /* it asks again: so result and dlerror() are its own */
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
 * dlopen, dlmopen and dlclose are only watched. A module that is loaded where an unloaded one was must not be
 * taken for it. So before an object is loaded, the shim looks whether its modules are still there (if there
 * are any). RTLD_DEEPBIND is the one flag that hides a consumer from the shim; it is taken out only if the
 * user asks for that.
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
