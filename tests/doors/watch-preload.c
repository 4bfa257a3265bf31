/*
 * watch-preload.c: counts the calls, by anyone, of functions that a lookup
 * which is not diverted has no business calling: the environment, locks, other
 * dl* functions, files. Only while the program asks (door_watching).
 */
#include "doors.h"
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/stat.h>

extern int door_watching;
extern int door_watched;
extern const char *door_watched_name;

int door_watching, door_watched;
const char *door_watched_name = "";

static void seen(const char *name)
{
	if (!door_watching)
		return;
	door_watched++;
	door_watched_name = name;
}

/* A definition that counts and goes on to the real one. */
#define WATCHED(type, name, parameters, ...)                                \
	type name parameters                                                \
	{                                                                   \
		static type(*real) parameters;                              \
                                                                            \
		seen(#name);                                                \
		if (!real)                                                  \
			real = (type(*) parameters)dlsym(RTLD_NEXT, #name); \
		return real(__VA_ARGS__);                                   \
	}

WATCHED(char *, getenv, (const char *name), name)
WATCHED(char *, secure_getenv, (const char *name), name)
WATCHED(int, pthread_mutex_lock, (pthread_mutex_t * mutex), mutex)
WATCHED(int, pthread_mutex_trylock, (pthread_mutex_t * mutex), mutex)
WATCHED(int, pthread_rwlock_rdlock, (pthread_rwlock_t * lock), lock)
WATCHED(int, pthread_rwlock_wrlock, (pthread_rwlock_t * lock), lock)
WATCHED(int, pthread_once, (pthread_once_t * once, void (*function)(void)), once, function)
WATCHED(int, pthread_sigmask, (int how, const sigset_t *set, sigset_t *old), how, set, old)
WATCHED(int, dladdr, (const void *address, Dl_info *info), address, info)
WATCHED(int, dladdr1, (const void *address, Dl_info *info, void **extra, int flags), address, info, extra,
        flags)
WATCHED(int, dlinfo, (void *restrict handle, int request, void *restrict to), handle, request, to)
WATCHED(int, dl_iterate_phdr, (int (*function)(struct dl_phdr_info *, size_t, void *), void *data), function,
        data)
WATCHED(char *, dlerror, (void), )
WATCHED(FILE *, fopen, (const char *restrict path, const char *restrict mode), path, mode)
WATCHED(int, stat, (const char *restrict path, struct stat *restrict to), path, to)
WATCHED(int, fstat, (int file, struct stat *to), file, to)
WATCHED(int, madvise, (void *start, size_t length, int advice), start, length, advice)
