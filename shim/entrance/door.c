/*
 * door.c: the C side of door/ARCH.S. Each p11shim_door_NAME() is asked where a
 * call of NAME should go on to, and answers with the next NAME in the chain of
 * interposers, nearly always.
 *
 * This runs for every dlsym of a host that may never have heard of PKCS #11:
 * inside malloc, inside constructors that run before ours would, in a signal
 * handler, between fork and exec. So the way through takes no lock, allocates
 * nothing, reads no environment, and there is no constructor at all: the next
 * functions are found on first use. Threads that race there find and store the
 * same pointers. errno is kept.
 *
 * The next function is looked up in two steps. dlvsym() by glibc's version
 * passes over unversioned interposers, so it always gives glibc's dlsym, and
 * that one, asked for RTLD_NEXT from here, gives whoever comes after us, so that
 * other interposers stay in the chain. The oldest version is asked for: newer
 * glibcs still have it, and a lookup that cannot fail never allocates an error
 * text.
 */
#include <errno.h>
#include <string.h>

#include "core/lists.h"
#include "entrance/door.h"
#include "record/journal.h"

#if defined __x86_64__
#define GLIBC_DLSYM "GLIBC_2.2.5"
#define GLIBC_DLOPEN "GLIBC_2.2.5"
#define GLIBC_DLMOPEN "GLIBC_2.3.4"
#elif defined __i386__
#define GLIBC_DLSYM "GLIBC_2.0"
#define GLIBC_DLOPEN "GLIBC_2.1"
#define GLIBC_DLMOPEN "GLIBC_2.3.4"
#elif defined __aarch64__
#define GLIBC_DLSYM "GLIBC_2.17"
#define GLIBC_DLOPEN "GLIBC_2.17"
#define GLIBC_DLMOPEN "GLIBC_2.17"
#endif

enum { DLSYM, DLOPEN, DLMOPEN, DLCLOSE, DOORS };

static const char door_name[DOORS][8] = {"dlsym", "dlopen", "dlmopen", "dlclose"};

static _Atomic(void *) next[DOORS];
static _Atomic(void *) glibc[DOORS];

/* Called by, or standing in, door/ARCH.S. */
void *p11shim_door_answer(void *first);
void *p11shim_door_dlsym(struct door_frame *frame);
void *p11shim_door_dlopen(struct door_frame *frame);
void *p11shim_door_dlmopen(struct door_frame *frame);
void *p11shim_door_dlclose(struct door_frame *frame);

UNSANITIZED static void *find_glibc(int door)
{
	void *found = atomic_load_explicit(&glibc[door], memory_order_acquire);
	if (UNLIKELY(!found)) {
		static const char version[DOORS][12] = {GLIBC_DLSYM, GLIBC_DLOPEN, GLIBC_DLMOPEN,
		                                        GLIBC_DLSYM};
		int error = errno;
		found = dlvsym(RTLD_NEXT, door_name[door], version[door]);
		errno = error;
		atomic_store_explicit(&glibc[door], found, memory_order_release);
	}
	return found;
}

UNSANITIZED static void *find_next(int door)
{
	void *found = atomic_load_explicit(&next[door], memory_order_acquire);
	if (UNLIKELY(!found)) {
		void *(*glibc_dlsym)(void *, const char *) =
		        (void *(*)(void *, const char *))find_glibc(DLSYM);
		int error = errno;
		found = glibc_dlsym(RTLD_NEXT, door_name[door]);
		errno = error;
		if (!found)
			found = find_glibc(door);
		atomic_store_explicit(&next[door], found, memory_order_release);
	}
	return found;
}

void *door_dlsym(void *handle, const char *name)
{
	return ((void *(*)(void *, const char *))find_next(DLSYM))(handle, name);
}

void *door_dlopen(const char *path, int flags)
{
	return ((void *(*)(const char *, int))find_glibc(DLOPEN))(path, flags);
}

void *door_dlmopen(long space, const char *path, int flags)
{
	return ((void *(*)(long, const char *, int))find_glibc(DLMOPEN))(space, path, flags);
}

int door_dlclose(void *handle)
{
	return ((int (*)(void *))find_glibc(DLCLOSE))(handle);
}

/* A C_* name, asked of a real handle: perhaps one of ours to answer. */
__attribute__((noinline)) static void *divert(struct door_frame *frame)
{
	int error = errno;
	void *answer =
	        lists_symbol((void *)frame->argument[0], (const char *)frame->argument[1], frame->caller);
	errno = error;
	if (!answer)
		return find_next(DLSYM); /* asks again: so result and dlerror() are its own */
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
	return find_next(DLSYM);
}

/*
 * The others are only watched. Loading: a module that is loaded where an
 * unloaded one was must not be taken for it, so modules look whether they are
 * still there (only where there are any). RTLD_DEEPBIND is the one flag that
 * hides a consumer from the shim; taking it away is for the user to ask for.
 */
UNSANITIZED static bool watched(int flags)
{
	return flags & RTLD_DEEPBIND || atomic_load_explicit(&modules_made, memory_order_relaxed);
}

UNSANITIZED void *p11shim_door_dlopen(struct door_frame *frame)
{
	if (UNLIKELY(watched((int)frame->argument[1])) &&
	    lists_before_load((const char *)frame->argument[0], (int)frame->argument[1]))
		frame->argument[1] &= ~(uintptr_t)RTLD_DEEPBIND;
	return find_next(DLOPEN);
}

UNSANITIZED void *p11shim_door_dlmopen(struct door_frame *frame)
{
	if (UNLIKELY(watched((int)frame->argument[2])) &&
	    lists_before_load((const char *)frame->argument[1], (int)frame->argument[2]))
		frame->argument[2] &= ~(uintptr_t)RTLD_DEEPBIND;
	return find_next(DLMOPEN);
}

UNSANITIZED void *p11shim_door_dlclose(struct door_frame *frame)
{
	if (UNLIKELY(atomic_load_explicit(&journal_open, memory_order_acquire)))
		lists_before_unload((const void *)frame->argument[0]);
	return find_next(DLCLOSE);
}
