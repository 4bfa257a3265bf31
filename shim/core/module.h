/*
 * module.h: one loaded instance of a module, and its end.
 */
#ifndef P11SHIM_MODULE_H
#define P11SHIM_MODULE_H

#include "core/model.h"

/*
 * Holds the module's present instance (object_hold). NULL: it is gone, or has just
 * come back. To be given to object_release(). No lock may be held.
 */
void *module_hold(struct module *module);

/* Before something is loaded: notice which modules have been unloaded. */
void modules_notice_unloads(void);

/* For the record: a file is about to be opened, or a handle closed, of a module perhaps. No lock may be held.
 */
void modules_opened(const char *path);
void modules_closed(const void *handle);

#endif
