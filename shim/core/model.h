/*
 * model.h: what the core is about: modules, what consumers have of them, and the lists that they
 * were given (contract: Words). All three are append-only: none is ever freed, and readers take no
 * lock.
 *
 * Lock order. A thread that holds one of these takes only such as stand below it:
 *
 *   registry            new modules, views and lists (host/process.h)
 *   life.lock           one module's state, and the counts of its views
 *   life.sessions       one module's tables of sessions
 *
 * life.serialised, life.logins, events.lock (call/wait.c), told and history (record/) are taken with
 * none of those held, and none of those is taken under them, but for life.lock under life.serialised
 * and life.logins' owner, which are held across a call into the module. No lock at all is held across
 * a call to the dynamic linker; where a call may come back into the shim it is marked REENTRANT.
 */
#ifndef P11SHIM_MODEL_H
#define P11SHIM_MODEL_H

#include "host/object.h"
#include "host/process.h"
#include "settings/settings.h"
#include "standard/calls.h"
#include "standard/pkcs11.h"

struct login;
struct raw_list;
struct session;

/*
 * What the module is given in C_Initialize: ours, and never freed, since some
 * modules keep the pointer. Zeroes follow: NSS reads one pointer more than the
 * standard has.
 */
struct module_arguments {
	CK_C_INITIALIZE_ARGS args;
	void *zeroes[4];
	bool null; /* the module is to get NULL */
};

struct module {
	struct object object;
	char *path; /* our copy of object.path; never freed */
	char name[64];
	bool plain; /* the name: see text_is_plain() */
	struct settings settings;
	struct life *life;
	unsigned long instance; /* counts its loads; with object and path, under life.lock */
	struct view *shared;    /* the view of all consumers that have none of their own */
	struct list *own;       /* list of the shared view: holds the module's exported functions */
	_Atomic(bool) gone;     /* it was unloaded */
	_Atomic(bool) retired;  /* the process is exiting and the module may be destroyed */
	_Atomic(bool) serialise;
	bool exit_handlers, destructors;
	struct raw_list *raw; /* what it handed out: lists.c, under `registry` */

	/*
	 * Inherited by a child, which initialises with them (F2). Written by the
	 * thread inside the real initialise, before anything counts.
	 */
	struct module_arguments given;     /* what the consumer asked for */
	char *reserved_text;               /* what given.args.pReserved pointed to, if that was text */
	struct module_arguments arguments; /* what the module has been given */
	void *initialise, *finalise;       /* the module's functions that were used */
	void *close_session;
	bool was_up;          /* in this process or one that it was forked from */
	_Atomic(void *) hold; /* keeps it loaded while it is initialised */

	/* sessions.c, under life.sessions; inherited by a child */
	struct session *sessions, *real_sessions, *stale;
	unsigned long session_epoch;  /* changes when all sessions become stale at once */
	CK_SESSION_HANDLE last_shown; /* the last number that was not the module's own */
	bool some_unknown;            /* the parent had sessions that could not be read */
	bool all_stale;               /* every number is that was not given out here */
	_Atomic(bool) translated, sessions_torn;

	_Atomic(struct login *) logins; /* logins.c */
};

/*
 * What one consumer has of one module: its initialisation count, its lists, its sessions (B1). State
 * is kept per view, never per list. A consumer that is unloaded and loaded again finds its view again.
 */
struct view {
	struct module *module;
	struct object consumer; /* as it was last seen */
	char *path;             /* our copy of consumer.path; never freed */
	char name[64];          /* for people */
	bool plain;             /* the name: see text_is_plain() */
	bool shared;            /* the module's own: see module->shared */
	_Atomic(bool) retired; /* the process is exiting, and for this consumer the module may be destroyed */
	_Atomic(bool)
	        may_pass; /* mode = observe, recorded: its calls may take the fast path (record/observe.c) */
	_Atomic(struct list *) lists;

	/* Under life.lock of the module. A child inherits them as they are. */
	unsigned count;
	bool finalised; /* was initialised by this consumer, and no longer is */

	/* sessions.c, under life.sessions */
	struct session *sessions;
	unsigned long session_epoch; /* the module's, for which they count */
};

/*
 * One function list of one view. Never freed. The view's own list of exported
 * functions (for consumers that look functions up one by one) has no table.
 */
struct list {
	unsigned number; /* of the gate's slots */
	struct view *view;
	struct raw_list *raw;
	struct list *next;          /* of the view */
	CK_INTERFACE as_interface;  /* where it was handed out as one */
	CK_FUNCTION_LIST_3_2 table; /* as many functions of it as raw->functions */
};

extern struct module modules[MODULES];
extern _Atomic(unsigned) modules_made; /* how many of them there are */

extern struct view views[VIEWS]; /* those of all modules */
extern _Atomic(unsigned) views_made;

/* From 0, in the order in which they were made. */
static inline unsigned module_number(const struct module *module)
{
	return (unsigned)(module - modules);
}

/* What of the view is this process's alone. Under life.lock of its module. */
static inline struct view_life *view_life_inlock(const struct view *view)
{
	return &p11shim_forgotten.state.view[view - views];
}

/* Is its count the parent's, no thread having initialised here? Under life.lock. */
static inline bool view_inherited_inlock(const struct view *view)
{
	return view->count > 0 && !view_life_inlock(view)->counted;
}

/*
 * Writes only what is new: what stands there already, in memory that a child
 * shares with its parent, would cost the child a copy of the page.
 */
#define CHANGE(place, value)               \
	do {                               \
		if ((place) != (value))    \
			(place) = (value); \
	} while (0)

#endif
