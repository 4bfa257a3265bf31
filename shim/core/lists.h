/*
 * lists.h: what a consumer receives: function lists and interfaces that are made of gate slots (contract A4,
 * B).
 */
#ifndef P11SHIM_LISTS_H
#define P11SHIM_LISTS_H

#include "core/model.h"
#include "standard/calls.h"

/* The list with that number: 0 to GATE_LISTS - 1, handed out already. */
struct list *lists_at(unsigned number);

/* The list for a module's exported functions; there is always one left. Under `registry`. */
struct list *lists_make_own_inlock(struct view *shared);

/*
 * The module is a new instance: makes all lists lead nowhere, since no list may lead to the old one. Under
 * `registry`.
 */
void lists_disown_inlock(struct module *module);

/* The module's own function behind a slot; never NULL. */
void *lists_target(const struct list *list, unsigned function);

/* False: the module has no such function, and the answer is CKR_FUNCTION_NOT_SUPPORTED (B4). */
bool lists_supports(const struct list *list, unsigned function);

/* A function list that a module hands out. Never freed. */
struct raw_list {
	const void *_Atomic list; /* the module's; NULL while the module is gone */
	CK_VERSION version;       /* the version that the views' lists say */
	unsigned functions;
	bool from_interface; /* from C_GetInterface*, with these flags; false: from C_GetFunctionList */
	CK_FLAGS flags;
	struct raw_list *next;
};

/* The name that an interface of the standard has: "PKCS 11". */
extern const CK_UTF8CHAR lists_standard_interface[8];

/*
 * The view's list for `kind`, which the module handed out; made if need be. If there is no room, it is the
 * shared view's list; NULL: not even that has room (contract B5). Takes `registry`.
 */
struct list *lists_for(struct view *view, const struct raw_list *kind);

/*
 * What C_GetFunctionList of the module gave when it was first asked; NULL: it was not asked yet. Takes
 * `registry`.
 */
const void *lists_known(const struct module *module);

/* The list of the functions that this view has looked up one by one, made if need be. NULL: no room. */
struct list *lists_looked_up(struct view *view);

/* Makes that slot lead to `target`, a function of the module; NULL: the module has no such function. */
void lists_set_target(const struct list *list, unsigned function, void *target);

#endif
