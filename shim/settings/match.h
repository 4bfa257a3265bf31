/*
 * match.h: which sections of settings are a module's, and which modules p11-kit knows.
 */
#ifndef P11SHIM_MATCH_H
#define P11SHIM_MATCH_H

#include "base/common.h"

/* A module by three names: file name, path as loaded, path without symbolic links (to be freed). */
struct match_names {
	const char *path, *file;
	char *resolved;
};

struct match_names match_names_of(const char *path); /* NULL: of none in particular */

/* Is the glob, or the name, one for it? */
bool match_module(const char *pattern, const struct match_names *names);

/* Does a .module file of p11-kit's name it? */
bool match_p11_kit(const struct match_names *names);

/* A file or directory of the user's settings. False: there is no such user, or the path is too long. */
#define MATCH_PATH 1024
bool match_user_path(char path[MATCH_PATH], const char *below);

#endif
