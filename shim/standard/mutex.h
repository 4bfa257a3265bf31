/*
 * mutex.h: mutexes for a module that will not use the system's own (contract C8; PKCS #11 2.40, 3.0, 3.2:
 * CK_C_INITIALIZE_ARGS). The shim never hands a consumer's mutex functions on to the module: they may live in
 * a library that is unloaded before the module is finalised. The shim's functions stay for as long as the
 * process.
 */
#ifndef P11SHIM_MUTEX_H
#define P11SHIM_MUTEX_H

#include "standard/pkcs11.h"

/* Puts the four functions into the arguments, in place of what stood there. */
void mutex_functions(CK_C_INITIALIZE_ARGS *args);

#endif
