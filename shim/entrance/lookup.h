/*
 * lookup.h: what the door is to answer, and what it has seen (contract A, B).
 *
 * All of these may call the dynamic linker, so a caller holds no lock of the shim.
 */
#ifndef P11SHIM_LOOKUP_H
#define P11SHIM_LOOKUP_H

#include "base/common.h"

/*
 * What dlsym(handle, name) is to answer; NULL: what it would answer without the shim. name is that of a C_*
 * function; caller: an address in the consumer.
 */
void *lookup_symbol(void *handle, const char *name, const void *caller);

/* Before a dlopen of path (NULL: the program). True: RTLD_DEEPBIND is to be taken out of the flags. */
bool lookup_before_load(const char *path, int flags);

/* Before a dlclose, while anything is recorded. errno is kept. */
void lookup_before_unload(const void *handle);

#endif
