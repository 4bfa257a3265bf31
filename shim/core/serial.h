/*
 * serial.h: one call at a time into a module that cannot lock (contract C8).
 */
#ifndef P11SHIM_SERIAL_H
#define P11SHIM_SERIAL_H

#include "core/model.h"

/* How the life cycle takes a call of a consumer: see life_enter(). */
enum call_kind { MODULE_CALL, MODULE_POLL, MODULE_BLOCKS };

/*
 * Calls a function of the module with so many words. The caller sees to it that the module is up, and holds
 * no lock. If the module cannot lock, one call at a time goes in, except those that may block. A poll does
 * not wait for its turn: while another call is inside, it is answered CKR_NO_EVENT.
 */
CK_RV serial_call(struct module *module, void *function, unsigned parameters, const uintptr_t *words,
                  enum call_kind kind);

#endif
