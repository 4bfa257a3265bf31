/*
 * call-in-flight: C_Finalize while another thread is still in the module. For
 * fragile.so, whose C_GetInfo does not come back before that.
 */
#include "finding.h"
#include <pthread.h>

static CK_FUNCTION_LIST *list;

static void *take_long(void *unused)
{
	CK_INFO info;

	list->C_GetInfo(&info);
	return unused;
}

static void finalise_too_early(void)
{
	MUST(list->C_Finalize(NULL));
}

int main(int argc, char **argv)
{
	void *module = load_module(argv[1]);
	int (*waiting)(void) = (int (*)(void))(uintptr_t)dlsym(module, "fragile_waiting");
	pthread_t thread;

	CHECK(argc > 1 && waiting);
	list = list_of(module);
	MUST(list->C_Initialize(NULL));
	CHECK(pthread_create(&thread, NULL, take_long, NULL) == 0);
	while (!waiting())
		usleep(200);
	finalise_too_early();
	CHECK(pthread_join(thread, NULL) == 0);
	return 0;
}
