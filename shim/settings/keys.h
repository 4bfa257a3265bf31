/*
 * keys.h: the keys of settings: their names, the values that they take, and where they may stand.
 */
#ifndef P11SHIM_KEYS_H
#define P11SHIM_KEYS_H

#include "base/common.h"

enum key {
	MODULES_KEY,
	EXCLUDE,
	MODE,
	ALREADY,
	FORK,
	AT_EXIT,
	SERIALIZE,
	WAIT,
	LOGOUT,
	DRAIN,
	DEEPBIND,
	LOG,
	LOG_LEVEL,
	TRACE,
	TRACE_LEVEL,
	ON_CRASH,
	DISABLE,
	PRODUCT,
	KEYS
};

struct key_description {
	char name[12];
	char values[5][9]; /* no values: any text */
	bool global;       /* concerns the process: only in section [*] */
};
extern const struct key_description keys[KEYS];

/* The key of that name; KEYS: there is none. */
enum key key_named(const char *name);

/* The position of that value among the key's values; -1: the key has no such value. */
int key_value(enum key key, const char *value);

/* The key's name, or the value of a key, that may have been meant; NULL: none is near. */
const char *key_nearest(const char *name);
const char *key_nearest_value(enum key key, const char *value);

/* The name of the variable for a key: P11SHIM_AT_EXIT for at-exit. */
#define VARIABLE_PREFIX "P11SHIM_"
void key_variable(char *variable, size_t size, enum key key);

/* The other way round: the name that the key would have; at-exit for P11SHIM_AT_EXIT. */
void key_of_variable(char *name, size_t size, const char *variable);

#endif
