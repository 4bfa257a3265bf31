/*
 * view.h: the view: what one consumer has of one module (model.h). It is made when the consumer is first met.
 */
#ifndef P11SHIM_VIEW_H
#define P11SHIM_VIEW_H

#include "core/model.h"

/*
 * The view of that consumer on that module, made if need be. If there is no room, it is the module's shared
 * view, which is always there. Takes `registry`.
 */
struct view *view_of(struct module *module, const struct object *consumer);

/* Makes the shared view of a new module; NULL: no room. Under `registry`. */
struct view *view_make_shared_inlock(struct module *module);

/* Turns the fast path of all lists of the view on or off. Under life.lock. */
void view_set_fast_inlock(struct view *view, bool on);

#endif
