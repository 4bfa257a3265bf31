/*
 * match.c: see match.h. Globs are matched by fnmatch.
 */
#include <dirent.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "settings/file.h"
#include "settings/match.h"

static const char *file_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

struct match_names match_names_of(const char *path)
{
	if (!path)
		return (struct match_names){.path = "", .file = ""};
	return (struct match_names){path, file_name(path), realpath(path, NULL)};
}

bool match_module(const char *pattern, const struct match_names *names)
{
	if (!strpbrk(pattern, "*?[\\")) /* a plain name: no glob has to be read, and no locale to be asked */
		return strcmp(pattern, names->file) == 0 || strcmp(pattern, names->path) == 0 ||
		       (names->resolved && (strcmp(pattern, names->resolved) == 0 ||
		                            strcmp(pattern, file_name(names->resolved)) == 0));
	return fnmatch(pattern, names->file, 0) == 0 || fnmatch(pattern, names->path, 0) == 0 ||
	       (names->resolved && (fnmatch(pattern, names->resolved, 0) == 0 ||
	                            fnmatch(pattern, file_name(names->resolved), 0) == 0));
}

/*
 * p11-kit's .module files have a line `module: PATH`. The path is relative to the directory that p11-kit was
 * built with, unless it is absolute. The other lines do not concern the shim.
 *
 * The order of the files does not matter: one file that names the module is enough. For a process of root, a
 * file of a user does not count if other users may write it.
 */
struct p11_kit_search {
	const struct match_names *names;
	bool found;
};

/* Reads whole lines itself: p11-kit sets no limit to their length, but inih does. */
static void read_p11_kit_file(const char *path, enum file_trust trust, struct p11_kit_search *search)
{
	static const char blanks[] = " \t\r";
	size_t length;
	char doubt[FILE_DOUBT], *text = file_text(path, trust, &length, doubt), *rest = text, *line;
	while (text && (line = strtok_r(rest, "\n", &rest))) {
		char *name = line + strspn(line, blanks);
		size_t end = strcspn(name, " \t:");
		if (end != strlen("module") || memcmp(name, "module", end) != 0)
			continue;
		char *value = name + end + strspn(name + end, " \t:");
		end = strlen(value);
		while (end > 0 && strchr(blanks, value[end - 1]))
			value[--end] = '\0';
		if (match_module(value, search->names) || match_module(file_name(value), search->names))
			search->found = true;
	}
	free(text);
}

static bool in_p11_kit_directory(const char *directory, enum file_trust trust,
                                 const struct match_names *names)
{
	struct p11_kit_search search = {.names = names};
	DIR *entries = opendir(directory);
	const struct dirent *entry;
	while (entries && !search.found && (entry = readdir(entries)) != NULL) {
		char path[MATCH_PATH];
		if (fnmatch("*.module", entry->d_name, 0) == 0 &&
		    snprintf(path, sizeof path, "%s/%s", directory, entry->d_name) < (int)sizeof path)
			read_p11_kit_file(path, trust, &search);
	}
	if (entries)
		closedir(entries);
	return search.found;
}

bool match_p11_kit(const struct match_names *names)
{
	char user[MATCH_PATH];
	if (match_user_path(user, "pkcs11/modules") && in_p11_kit_directory(user, FILE_OF_USER, names))
		return true;
	return in_p11_kit_directory("/etc/pkcs11/modules", FILE_SHOWN, names) ||
	       in_p11_kit_directory("/usr/share/p11-kit/modules", FILE_SHOWN, names);
}

bool match_user_path(char path[MATCH_PATH], const char *below)
{
	const char *home = secure_getenv("XDG_CONFIG_HOME");
	const char *format = "%s/%s";
	if (!home || home[0] != '/') {
		home = secure_getenv("HOME");
		format = "%s/.config/%s";
	}
	/* -Wformat=2 complains of a format that is a variable and does not stand in the call. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	return home && home[0] == '/' && snprintf(path, MATCH_PATH, format, home, below) < MATCH_PATH;
#pragma GCC diagnostic pop
}
