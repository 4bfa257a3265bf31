/*
 * wait-answers: what a module answers to C_WaitForSlotEvent.
 *
 *	wait-answers [--reserved TEXT] MODULE
 *
 * Prints two lines, `polling: ANSWER` (with CKF_DONT_BLOCK) and `blocking:
 * ANSWER`, by the names of the standard; `blocks` if there is none after two
 * seconds. The module is then left as it is.
 */
#include "names.h"
#include "standard/pkcs11.h"
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static CK_FUNCTION_LIST *list;

static void *block(void *answer)
{
	CK_SLOT_ID slot;

	*(CK_RV *)answer = list->C_WaitForSlotEvent(0, &slot, NULL);
	return answer;
}

int main(int argc, char **argv)
{
	/* NSS's structure: the standard's, and one pointer more */
	struct {
		CK_C_INITIALIZE_ARGS standard;
		void *more;
	} args = {.standard.flags = CKF_OS_LOCKING_OK};
	CK_RV (*get_list)(CK_FUNCTION_LIST_PTR_PTR);
	static CK_RV answer;
	struct timespec end;
	pthread_t thread;
	CK_SLOT_ID slot;
	void *module;
	CK_RV rv;

	if (argc == 4 && !strcmp(argv[1], "--reserved")) {
		args.standard.pReserved = argv[2];
		argv += 2;
	} else if (argc != 2) {
		fprintf(stderr, "usage: wait-answers [--reserved TEXT] MODULE\n");
		return 2;
	}
	module = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
	get_list = module ? (CK_C_GetFunctionList)dlsym(module, "C_GetFunctionList") : NULL;
	if (!get_list || get_list(&list) != CKR_OK) {
		fprintf(stderr, "wait-answers: %s: no function list\n", argv[1]);
		return 1;
	}
	rv = list->C_Initialize(&args);
	if (rv != CKR_OK) {
		fprintf(stderr, "wait-answers: C_Initialize: %s\n", rv_name(rv));
		return 1;
	}
	printf("polling: %s\n", rv_name(list->C_WaitForSlotEvent(CKF_DONT_BLOCK, &slot, NULL)));
	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += 2;
	if (pthread_create(&thread, NULL, block, &answer))
		return 1;
	puts(pthread_timedjoin_np(thread, NULL, &end) ? "blocking: blocks"
	                                              : (printf("blocking: "), rv_name(answer)));
	fflush(stdout);
	_exit(0);
}
