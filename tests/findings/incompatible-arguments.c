/*
 * incompatible-arguments: what a library wishes, in vain, since the module is
 * initialised already.
 *
 *   reserved    parameters in pReserved
 *   threads     that the module creates no threads
 *   locking     that the module locks
 *   same        nothing that this program had not wished too
 *   callbacks   (of this program, and the first) two of the four mutex functions
 */
#include "finding.h"
#include "guest.h"

static CK_FUNCTION_LIST *list;
static CK_C_INITIALIZE_ARGS args;

static CK_RV start_up(void)
{
	return list->C_Initialize(&args);
}

static CK_RV do_nothing(void *mutex)
{
	(void)mutex;
	return CKR_OK;
}

static void half_the_callbacks(void)
{
	args.LockMutex = args.UnlockMutex = do_nothing;
	CHECK(start_up() == CKR_ARGUMENTS_BAD);
}

int main(int argc, char **argv)
{
	CK_C_INITIALIZE_ARGS guests = {.flags = CKF_OS_LOCKING_OK};

	list = list_of(load_module(argv[1]));
	if (is_variant(argc, argv, "callbacks")) {
		half_the_callbacks();
		return 0;
	}
	if (is_variant(argc, argv, "reserved"))
		guests.pReserved = (void *)(uintptr_t) "configdir='/of/the/guest'";
	if (is_variant(argc, argv, "threads"))
		guests.flags |= CKF_LIBRARY_CANT_CREATE_OS_THREADS;
	if (!is_variant(argc, argv, "locking"))
		args.flags = CKF_OS_LOCKING_OK;
	guest_loads(argv[1]);
	MUST(start_up());
	MUST(guest_initialises(&guests));
	guest_finalises();
	list->C_Finalize(NULL);
	return 0;
}
