/*
 * registry.h: which modules there are. The top of the core: whoever meets a function of a module asks
 * here first.
 */
#ifndef P11SHIM_REGISTRY_H
#define P11SHIM_REGISTRY_H

#include "core/model.h"

/*
 * The module whose function that is; instance: its object, as object_instance()
 * has it. Made if need be. NULL: no module (it has no C_GetFunctionList itself,
 * contract H1), not in scope, or no room. Calls the dynamic linker and
 * __cxa_atexit; no lock may be held.
 */
struct module *module_of(const void *function, const struct object *instance);

#endif
