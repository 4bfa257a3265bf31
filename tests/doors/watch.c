/*
 * watch.c: looks ordinary symbols up in every way, under watch-preload.c and
 * malloc-preload.c, and says which function was called meanwhile.
 */
#include "doors.h"

extern int door_watching __attribute__((weak));
extern int door_watched __attribute__((weak));
extern const char *door_watched_name __attribute__((weak));
unsigned long door_malloc_count(void) __attribute__((weak));

int main(void)
{
	void *library = need_library(DOORS "/libdoor-notmodule.so");
	unsigned long allocations;
	int round;

	if (!&door_watching || !door_malloc_count) {
		printf("FAILED: not preloaded\n");
		return 1;
	}
	/* The first lookup may find the real dlsym; it was made long ago in malloc. */
	allocations = door_malloc_count();
	door_watching = 1;
	for (round = 0; round < 3; round++) {
		dlsym(library, "door_own");
		dlsym(library, "C_Unheard");
		dlsym(RTLD_DEFAULT, "puts");
		dlsym(RTLD_DEFAULT, "getenv");
		dlsym(RTLD_NEXT, "malloc");
	}
	door_watching = 0;
	allocations = door_malloc_count() - allocations;
	CHECK(!allocations, "%lu allocations", allocations);
	CHECK(!door_watched, "%d calls, the last of %s", door_watched, door_watched_name);
	printf("allocations %lu, calls %d\n", allocations, door_watched);
	return door_failures != 0;
}
