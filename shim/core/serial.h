/*
 * serial.h: one call at a time into a module that cannot lock (contract C8).
 */
#ifndef P11SHIM_SERIAL_H
#define P11SHIM_SERIAL_H

#include "core/model.h"

/* What a call of a consumer is to the life cycle: see life_enter(). */
enum call_kind { MODULE_CALL, MODULE_POLL, MODULE_BLOCKS };

/*
 * A function of the module, with so many words; the caller sees to it that the
 * module is up. One at a time if the module cannot lock, unless it may block; a
 * poll does not queue for that, but is answered CKR_NO_EVENT. No lock may be held.
 */
CK_RV serial_call(struct module *module, void *function, unsigned parameters, const uintptr_t *words,
                  enum call_kind kind);

#endif
