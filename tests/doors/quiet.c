/*
 * quiet.c: a program that opens a library, looks things up and closes it, and
 * never meets a module: run under strace to see that nothing else happens.
 */
#include "doors.h"

int main(void)
{
	void *library = need_library(DOORS "/libdoor-notmodule.so");

	CHECK(dlsym(library, "door_own"), "door_own");
	CHECK(dlsym(library, "C_Unheard"), "C_Unheard");
	CHECK(dlsym(RTLD_DEFAULT, "puts"), "puts");
	CHECK(!dlclose(library), "dlclose");
	printf("quiet\n");
	return door_failures != 0;
}
