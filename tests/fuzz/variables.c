/*
 * variables.c: any values of the variables that the settings are read from.
 *
 * Input: lines; the first byte of each says which variable, the rest is its value.
 * Of files only such as can be read to an end are named.
 */
#include "settings.h"

static const char *const others[] = {"HOME", "XDG_CONFIG_HOME", "P11SHIM_CONFIG"};

static void set(unsigned which, const char *value)
{
	char name[64];

	which %= KEYS + COUNT(others);
	if (which < KEYS) {
		key_variable(name, sizeof name, (enum key)which);
		setenv(name, value, 1);
	} else if (!strstr(value, "dev") && !strstr(value, "proc") && !strstr(value, "sys")) {
		setenv(others[which - KEYS], value, 1);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct settings first[COUNT(modules)], second[COUNT(modules)];
	char *copy = malloc(size + 1), *rest = copy, *line;

	memcpy(copy, data, size);
	copy[size] = '\0';
	while ((line = strsep(&rest, "\n")))
		if (line[0])
			set((unsigned char)line[0], line + 1);
	free(copy);
	read_all_settings(first);
	forget_settings();
	read_all_settings(second);
	forget_settings();
	CLAIM(memcmp(first, second, sizeof first) == 0);
	for (unsigned which = 0; which < KEYS + COUNT(others); which++)
		set(which, "");
	return 0;
}
