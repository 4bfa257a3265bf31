/*
 * text.h: a line being put together in a buffer of a fixed size.
 *
 * This is done by hand and not by printf, since it is done for every recorded call, and in signal handlers.
 * Nothing here allocates, takes a lock, or depends on the locale. What does not fit is left out, and `cut`
 * says so. Nothing is written beyond the end, and a buffer that is full stays full.
 *
 *	char buffer[200];
 *	struct text line = text_in(buffer, sizeof buffer);
 *	text_put(&line, "pid=");
 *	text_number(&line, pid);
 *	write(fd, line.start, text_length(&line));
 */
#ifndef P11SHIM_TEXT_H
#define P11SHIM_TEXT_H

#include <string.h>

#include "base/common.h"

struct text {
	char *start, *at, *end;
	bool cut;
};

struct text text_in(char *buffer, size_t size);

static inline size_t text_length(const struct text *text)
{
	return (size_t)(text->at - text->start);
}

/* Inline: most pieces are of a length that the compiler knows. */
static inline void text_bytes(struct text *text, const char *bytes, size_t length)
{
	size_t room = (size_t)(text->end - text->at);
	if (UNLIKELY(length > room)) {
		length = room;
		text->cut = true;
	}
	memcpy(text->at, bytes, length);
	text->at += length;
}

/* NULL: nothing */
static inline void text_put(struct text *text, const char *string)
{
	if (string)
		text_bytes(text, string, strlen(string));
}

void text_number(struct text *text, uint64_t number);
void text_padded(struct text *text, uint64_t number, unsigned digits); /* with zeroes in front */
void text_hex(struct text *text, uint64_t number);                     /* 0x and without zeroes in front */
void text_microseconds(struct text *text, uint64_t nanoseconds);       /* 12.345 */

/*
 * A string whose contents another program or library chose: control characters, and bytes that are not UTF-8,
 * become '?'. For JSON, quotes and backslashes are escaped too.
 */
void text_foreign(struct text *text, const char *string);
void text_json(struct text *text, const char *string); /* with the quotes around */

/* Would text_json() put the string unchanged between its quotes? */
bool text_is_plain(const char *string);

/* Takes the text back to what it was before: for a part that must stand whole or not at all. */
static inline void text_back(struct text *text, const struct text *before)
{
	text->at = before->at;
	text->cut = before->cut;
}

#endif
