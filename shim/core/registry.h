/*
 * registry.h: which modules there are. This is the top of the core: code that meets a function of a module
 * asks here first.
 */
#ifndef P11SHIM_REGISTRY_H
#define P11SHIM_REGISTRY_H

#include "core/model.h"

/*
 * The module whose function that is; made if need be. instance: the function's object, as object_instance()
 * has it. NULL: it is no module (the object has no C_GetFunctionList itself, contract H1), it is not in
 * scope, or there is no room. Calls the dynamic linker and __cxa_atexit; no lock may be held.
 */
struct module *module_of(const void *function, const struct object *instance);

#endif
