/*
 * p11shim-info: what `p11shim list` wishes to know and a shell cannot find out.
 *
 *	p11shim-info --config [--raw | --json] [MODULE]     see p11shim-settings.c
 *	p11shim-info --nearest WORD                         likewise
 *	p11shim-info --info [--init] [--seconds N] MODULE
 *	p11shim-info --version
 *
 *	--info      what the PKCS #11 module at that path says of itself
 *	--init      C_Initialize before C_GetInfo and C_Finalize after it, for a module
 *	            that answers nothing without, as the standard allows
 *	--seconds   how long it may take (5)
 *
 * Prints lines `NAME<TAB>TEXT`: cryptoki, manufacturer, description, version, and `initialise`
 * with the return value of a C_Initialize that failed; or `silent` with the return value that
 * C_GetInfo (with --init C_Initialize) had for us; and `error` with what went wrong, behind what
 * had been said by then. What is no printable UTF-8 is shown as ?. Exit status: 0, 1 after an
 * error, or if the lines cannot be written, 2 if misused.
 *
 * A module is foreign code: p11shim-ask.c says how it is kept.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "p11shim-info.h"

const char *result_name(CK_RV rv)
{
	static char number[32];
	static const struct {
		CK_RV value;
		const char *name;
	} names[] = {
#define RETURN(name) {name, #name},
#include "standard/returns.def"
	};
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (names[i].value == rv)
			return names[i].name;
	snprintf(number, sizeof number, "0x%lx", rv);
	return number;
}

/* One line. Text comes from a module: blank-padded, and not for a terminal to obey. */
static void print(const char *name, const char *padded, size_t size)
{
	char string[sizeof((struct answer *)0)->error + 1], shown[sizeof string];
	struct text text = text_in(shown, sizeof shown - 1);
	while (size > 0 && (padded[size - 1] == ' ' || padded[size - 1] == '\0'))
		size--;
	snprintf(string, sizeof string, "%.*s", (int)size, padded);
	text_foreign(&text, string);
	*text.at = '\0';
	printf("%s\t%s\n", name, shown);
}

static void print_version(const char *name, CK_VERSION version, const char *format)
{
	char text[16];
	snprintf(text, sizeof text, format, version.major, version.minor);
	print(name, text, strlen(text));
}

static int info(const char *path, bool initialise, int seconds)
{
	struct answer answer;
	ask_in_child(path, initialise, seconds, &answer);
	/* 2.40 is major 2, minor 40; 2.01 is 2 and 1 */
	if (answer.has_version)
		print_version("cryptoki", answer.version, "%d.%02d");
	if (answer.has_info) {
		const CK_INFO *of = &answer.info;
		print("manufacturer", (const char *)of->manufacturerID, sizeof of->manufacturerID);
		print("description", (const char *)of->libraryDescription, sizeof of->libraryDescription);
		print_version("version", of->libraryVersion, "%d.%d");
	}
	const char *name = result_name(answer.has_info ? answer.initialised : answer.rv);
	if (answer.has_info ? answer.initialised != CKR_OK : answer.rv != CKR_OK)
		print(answer.has_info ? "initialise" : "silent", name, strlen(name));
	if (answer.error[0])
		print("error", answer.error, strnlen(answer.error, sizeof answer.error));
	return answer.error[0] != '\0';
}

static int usage(void)
{
	fprintf(stderr, "usage: p11shim-info --info [--init] [--seconds N] MODULE\n"
	                "       p11shim-info --config [--raw | --json] [MODULE]\n"
	                "       p11shim-info --nearest WORD\n"
	                "       p11shim-info --version\n");
	return 2;
}

static int run_config(int count, char **argument)
{
	enum form form = FORM_SHOWN;
	int i = 2;
	if (i < count && strcmp(argument[i], "--raw") == 0)
		form = FORM_RAW, i++;
	else if (i < count && strcmp(argument[i], "--json") == 0)
		form = FORM_JSON, i++;
	return i + 1 < count ? usage() : tell_settings(argument[i], form);
}

static int run(int count, char **argument)
{
	bool initialise = false;
	int seconds = 5, i = 2;
	if (count == 2 && strcmp(argument[1], "--version") == 0) {
		printf("p11shim-info %s\n", p11shim_version);
		return 0;
	}
	if (count >= 2 && strcmp(argument[1], "--config") == 0)
		return run_config(count, argument);
	if (count == 3 && strcmp(argument[1], "--nearest") == 0)
		return tell_nearest(argument[2]);
	if (count < 3 || strcmp(argument[1], "--info") != 0)
		return usage();
	for (; i < count && argument[i][0] == '-'; i++) {
		if (strcmp(argument[i], "--init") == 0)
			initialise = true;
		else if (strcmp(argument[i], "--seconds") == 0 && i + 1 < count)
			seconds = atoi(argument[++i]);
		else
			return usage();
	}
	return i + 1 == count && seconds > 0 ? info(argument[i], initialise, seconds) : usage();
}

/* An answer that cannot be written is an error. */
int main(int count, char **argument)
{
	int status = run(count, argument);
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	fprintf(stderr, "p11shim-info: cannot write: %s\n", strerror(errno));
	return status ? status : 1;
}
