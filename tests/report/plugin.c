/*
 * plugin.c: a library in a program that the report's tests make stacks of; see
 * signer.c. Each function of its own name, so that a stack can be checked.
 */
#include "stacks.h"

static inline __attribute__((always_inline)) int call_inlined(const char *what)
{
	return here(what) + 1; /* LINE inlined */
}

static __attribute__((noinline)) int open_token(void)
{
	return call_inlined("initialise") + 1; /* LINE open_token */
}

int plugin_start(void)
{
	return open_token() + 1; /* LINE plugin_start */
}

static __attribute__((noinline)) int close_token(const char *what)
{
	return here(what) + 1;
}

int plugin_stop(void)
{
	return close_token("finalise") + 1;
}

int plugin_sign(void)
{
	return here("sign") + 1;
}

__attribute__((destructor)) static void plugin_unload(void)
{
	close_token("finalise-again");
}
