/*
 * nearest.c: see nearest.h. The distance is that of Damerau and Levenshtein, where no letter is
 * moved twice.
 */
#include <string.h>

#include "settings/nearest.h"

#define LONGEST 63
#define FURTHEST 3

static int folded(char c)
{
	return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c == '_' ? '-' : c;
}

static unsigned smaller(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

struct nearest nearest_to(const char *word)
{
	size_t length = strnlen(word, LONGEST + 1);
	unsigned furthest = length <= 2 || length > LONGEST ? 0 : smaller((unsigned)length / 3, FURTHEST);
	return (struct nearest){.word = word, .least = furthest + 1};
}

/*
 * Row by row: row[i % 3][j] is the distance between the first i letters of one and the first j of the other.
 */
static unsigned distance(const char *one, size_t height, const char *other, size_t width)
{
	unsigned row[3][LONGEST + 1];
	for (size_t j = 0; j <= width; j++)
		row[0][j] = (unsigned)j;
	for (size_t i = 1; i <= height; i++) {
		unsigned *here = row[i % 3], *above = row[(i + 2) % 3], *higher = row[(i + 1) % 3];
		here[0] = (unsigned)i;
		for (size_t j = 1; j <= width; j++) {
			bool same = folded(one[i - 1]) == folded(other[j - 1]);
			here[j] = smaller(above[j - 1] + !same, smaller(above[j], here[j - 1]) + 1);
			if (i > 1 && j > 1 && folded(one[i - 1]) == folded(other[j - 2]) &&
			    folded(one[i - 2]) == folded(other[j - 1]))
				here[j] = smaller(here[j], higher[j - 2] + 1);
		}
	}
	return row[height % 3][width];
}

void nearest_try(struct nearest *nearest, const char *candidate)
{
	size_t height = strnlen(nearest->word, LONGEST + 1), width = strnlen(candidate, LONGEST + 1);
	if (height > LONGEST || width > LONGEST)
		return;
	unsigned far = distance(nearest->word, height, candidate, width);
	if (far < nearest->least) {
		nearest->least = far;
		nearest->best = candidate;
	}
}
