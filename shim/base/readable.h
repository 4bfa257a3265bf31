/*
 * readable.h: can memory be read? For memory that a consumer, a module or a file says is there. The kernel is
 * asked, so any address may be given; it costs a few hundred nanoseconds.
 *
 * Async-signal-safe. Takes no lock. errno is not kept.
 */
#ifndef P11SHIM_READABLE_H
#define P11SHIM_READABLE_H

#include "base/common.h"

/* To be called once, before the first is_readable(). */
void readable_start(void);

bool is_readable(const void *start, size_t size);

#endif
