/*
 * tell.h: how a finding is told: what was wrong, and the evidence: the moments that led to it (contract I4).
 *
 * The same act, from the same place, is told of once; how often it came again is told at exit. Takes a lock
 * of its own (`told`); no other may be held.
 */
#ifndef P11SHIM_TELL_H
#define P11SHIM_TELL_H

#include "core/life.h"
#include "record/history.h"
#include "record/journal.h"

enum finding {
	DOUBLE_FINALISE,
	USE_AFTER_FINALISE,
	USE_BEFORE_INITIALISE,
	INITIALISE_LEAKED,
	SESSIONS_LEAKED,
	UNLOAD_WHILE_INITIALISED,
	INHERITED_HANDLE,
	FINALISE_IN_CHILD,
	CALL_AT_EXIT,
	OTHERS_LOGOUT,
	INCOMPATIBLE_ARGUMENTS,
	CALL_IN_FLIGHT,
	FINDINGS
};

/* What a call looked like before it was carried out. */
struct call_snapshot {
	struct standing standing; /* not looked at for a call that needs no stack and went well */
	struct moment now;
	unsigned sessions;
	struct moment session; /* when one of those was opened, and on which stack */
};

/* The evidence for a finding: the moments that led to it, the act itself first. */
#define PIECES 10
struct evidence {
	struct evidence_piece piece[PIECES];
	unsigned count;
};

/*
 * Adds one moment to the evidence. A moment that never was (at = 0) is left out, and so is one for which
 * there is no room.
 */
void evidence_add(struct evidence *evidence, const char *what, const char *who, struct moment moment);
void evidence_add_last(struct evidence *evidence, const char *what, struct who_when last);

/*
 * Tells of a finding, unless it was told before. In the format, a letter behind a $ stands for: v the view's
 * consumer, m its module, c the function (CALLS: none), o `other`, n `number`.
 */
void tell_finding(const struct view *view, enum finding kind, unsigned function,
                  const struct evidence *evidence, const char *format, const char *other, uint64_t number);

/* The moment of the act, with a stack. */
struct moment tell_moment_of(const struct call_snapshot *snapshot);

/* ---- the kinds of findings that are found in more than one place */

void tell_of_exit(const struct view *view, unsigned function, const struct call_snapshot *snapshot);
void tell_of_child(const struct view *view, const struct call_snapshot *snapshot);
void tell_of_handle(const struct view *view, unsigned function, CK_SESSION_HANDLE session,
                    const struct call_snapshot *snapshot);
void tell_of_surplus(const struct view *view, const struct call_snapshot *snapshot);
void tell_of_use(const struct view *view, unsigned function, const struct call_snapshot *snapshot);
void tell_of_sessions(const struct view *view, const struct call_snapshot *snapshot);
void tell_of_unload(const struct view *view);

/*
 * The last C_Finalize of a module is about to be called: tells of the calls that are inside, if any are
 * known.
 */
void tell_of_flights(const struct view *view);

/* Tells that so many calls are still inside though the shim waited for them. */
void tell_of_lost_calls(const struct view *view, unsigned inside);

/* At the very end: tells what came more often than it was told. */
void tell_the_rest(void);

#endif
