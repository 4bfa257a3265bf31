/*
 * read.h: all settings that apply, read from their sources into one list.
 *
 * Every line that applies becomes a `setting`, in reading order, so that the last one that matches
 * wins and each still knows file and line. A mistake becomes a `settings_problem`, with file and
 * line; that line alone is lost, unless it was to begin a section: then those below it are, too.
 *
 * No locks. What these functions call: the C library, to read files and for memory.
 */
#ifndef P11SHIM_READ_H
#define P11SHIM_READ_H

#include "settings/keys.h"

struct setting {
	char *section, *value;
	char *source; /* for people: where it was said */
	int line;     /* 0: a variable */
	enum key key;
	struct setting *prev, *next;
};

/* What was wrong with a source: a line for people. */
struct settings_problem {
	char *text;
	struct settings_problem *prev, *next;
};

struct settings_list {
	struct setting *first;
	struct settings_problem *problems;
};

/* Reads them all. NULL: there is no memory. */
struct settings_list *read_settings(void);

/* Gives the memory of a list back. */
void read_drop(struct settings_list *list);

/*
 * Goes through the variables of the process (`environment` as environ has them), and adds a problem
 * for each that begins as those of the shim do and means nothing.
 */
void read_look_at_variables(struct settings_list *list, char **environment);

#endif
