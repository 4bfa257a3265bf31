/*
 * config.c: any bytes as a file of settings: as the one that P11SHIM_CONFIG names, as
 * the user's own, or as one of p11-kit's that names a module. Whatever is in it, the
 * lines after it hold, and reading it twice is the same.
 *
 * Input: one byte for which of the three, then the file.
 */
#include "settings.h"

static int file = -1;
static char directory[] = "/tmp/p11shim-fuzz-XXXXXX";

static void remove_directory(void)
{
	static const char *const parts[] = {"/settings",
	                                    "/p11shim/p11shim.conf",
	                                    "/pkcs11/modules/fuzz.module",
	                                    "/p11shim",
	                                    "/pkcs11/modules",
	                                    "/pkcs11",
	                                    ""};
	char path[128];
	for (size_t i = 0; i < COUNT(parts); i++) {
		snprintf(path, sizeof path, "%s%s", directory, parts[i]);
		remove(path);
	}
}

static void make_directory(void)
{
	static const char *const parts[] = {"/p11shim", "/pkcs11", "/pkcs11/modules"};
	char path[128], target[128];
	CLAIM(mkdtemp(directory));
	atexit(remove_directory);
	for (size_t i = 0; i < COUNT(parts); i++) {
		snprintf(path, sizeof path, "%s%s", directory, parts[i]);
		CLAIM(mkdir(path, 0700) == 0);
	}
	/* to root, a file counts only by a way that is root's, which one without a name has not */
	snprintf(target, sizeof target, "%s/settings", directory);
	file = open(target, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	CLAIM(file >= 0 && setenv("P11SHIM_CONFIG", target, 1) == 0);
	snprintf(path, sizeof path, "%s/p11shim/p11shim.conf", directory);
	CLAIM(symlink(target, path) == 0);
	snprintf(path, sizeof path, "%s/pkcs11/modules/fuzz.module", directory);
	CLAIM(symlink(target, path) == 0);
}

static void fill(const uint8_t *data, size_t size)
{
	static const char last[] = "\n[*]\nfork = strict\nlogout = held\n";
	CLAIM(ftruncate(file, 0) == 0);
	CLAIM(pwrite(file, data, size, 0) == (ssize_t)size);
	CLAIM(pwrite(file, last, sizeof last - 1, (off_t)size) == (ssize_t)sizeof last - 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char named[128];
	struct settings first[COUNT(modules)], second[COUNT(modules)];

	if (size < 1)
		return 0;
	if (file < 0) {
		make_directory();
		snprintf(named, sizeof named, "%s", getenv("P11SHIM_CONFIG"));
	}
	unsigned which = data[0] % 3;
	setenv("P11SHIM_CONFIG", which == 0 ? named : "", 1);
	setenv("P11SHIM_MODULES", which == 2 ? "known" : "", 1);
	setenv("XDG_CONFIG_HOME", which == 0 ? "/nowhere" : directory, 1);
	fill(data + 1, size - 1);
	read_all_settings(first);
	forget_settings();
	read_all_settings(second);
	forget_settings();
	CLAIM(memcmp(first, second, sizeof first) == 0);
	for (size_t i = 0; i < COUNT(modules); i++)
		if (which < 2)
			CLAIM(first[i].fork == FORK_STRICT && first[i].logout == LOGOUT_HELD);
	return 0;
}
