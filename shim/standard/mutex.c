/*
 * mutex.c: see mutex.h. If a thread takes a mutex twice, or gives back one that it does not have, that is the
 * module's mistake. It gets an error for an answer instead of a deadlock.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "standard/mutex.h"

static CK_RV create(CK_VOID_PTR_PTR ppMutex)
{
	pthread_mutexattr_t kind;
	pthread_mutex_t *mutex = malloc(sizeof *mutex);
	if (!mutex)
		return CKR_HOST_MEMORY;
	pthread_mutexattr_init(&kind);
	pthread_mutexattr_settype(&kind, PTHREAD_MUTEX_ERRORCHECK);
	pthread_mutex_init(mutex, &kind);
	pthread_mutexattr_destroy(&kind);
	*ppMutex = mutex;
	return CKR_OK;
}

static CK_RV answer(int error)
{
	return error == 0 ? CKR_OK : error == EPERM ? CKR_MUTEX_NOT_LOCKED : CKR_MUTEX_BAD;
}

static CK_RV destroy(CK_VOID_PTR pMutex)
{
	if (!pMutex)
		return CKR_MUTEX_BAD;
	pthread_mutex_destroy(pMutex);
	free(pMutex);
	return CKR_OK;
}

static CK_RV take(CK_VOID_PTR pMutex)
{
	return pMutex ? answer(pthread_mutex_lock(pMutex)) : CKR_MUTEX_BAD;
}

static CK_RV give(CK_VOID_PTR pMutex)
{
	return pMutex ? answer(pthread_mutex_unlock(pMutex)) : CKR_MUTEX_BAD;
}

void mutex_functions(CK_C_INITIALIZE_ARGS *args)
{
	args->CreateMutex = create;
	args->DestroyMutex = destroy;
	args->LockMutex = take;
	args->UnlockMutex = give;
}
