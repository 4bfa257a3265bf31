/*
 * lists.h: what a consumer receives: its function lists and interfaces, made of
 * gate slots (contract A4, B).
 */
#ifndef P11SHIM_LISTS_H
#define P11SHIM_LISTS_H

#include "core/view.h"
#include "standard/calls.h"

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

/* The list with that number: 0 to GATE_LISTS - 1, handed out already. */
struct list *lists_at(unsigned number);

/* The list for a module's exported functions; there is always one left. Under `registry`. */
struct list *lists_make_own_inlock(struct view *shared);

/* The module is a new instance: no list may lead to the old one. Under `registry`. */
void lists_disown_inlock(struct module *module);

/* The module's own function behind a slot; never NULL. */
void *lists_target(const struct list *list, unsigned function);

/* False: the module has none, and CKR_FUNCTION_NOT_SUPPORTED is answered (B4). */
bool lists_supports(const struct list *list, unsigned function);

/* C_GetFunctionList and C_GetInterface* by a slot of that list. */
CK_RV lists_get_function_list(struct list *list, const void *caller, CK_FUNCTION_LIST_PTR_PTR ppFunctionList);
CK_RV lists_get_interface(struct list *list, const void *caller, const uintptr_t *words);
CK_RV lists_get_interface_list(struct list *list, const void *caller, const uintptr_t *words);

/* The list of the functions that this view has looked up one by one, made if need be. NULL: no room. */
struct list *lists_looked_up(struct view *view);

/* From now on that slot leads to `target`, a function of the module; NULL: the module has none. */
void lists_set_target(const struct list *list, unsigned function, void *target);

#endif
