/*
 * forks.c: eight threads open, look up and close while the program forks 200
 * times; every child must be able to look up, use a module and leave. A child
 * that does not end within ten seconds stands still.
 */
#include "doors.h"
#include <pthread.h>
#include <sys/wait.h>
#include "standard/pkcs11.h"

#define THREADS 8
#define FORKS 200

static void *module;
static volatile int stop;

static void *worker(void *number)
{
	const char *path = (size_t)number % 2 ? DOORS "/libdoor-other.so" : DOORS "/libdoor-notmodule.so";

	while (!stop) {
		void *library = need_library(path);
		CK_C_GetFunctionList get = (CK_C_GetFunctionList)dlsym(library, "C_GetFunctionList");
		CK_FUNCTION_LIST_PTR functions = NULL;

		if (get && (get(&functions) != CKR_OK || !functions))
			_exit(3);
		if (!dlsym(RTLD_DEFAULT, "puts") || !dlsym(library, "C_Initialize"))
			_exit(4);
		dlclose(library);
	}
	return NULL;
}

/* Nothing here that another thread's half-done work could spoil by itself. */
static int child(void)
{
	CK_C_GetFunctionList get;
	CK_FUNCTION_LIST_PTR functions = NULL;
	CK_INFO info;

	alarm(60);
	if (!dlsym(RTLD_DEFAULT, "puts"))
		return 5;
	get = (CK_C_GetFunctionList)dlsym(module, "C_GetFunctionList");
	if (!get || get(&functions) != CKR_OK || !functions)
		return 6;
	if (functions->C_Initialize(NULL) != CKR_OK || functions->C_GetInfo(&info) != CKR_OK)
		return 7;
	return functions->C_Finalize(NULL) == CKR_OK ? 0 : 8;
}

int main(void)
{
	pthread_t threads[THREADS];
	int i, status, bad = 0;

	module = need_library(DOORS "/libdoor-module.so");
	for (i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, worker, (void *)(size_t)i);
	for (i = 0; i < FORKS; i++) {
		pid_t pid = fork();

		if (pid == 0)
			_exit(child());
		if (pid < 0 || waitpid(pid, &status, 0) != pid || status) {
			bad++;
			printf("FAILED: child %d: status 0x%x\n", i, status);
		}
	}
	stop = 1;
	for (i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	printf("%d forks, %d bad\n", FORKS, bad);
	return bad != 0;
}
