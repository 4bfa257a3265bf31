/*
 * arguments.h: what a module is given in its C_Initialize (contract C8; PKCS #11 2.40, 3.0: 5.4, 3.2: 5.4
 * C_Initialize).
 */
#ifndef P11SHIM_ARGUMENTS_H
#define P11SHIM_ARGUMENTS_H

#include "core/model.h"

/* Reads the standard's six fields of what a consumer gave, and no more. False: they are not legal. */
bool arguments_read(struct module_arguments *given, const CK_C_INITIALIZE_ARGS *args);

/*
 * Copies what pReserved points to, if it is text: softoken, p11-kit-trust and others take parameters there,
 * and the consumer may have freed them by the time that a child needs them (F2). NULL if it is no text: not
 * readable, not printable, shorter than any parameter, or no longer than a pointer that looks like text. The
 * caller frees the copy.
 */
char *arguments_copy_text(const void *pReserved);

bool arguments_same(const struct module_arguments *a, const struct module_arguments *b);

/*
 * Calls the real C_Initialize of the module, with what module->given asks for, as far as the module takes it.
 * again_in_child: the arguments are from before the fork. Only the thread that has made the module BUSY may
 * call this. No lock may be held.
 */
CK_RV arguments_initialise(struct module *module, void *initialise, bool again_in_child);

#endif
