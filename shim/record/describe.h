/*
 * describe.h: the parameters of one call by their names in the standard, with mechanisms, flags, classes and
 * attribute types by name, and sizes instead of contents (contract I2).
 *
 * Never shown: PINs and their lengths, the bytes of any buffer, the values of attributes other than classes,
 * types, booleans and plain numbers, and anything of a vendor's own attributes but their type.
 *
 * A consumer's pointers may lead anywhere: before one is read, the kernel is asked whether it can be read.
 * Allocates nothing, takes no lock, may run in a signal handler.
 */
#ifndef P11SHIM_DESCRIBE_H
#define P11SHIM_DESCRIBE_H

#include "base/text.h"
#include "standard/calls.h"

/*
 * To be called when the call is over, with its answer and with its words as the consumer gave them. The words
 * must lie on the stack of this thread. JSON: ,"hSession":1,... ; else: " hSession=1 ...". A parameter that
 * does not fit is left out.
 */
void describe_call(struct text *text, unsigned function, const uintptr_t *words, CK_RV rv, bool json);

/* A return value by name, or as a number. */
void describe_return(struct text *text, CK_RV rv);

#endif
