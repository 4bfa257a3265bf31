/*
 * view.h: what one consumer has of one module: its initialisation count, its
 * lists, its sessions (contract: Words; B1). State is kept per view, never per
 * list.
 *
 * Views are never freed; a consumer that is unloaded and loaded again finds its
 * view again.
 */
#ifndef P11SHIM_VIEW_H
#define P11SHIM_VIEW_H

#include "core/module.h"
#include "host/object.h"

struct list;
struct session;

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

	/* handles.c, under life.sessions */
	struct session *sessions;
	unsigned long session_epoch; /* the module's, for which they count */
};

/* All views, those of one module among them. Append-only; reads take no lock. */
extern struct view views[VIEWS];
extern _Atomic(unsigned) views_made;

/*
 * The view of that consumer on that module, made if need be. If there is no
 * room the module's shared view, which is always there. Takes `registry`.
 */
struct view *view_of(struct module *module, const struct object *consumer);

/* Makes the shared view of a new module; NULL: no room. Under `registry`. */
struct view *view_make_shared_inlock(struct module *module);

/* What of the view is this process's alone. Under life.lock. */
struct view_life *view_life_inlock(const struct view *view);

/* Is its count the parent's, nobody having initialised here? Under life.lock. */
bool view_inherited_inlock(const struct view *view);

/* Turns the short way of all lists of the view on or off. Under life.lock. */
void view_live_inlock(struct view *view, bool on);

#endif
