/*
 * exit.h: the end of the process (contract C10).
 */
#ifndef P11SHIM_EXIT_H
#define P11SHIM_EXIT_H

#include "core/model.h"

/*
 * Registers an exit handler for the instance of the module that has just been met. The handler runs after
 * those that consumers register from now on, and before the module's own. Calls __cxa_atexit; no lock may be
 * held.
 */
void exit_watch(struct module *module);

#endif
