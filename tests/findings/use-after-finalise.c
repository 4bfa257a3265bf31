/*
 * use-after-finalise: a part of the program that does not know that it is over.
 *
 *   many    it asks a thousand times
 *   guest   it is right, but a library that shares the module has finalised it
 */
#include "finding.h"
#include "guest.h"

static CK_FUNCTION_LIST *list;

static void start_up(void)
{
	MUST(list->C_Initialize(NULL));
}

static void tidy_up(void)
{
	list->C_Finalize(NULL);
}

static void go_on_asking(void)
{
	CK_INFO info;

	list->C_GetInfo(&info);
}

int main(int argc, char **argv)
{
	int guest = is_variant(argc, argv, "guest");

	list = list_of(load_module(argv[1]));
	if (guest) {
		guest_loads(argv[1]);
		MUST(guest_initialises(NULL));
	}
	start_up();
	if (guest)
		MUST(guest_finalises());
	else
		tidy_up();
	for (int i = is_variant(argc, argv, "many") ? 1000 : 1; i > 0; i--)
		go_on_asking();
	if (guest)
		tidy_up();
	return 0;
}
