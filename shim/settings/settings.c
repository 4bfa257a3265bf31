/*
 * settings.c: see settings.h.
 *
 * The first thread that needs the settings makes the list of them, and publishes it by one compare-and-swap.
 * If two threads race there, the loser drops its own list. No lock is held. A published list is never
 * changed, except for its problems, by settings_problems().
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "settings/match.h"
#include "settings/read.h"
#include "settings/settings.h"

static _Atomic(struct settings_list *) settings;

enum settings_state settings_read(void)
{
	struct settings_list *list = atomic_load_explicit(&settings, memory_order_acquire);
	if (list)
		return SETTINGS_THERE;
	int error = errno;
	enum settings_state state = SETTINGS_MISSING;
	struct settings_list *mine = read_settings();
	if (mine && atomic_compare_exchange_strong(&settings, &list, mine)) {
		state = SETTINGS_NEW;
	} else if (mine) {
		read_drop(mine);
		state = SETTINGS_THERE;
	}
	errno = error;
	return state;
}

static struct settings_list *get(void)
{
	settings_read();
	return atomic_load_explicit(&settings, memory_order_acquire);
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

static int last_number(const struct settings_list *list, enum key key)
{
	const char *value = list ? last_value(list, key) : NULL;
	return value ? key_value(key, value) : 0;
}

static const char *unless_none(const char *value)
{
	return value && strcmp(value, "none") != 0 ? value : NULL;
}

struct settings_recording settings_recording(void)
{
	const struct settings_list *list = get();
	if (!list)
		return (struct settings_recording){0};
	return (struct settings_recording){
	        .log = unless_none(last_value(list, LOG)),
	        .trace = unless_none(last_value(list, TRACE)),
	        .log_calls = last_number(list, LOG_LEVEL) == 1,
	        .trace_calls = last_number(list, TRACE_LEVEL) == 0,
	        .on_crash = last_number(list, ON_CRASH) == 1,
	};
}

void settings_problems(char **environment, void (*tell)(void *user, const char *problem), void *user)
{
	struct settings_list *list = get();
	const struct settings_problem *problem;
	if (!list)
		return;
	read_look_at_variables(list, environment);
	DL_FOREACH (list->problems, problem)
		tell(user, problem->text);
}

bool settings_disabled(void)
{
	return last_number(get(), DISABLE) > 0;
}

bool settings_strip_deepbind(void)
{
	return last_number(get(), DEEPBIND) > 0;
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

/*
 * Collects what applies to a module: for each key the last setting that matches. But an `exclude = yes`
 * always wins. people: also the keys that are for people only.
 */
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

struct settings settings_of_module(const char *path)
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

void settings_explain(const char *path, void (*tell)(void *user, const struct explanation *explanation),
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
