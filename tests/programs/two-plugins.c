/*
 * two-plugins: a host whose two plugins each use the same PKCS #11 module.
 * Plugin a starts first, b second; both sign. Then one of them finalises the
 * module and is unloaded, and the other must go on signing, in the session
 * that it has and in a new one.
 *
 *	two-plugins [--leaves a|b] [--strict] [--module PATH]
 *
 *	--leaves  who leaves first (a)
 *	--strict  the plugins take nothing but CKR_OK from C_Initialize
 *	--module  default: $SOFTHSM2_MODULE
 *
 * The plugins lie beside the program. Environment: TOKEN_LABEL, TOKEN_PIN.
 * Prints one line a step; exit status 0 only if every step went well.
 */
#include "names.h"
#include "plugin.h"
#include "say.h"
#include <dlfcn.h>
#include <getopt.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LONGEST_PATH = 4096 };

static struct guest {
	const char *name, *file;
	void *handle;
	const struct plugin *plugin;
} guests[] = {
        {"plugin a", "plugin-a.so", NULL, NULL},
        {"plugin b", "plugin-b.so", NULL, NULL},
};

static void step(const struct guest *guest, const char *what, CK_RV rv)
{
	say(guest->name, what, rv == CKR_OK ? NULL : rv_name(rv));
}

static void load(struct guest *guest)
{
	char path[LONGEST_PATH], program[LONGEST_PATH] = "";
	plugin_entry *get = NULL;

	if (readlink("/proc/self/exe", program, sizeof(program) - 1) > 0) {
		snprintf(path, sizeof(path), "%.*s/%s", LONGEST_PATH - 32, dirname(program), guest->file);
		guest->handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	}
	if (guest->handle)
		*(void **)&get = dlsym(guest->handle, "plugin_get");
	if (!get) {
		say(guest->name, "load", dlerror());
		exit(1);
	}
	guest->plugin = get();
}

static void leave(struct guest *guest)
{
	step(guest, "finalise", guest->plugin->stop());
	dlclose(guest->handle);
}

static void usage(void)
{
	fputs("usage: two-plugins [--leaves a|b] [--strict] [--module PATH]\n", stderr);
	exit(2);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
	        {"leaves", required_argument, NULL, 'l'},
	        {"strict", no_argument, NULL, 's'},
	        {"module", required_argument, NULL, 'm'},
	        {NULL, 0, NULL, 0},
	};
	const char *module_path = getenv("SOFTHSM2_MODULE");
	struct guest *leaver, *stayer;
	int option, leaves = 0, strict = 0, i;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'l':
			leaves = !strcmp(optarg, "b");
			break;
		case 's':
			strict = 1;
			break;
		case 'm':
			module_path = optarg;
			break;
		default:
			usage();
		}
	}
	if (!module_path || optind != argc)
		usage();

	for (i = 0; i < 2; i++) {
		load(&guests[i]);
		step(&guests[i], "start", guests[i].plugin->start(module_path, strict));
	}
	for (i = 0; i < 2; i++)
		step(&guests[i], "sign", guests[i].plugin->sign());

	leaver = &guests[leaves];
	stayer = &guests[!leaves];
	leave(leaver);
	step(stayer, "sign with the existing session", stayer->plugin->sign());
	step(stayer, "sign with a new session", stayer->plugin->sign_anew());
	leave(stayer);
	return say_failures ? 1 : 0;
}
