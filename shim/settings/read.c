/*
 * read.c: see read.h. Files are read by inih.
 */
#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "base/text.h"
#include "settings/file.h"
#include "settings/match.h"
#include "settings/read.h"

#define LINE_LENGTH 1024

/* One source that is being read; line counts the lines that inih has asked for. */
struct source {
	struct settings_list *list;
	const char *name;
	const char *text, *end;
	int line;
	bool lost;                 /* the section that the lines belong to could not be read */
	char section[LINE_LENGTH]; /* the whole name: inih cuts names short */
};

extern const char p11shim_builtin_settings[], p11shim_builtin_settings_end[];
extern const char p11shim_builtin_modules[], p11shim_builtin_modules_end[];

/* Keeps a mistake in the form in which it will be told. If there is no memory for it, it is lost. */
__attribute__((format(printf, 2, 3))) static void note_problem(struct settings_list *list, const char *format,
                                                               ...)
{
	char *text;
	va_list arguments;
	va_start(arguments, format);
	int length = vasprintf(&text, format, arguments);
	va_end(arguments);
	if (length < 0)
		return;
	struct settings_problem *problem = calloc(1, sizeof *problem);
	if (!problem) {
		free(text);
		return;
	}
	problem->text = text;
	DL_APPEND(list->problems, problem);
}

static void complain(const struct source *source, const char *what, const char *about)
{
	if (source->line > 0)
		note_problem(source->list, "%s:%d: %s: %s", source->name, source->line, what, about);
	else
		note_problem(source->list, "%s: %s: %s", source->name, what, about); /* a variable */
}

/* Complains of a word, and says which word may have been meant. */
static void complain_of_word(const struct source *source, const char *what, const char *word,
                             const char *nearest)
{
	char about[LINE_LENGTH];
	snprintf(about, sizeof about, "%.800s; did you mean %s?", word, nearest ? nearest : "");
	complain(source, what, nearest ? about : word);
}

/* Complains of a value, and says which values would have been right. */
static void complain_of_value(const struct source *source, enum key key, const char *value)
{
	char what[128];
	struct text text = text_in(what, sizeof what - 1);
	text_put(&text, "not a value of ");
	text_put(&text, keys[key].name);
	for (int i = 0; i < (int)COUNT(keys[key].values) && keys[key].values[i][0]; i++) {
		text_put(&text, i == 0 ? " (" : ", ");
		text_put(&text, keys[key].values[i]);
	}
	text_put(&text, ")");
	*text.at = '\0';
	complain_of_word(source, what, value, key_nearest_value(key, value));
}

static void drop_setting(struct setting *s)
{
	free(s->section);
	free(s->value);
	free(s->source);
	free(s);
}

static bool is_blank(const char *text)
{
	return text[strspn(text, " \t")] == '\0';
}

static void add(struct source *source, const char *section, enum key key, const char *value)
{
	if (is_blank(value)) {
		complain(source, "no value given", keys[key].name);
		return;
	}
	if (keys[key].values[0][0] && key_value(key, value) < 0) {
		complain_of_value(source, key, value);
		return;
	}
	if (keys[key].global && strcmp(section, "*") != 0) {
		complain(source, "only allowed in section [*]", keys[key].name);
		return;
	}
	struct setting *s = calloc(1, sizeof *s);
	if (s) {
		s->section = strdup(section);
		s->value = strdup(value);
		s->source = strdup(source->name);
		s->line = source->line;
		s->key = key;
		if (s->section && s->value && s->source) {
			DL_APPEND(source->list->first, s);
			return;
		}
		drop_setting(s);
	}
	complain(source, "out of memory", keys[key].name);
}

static int on_setting(void *user, const char *cut_section, const char *name, const char *value)
{
	struct source *source = user;
	const char *section = source->section;
	enum key key = key_named(name);
	(void)cut_section;
	if (key == KEYS)
		complain_of_word(source, "no such setting", name, key_nearest(name));
	else if (source->lost)
		complain(source, "its section's line cannot be read", name);
	else if (!section[0])
		complain(source, "before the first [section]", name);
	else
		add(source, section, key, value);
	return 1;
}

/* Where a comment begins in the line, by inih's rules; NULL: the line has none. */
static const char *find_comment(const char *line)
{
	const char *c = line;
	while ((c = strchr(c, ';')) && (c == line || !strchr(" \t\r\v\f", c[-1])))
		c++;
	return c;
}

/*
 * Remembers a section's name, of any length. A line that was to begin a section, but has no name, ends the
 * section before all the same: what stands below it was not meant for that section.
 */
static void note_section(struct source *source, const char *line, bool overlong)
{
	/* a glob may have a ']' of its own; so may a comment */
	const char *comment = find_comment(line);
	const char *end = comment ? memrchr(line, ']', (size_t)(comment - line)) : strrchr(line, ']');
	source->lost = overlong || !end;
	if (source->lost)
		return;
	size_t length = (size_t)(end - line) - 1;
	memmove(source->section, line + 1, length);
	source->section[length] = '\0';
}

/* Is the line a setting? inih takes it for one if it begins neither a section nor a comment. */
static bool is_setting(const char *line)
{
	const char *comment = find_comment(line), *sign = strpbrk(line, "=:");
	return sign && (!comment || sign < comment);
}

/*
 * fgets for inih, over a text. It counts lines. It drops blanks at the start of a line: inih would take such
 * a line as part of the value before. A line that inih would cut, or not understand, is dropped whole, and
 * told of.
 */
static char *read_line(char *buffer, int size, void *stream)
{
	struct source *source = stream;
	char line[LINE_LENGTH];
	size_t n = 0, most = (size_t)size < sizeof line ? (size_t)size - 2 : sizeof line - 2;
	bool overlong = false;
	if (source->text == source->end)
		return NULL;
	for (; source->text < source->end && *source->text != '\n'; source->text++) {
		if (n == 0 && strchr(" \t\r\v\f", *source->text))
			continue;
		if (n < sizeof line - 2)
			line[n++] = *source->text;
		else
			overlong = true;
	}
	source->text += source->text < source->end;
	line[n] = '\0';
	source->line++;
	if (line[0] == '[')
		note_section(source, line, overlong);
	if (n > most && line[0] == '[' && !overlong)
		n = (size_t)snprintf(line, sizeof line, "[.]"); /* note_section() has the name already */
	if (overlong || n > most) {
		complain(source, "line too long", "ignored");
		n = 0;
	} else if (line[0] == '[' ? source->lost : n > 0 && !strchr(";#", line[0]) && !is_setting(line)) {
		complain(source, "neither [section] nor key = value", "ignored");
		n = 0;
	}
	memmove(buffer, line, n);
	buffer[n] = '\n';
	buffer[n + 1] = '\0';
	return buffer;
}

/*
 * inih's own functions that read files are not used, but they would cost every process a lookup of fgets at
 * its start. So the linker puts this function in the place of fgets (--wrap).
 */
char *__wrap_fgets(char *buffer, int size, FILE *file);

char *__wrap_fgets(char *buffer, int size, FILE *file)
{
	(void)buffer, (void)size, (void)file;
	return NULL;
}

static void read_text(struct settings_list *list, const char *name, const char *text, const char *end)
{
	static const unsigned char mark[] = {0xef, 0xbb, 0xbf}; /* UTF-8's mark, which some editors write */
	if (end - text >= (long)sizeof mark && memcmp(text, mark, sizeof mark) == 0)
		text += sizeof mark;
	struct source source = {.list = list, .name = name, .text = text, .end = end};
	ini_parse_stream(read_line, &source, on_setting, &source);
}

/* A file that is missing is a mistake only if the user has named it. */
static void read_file(struct settings_list *list, const char *path, enum file_trust trust, bool named)
{
	size_t length;
	char doubt[FILE_DOUBT], *text = file_text(path, trust, &length, doubt);
	if (text)
		read_text(list, path, text, text + length);
	else if (doubt[0])
		note_problem(list, "%s: other users can write to it (%s)", path, doubt);
	else if (named || (errno != ENOENT && errno != ENOTDIR))
		note_problem(list, "%s: cannot be read: %m", path);
	free(text);
}

static void read_user_file(struct settings_list *list)
{
	char path[MATCH_PATH];
	if (match_user_path(path, "p11shim/p11shim.conf"))
		read_file(list, path, FILE_OF_USER, false);
}

static void read_variables(struct settings_list *list)
{
	for (int key = 0; key < KEYS; key++) {
		char name[64];
		key_variable(name, sizeof name, (enum key)key);
		const char *value = secure_getenv(name);
		struct source source = {.list = list, .name = name};
		if (value && !is_blank(value))
			add(&source, "*", (enum key)key, value);
	}
}

/* Is it a variable of the shim's that is not a setting? */
static bool is_no_setting(const char *variable)
{
	static const char tests[] = VARIABLE_PREFIX "TEST_";
	return strcmp(variable, VARIABLE_PREFIX "CONFIG") == 0 ||
	       strncmp(variable, tests, sizeof tests - 1) == 0;
}

/*
 * Looks at one variable that has the shim's prefix: does it mean anything? An empty one counts as not set,
 * here too.
 */
static void look_at_variable(struct settings_list *list, const char *variable, const char *value)
{
	char name[LINE_LENGTH], right[64] = "";
	struct source source = {.list = list, .name = variable};
	if (is_blank(value) || is_no_setting(variable) || secure_getenv(variable) != value)
		return;
	key_of_variable(name, sizeof name, variable);
	enum key key = key_named(name);
	if (key == KEYS) {
		complain_of_word(&source, "no such setting", name, key_nearest(name));
		return;
	}
	key_variable(right, sizeof right, key);
	if (strcmp(right, variable) != 0)
		complain_of_word(&source, "no such setting", variable + strlen(VARIABLE_PREFIX), right);
}

void read_look_at_variables(struct settings_list *list, char **environment)
{
	for (char **v = environment; v && *v; v++) {
		char variable[LINE_LENGTH];
		const char *sign = strchr(*v, '=');
		if (strncmp(*v, VARIABLE_PREFIX, strlen(VARIABLE_PREFIX)) != 0 || !sign ||
		    sign - *v >= (long)sizeof variable)
			continue;
		memcpy(variable, *v, (size_t)(sign - *v));
		variable[sign - *v] = '\0';
		look_at_variable(list, variable, sign + 1);
	}
}

/*
 * In a process with raised privileges (AT_SECURE) secure_getenv() finds no variable. So there only the
 * built-in settings and /etc/p11shim/p11shim.conf are read (H2).
 */
static void read_all(struct settings_list *list)
{
	read_text(list, "built-in p11shim.conf", p11shim_builtin_settings, p11shim_builtin_settings_end);
	read_text(list, "built-in modules.conf", p11shim_builtin_modules, p11shim_builtin_modules_end);
	read_file(list, "/etc/p11shim/p11shim.conf", FILE_NAMED, false);
	read_user_file(list);
	const char *named = secure_getenv("P11SHIM_CONFIG");
	if (named && named[0])
		read_file(list, named, FILE_NAMED, true);
	read_variables(list);
}

void read_drop(struct settings_list *list)
{
	struct setting *s, *next;
	struct settings_problem *p, *next_problem;
	DL_FOREACH_SAFE (list->first, s, next)
		drop_setting(s);
	DL_FOREACH_SAFE (list->problems, p, next_problem) {
		free(p->text);
		free(p);
	}
	free(list);
}

struct settings_list *read_settings(void)
{
	struct settings_list *list = calloc(1, sizeof *list);
	if (list)
		read_all(list);
	return list;
}
