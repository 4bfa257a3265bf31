/*
 * call-at-exit: calls from an exit handler that is older than the module.
 *
 *   younger   from one that is younger
 */
#include "finding.h"

static CK_FUNCTION_LIST *list;

static void start_up(void)
{
	MUST(list->C_Initialize(NULL));
}

static void ask_at_exit(void)
{
	CK_ULONG count;

	list->C_GetSlotList(CK_TRUE, NULL, &count);
}

static void finalise_at_exit(void)
{
	list->C_Finalize(NULL);
}

static void too_late(void)
{
	ask_at_exit();
	finalise_at_exit();
}

int main(int argc, char **argv)
{
	int younger = is_variant(argc, argv, "younger");

	if (!younger)
		CHECK(atexit(too_late) == 0);
	list = list_of(load_module(argv[1]));
	start_up();
	if (younger)
		CHECK(atexit(too_late) == 0);
	return 0;
}
