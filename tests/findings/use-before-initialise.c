/*
 * use-before-initialise: a library that takes the module for initialised.
 */
#include "finding.h"

static CK_FUNCTION_LIST *list;

static void ask_too_early(void)
{
	CK_ULONG count;

	list->C_GetSlotList(CK_TRUE, NULL, &count);
}

int main(int argc, char **argv)
{
	CHECK(argc > 1);
	list = list_of(load_module(argv[1]));
	ask_too_early();
	MUST(list->C_Initialize(NULL));
	MUST(list->C_Finalize(NULL));
	return 0;
}
