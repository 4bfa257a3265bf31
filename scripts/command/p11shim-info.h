/*
 * p11shim-info.h: what the parts of p11shim-info share.
 */
#ifndef P11SHIM_INFO_H
#define P11SHIM_INFO_H

#include <stdbool.h>

#include "standard/pkcs11.h"

/* version.S: of this software, with the commit */
extern const char p11shim_version[];

/*
 * p11shim-settings.c: p11shim-info --config; module: a path, or NULL. An exit status. By lines, raw
 * or as they are shown, or as JSON.
 */
enum form { FORM_SHOWN, FORM_RAW, FORM_JSON };
int tell_settings(const char *module, enum form form);

/* p11shim-info --nearest WORD: of the lines of standard input. An exit status. */
int tell_nearest(const char *word);

/* What it was last asked, and has not answered; all has been said at the end. */
enum asked { ASKED_LOAD, ASKED_INITIALIZE, ASKED_INFO, ASKED_INFO_IN_VAIN, ASKED_FINALIZE, ASKED_ALL };

/* What a module says of itself, as far as it came. */
struct answer {
	enum asked asked;
	bool has_version, has_info;
	CK_VERSION version;
	CK_INFO info;
	CK_RV rv;          /* of C_GetInfo, or of a C_Initialize that failed */
	CK_RV initialised; /* of C_Initialize */
	char error[400];   /* what went wrong; empty: nothing */
};

/* p11shim-ask.c: does not return if we are told to end meanwhile. */
void ask_in_child(const char *path, bool initialise, int seconds, struct answer *answer);

const char *result_name(CK_RV rv);

#endif
