/*
 * constructor.c: says how many of the eight questions that early.c asks in its
 * constructor were answered. Built twice: linked to the library, and opening
 * it (PLUGIN).
 */
#include "doors.h"

#ifdef PLUGIN
int main(void)
{
	void *library = need_library(DOORS "/libdoor-early.so");
	int (*early)(void) = (int (*)(void))dlsym(library, "door_early");

	printf("%d of 8\n", early());
	return early() != 8;
}
#else
int door_early(void);

int main(void)
{
	printf("%d of 8\n", door_early());
	return door_early() != 8;
}
#endif
