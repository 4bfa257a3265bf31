/*
 * config.c: see config.h. Files are read by inih.
 *
 * Every line that applies becomes a `setting` in one list, in reading order, so
 * that the last one that matches wins and each still knows file and line. The
 * list is made by whoever comes first and published by one compare-and-swap;
 * of two threads that race, the loser drops its own. No lock is held.
 *
 * A mistake is written to the journal with file and line; that line alone is
 * lost, unless it was to begin a section: then those below it are, too.
 */
#include <dlfcn.h>
#include <errno.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <utlist.h>

#include "base/text.h"
#include "entrance/door.h"
#include "record/journal.h"
#include "settings/config.h"
#include "settings/file.h"
#include "settings/keys.h"
#include "settings/match.h"

struct setting {
	char *section, *value;
	char *source; /* for people: where it was said */
	int line;     /* 0: a variable */
	enum key key;
	struct setting *prev, *next;
};

struct settings_list {
	struct setting *first;
};

#define LINE_LENGTH 1024

/* One source being read; line counts what inih has asked for. */
struct source {
	struct settings_list *list;
	const char *name;
	const char *text, *end;
	int line;
	bool lost;                 /* whose section the lines are in could not be read */
	char section[LINE_LENGTH]; /* whole: inih cuts them short */
};

static _Atomic(struct settings_list *) settings;

extern const char p11shim_builtin_settings[], p11shim_builtin_settings_end[];
extern const char p11shim_builtin_modules[], p11shim_builtin_modules_end[];

static void complain(const struct source *source, const char *what, const char *about)
{
	if (source->line > 0)
		journal_note("settings", "%s:%d: %s: %s", source->name, source->line, what, about);
	else
		journal_note("settings", "%s: %s: %s", source->name, what, about); /* a variable */
}

/* ... of a word, and which one may have been meant. */
static void complain_of_word(const struct source *source, const char *what, const char *word,
                             const char *nearest)
{
	char about[LINE_LENGTH];
	snprintf(about, sizeof about, "%.800s; did you mean %s?", word, nearest ? nearest : "");
	complain(source, what, nearest ? about : word);
}

/* ... and what would have been right. */
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
		complain(source, "without a value", keys[key].name);
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
		complain(source, "below a section that cannot be read", name);
	else if (!section[0])
		complain(source, "before any section", name);
	else
		add(source, section, key, value);
	return 1;
}

/* Where the rest of a line is a comment; NULL: nowhere. As inih has it. */
static const char *find_comment(const char *line)
{
	const char *c = line;
	while ((c = strchr(c, ';')) && (c == line || !strchr(" \t\r\v\f", c[-1])))
		c++;
	return c;
}

/*
 * Remembers a section's name, of whatever length. A line that was to begin one and
 * has no name ends the one before all the same: what is below was not meant for it.
 */
static void note_section(struct source *source, const char *line, bool overlong)
{
	/* a glob may have a ']' of its own; a comment may, too */
	const char *comment = find_comment(line);
	const char *end = comment ? memrchr(line, ']', (size_t)(comment - line)) : strrchr(line, ']');
	source->lost = overlong || !end;
	if (source->lost)
		return;
	size_t length = (size_t)(end - line) - 1;
	memmove(source->section, line + 1, length);
	source->section[length] = '\0';
}

/* For inih all that begins with neither of the others is a setting. */
static bool is_setting(const char *line)
{
	const char *comment = find_comment(line), *sign = strpbrk(line, "=:");
	return sign && (!comment || sign < comment);
}

/*
 * fgets for inih, over a text. Counts lines. Blanks at the start of a line are
 * dropped: for inih they would make it part of the value before. A line that inih
 * would cut, or not understand, is dropped whole, and told.
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
		n = (size_t)snprintf(line, sizeof line, "[.]"); /* its name is noted already */
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
 * inih's own readers of files are not used. They would only cost every process
 * a lookup of fgets at start: the linker puts this in its place (--wrap).
 */
char *__wrap_fgets(char *buffer, int size, FILE *file);

char *__wrap_fgets(char *buffer, int size, FILE *file)
{
	(void)buffer, (void)size, (void)file;
	return NULL;
}

static void read_text(struct settings_list *list, const char *name, const char *text, const char *end)
{
	static const unsigned char mark[] = {0xef, 0xbb, 0xbf}; /* of UTF-8, which some editors write */
	if (end - text >= (long)sizeof mark && memcmp(text, mark, sizeof mark) == 0)
		text += sizeof mark;
	struct source source = {.list = list, .name = name, .text = text, .end = end};
	ini_parse_stream(read_line, &source, on_setting, &source);
}

/* A file that is not there is no mistake, unless somebody named it. */
static void read_file(struct settings_list *list, const char *path, enum file_trust trust, bool named)
{
	size_t length;
	char doubt[FILE_DOUBT], *text = file_text(path, trust, &length, doubt);
	if (text)
		read_text(list, path, text, text + length);
	else if (doubt[0])
		journal_note("settings", "%s: others may write it (%s)", path, doubt);
	else if (named || (errno != ENOENT && errno != ENOTDIR))
		journal_note("settings", "%s: cannot be read: %m", path);
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

/* Variables that are the shim's and no settings. */
static bool is_no_setting(const char *variable)
{
	static const char tests[] = VARIABLE_PREFIX "TEST_";
	return strcmp(variable, VARIABLE_PREFIX "CONFIG") == 0 ||
	       strncmp(variable, tests, sizeof tests - 1) == 0;
}

/* One of our prefix: has it a meaning? An empty one counts as not set, here too. */
static void look_at_variable(const char *variable, const char *value)
{
	char name[LINE_LENGTH], right[64] = "";
	struct source source = {.name = variable};
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

/*
 * All variables are gone through for the complaints only. `environ` is looked up when it is
 * needed: a reference to it would cost every process at its start.
 */
static void look_at_variables(void)
{
	char ***environment = (char ***)door_dlsym(RTLD_DEFAULT, "environ");
	for (char **v = environment ? *environment : NULL; v && *v; v++) {
		char variable[LINE_LENGTH];
		const char *sign = strchr(*v, '=');
		if (strncmp(*v, VARIABLE_PREFIX, strlen(VARIABLE_PREFIX)) != 0 || !sign ||
		    sign - *v >= (long)sizeof variable)
			continue;
		memcpy(variable, *v, (size_t)(sign - *v));
		variable[sign - *v] = '\0';
		look_at_variable(variable, sign + 1);
	}
}

static const char *last_value(const struct settings_list *list, enum key key)
{
	const struct setting *s;
	const char *value = NULL;
	DL_FOREACH (list->first, s)
		if (s->key == key)
			value = s->value;
	return value;
}

/* Under AT_SECURE secure_getenv() finds no variable, so only the first two are read (H2). */
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
	if (journal_open)
		look_at_variables();
}

static void drop(struct settings_list *list)
{
	struct setting *s, *next;
	DL_FOREACH_SAFE (list->first, s, next)
		drop_setting(s);
	free(list);
}

static struct settings_list *make(void)
{
	struct settings_list *list = calloc(1, sizeof *list);
	if (list)
		read_all(list);
	return list;
}

static int last_number(const struct settings_list *list, enum key key)
{
	const char *value = list ? last_value(list, key) : NULL;
	return value ? key_value(key, value) : 0;
}

static const char *unless_none(const char *value)
{
	return value && strcmp(value, "none") != 0 ? value : NULL;
}

/*
 * Opening the journal takes a while. Whoever finds the settings meanwhile waits, so
 * that nothing is done that it would not see, but not for long: the other may wait in
 * turn for a lock of the linker that this thread has, or, in a child, not exist.
 */
static _Atomic(bool) started;

static void wait_until_started(void)
{
	const struct timespec pause = {0, 1000000};
	for (int i = 0; i < 200 && !atomic_load_explicit(&started, memory_order_acquire); i++)
		syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &pause, NULL);
	atomic_store(&started, true);
}

static void start_journal(const struct settings_list *list)
{
	struct journal_settings journal = {
	        .log = unless_none(last_value(list, LOG)),
	        .trace = unless_none(last_value(list, TRACE)),
	        .log_calls = last_number(list, LOG_LEVEL) == 1,
	        .trace_calls = last_number(list, TRACE_LEVEL) == 0,
	        .on_crash = last_number(list, ON_CRASH) == 1,
	};
	if (journal.log || journal.trace || journal.on_crash) {
		/* Where to complain is known only now: read once more, for the complaints. */
		journal_start(&journal);
		struct settings_list *again = make();
		if (again)
			drop(again);
	}
	atomic_store_explicit(&started, true, memory_order_release);
}

static const struct settings_list *get(void)
{
	struct settings_list *list = atomic_load_explicit(&settings, memory_order_acquire);
	if (!list) {
		int error = errno;
		struct settings_list *mine = make();
		if (mine && atomic_compare_exchange_strong(&settings, &list, mine)) {
			start_journal(mine);
			list = mine;
		} else if (mine) {
			drop(mine);
		}
		errno = error;
	}
	if (UNLIKELY(!atomic_load_explicit(&started, memory_order_acquire)) && list)
		wait_until_started();
	return list;
}

static int global_value(enum key key)
{
	return last_number(get(), key);
}

bool config_disabled(void)
{
	return global_value(DISABLE) > 0;
}

bool config_strip_deepbind(void)
{
	return global_value(DEEPBIND) > 0;
}

/* modules = any | known | patterns: is the module among them? */
static bool listed(const struct settings_list *list, const char *modules, const struct match_names *names)
{
	if (strcmp(modules, "any") == 0)
		return true;
	if (strcmp(modules, "known") == 0) {
		const struct setting *s;
		DL_FOREACH (list->first, s)
			if (strcmp(s->section, "*") != 0 && match_module(s->section, names))
				return true;
		return match_p11_kit(names);
	}
	char *copy = strdup(modules), *rest = copy, *pattern;
	bool found = false;
	while (copy && !found && (pattern = strtok_r(rest, ", \t", &rest)))
		found = match_module(pattern, names);
	free(copy);
	return found;
}

/* What holds for a module: the last of each key that matches, but an exclude always wins. */
static void collect(const struct settings_list *list, const struct match_names *names,
                    const struct setting *last[KEYS], bool people)
{
	const struct setting *s;
	memset(last, 0, KEYS * sizeof last[0]);
	DL_FOREACH (list->first, s) {
		if (s->key == PRODUCT && !people)
			continue;
		bool excluded = last[EXCLUDE] && key_value(EXCLUDE, last[EXCLUDE]->value) == 1;
		if (match_module(s->section, names) && !(s->key == EXCLUDE && excluded))
			last[s->key] = s;
	}
}

struct settings config_of_module(const char *path)
{
	struct settings result = {.in_scope = true};
	const struct settings_list *list = get();
	if (!list)
		return result;
	struct match_names names = match_names_of(path);
	const struct setting *last[KEYS];
	const char *value[KEYS];
	collect(list, &names, last, false);
	for (int key = 0; key < KEYS; key++)
		value[key] = last[key] ? last[key]->value : NULL;
	bool excluded = value[EXCLUDE] && key_value(EXCLUDE, value[EXCLUDE]) == 1;
#define NUMBER(key) (value[key] ? key_value(key, value[key]) : 0)
	result.in_scope = !excluded && (!value[MODULES_KEY] || listed(list, value[MODULES_KEY], &names));
	result.observe = NUMBER(MODE) == 1;
	result.already_report = NUMBER(ALREADY) == 1;
	result.fork = NUMBER(FORK);
	result.at_exit = NUMBER(AT_EXIT);
	result.serialize = NUMBER(SERIALIZE);
	result.wait = NUMBER(WAIT);
	result.logout = NUMBER(LOGOUT);
	result.drain = NUMBER(DRAIN);
	free(names.resolved);
	return result;
}

void config_explain(const char *path, void (*tell)(void *user, const struct explanation *explanation),
                    void *user)
{
	const struct settings_list *list = get();
	struct match_names names = match_names_of(path);
	const struct setting *last[KEYS];
	if (!list)
		return;
	collect(list, &names, last, true);
	for (int key = 0; key < KEYS; key++) {
		const struct setting *s = last[key];
		if (!s)
			continue;
		struct explanation explanation = {.key = keys[key].name,
		                                  .value = s->value,
		                                  .section = s->section,
		                                  .source = s->source,
		                                  .line = s->line,
		                                  .global = keys[key].global};
		tell(user, &explanation);
	}
	free(names.resolved);
}
