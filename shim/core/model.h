/*
 * model.h: what the core is about: modules, what consumers have of them (views), and the lists that consumers
 * were given (contract: Words). All three are append-only: none is ever freed, and readers take no lock.
 *
 * Lock order. A thread that holds one of these locks takes only locks that stand below it:
 *
 *   registry            new modules, views and lists (host/process.h)
 *   life.lock           one module's state, and the counts of its views
 *   life.sessions       one module's tables of sessions
 *
 * A thread that takes life.serialised, life.logins, events.lock (call/wait.c), told or history (record/)
 * holds none of those three, and takes none of them while it holds one of these. There are two exceptions:
 * life.serialised, and the ownership of logins (life.login_owner), are held across a call into the module,
 * and life.lock may be taken under them. No lock at all is held across a call to the dynamic linker. A place
 * where a call may come back into the shim is marked REENTRANT.
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
 * The arguments that the module is given in C_Initialize. They are the shim's and are never freed, since some
 * modules keep the pointer. Zeroes follow: NSS reads one pointer more than the standard has.
 */
struct module_arguments {
	CK_C_INITIALIZE_ARGS args;
	void *zeroes[4];
	bool null; /* the module is to get NULL */
};

struct module {
	struct object object;
	char *path; /* the shim's copy of object.path; never freed */
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
	struct raw_list *raw; /* the lists that it handed out: lists.c, under `registry` */

	/*
	 * A child inherits these, and initialises the module with them (F2). The thread inside the real
	 * initialise writes them, before any view counts.
	 */
	struct module_arguments given;     /* what the consumer asked for */
	char *reserved_text;               /* what given.args.pReserved pointed to, if that was text */
	struct module_arguments arguments; /* what the module has been given */
	void *initialise, *finalise;       /* the module's functions, from the list that initialised it */
	void *close_session;
	bool was_up;          /* it was, in this process or one that this was forked from */
	_Atomic(void *) hold; /* keeps it loaded while it is initialised */

	/* sessions.c, under life.sessions; a child inherits them */
	struct session *sessions, *real_sessions, *stale;
	unsigned long session_epoch;  /* changes when all sessions become stale at once */
	CK_SESSION_HANDLE last_shown; /* the last consumer's handle that the shim made up */
	bool some_unknown;            /* the parent had sessions that could not be read */
	bool all_stale;               /* every handle that was not given out in this process is stale */
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
	char *path;             /* the shim's copy of consumer.path; never freed */
	char name[64];          /* for people */
	bool plain;             /* the name: see text_is_plain() */
	bool shared;            /* it is the module's shared view: see module->shared */
	_Atomic(bool) retired; /* the process is exiting, and for this consumer the module may be destroyed */
	_Atomic(bool)
	        may_pass; /* mode = observe, recorded: its calls may take the fast path (record/observe.c) */
	_Atomic(struct list *) lists;

	/* Under life.lock of the module. A child inherits these as they are. */
	unsigned count;
	bool finalised; /* this consumer had initialised the module, and no longer has */

	/* sessions.c, under life.sessions */
	struct session *sessions;
	unsigned long session_epoch; /* the epoch of the module's for which they count */
};

/*
 * One function list of one view. Never freed. The list of the functions that a consumer looks up one by one
 * has no table.
 */
struct list {
	unsigned number; /* the number of its slots in the gate */
	struct view *view;
	struct raw_list *raw;
	struct list *next;          /* of the view */
	CK_INTERFACE as_interface;  /* the list as an interface, if it was handed out as one */
	CK_FUNCTION_LIST_3_2 table; /* of it, the first raw->functions functions are used */
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

/* The view's state that is this process's alone. Under life.lock of its module. */
static inline struct view_life *view_life_inlock(const struct view *view)
{
	return &p11shim_forgotten.state.view[view - views];
}

/* Is the view's count the parent's, since it has not initialised in this process? Under life.lock. */
static inline bool view_inherited_inlock(const struct view *view)
{
	return view->count > 0 && !view_life_inlock(view)->counted;
}

/*
 * Writes a value only if it is new. To write what stands there already, into memory that a child shares with
 * its parent, would cost the child a copy of the page.
 */
#define CHANGE(place, value)               \
	do {                               \
		if ((place) != (value))    \
			(place) = (value); \
	} while (0)

#endif
