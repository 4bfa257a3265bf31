/*
 * say.h: how the sample programs report: one short line for each step,
 *
 *	nss: sign existing key: ok
 *	gnutls: find the key anew: FAILED: PKCS #11 error.
 *
 * and a count of what failed, from which main() makes the exit status.
 */
#ifndef P11SHIM_TEST_SAY_H
#define P11SHIM_TEST_SAY_H

#include <stdio.h>

static int say_failures;

/* One step; reason is NULL where it went well. Returns whether it did. */
static inline int say(const char *who, const char *step, const char *reason)
{
	if (reason)
		say_failures++;
	printf("%s: %s: %s%s\n", who, step, reason ? "FAILED: " : "ok", reason ? reason : "");
	fflush(stdout);
	return !reason;
}

#endif
