/*
 * log.h: the log, one line an event (contract I2), and the last lines kept for a crash (I5).
 *
 * A line is put together on the stack. Nothing here takes a lock, so lines of different threads stand in the
 * order in which they were written. Nothing here allocates (syslog() would; so its socket is written to
 * directly). Whatever goes wrong, the line is lost and the program goes on. errno is kept. No write or open
 * here lets a thread be cancelled.
 */
#ifndef P11SHIM_LOG_H
#define P11SHIM_LOG_H

#include "base/moment.h"
#include "base/text.h"

#define LOG_LINE 2048

/* A line of the log, in the making. */
struct log_line {
	char buffer[LOG_LINE];
	struct text text;
	int error, cancel;
};

/*
 * Opens the log. where: "stderr", "syslog", a path, or NULL: nowhere. keep: the last lines are kept for a
 * crash. Called once. False: there is no log.
 */
bool log_start(const char *where, bool keep);

/* Begins a line: when, who, what. consumer and module are "-" where there is none; result may be NULL. */
void log_begin(struct log_line *line, const char *consumer, const char *module, const char *event,
               const char *result, const struct moment *moment);

/*
 * Ends the line: what has been put to line->text stands behind the beginning. hot: when its event began, if
 * it is one line of many; then that is near enough to now. to_log: false: the line is only kept.
 */
void log_end(struct log_line *line, const struct moment *hot, bool to_log);

/*
 * For a crash, in a signal handler. The first writes the lines that are kept, oldest first, to stderr, or to
 * the log if that is a file. The second writes a line of the handler's own there.
 */
void log_last_lines(void);
void log_last_word(const char *line, size_t length);

#endif
