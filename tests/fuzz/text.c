/*
 * text.c: lines of any bytes, in buffers of any size: JSON and UTF-8 come out, never
 * half a character, and nothing is written beyond the end.
 *
 * Input: one byte for the size of the buffer, eight for numbers, then the string.
 */
#include "fuzz.h"
#include "base/text.h"

/* Without quotes and escapes. */
static size_t unescaped(char *to, const char *json, size_t length)
{
	size_t n = 0;
	for (size_t i = 1; i + 1 < length; i++) {
		if (json[i] == '\\')
			i++;
		to[n++] = json[i];
	}
	return n;
}

static void strings(const char *string, size_t room)
{
	size_t length = strlen(string), most = 2 * length + 2;
	char *whole = malloc(most), *plain = malloc(most), *small = malloc(room + 1);
	struct text json = text_in(whole, most), log = text_in(plain, most);

	text_json(&json, string);
	CLAIM(!json.cut);
	CLAIM(json_string(whole, json.at) == json.at);
	text_foreign(&log, string);
	CLAIM(!log.cut && text_length(&log) == length);
	CLAIM(is_line(plain, length));
	char *again = malloc(most);
	CLAIM(unescaped(again, whole, text_length(&json)) == length && memcmp(again, plain, length) == 0);
	if (text_is_plain(string))
		CLAIM(text_length(&json) == length + 2 && memcmp(whole + 1, string, length) == 0);
	free(again);

	/* what fits is a part of the whole, and no half character */
	struct text cut = text_in(small, room);
	text_foreign(&cut, string);
	CLAIM(text_length(&cut) <= room && (cut.cut || text_length(&cut) == length));
	CLAIM(memcmp(small, plain, text_length(&cut)) == 0);
	CLAIM(is_line(small, text_length(&cut)));
	cut = text_in(small, room);
	struct text before = cut;
	text_json(&cut, string);
	CLAIM(text_length(&cut) <= room);
	if (!cut.cut)
		CLAIM(json_string(small, cut.at) == cut.at);
	text_back(&cut, &before);
	CLAIM(text_length(&cut) == 0 && !cut.cut);
	text_foreign(&cut, NULL);
	text_put(&cut, NULL);
	CLAIM(text_length(&cut) == 0);
	free(whole);
	free(plain);
	free(small);
}

static void number(uint64_t value, size_t room)
{
	char expected[64], buffer[64], *small = malloc(room + 1);
	struct text text = text_in(buffer, sizeof buffer);

	text_number(&text, value);
	text_put(&text, " ");
	text_hex(&text, value);
	text_put(&text, " ");
	text_microseconds(&text, value);
	int length = snprintf(expected, sizeof expected, "%llu 0x%llx %llu.%03llu", (unsigned long long)value,
	                      (unsigned long long)value, (unsigned long long)(value / 1000),
	                      (unsigned long long)(value % 1000));
	CLAIM((size_t)length == text_length(&text) && memcmp(buffer, expected, (size_t)length) == 0);
	for (unsigned digits = 0; digits < 24; digits++) {
		text = text_in(buffer, sizeof buffer);
		text_padded(&text, value, digits);
		length =
		        snprintf(expected, sizeof expected, "%0*llu", (int)digits, (unsigned long long)value);
		if (value > 0 || digits > 0)
			CLAIM((size_t)length == text_length(&text) &&
			      memcmp(buffer, expected, (size_t)length) == 0);
	}
	text = text_in(small, room);
	text_hex(&text, value);
	text_microseconds(&text, value);
	CLAIM(text_length(&text) <= room);
	free(small);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t value;

	if (size < 1 + sizeof value)
		return 0;
	memcpy(&value, data + 1, sizeof value);
	number(value, data[0]);
	size -= 1 + sizeof value;
	char *string = malloc(size + 1);
	memcpy(string, data + 1 + sizeof value, size);
	string[size] = '\0';
	strings(string, data[0]);
	free(string);
	return 0;
}
