/*
 * nesting.c: contract C7, modules that initialise or load modules themselves, or
 * fork, while they are initialised or asked for their lists. Cases are named
 * after the clause.
 */
#include "driver.h"

static void nests_itself(void)
{
	struct user a = user_of(1, MOCK), b = user_of(2, MOCK);

	a.mock.set("nest_self", 1);
	IS(initialise(&a), CKR_OK);
	IS((CK_RV)a.mock.get("nested_initialise_rv"), CKR_OK);
	IS((CK_RV)a.mock.get("nested_get_info_rv"), CKR_OK);
	IS((CK_RV)a.mock.get("nested_finalise_rv"), CKR_OK);
	EQUAL(a.mock.get("initialise_done"), 1);
	IS(work(&a), CKR_OK);
	IS(initialise(&b), CKR_OK);
	IS(finalise(&a), CKR_OK);
	IS(work(&b), CKR_OK);
	IS(finalise(&b), CKR_OK);
	EQUAL(a.mock.get("finalise_done"), 1);
}

/* Its own view keeps it initialised after all consumers have left. */
static void nests_itself_for_good(void)
{
	struct user a = user_of(1, MOCK), b = user_of(2, MOCK);

	a.mock.set("nest_self", 2);
	IS(initialise(&a), CKR_OK);
	IS((CK_RV)a.mock.get("nested_initialise_rv"), CKR_OK);
	IS(work(&a), CKR_OK);
	IS(finalise(&a), CKR_OK);
	EQUAL(a.mock.get("finalise_calls"), 0);
	IS(slots_of(&a), CKR_CRYPTOKI_NOT_INITIALIZED);
	IS(work(&b), CKR_OK); /* borrows */
	IS(initialise(&b), CKR_OK);
	IS(finalise(&b), CKR_OK);
	EQUAL(a.mock.get("initialise_done"), 1);
	EQUAL(a.mock.get("finalise_calls"), 0);
}

static void nests_another(void)
{
	struct user a = user_of(1, MOCK), b = user_of(2, MOCK), other = user_of(3, "mock/mock2.so");

	a.mock.set_text("nest_module", build_path("mock/mock2.so"));
	IS(initialise(&a), CKR_OK);
	IS((CK_RV)a.mock.get("nested_initialise_rv"), CKR_OK);
	IS((CK_RV)a.mock.get("nested_get_info_rv"), CKR_OK);
	EQUAL(other.mock.get("initialise_done"), 1);
	IS(initialise(&other), CKR_OK);
	EQUAL(other.mock.get("initialise_calls"), 1);
	IS(initialise(&b), CKR_OK);
	IS(finalise(&a), CKR_OK);
	IS(work(&b), CKR_OK);
	IS(finalise(&b), CKR_OK);
	IS((CK_RV)a.mock.get("nested_finalise_rv"), CKR_OK);
	EQUAL(a.mock.get("finalise_done"), 1);
	EQUAL(other.mock.get("finalise_calls"), 0);
	IS(work(&other), CKR_OK);
	IS(finalise(&other), CKR_OK);
	EQUAL(other.mock.get("finalise_done"), 1);
}

/* mock initialises mock2, which initialises mock: the innermost must not wait for the outermost. */
static void nests_in_a_circle(void)
{
	struct user a = user_of(1, MOCK), other = user_of(2, "mock/mock2.so");

	other.mock.set_text("nest_module", build_path(MOCK));
	a.mock.set_text("nest_module", build_path("mock/mock2.so"));
	IS(initialise(&a), CKR_OK);
	IS((CK_RV)a.mock.get("nested_initialise_rv"), CKR_OK);
	IS((CK_RV)other.mock.get("nested_initialise_rv"), CKR_OK);
	EQUAL(a.mock.get("initialise_done"), 1);
	EQUAL(other.mock.get("initialise_done"), 1);
	IS(work(&a), CKR_OK);
	IS(initialise(&other), CKR_OK);
	IS(work(&other), CKR_OK);
	IS(finalise(&other), CKR_OK);
	IS(work(&a), CKR_OK);
	IS(finalise(&a),
	   CKR_OK); /* mock2 has mock initialised for itself, so this is not the end of either */
}

static void forks_in_initialise(void)
{
	struct user a = user_of(1, MOCK);

	a.mock.set("fork_in_init", 1);
	IS(initialise(&a), CKR_OK);
	IS(work(&a), CKR_OK);
	IS(finalise(&a), CKR_OK);
	EQUAL(a.mock.get("finalise_done"), 1);
}

/* The child comes back out of C_Initialize too, and both have the module. */
static void forks_in_initialise_and_goes_on(void)
{
	struct user a = user_of(1, MOCK);
	pid_t me = getpid();
	int status;

	a.mock.set("fork_in_init", 2);
	IS(initialise(&a), CKR_OK);
	alarm(PATIENCE);
	IS(work(&a), CKR_OK);
	IS(finalise(&a), CKR_OK);
	IS(slots_of(&a), CKR_CRYPTOKI_NOT_INITIALIZED);
	if (getpid() != me)
		_exit(0);
	EQUAL(waitpid((pid_t)a.mock.get("forked_child"), &status, 0), a.mock.get("forked_child"));
	EQUAL(status, 0);
}

/* A module whose C_GetFunctionList itself loads a module and asks it for its list. */
static void loads_in_function_list(void)
{
	void *module = dlopen(build_path(MOCK), RTLD_NOW);
	struct user a;

	behind(module).set("load_in_list", 1);
	behind(module).set_text("nest_module", build_path("mock/mock2.so"));
	a = user_of(1, MOCK);
	IS(initialise(&a), CKR_OK);
	IS(work(&a), CKR_OK);
	IS(finalise(&a), CKR_OK);
}

int main(int argc, char **argv)
{
	static const struct test_case cases[] = {
	        {"C7-nests-itself", nests_itself},
	        {"C7-nests-itself-for-good", nests_itself_for_good},
	        {"C7-nests-another", nests_another},
	        {"C7-nests-in-a-circle", nests_in_a_circle},
	        {"C7-forks-in-initialise", forks_in_initialise},
	        {"C7-forks-in-initialise-and-goes-on", forks_in_initialise_and_goes_on},
	        {"C7-loads-in-function-list", loads_in_function_list},
	        {NULL, NULL},
	};

	return run_case(cases, argc, argv);
}
