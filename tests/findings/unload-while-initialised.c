/*
 * unload-while-initialised: dlclose without C_Finalize.
 *
 *   never     C_Finalize never comes
 *   late      C_Finalize comes after it
 *   again     the module is loaded again and used as it should be
 *   harmless  a library that is done closes its own handle, and this program, which
 *             has the module still loaded, only forgets to finalise
 */
#include "finding.h"
#include "guest.h"

static CK_FUNCTION_LIST *list;

static void start_up(void)
{
	MUST(list->C_Initialize(NULL));
}

static void unload_too_early(void *module)
{
	CHECK(dlclose(module) == 0);
}

int main(int argc, char **argv)
{
	void *module = load_module(argv[1]);

	list = list_of(module);
	if (is_variant(argc, argv, "harmless")) {
		guest_loads(argv[1]);
		start_up();
		MUST(guest_initialises(NULL));
		guest_finalises();
		guest_unloads();
		return 0;
	}
	start_up();
	unload_too_early(module);
	if (is_variant(argc, argv, "late"))
		MUST(list->C_Finalize(NULL));
	if (is_variant(argc, argv, "again")) {
		module = load_module(argv[1]);
		list = list_of(module);
		start_up();
		MUST(list->C_Finalize(NULL));
		CHECK(dlclose(module) == 0);
	}
	return 0;
}
