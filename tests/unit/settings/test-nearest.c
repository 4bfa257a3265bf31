/*
 * test-nearest.c: which word somebody may have meant.
 */
#include "unit.h"

#include "settings/nearest.h"

static const char *const words[] = {"modules",   "exclude", "mode",      "fork",       "at-exit", "log",
                                    "log-level", "trace",   "no",        "yes",        "0",       "1",
                                    "strict",    "off",     "serialize", "trace-level"};

static const char *meant(const char *word)
{
	struct nearest nearest = nearest_to(word);
	for (size_t i = 0; i < COUNT(words); i++)
		nearest_try(&nearest, words[i]);
	return nearest.best ? nearest.best : "";
}

static void test_slips(void **state)
{
	static const char *const slips[][2] = {
	        {"frok", "fork"},
	        {"fork", "fork"},
	        {"forks", "fork"},
	        {"ork", "fork"},
	        {"FORK", "fork"},
	        {"at_exit", "at-exit"},
	        {"atexit", "at-exit"},
	        {"exlcude", "exclude"},
	        {"lgo", "log"},
	        {"lag", "log"},
	        {"log-lvl", "log-level"},
	        {"serialise", "serialize"},
	        {"tracelevel", "trace-level"},
	        {"yse", "yes"},
	        {"strikt", "strict"},
	};
	(void)state;
	for (size_t i = 0; i < COUNT(slips); i++)
		assert_string_equal(meant(slips[i][0]), slips[i][1]);
}

static void test_strangers(void **state)
{
	static const char *const strangers[] = {"",
	                                        "on",
	                                        "n",
	                                        "x",
	                                        "2",
	                                        "spoon",
	                                        "sometimes",
	                                        "verbose",
	                                        "nothing-like-it",
	                                        "f\xc3\xb6rk\xc3\xb6",
	                                        "kofr"};
	char endless[5000];
	(void)state;
	for (size_t i = 0; i < COUNT(strangers); i++)
		assert_string_equal(meant(strangers[i]), "");
	memset(endless, 'f', sizeof endless - 1);
	endless[sizeof endless - 1] = '\0';
	assert_string_equal(meant(endless), "");
	struct nearest nearest = nearest_to("fork");
	nearest_try(&nearest, endless);
	assert_null(nearest.best);
}

/* The nearest of several, the first of those that are as near. */
static void test_several(void **state)
{
	struct nearest nearest = nearest_to("libsofthsm.so");
	(void)state;
	nearest_try(&nearest, "libsofthsm22.so");
	nearest_try(&nearest, "libsofthsm1.so");
	nearest_try(&nearest, "libsofthsm2.so");
	assert_string_equal(nearest.best, "libsofthsm1.so");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_slips),
	        cmocka_unit_test(test_strangers),
	        cmocka_unit_test(test_several),
	};
	return cmocka_run_group_tests_name("nearest", tests, NULL, NULL);
}
