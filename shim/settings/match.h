/*
 * match.h: which sections of the settings apply to a module, and which modules p11-kit knows.
 */
#ifndef P11SHIM_MATCH_H
#define P11SHIM_MATCH_H

#include "base/common.h"

/*
 * The three names of a module: its file name, its path as loaded, and its path without symbolic links (to be
 * freed).
 */
struct match_names {
	const char *path, *file;
	char *resolved;
};

struct match_names match_names_of(const char *path); /* NULL: no module in particular */

/* Does the pattern, a glob or a name, match the module? */
bool match_module(const char *pattern, const struct match_names *names);

/* Does a .module file of p11-kit's name it? */
bool match_p11_kit(const struct match_names *names);

/*
 * The path of a file or directory among the user's settings. False: the user has no home directory, or the
 * path is too long.
 */
#define MATCH_PATH 1024
bool match_user_path(char path[MATCH_PATH], const char *below);

#endif
