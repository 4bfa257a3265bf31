/*
 * p11shim-settings.c: the part of p11shim-info that tells settings, as the library
 * itself reads them: shim/config.c is linked in, and of the journal, which it
 * complains to, just this.
 *
 *	p11shim-info --config [MODULE]
 *
 * Prints lines `KEY<TAB>VALUE<TAB>SOURCE:LINE`, or `...<TAB>VARIABLE`: what holds for
 * the module at that path, or for any. Mistakes in the settings go to standard error.
 */
#include <stdarg.h>
#include <stdio.h>

#include "config.h"
#include "journal.h"
#include "p11shim-info.h"

_Atomic(bool) journal_open = true;

/* With a log, the settings are read once more, for the complaints: heard already. */
void journal_start(const struct journal_settings *settings)
{
	(void)settings;
	journal_open = false;
}

void journal_write_note(const char *event, const char *format, ...)
{
	va_list arguments;
	(void)event;
	va_start(arguments, format);
	fprintf(stderr, "p11shim: ");
	vfprintf(stderr, format, arguments);
	fprintf(stderr, "\n");
	va_end(arguments);
}

static void tell(void *nothing, const struct explanation *e)
{
	(void)nothing;
	printf("%s\t%s\t%s", e->key, e->value, e->source);
	if (e->line > 0)
		printf(":%d", e->line);
	printf("\n");
}

int tell_settings(const char *module)
{
	config_explain(module, tell, NULL);
	return fflush(stdout) != 0;
}
