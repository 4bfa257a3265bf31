/*
 * module.h: one loaded instance of a module, and its end.
 */
#ifndef P11SHIM_MODULE_H
#define P11SHIM_MODULE_H

#include "core/model.h"

/*
 * Holds the module's present instance (object_hold). NULL: the instance is gone, or has just come back. The
 * caller gives the hold to object_release(). No lock may be held.
 */
void *module_hold(struct module *module);

/* To be called before an object is loaded: notices which modules have been unloaded. */
void modules_notice_unloads(void);

/*
 * For the record: a file is about to be opened, or a handle to be closed, and it may be a module's. No lock
 * may be held.
 */
void modules_opened(const char *path);
void modules_closed(const void *handle);

#endif
