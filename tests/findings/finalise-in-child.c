/*
 * finalise-in-child: a forked child tidies up what only its parent has initialised.
 *
 *   own   what it has initialised itself
 */
#include "finding.h"

static CK_FUNCTION_LIST *list;

static void start_in_parent(void)
{
	MUST(list->C_Initialize(NULL));
}

static void tidy_up_in_child(void *unused)
{
	(void)unused;
	list->C_Finalize(NULL);
}

static void all_in_child(void *unused)
{
	MUST(list->C_Initialize(NULL));
	tidy_up_in_child(unused);
}

int main(int argc, char **argv)
{
	list = list_of(load_module(argv[1]));
	start_in_parent();
	in_child(is_variant(argc, argv, "own") ? all_in_child : tidy_up_in_child, NULL);
	MUST(list->C_Finalize(NULL));
	return 0;
}
