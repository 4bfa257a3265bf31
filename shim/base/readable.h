/*
 * readable.h: can memory be read? For what a consumer, a module or a file says is
 * there. Asks the kernel, so anything may be asked; a few hundred nanoseconds.
 * Async-signal-safe, takes no lock, errno is not kept.
 */
#ifndef P11SHIM_READABLE_H
#define P11SHIM_READABLE_H

#include "base/common.h"

/* To be called before, once. */
void readable_start(void);

bool is_readable(const void *start, size_t size);

#endif
