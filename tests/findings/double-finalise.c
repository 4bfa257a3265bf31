/*
 * double-finalise: two functions that each believe to be the one that tidies up.
 *
 *   many    the second does so a thousand times
 *   places  it does so three times at each of 300 ends of ways through the program
 *   guest   the second is a library that has never initialised the module
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
	MUST(list->C_Finalize(NULL));
}

static void tidy_up_twice(void)
{
	list->C_Finalize(NULL);
}

static void turn(int steps, int way);

static void left(int steps, int way)
{
	turn(steps, way);
}

static void right(int steps, int way)
{
	turn(steps, way);
}

static void turn(int steps, int way)
{
	if (steps == 0)
		for (int i = 0; i < 3; i++)
			tidy_up_twice();
	else if (way % 2)
		left(steps - 1, way / 2);
	else
		right(steps - 1, way / 2);
}

int main(int argc, char **argv)
{
	list = list_of(load_module(argv[1]));
	start_up();
	if (is_variant(argc, argv, "guest")) {
		guest_loads(argv[1]);
		guest_finalises();
	}
	tidy_up();
	for (int i = is_variant(argc, argv, "many") ? 1000 : is_variant(argc, argv, ""); i > 0; i--)
		tidy_up_twice();
	for (int way = is_variant(argc, argv, "places") ? 300 : 0; way > 0; way--)
		turn(9, way);
	return 0;
}
