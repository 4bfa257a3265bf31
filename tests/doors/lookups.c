/*
 * lookups.c: a plain program that uses the whole family once: lookups in a
 * library, RTLD_DEFAULT, RTLD_NEXT, a module, a missing name, unloading. Run
 * under sanitizers, valgrind, other allocators and libfaketime.
 *
 * With an argument it then makes the mistake of that name, which the
 * sanitizer it was built with must still see.
 */
#include "doors.h"
#include <pthread.h>
#include "standard/pkcs11.h"

int shared; /* not static: it is only written to */

static void use_module(void)
{
	void *module = need_library(DOORS "/libdoor-module.so");
	CK_FUNCTION_LIST_PTR functions = NULL;
	CK_C_GetFunctionList get;
	CK_INFO info, *of = &info;

	get = (CK_C_GetFunctionList)dlsym(module, "C_GetFunctionList");
	CHECK(get && get(&functions) == CKR_OK && functions, "no function list");
	if (!functions)
		exit(1);
	CHECK(functions->C_Initialize(NULL) == CKR_OK, "C_Initialize");
	CHECK(functions->C_GetInfo(of) == CKR_OK, "C_GetInfo");
	printf("module: %.32s\n", of->libraryDescription);
	CHECK(functions->C_Finalize(NULL) == CKR_OK, "C_Finalize");
	CHECK(dlclose(module) == 0, "dlclose");
}

static void *worker(void *unused)
{
	int round;

	(void)unused;
	for (round = 0; round < 50; round++)
		CHECK(dlsym(RTLD_DEFAULT, "puts"), "puts in a thread");
	return NULL;
}

static void *race(void *unused)
{
	(void)unused;
	shared++;
	return NULL;
}

static void in_two_threads(void *(*function)(void *))
{
	pthread_t threads[2];

	pthread_create(&threads[0], NULL, function, NULL);
	pthread_create(&threads[1], NULL, function, NULL);
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
}

int main(int argc, char **argv)
{
	volatile char *block = malloc(8);
	void *maths = need_library("libm.so.6");
	double (*cosine)(double) = (double (*)(double))dlsym(maths, "cos");

	CHECK(cosine && cosine(0.0) == 1.0, "cos(0)");
	CHECK(dlclose(maths) == 0, "dlclose of the mathematical library");
	CHECK(dlsym(RTLD_DEFAULT, "malloc"), "malloc by RTLD_DEFAULT");
	CHECK(dlsym(RTLD_NEXT, "malloc"), "malloc by RTLD_NEXT");
	CHECK(!dlsym(RTLD_DEFAULT, "door_nothing"), "a symbol that is nowhere");
	printf("dlerror: %s\n", dlerror() ? "set" : "not set");
	CHECK(!dlerror(), "dlerror twice");
	use_module();
	in_two_threads(worker);

	free((void *)block);
	if (argc > 1 && !strcmp(argv[1], "use-after-free"))
		printf("%d\n", block[0]);
	if (argc > 1 && !strcmp(argv[1], "race"))
		in_two_threads(race);
	printf("%s\n", door_failures ? "bad" : "good");
	return door_failures != 0;
}
