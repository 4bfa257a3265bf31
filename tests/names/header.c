/*
 * header.c: do the numbers in another PKCS #11 header agree with ours?
 * bats/names.bats compiles it against each header that is here, with
 *
 *	ours.h     CHECK(name, value) for every name of ours that the header has too
 *	theirs.h   KNOWN(name) for every name of the kinds in names.def that it has
 *
 *	header [NAME...]    names in which the header is known to err
 *
 * Says what differs, and how many were compared.
 */
#include HEADER

#include <stdio.h>
#include <string.h>

static int compared, wrong, unknown;
static char **excused;

static int is_excused(const char *name)
{
	for (char **e = excused; *e; e++)
		if (strcmp(*e, name) == 0)
			return 1;
	return 0;
}

static void check(const char *name, unsigned long theirs, unsigned long ours)
{
	compared++;
	if (theirs == ours || is_excused(name))
		return;
	printf("%s is 0x%lx there and 0x%lx here\n", name, theirs, ours);
	wrong++;
}

static const struct {
	const char kind[5];
	unsigned long value;
} table[] = {
#define MECHANISM(name, value) {"CKM_", value},
#define ATTRIBUTE(name, value, sort) {"CKA_", value},
#define CLASS(name, value) {"CKO_", value},
#define KEY_TYPE(name, value) {"CKK_", value},
#define USER(name, value) {"CKU_", value},
#include "standard/names.def"
};

/* Vendors' own numbers are nobody's business here. */
static void known(const char *name, unsigned long value)
{
	if (value >= 0x80000000UL)
		return;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++)
		if (table[i].value == value && strncmp(table[i].kind, name, 4) == 0)
			return;
	printf("%s, 0x%lx, is not here\n", name, value);
	unknown++;
}

int main(int argc, char **argv)
{
	excused = argv + (argc > 0);
#define CHECK(name, value) check(#name, (unsigned long)(name), (unsigned long)(value));
#include "ours.h"
#define KNOWN(name) known(#name, (unsigned long)(name));
#include "theirs.h"
	printf("%d compared\n", compared);
	/* a later version of the standard may well have names that we have not */
	if (CRYPTOKI_VERSION_MAJOR * 100 + CRYPTOKI_VERSION_MINOR > 302)
		unknown = 0;
	return wrong + unknown > 0;
}
