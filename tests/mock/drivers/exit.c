/*
 * exit.c: contract C10, what reaches a module when the process exits. Cases are
 * named after the clause; those with "at-exit" want P11SHIM_AT_EXIT to be what
 * their names say. exit-linked.c is one more.
 */
#include "driver.h"

static struct user exiting;

/* An exit handler older than the module, with the module's view of it. */
static void exiting_user(void (*older)(void), void (*younger)(void), const char *module)
{
	EQUAL(atexit(older), 0);
	exiting = user_of(1, module);
	IS(initialise(&exiting), CKR_OK);
	EQUAL(atexit(younger), 0);
}

static void works(void)
{
	IS(work(&exiting), CKR_OK);
}

static void works_and_finalises(void)
{
	works();
	IS(finalise(&exiting), CKR_OK);
	EQUAL(exiting.mock.get("finalise_done"), 1);
	IS(slots_of(&exiting), CKR_CRYPTOKI_NOT_INITIALIZED);
}

/* ---- a module that destroys itself, or not: the mock aborts if a call reaches it after that */

static CK_SESSION_HANDLE exiting_session;

/* After the module's own destructors: the mock aborts if any call reaches it. */
static void call_at_exit_after(void)
{
	IS(slots_of(&exiting), CKR_CRYPTOKI_NOT_INITIALIZED);
	IS(exiting.list->C_CloseSession(exiting_session), CKR_CRYPTOKI_NOT_INITIALIZED);
	IS(finalise(&exiting), CKR_OK);
}

static void handler_before_load(void)
{
	atexit(call_at_exit_after);
	setenv("MOCK_OPTIONS", "destructor=1", 1);
	exiting = user_of(1, MOCK);
	IS(initialise(&exiting), CKR_OK);
	exiting_session = open_on(&exiting, 0);
}

static bool in_destructor;

__attribute__((destructor)) static void call_in_destructor(void)
{
	if (in_destructor)
		call_at_exit_after();
}

static void destructor_of_program(void)
{
	in_destructor = true;
	setenv("MOCK_OPTIONS", "destructor=1", 1);
	exiting = user_of(1, MOCK);
	IS(initialise(&exiting), CKR_OK);
	exiting_session = open_on(&exiting, 0);
}

static void handler_after_load(void)
{
	setenv("MOCK_OPTIONS", "destructor=1", 1);
	exiting = user_of(1, MOCK);
	IS(initialise(&exiting), CKR_OK);
	atexit(works_and_finalises);
}

/* A module that cannot destroy itself is called to the end. */
static void immortal_module(void)
{
	atexit(works_and_finalises);
	exiting = user_of(1, "mock/mock-immortal.so");
	IS(initialise(&exiting), CKR_OK);
}

/* ---- at-exit = */

static void report_at_exit(void)
{
	printf("finalise_done %ld\n", exiting.mock.get("finalise_done"));
}

/* With at-exit = finalize, whatever was left initialised is finalised. */
static void left_initialised(void)
{
	struct user b;

	atexit(report_at_exit);
	setenv("MOCK_OPTIONS", "destructor=1", 1);
	exiting = user_of(1, MOCK);
	b = user_of(2, MOCK);
	IS(initialise(&exiting), CKR_OK);
	IS(initialise(&b), CKR_OK);
	open_on(&b, 0);
}

/* Answered, and nothing of it reaches the module. */
static void is_retired(void)
{
	long calls = exiting.mock.get("calls");

	IS(slots_of(&exiting), CKR_CRYPTOKI_NOT_INITIALIZED);
	IS(initialise(&exiting), CKR_CRYPTOKI_NOT_INITIALIZED);
	IS(finalise(&exiting), CKR_OK);
	EQUAL(exiting.mock.get("calls"), calls);
}

static void is_retired_initialised(void)
{
	is_retired();
	EQUAL(exiting.mock.get("finalise_done"), 0);
}

static void is_retired_finalised(void)
{
	is_retired();
	EQUAL(exiting.mock.get("finalise_done"), 1);
}

/* It imports __cxa_atexit, and so would be retired by default; it does nothing with it here. */
static void at_exit_auto(void)
{
	exiting_user(is_retired_initialised, works, MOCK);
}

static void at_exit_forward(void)
{
	exiting_user(works_and_finalises, works, MOCK);
}

/* It cannot destroy itself, and so would be called to the end by default. */
static void at_exit_retire(void)
{
	exiting_user(is_retired_initialised, works, "mock/mock-immortal.so");
}

static void at_exit_finalize(void)
{
	exiting_user(is_retired_finalised, works, "mock/mock-immortal.so");
}

/* ---- a library with an ELF destructor (consumers/destructor.so), before and after the module */

typedef void (*begin_function)(const char *);

/* It says what it is answered in its destructor. */
static begin_function begin_of_library(void)
{
	void *library = dlopen(build_path("consumers/destructor.so"), RTLD_NOW);
	begin_function begin = library ? (begin_function)(uintptr_t)dlsym(library, "begin") : NULL;

	TRUE(begin);
	return begin;
}

static const char *module_to_use(void)
{
	return build_path(getenv("MODULE") ? getenv("MODULE") : TINY);
}

static void library_before_module(void)
{
	begin_function begin = begin_of_library();

	begin(module_to_use());
}

static void library_after_module(void)
{
	TRUE(dlopen(module_to_use(), RTLD_NOW));
	library_before_module();
}

int main(int argc, char **argv)
{
	static const struct test_case cases[] = {
	        {"C10-handler-before-load", handler_before_load},
	        {"C10-destructor-of-program", destructor_of_program},
	        {"C10-handler-after-load", handler_after_load},
	        {"C10-immortal-module", immortal_module},
	        {"C10-left-initialised", left_initialised},
	        {"C10-at-exit-auto", at_exit_auto},
	        {"C10-at-exit-forward", at_exit_forward},
	        {"C10-at-exit-retire", at_exit_retire},
	        {"C10-at-exit-finalize", at_exit_finalize},
	        {"C10-library-before-module", library_before_module},
	        {"C10-library-after-module", library_after_module},
	        {NULL, NULL},
	};

	return run_case(cases, argc, argv);
}
