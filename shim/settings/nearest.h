/*
 * nearest.h: of the words that there are, the one that somebody may have meant.
 *
 *	struct nearest nearest = nearest_to("frok");
 *	nearest_try(&nearest, "fork");
 *	nearest_try(&nearest, "log");
 *	nearest.best      "fork"; NULL: none is near
 *
 * Near is what a slip of the finger or of memory makes: a letter more or less, another one, two
 * exchanged; capitals count as small letters, and _ as -. A third of the word at most, and of
 * words of two letters nothing: "on" is not meant for "no". Nothing here allocates.
 */
#ifndef P11SHIM_NEAREST_H
#define P11SHIM_NEAREST_H

#include "base/common.h"

struct nearest {
	const char *word, *best;
	unsigned least; /* only what is nearer than this counts */
};

struct nearest nearest_to(const char *word);
void nearest_try(struct nearest *nearest, const char *candidate); /* which is kept, not copied */

#endif
