/*
 * keys.c: see keys.h.
 */
#include <stdio.h>
#include <string.h>

#include "settings/keys.h"
#include "settings/nearest.h"

const struct key_description keys[KEYS] = {
        [MODULES_KEY] = {"modules", {""}, true},
        [EXCLUDE] = {"exclude", {"no", "yes"}, false},
        [MODE] = {"mode", {"normal", "observe"}, false},
        [ALREADY] = {"already", {"hide", "report"}, false},
        [FORK] = {"fork", {"auto", "reset", "strict", "off"}, false},
        [AT_EXIT] = {"at-exit", {"auto", "forward", "retire", "finalize"}, false},
        [SERIALIZE] = {"serialize", {"auto", "yes", "no"}, false},
        [WAIT] = {"wait", {"poll", "forward"}, false},
        [LOGOUT] = {"logout", {"shared", "held"}, false},
        [DRAIN] = {"drain", {"no", "yes", "report"}, false},
        [DEEPBIND] = {"deepbind", {"keep", "strip"}, true},
        [LOG] = {"log", {""}, true},
        [LOG_LEVEL] = {"log-level", {"life", "calls"}, true},
        [TRACE] = {"trace", {""}, true},
        [TRACE_LEVEL] = {"trace-level", {"calls", "life"}, true},
        [ON_CRASH] = {"on-crash", {"0", "1"}, true},
        [DISABLE] = {"disable", {"0", "1"}, true},
        [PRODUCT] = {"product", {""}, false},
};

enum key key_named(const char *name)
{
	int key = 0;
	while (key < KEYS && strcmp(keys[key].name, name) != 0)
		key++;
	return (enum key)key;
}

int key_value(enum key key, const char *value)
{
	for (int i = 0; i < (int)COUNT(keys[key].values) && keys[key].values[i][0]; i++)
		if (strcmp(keys[key].values[i], value) == 0)
			return i;
	return -1;
}

const char *key_nearest(const char *name)
{
	struct nearest nearest = nearest_to(name);
	for (int key = 0; key < KEYS; key++)
		nearest_try(&nearest, keys[key].name);
	return nearest.best;
}

const char *key_nearest_value(enum key key, const char *value)
{
	struct nearest nearest = nearest_to(value);
	for (int i = 0; i < (int)COUNT(keys[key].values) && keys[key].values[i][0]; i++)
		nearest_try(&nearest, keys[key].values[i]);
	return nearest.best;
}

void key_variable(char *variable, size_t size, enum key key)
{
	snprintf(variable, size, VARIABLE_PREFIX "%.*s", (int)sizeof keys[key].name, keys[key].name);
	for (char *c = variable; *c; c++)
		*c = (char)(*c == '-' ? '_' : *c >= 'a' && *c <= 'z' ? *c - 'a' + 'A' : *c);
}

void key_of_variable(char *name, size_t size, const char *variable)
{
	snprintf(name, size, "%s", variable + strlen(VARIABLE_PREFIX));
	for (char *c = name; *c; c++)
		*c = (char)(*c == '_' ? '-' : *c >= 'A' && *c <= 'Z' ? *c - 'A' + 'a' : *c);
}
