/*
 * locks.c: one thread opens and closes a plugin whose constructor (early.c)
 * uses a module, so it works under the dynamic linker's lock; others look the
 * same module up and use it all the time. A lock of ours held across a dl*
 * call would meet the linker's in the opposite order and stand still.
 */
#include "doors.h"
#include <pthread.h>
#include "standard/pkcs11.h"

#define ROUNDS 300

static void *opener(void *unused)
{
	int round;

	(void)unused;
	for (round = 0; round < ROUNDS; round++)
		dlclose(need_library(DOORS "/libdoor-early.so"));
	return NULL;
}

static void *user(void *unused)
{
	int round;

	(void)unused;
	for (round = 0; round < ROUNDS; round++) {
		void *module = need_library(DOORS "/libdoor-module.so");
		CK_C_GetFunctionList get = (CK_C_GetFunctionList)dlsym(module, "C_GetFunctionList");
		CK_FUNCTION_LIST_PTR functions = NULL;
		CK_INFO info;

		CHECK(get && get(&functions) == CKR_OK && functions, "no function list");
		/* Without the shim these may fail; that is another test's matter. */
		functions->C_Initialize(NULL);
		functions->C_GetInfo(&info);
		functions->C_Finalize(NULL);
		dlclose(module);
	}
	return NULL;
}

int main(void)
{
	pthread_t threads[4];
	int i;

	alarm(60);
	for (i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, i % 2 ? user : opener, NULL);
	for (i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	printf("all threads came back\n");
	return door_failures != 0;
}
