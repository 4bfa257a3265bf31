/*
 * text.c: see text.h.
 */
#include "base/text.h"

struct text text_in(char *buffer, size_t size)
{
	return (struct text){.start = buffer, .at = buffer, .end = buffer + size};
}

/* Two digits at a time, from the end. */
void text_padded(struct text *text, uint64_t number, unsigned digits)
{
	char decimal[24];
	unsigned n = sizeof decimal;
	while (number >= 100) {
		unsigned two = (unsigned)(number % 100);
		number /= 100;
		decimal[--n] = (char)('0' + two % 10);
		decimal[--n] = (char)('0' + two / 10);
	}
	if (number >= 10) {
		decimal[--n] = (char)('0' + number % 10);
		number /= 10;
	}
	if (number > 0)
		decimal[--n] = (char)('0' + number);
	while (sizeof decimal - n < digits)
		decimal[--n] = '0';
	text_bytes(text, decimal + n, sizeof decimal - n);
}

void text_number(struct text *text, uint64_t number)
{
	text_padded(text, number, 1);
}

void text_hex(struct text *text, uint64_t number)
{
	char hex[18];
	unsigned n = sizeof hex;
	do {
		hex[--n] = "0123456789abcdef"[number % 16];
		number /= 16;
	} while (number > 0);
	hex[--n] = 'x';
	hex[--n] = '0';
	text_bytes(text, hex + n, sizeof hex - n);
}

void text_microseconds(struct text *text, uint64_t nanoseconds)
{
	text_number(text, nanoseconds / 1000);
	text_put(text, ".");
	text_padded(text, nanoseconds % 1000, 3);
}

/* The length of the UTF-8 character that begins at s; 0: none begins there. */
static size_t character(const unsigned char *s)
{
	size_t n = s[0] < 0x80   ? 1
	           : s[0] < 0xc2 ? 0
	           : s[0] < 0xe0 ? 2
	           : s[0] < 0xf0 ? 3
	           : s[0] < 0xf5 ? 4
	                         : 0;
	for (size_t i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0; /* the end of the string comes here too */
	if (n >= 3 && ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
	               (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f)))
		return 0;
	return n;
}

/*
 * Is it a control character (of seven or eight bits), or one that ends a line or turns the direction of
 * writing?
 */
static bool is_obeyed(const unsigned char *s)
{
	return s[0] < ' ' || s[0] == 127 || (s[0] == 0xc2 && s[1] < 0xa0) ||
	       (s[0] == 0xe2 && s[1] == 0x80 &&
	        ((s[2] >= 0xa8 && s[2] <= 0xae) || s[2] == 0x8e || s[2] == 0x8f)) ||
	       (s[0] == 0xd8 && s[1] == 0x9c) ||
	       (s[0] == 0xe2 && s[1] == 0x81 && s[2] >= 0xa6 && s[2] <= 0xa9);
}

static bool is_plain(unsigned char c)
{
	return c >= ' ' && c < 127 && c != '"' && c != '\\';
}

bool text_is_plain(const char *string)
{
	while (is_plain((unsigned char)*string))
		string++;
	return !*string;
}

static void foreign(struct text *text, const char *string, bool json)
{
	const char *s = string;
	while (s && *s) {
		const char *plain = s;
		while (is_plain((unsigned char)*s))
			s++;
		text_bytes(text, plain, (size_t)(s - plain));
		if (!*s)
			return;
		size_t n = is_obeyed((const unsigned char *)s) ? 0 : character((const unsigned char *)s);
		struct text before = *text;
		if (json && (*s == '"' || *s == '\\'))
			text_bytes(text, "\\", 1);
		if (n == 0)
			text_bytes(text, "?", 1);
		else
			text_bytes(text, s, n);
		if (text->cut) {
			text->at = before.at; /* no half character */
			return;
		}
		s += n ? n : 1;
	}
}

void text_foreign(struct text *text, const char *string)
{
	foreign(text, string, false);
}

void text_json(struct text *text, const char *string)
{
	text_bytes(text, "\"", 1);
	foreign(text, string, true);
	text_bytes(text, "\"", 1);
}
