/*
 * settings.h: settings and where they came from (contract H).
 *
 * They are read once, when the process first meets PKCS #11, from these sources: the settings built into the
 * library (config/), /etc/p11shim/p11shim.conf, $XDG_CONFIG_HOME/p11shim/p11shim.conf, the file named by
 * P11SHIM_CONFIG, and P11SHIM_<KEY> variables. A later source wins. In a process with raised privileges only
 * the first two count; for root, only files that root alone may write (file.h).
 */
#ifndef P11SHIM_SETTINGS_H
#define P11SHIM_SETTINGS_H

#include "base/common.h"

enum fork_policy { FORK_AUTO, FORK_RESET, FORK_STRICT, FORK_OFF };
enum at_exit { AT_EXIT_AUTO, AT_EXIT_FORWARD, AT_EXIT_RETIRE, AT_EXIT_FINALIZE };
enum wait { WAIT_POLL, WAIT_FORWARD };
enum logout { LOGOUT_SHARED, LOGOUT_HELD };
enum drain { DRAIN_NO, DRAIN_YES, DRAIN_REPORT };
enum serialize { SERIALIZE_AUTO, SERIALIZE_YES, SERIALIZE_NO };

/* The settings that apply to one module. */
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

/*
 * Reads the settings, unless a thread has read them already. The caller holds no lock of the shim. errno is
 * kept. All functions below do the same.
 */
enum settings_state {
	SETTINGS_MISSING, /* there is no memory for them */
	SETTINGS_NEW,     /* this call has read them: the caller is to start what they ask for */
	SETTINGS_THERE,   /* they had been read already */
};
enum settings_state settings_read(void);

/* What is to be recorded. The strings last as long as the process. */
struct settings_recording {
	const char *log;   /* "stderr", "syslog", a path, or NULL */
	const char *trace; /* a path, or NULL */
	bool log_calls, trace_calls;
	bool on_crash;
};
struct settings_recording settings_recording(void);

/*
 * Tells each mistake in the settings as a line for people, in reading order, and after them the variables of
 * the process that look like settings and are none. `environment` has the form of environ, or is NULL. To be
 * called by one thread, once.
 */
void settings_problems(char **environment, void (*tell)(void *user, const char *problem), void *user);

/* P11SHIM_DISABLE=1. */
bool settings_disabled(void);

/* deepbind = strip. */
bool settings_strip_deepbind(void);

/* The settings of the module at that path. */
struct settings settings_of_module(const char *path);

/*
 * For people: every key that applies to the module at that path (NULL: to none in particular), its value and
 * where it was set.
 */
struct explanation {
	const char *key, *value, *section;
	const char *source; /* a file, "built-in ...", or the name of a variable */
	int line;           /* in the file; 0: a variable */
	bool global;        /* concerns the process, not modules */
};
void settings_explain(const char *path, void (*tell)(void *user, const struct explanation *explanation),
                      void *user);

#endif
