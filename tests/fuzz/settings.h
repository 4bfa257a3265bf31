/*
 * settings.h: shim/settings/settings.c and read.c by themselves, to be read again and again;
 * and what the strings in them meet in the recorder.
 */
#ifndef FUZZ_SETTINGS_H
#define FUZZ_SETTINGS_H

#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"

#include <ini.h>

/*
 * inih was compiled without sanitizers: lines are read into memory of our own first,
 * of exactly the size that it has.
 */
struct watched {
	ini_reader reader;
	void *stream;
};

static char *read_watched(char *buffer, int size, void *stream)
{
	struct watched *watched = stream;
	char *copy = malloc((size_t)size), *line = watched->reader(copy, size, watched->stream);
	if (line) {
		CLAIM(line == copy && strlen(copy) < (size_t)size);
		strcpy(buffer, copy);
	}
	free(copy);
	return line ? buffer : NULL;
}

static int parse_watched(ini_reader reader, void *stream, ini_handler handler, void *user)
{
	struct watched watched = {reader, stream};
	return ini_parse_stream(read_watched, &watched, handler, user);
}

#define ini_parse_stream parse_watched
#include "../../shim/settings/read.c"
#include "../../shim/settings/settings.c"
#undef ini_parse_stream
#include "base/text.h"
#include "record/output.h"

/* There is no door here: nobody's dlsym but the C library's. */
void *linker_dlsym(void *handle, const char *name)
{
	return dlsym(handle, name);
}

/* No file is opened: the first line would do that. */
static void start_recording(void)
{
	static char path[3584];
	struct output output = {.path = path, .path_size = sizeof path};
	struct settings_recording told = settings_recording();
	const char *where[] = {told.log, told.trace};
	for (size_t i = 0; i < COUNT(where); i++)
		if (where[i] && output_start(&output, where[i]))
			CLAIM(path[0] == '/' && strlen(path) < sizeof path);
}

static void hear_problem(void *nothing, const char *problem)
{
	char line[2048];
	struct text text = text_in(line, sizeof line);
	(void)nothing;
	text_put(&text, "settings");
	text_foreign(&text, problem);
	CLAIM(is_line(line, text_length(&text)));
}

static void hear(void *user, const struct explanation *e)
{
	unsigned *heard = user;
	CLAIM(e->key && e->value && e->section && e->source && e->line >= 0);
	++*heard;
}

static const char *const modules[] = {
        "/usr/lib/softhsm/libsofthsm2.so",           "libsofthsm2.so", "", "/", "/a/b",
        "/usr/lib/x86_64-linux-gnu/opensc-pkcs11.so"};

/* What holds for some modules, after reading everything anew. */
static void read_all_settings(struct settings result[COUNT(modules)])
{
	start_recording();
	settings_problems(environ, hear_problem, NULL);
	for (size_t i = 0; i < COUNT(modules); i++) {
		unsigned heard = 0;
		result[i] = settings_of_module(modules[i]);
		CLAIM(result[i].fork <= FORK_OFF && result[i].at_exit <= AT_EXIT_FINALIZE);
		CLAIM(result[i].serialize <= SERIALIZE_NO && result[i].wait <= WAIT_FORWARD);
		CLAIM(result[i].logout <= LOGOUT_HELD && result[i].drain <= DRAIN_REPORT);
		settings_explain(modules[i], hear, &heard);
		CLAIM(heard > 0 && heard <= KEYS);
	}
	settings_disabled();
	settings_strip_deepbind();
	settings_explain(NULL, hear, &(unsigned){0});
}

static void forget_settings(void)
{
	struct settings_list *list = atomic_exchange(&settings, NULL);
	if (list)
		read_drop(list);
}

#endif
