/*
 * initialise-leaked: a program that ends without a word to the module.
 *
 *   atexit       it finalises in an exit handler after all
 *   destructor   a library does, in a destructor
 *   child        it finalises; a child that it forked, and that never used the module, does not
 */
#include "finding.h"
#include "guest.h"

static CK_FUNCTION_LIST *list;

static void start_and_forget(void)
{
	MUST(list->C_Initialize(NULL));
}

static void finalise(void)
{
	MUST(list->C_Finalize(NULL));
}

static void nothing(void *unused)
{
	(void)unused;
}

int main(int argc, char **argv)
{
	if (is_variant(argc, argv, "destructor")) {
		guest_loads(argv[1]);
		MUST(guest_initialises(NULL));
		guest_finalises_when_destroyed();
		return 0;
	}
	list = list_of(load_module(argv[1]));
	start_and_forget();
	if (is_variant(argc, argv, "atexit"))
		CHECK(atexit(finalise) == 0);
	if (is_variant(argc, argv, "child")) {
		in_child(nothing, NULL);
		finalise();
	}
	return 0;
}
