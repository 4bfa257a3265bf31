/*
 * read.h: all settings that apply, read from their sources into one list.
 *
 * Every line that applies becomes a `setting`, in reading order. So the last one that matches wins, and each
 * still knows its file and line. A mistake becomes a `settings_problem`, with file and line. Only that line
 * is lost, unless it was to begin a section: then the lines below it are lost too.
 *
 * Takes no lock. These functions call the C library only, to read files and for memory.
 */
#ifndef P11SHIM_READ_H
#define P11SHIM_READ_H

#include "settings/keys.h"

struct setting {
	char *section, *value;
	char *source; /* for people: where it stands */
	int line;     /* 0: a variable */
	enum key key;
	struct setting *prev, *next;
};

/* What is wrong with a source, as a line for people. */
struct settings_problem {
	char *text;
	struct settings_problem *prev, *next;
};

struct settings_list {
	struct setting *first;
	struct settings_problem *problems;
};

/* Reads all settings. NULL: there is no memory. */
struct settings_list *read_settings(void);

/* Frees a list. */
void read_drop(struct settings_list *list);

/*
 * Goes through the variables of the process (`environment` has the form of environ). Adds a problem for each
 * variable that has the shim's prefix and means nothing.
 */
void read_look_at_variables(struct settings_list *list, char **environment);

#endif
