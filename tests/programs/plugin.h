/*
 * plugin.h: what a plugin of two-plugins offers to its host.
 */
#ifndef P11SHIM_TEST_PLUGIN_H
#define P11SHIM_TEST_PLUGIN_H

#include "standard/pkcs11.h"

struct plugin {
	/* Loads and initialises the module, opens a session, logs in, finds the
	 * key. A strict plugin takes only CKR_OK from C_Initialize. */
	CK_RV (*start)(const char *module_path, int strict);
	/* Signs in the session that start() opened. */
	CK_RV (*sign)(void);
	/* Opens a second session, finds the key there, signs, closes it. */
	CK_RV (*sign_anew)(void);
	/* Finalises and unloads the module. */
	CK_RV (*stop)(void);
};

typedef const struct plugin *plugin_entry(void);

#endif
