/*
 * config.h: settings and where they came from (contract H).
 *
 * Read once, when the process first meets PKCS #11, from, later wins: the
 * settings built into the library (config/), /etc/p11shim/p11shim.conf,
 * $XDG_CONFIG_HOME/p11shim/p11shim.conf, the file named by P11SHIM_CONFIG, and
 * P11SHIM_<KEY> variables. In a process with raised privileges only the first two
 * count; to root, only files that nobody else may write (file.h).
 */
#ifndef P11SHIM_CONFIG_H
#define P11SHIM_CONFIG_H

#include "base/common.h"

enum fork_policy { FORK_AUTO, FORK_RESET, FORK_STRICT, FORK_OFF };
enum at_exit { AT_EXIT_AUTO, AT_EXIT_FORWARD, AT_EXIT_RETIRE, AT_EXIT_FINALIZE };
enum wait { WAIT_POLL, WAIT_FORWARD };
enum logout { LOGOUT_SHARED, LOGOUT_HELD };
enum drain { DRAIN_NO, DRAIN_YES, DRAIN_REPORT };
enum serialize { SERIALIZE_AUTO, SERIALIZE_YES, SERIALIZE_NO };

/* What holds for one module. */
struct settings {
	bool in_scope; /* modules, exclude */
	bool observe;  /* mode = observe */
	bool already_report;
	enum fork_policy fork;
	enum at_exit at_exit;
	enum serialize serialize;
	enum wait wait;
	enum logout logout;
	enum drain drain;
};

/* P11SHIM_DISABLE=1. Reads the settings the first time. No shim lock may be held. */
bool config_disabled(void);

/* deepbind = strip. As above. */
bool config_strip_deepbind(void);

/* The settings of the module at that path. As above. */
struct settings config_of_module(const char *path);

/*
 * For people: every key that holds for the module at that path (NULL: for none in
 * particular), its value and where that was said. As above.
 */
struct explanation {
	const char *key, *value, *section;
	const char *source; /* a file, "built-in ...", or the name of a variable */
	int line;           /* in the file; 0: a variable */
	bool global;        /* concerns the process, not modules */
};
void config_explain(const char *path, void (*tell)(void *user, const struct explanation *explanation),
                    void *user);

#endif
