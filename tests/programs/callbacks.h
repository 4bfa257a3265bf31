/*
 * callbacks.h: mutex functions for C_Initialize that work, of whoever includes it.
 */
#ifndef CALLBACKS_H
#define CALLBACKS_H

#include "standard/pkcs11.h"
#include <pthread.h>
#include <stdlib.h>

static CK_RV create_mutex(CK_VOID_PTR_PTR mutex)
{
	*mutex = calloc(1, sizeof(pthread_mutex_t));
	return *mutex ? CKR_OK : CKR_HOST_MEMORY;
}

static CK_RV destroy_mutex(CK_VOID_PTR mutex)
{
	free(mutex);
	return CKR_OK;
}

static CK_RV lock_mutex(CK_VOID_PTR mutex)
{
	return pthread_mutex_lock(mutex) ? CKR_MUTEX_BAD : CKR_OK;
}

static CK_RV unlock_mutex(CK_VOID_PTR mutex)
{
	return pthread_mutex_unlock(mutex) ? CKR_MUTEX_NOT_LOCKED : CKR_OK;
}

#define CALLBACKS create_mutex, destroy_mutex, lock_mutex, unlock_mutex

#endif
