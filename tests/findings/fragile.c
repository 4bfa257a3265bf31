/*
 * fragile.c: a module as there are some: it checks nothing. A C_Finalize too many
 * writes to memory that is no longer there. C_GetInfo comes back when C_Finalize
 * is called.
 */
#include "standard/pkcs11.h"
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

static struct state {
	long calls;
} * state;
static atomic_int waiting, life;

EXPORT int fragile_waiting(void);
EXPORT CK_RV C_GetFunctionList(CK_FUNCTION_LIST_PTR_PTR list);

int fragile_waiting(void)
{
	return atomic_load(&waiting);
}

static CK_RV initialise(void *args)
{
	(void)args;
	state = mmap(NULL, sizeof *state, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return state == MAP_FAILED ? CKR_HOST_MEMORY : CKR_OK;
}

static CK_RV finalise(void *reserved)
{
	(void)reserved;
	state->calls++; /* the crash */
	atomic_fetch_add(&life, 1);
	munmap(state, sizeof *state);
	return CKR_OK;
}

static CK_RV get_info(CK_INFO *info)
{
	int since = atomic_load(&life);

	memset(info, 0, sizeof *info);
	atomic_fetch_add(&waiting, 1);
	while (atomic_load(&life) == since)
		usleep(200);
	atomic_fetch_sub(&waiting, 1);
	return CKR_CRYPTOKI_NOT_INITIALIZED;
}

CK_RV C_GetFunctionList(CK_FUNCTION_LIST_PTR_PTR list)
{
	static CK_FUNCTION_LIST functions = {
	        .version = {2, 40},
	        .C_Initialize = initialise,
	        .C_Finalize = finalise,
	        .C_GetInfo = get_info,
	        .C_GetFunctionList = C_GetFunctionList,
	};

	*list = &functions;
	return CKR_OK;
}
