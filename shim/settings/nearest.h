/*
 * nearest.h: finds, among the words that there are, the one that the user may have meant.
 *
 *	struct nearest nearest = nearest_to("frok");
 *	nearest_try(&nearest, "fork");
 *	nearest_try(&nearest, "log");
 *	nearest.best      "fork"; NULL: none is near
 *
 * A word is near if a slip of the finger or of memory may have made the other one of it: one letter more or
 * less, another letter, or two letters exchanged. Capitals count as small letters, and _ as -. At most a
 * third of the letters may be wrong. For words of two letters no word is near: "on" is not meant for "no".
 * Nothing here allocates.
 */
#ifndef P11SHIM_NEAREST_H
#define P11SHIM_NEAREST_H

#include "base/common.h"

struct nearest {
	const char *word, *best;
	unsigned least; /* only a word that is nearer than this counts */
};

struct nearest nearest_to(const char *word);
void nearest_try(struct nearest *nearest, const char *candidate); /* candidate is kept, not copied */

#endif
