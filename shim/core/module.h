/*
 * module.h: one module: its life in this process, and the only place of a real
 * C_Initialize and C_Finalize (contract C, F).
 */
#ifndef P11SHIM_MODULE_H
#define P11SHIM_MODULE_H

#include "host/object.h"
#include "host/process.h"
#include "settings/settings.h"
#include "standard/pkcs11.h"

struct view;
struct list;
struct session;
struct login;

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
	struct raw_list *raw; /* lists.c, under `registry` */

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

	/* handles.c, under life.sessions; inherited by a child */
	struct session *sessions, *real_sessions, *stale;
	unsigned long session_epoch;  /* changes when all sessions become stale at once */
	CK_SESSION_HANDLE last_shown; /* the last number that was not the module's own */
	bool some_unknown;            /* the parent had sessions that could not be read */
	bool all_stale;               /* every number is that was not given out here */
	_Atomic(bool) translated, sessions_torn;

	_Atomic(struct login *) logins; /* login.c */
};

/*
 * The module whose function that is; instance: its object, as scope_instance()
 * has it. Made if need be. NULL: no module (it has no C_GetFunctionList itself,
 * contract H1), not in scope, or no room. Calls the dynamic linker and
 * __cxa_atexit; no lock may be held.
 */
struct module *module_of(const void *function, const struct object *instance);

extern _Atomic(unsigned) modules_made;

/* From 0, in the order in which they were made. */
static inline unsigned module_number(const struct module *module)
{
	return (unsigned)(module->life - p11shim_forgotten.state.life);
}

/*
 * Holds the module's present instance (scope_hold). NULL: it is gone, or has just
 * come back. To be given to scope_release(). No lock may be held.
 */
void *module_hold(struct module *module);

/* Before something is loaded: notice which modules have been unloaded. */
void modules_notice_unloads(void);

/* For the record: a file is about to be opened, or a handle closed, of a module perhaps. No lock may be held.
 */
void modules_opened(const char *path);
void modules_closed(const void *handle);

/* C_Initialize and C_Finalize of a view; list: the one whose function was called. */
CK_RV module_initialise(struct view *view, const struct list *list, CK_VOID_PTR pInitArgs);
CK_RV module_finalise(struct view *view, CK_VOID_PTR pReserved);

/*
 * May a call of this view go on to the module? CKR_OK, or what to answer
 * instead. In a forked child this is where the module comes up again. A view
 * that never initialised borrows the module (C4): its call counts as a
 * reference while it lasts. After CKR_OK, module_leave() with the same ticket.
 *
 * A call that is inside when the last reference goes is the consumer's own
 * mistake: it is told of, and with drain = yes waited for. One that only polls
 * for slot events is ours, comes back soon, and is always waited for; one that
 * may block for an event never is.
 */
enum call_kind { MODULE_CALL, MODULE_POLL, MODULE_BLOCKS };
struct ticket {
	int process; /* 0: never entered */
	enum call_kind kind;
	bool reference;
	unsigned long attempt; /* life of the module: a call that outlives it counts no more */
};
CK_RV module_enter(struct view *view, struct ticket *ticket, enum call_kind kind);
void module_leave(struct view *view, const struct ticket *ticket);

/*
 * A function of the module, with so many words; the caller sees to it that the
 * module is up. One at a time if the module cannot lock, unless it may block; a
 * poll does not queue for that, but is answered CKR_NO_EVENT.
 */
CK_RV module_call(struct module *module, void *function, unsigned parameters, const uintptr_t *words,
                  enum call_kind kind);

/* How the view stands at the moment. */
struct standing {
	bool counts;           /* initialised in this process */
	bool left;             /* finalised, and not initialised since */
	bool up;               /* the module is up */
	bool inherited;        /* counts, but in the process that this one was forked from */
	unsigned long changes; /* see process.h */
	bool retired;          /* the process is exiting, and the module may be destroyed for it */
};
struct standing module_standing(struct view *view);

/* Turns the short way of the view on if nothing speaks against it. */
void module_refresh(struct view *view);

#endif
