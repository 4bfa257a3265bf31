/*
 * p11shim-settings.c: the part of p11shim-info that tells settings, as the library
 * itself reads them: its floor `settings` is linked in.
 *
 *	p11shim-info --config [--raw | --json] [MODULE]
 *	p11shim-info --nearest WORD
 *
 * Prints lines `KEY<TAB>VALUE<TAB>SOURCE:LINE`, or `...<TAB>VARIABLE`: what holds for
 * the module at that path, or for any. A value may have tabs in it, a source has none. Of both
 * is shown what may be (text.h); --raw leaves what a value, or a mistake, has but for ends of
 * lines. Mistakes in the settings go to standard error.
 *
 *	--json      one document: {"settings": [{"key", "value", "source", "line", "section"}...],
 *	            "mistakes": ["..."...]}, on one line
 *	--nearest   of the lines of standard input the one that WORD may have been meant for, by the
 *	            library's rule; exit status 1 if there is none
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/text.h"
#include "p11shim-info.h"
#include "settings/nearest.h"
#include "settings/settings.h"

static enum form form_of_all;

/* Those that are to be told at the end. */
static struct mistake {
	struct mistake *next;
	char text[];
} * mistakes, **last_mistake = &mistakes;

/* Without what a terminal obeys, but for a tab where that may stay. Never longer than it was. */
static void show(FILE *out, const char *string, bool tabs)
{
	char *copy = malloc(strlen(string) + 1);
	struct text text = text_in(copy, strlen(string));
	if (!copy)
		return;
	while (*string) {
		size_t length = tabs ? strcspn(string, "\t") : strlen(string);
		char *part = strndup(string, length);
		text_foreign(&text, part);
		free(part);
		string += length;
		if (*string)
			text_bytes(&text, string++, 1);
	}
	fwrite(copy, 1, text_length(&text), out);
	free(copy);
}

static void show_raw(FILE *out, const char *string)
{
	for (; *string; string++)
		fputc(*string == '\n' ? '?' : *string, out);
}

static void show_json(const char *string)
{
	size_t size = 2 * strlen(string) + 2;
	char *copy = malloc(size);
	struct text text = text_in(copy, size);
	if (!copy)
		return;
	text_json(&text, string);
	fwrite(copy, 1, text_length(&text), stdout);
	free(copy);
}

static void tell_problem(void *nothing, const char *text)
{
	(void)nothing;
	if (form_of_all == FORM_JSON) {
		struct mistake *mistake = malloc(sizeof *mistake + strlen(text) + 1);
		if (!mistake)
			return;
		mistake->next = NULL;
		strcpy(mistake->text, text);
		*last_mistake = mistake;
		last_mistake = &mistake->next;
		return;
	}
	fprintf(stderr, "p11shim: ");
	if (form_of_all == FORM_RAW)
		show_raw(stderr, text);
	else
		show(stderr, text, false);
	fprintf(stderr, "\n");
}

static void tell(void *nothing, const struct explanation *e)
{
	(void)nothing;
	printf("%s\t", e->key);
	if (form_of_all == FORM_RAW)
		show_raw(stdout, e->value);
	else
		show(stdout, e->value, true);
	printf("\t");
	show(stdout, e->source, false);
	if (e->line > 0)
		printf(":%d", e->line);
	printf("\n");
}

static void tell_json(void *count, const struct explanation *e)
{
	printf("%s{\"key\":\"%s\",\"value\":", (*(int *)count)++ ? "," : "", e->key);
	show_json(e->value);
	printf(",\"source\":");
	show_json(e->source);
	if (e->line > 0)
		printf(",\"line\":%d,\"section\":", e->line);
	else
		printf(",\"line\":null,\"section\":");
	show_json(e->section);
	printf("}");
}

int tell_settings(const char *module, enum form form)
{
	int count = 0;
	form_of_all = form;
	settings_problems(environ, tell_problem, NULL);
	if (form != FORM_JSON) {
		settings_explain(module, tell, NULL);
		return fflush(stdout) != 0;
	}
	printf("{\"settings\":[");
	settings_explain(module, tell_json, &count);
	printf("],\"mistakes\":[");
	for (const struct mistake *m = mistakes; m; m = m->next) {
		printf("%s", m == mistakes ? "" : ",");
		show_json(m->text);
	}
	printf("]}\n");
	return fflush(stdout) != 0;
}

int tell_nearest(const char *word)
{
	struct nearest nearest = nearest_to(word);
	char *line = NULL;
	size_t size = 0;
	ssize_t length;
	while ((length = getline(&line, &size, stdin)) >= 0) {
		if (length > 0 && line[length - 1] == '\n')
			line[length - 1] = '\0';
		nearest_try(&nearest, line);
		if (nearest.best == line) /* which is to be kept */
			nearest.best = strdup(line);
	}
	if (!nearest.best)
		return 1;
	show(stdout, nearest.best, true);
	printf("\n");
	return 0;
}
