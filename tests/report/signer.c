/*
 * signer.c: prints stacks of its own, one a line:
 *
 *   WHAT<tab>OBJECT+0xOFFSET<tab>OBJECT+0xOFFSET...
 *
 * innermost first, as the library writes them in a trace (the return address less
 * one, counted from where the object was loaded), for the tests of p11shim report.
 * The program itself is named by its environment, SIGNER.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <execinfo.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>

#include "stacks.h"

int here(const char *what)
{
	void *frames[32];
	int n = backtrace(frames, 32);

	printf("%s", what);
	/* not this function itself, nor what comes before main */
	for (int i = 1; i < n; i++) {
		char *address = (char *)frames[i] - 1;
		struct link_map *map;
		Dl_info info;
		if (!dladdr1(address, &info, (void **)&map, RTLD_DL_LINKMAP))
			continue;
		const char *path = *map->l_name ? map->l_name : getenv("SIGNER");
		printf("\t%s+0x%lx", path, (unsigned long)(address - (char *)map->l_addr));
	}
	printf("\n");
	return n;
}

static __attribute__((noinline)) int load_plugins(void)
{
	return plugin_start() + 1; /* LINE load_plugins */
}

static __attribute__((noinline)) int serve(void)
{
	return here("serve") + plugin_sign() + 1;
}

static void at_exit(void)
{
	here("at-exit");
}

int main(void)
{
	atexit(at_exit);
	return load_plugins() + serve() + plugin_stop() < 0;
}
