/*
 * next.c: calls getenv and time once each, and says which of the two copies
 * of next-preload.c saw both: with "a" and "b" preloaded, in any order and
 * with anything between them, it prints "value a=2 b=2".
 */
#include "doors.h"
#include <time.h>

int door_next_a(void) __attribute__((weak));
int door_next_b(void) __attribute__((weak));

int main(void)
{
	const char *value = getenv("DOOR_NEXT");
	time_t now = time(NULL);

	CHECK(now != (time_t)-1, "time() failed");
	printf("%s a=%d b=%d\n", value ? value : "unset", door_next_a ? door_next_a() : -1,
	       door_next_b ? door_next_b() : -1);
	return door_failures != 0;
}
