/*
 * common.h: what every file of the shim may use. It knows nothing of PKCS #11.
 */
#ifndef P11SHIM_COMMON_H
#define P11SHIM_COMMON_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Marks functions that run for every dlsym of the host, perhaps before the run-time of a sanitizer has
 * started (STYLE: sanitizers and preloads).
 */
#if defined __clang__ && __has_attribute(disable_sanitizer_instrumentation)
#define UNSANITIZED __attribute__((disable_sanitizer_instrumentation))
#else
#define UNSANITIZED __attribute__((no_sanitize_address, no_sanitize_thread, no_sanitize("undefined")))
#endif

#define UNLIKELY(x) __builtin_expect(!!(x), 0)
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#endif
