/*
 * fuzz.h: what the fuzz targets share: a claim that ends the program if it is not
 * true, and readers of JSON and UTF-8 that are stricter than any.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CLAIM(truth)                                                                          \
	do {                                                                                  \
		if (!(truth)) {                                                               \
			fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #truth); \
			abort();                                                              \
		}                                                                             \
	} while (0)

/* The length of the character there, by the table of RFC 3629; 0 if it is none. */
static inline size_t utf8_character(const unsigned char *s, const unsigned char *end)
{
	static const struct {
		unsigned char first, last, low, high, more;
	} forms[] = {{0x00, 0x7f, 0, 0, 0},       {0xc2, 0xdf, 0x80, 0xbf, 1}, {0xe0, 0xe0, 0xa0, 0xbf, 2},
	             {0xe1, 0xec, 0x80, 0xbf, 2}, {0xed, 0xed, 0x80, 0x9f, 2}, {0xee, 0xef, 0x80, 0xbf, 2},
	             {0xf0, 0xf0, 0x90, 0xbf, 3}, {0xf1, 0xf3, 0x80, 0xbf, 3}, {0xf4, 0xf4, 0x80, 0x8f, 3}};
	for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
		if (*s < forms[i].first || *s > forms[i].last)
			continue;
		if (end - s <= forms[i].more)
			return 0;
		if (forms[i].more && (s[1] < forms[i].low || s[1] > forms[i].high))
			return 0;
		for (unsigned m = 2; m <= forms[i].more; m++)
			if (s[m] < 0x80 || s[m] > 0xbf)
				return 0;
		return forms[i].more + 1u;
	}
	return 0;
}

/* One line of text: UTF-8 without control characters. */
static inline bool is_line(const char *text, size_t length)
{
	const unsigned char *s = (const unsigned char *)text, *end = s + length;
	size_t n;
	for (; s < end; s += n)
		if (*s < ' ' || *s == 127 || (*s == 0xc2 && s[1] < 0xa0) || (n = utf8_character(s, end)) == 0)
			return false;
	return true;
}

/* A JSON string at s, on one line: what follows it, or NULL. */
static inline const char *json_string(const char *s, const char *end)
{
	size_t n;
	if (s >= end || *s++ != '"')
		return NULL;
	for (; s < end && *s != '"'; s += n) {
		if (*s == '\\' && end - s >= 2 && (s[1] == '"' || s[1] == '\\')) {
			n = 2;
			continue;
		}
		if (*s == '\\' || (unsigned char)*s < ' ' || *s == 127)
			return NULL;
		n = utf8_character((const unsigned char *)s, (const unsigned char *)end);
		if (n == 0)
			return NULL;
	}
	return s < end ? s + 1 : NULL;
}

/* A value as the trace has them: a string, a number without sign, true, false, null, an array of them. */
static inline const char *json_value(const char *s, const char *end)
{
	static const char *const words[] = {"true", "false", "null"};
	if (s >= end)
		return NULL;
	if (*s == '"')
		return json_string(s, end);
	if (*s >= '0' && *s <= '9') {
		const char *first = s;
		while (s < end && *s >= '0' && *s <= '9')
			s++;
		/* what a double holds exactly, and no zeroes in front */
		return s - first <= 16 && (*first != '0' || s - first == 1) ? s : NULL;
	}
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if ((size_t)(end - s) >= strlen(words[i]) && memcmp(s, words[i], strlen(words[i])) == 0)
			return s + strlen(words[i]);
	if (*s++ != '[')
		return NULL;
	if (s < end && *s == ']')
		return s + 1;
	for (;;) {
		s = json_value(s, end);
		if (!s || s >= end || (*s != ',' && *s != ']'))
			return NULL;
		if (*s++ == ']')
			return s;
	}
}

/* Members as describe_call() adds them: ,"name":value,"name":value */
static inline bool json_members(const char *s, const char *end)
{
	while (s && s < end) {
		if (*s != ',')
			return false;
		s = json_string(s + 1, end);
		if (!s || s >= end || *s != ':')
			return false;
		s = json_value(s + 1, end);
	}
	return s != NULL;
}

#endif
