/*
 * test-text.c: lines put together by hand.
 */
#include "unit.h"

#include "base/text.h"

static char buffer[256];

#define made(text, expected)                                                     \
	do {                                                                     \
		assert_int_equal(text_length(&(text)), strlen(expected));        \
		assert_memory_equal((text).start, (expected), strlen(expected)); \
	} while (0)

/* Against printf, for numbers of every length. */
static void test_numbers(void **state)
{
	char expected[256];
	uint64_t number = 0;
	(void)state;
	for (int i = 0; i < 64; i++, number = number * 2 + (uint64_t)(i % 3 == 0)) {
		struct text text = text_in(buffer, sizeof buffer);
		text_number(&text, number);
		text_put(&text, " ");
		text_padded(&text, number % 1000000, 6);
		text_put(&text, " ");
		text_hex(&text, number);
		text_put(&text, " ");
		text_microseconds(&text, number);
		snprintf(expected, sizeof expected, "%llu %06llu 0x%llx %llu.%03llu",
		         (unsigned long long)number, (unsigned long long)(number % 1000000),
		         (unsigned long long)number, (unsigned long long)(number / 1000),
		         (unsigned long long)(number % 1000));
		made(text, expected);
	}
	struct text text = text_in(buffer, sizeof buffer);
	text_number(&text, UINT64_MAX);
	made(text, "18446744073709551615");
}

static void test_full(void **state)
{
	(void)state;
	memset(buffer, '#', sizeof buffer);
	struct text text = text_in(buffer, 4);
	text_put(&text, "abc");
	assert_false(text.cut);
	text_number(&text, 12345);
	assert_true(text.cut);
	made(text, "abc1");
	text_put(&text, "x");
	made(text, "abc1");
	assert_int_equal(buffer[4], '#');

	text = text_in(buffer, 4);
	struct text before = text;
	text_put(&text, "too long");
	text_back(&text, &before);
	assert_false(text.cut);
	made(text, "");
	text_put(&text, NULL);
	made(text, "");
}

/* contract I2: a name cannot forge a line, nor break one of JSON */
static void test_foreign(void **state)
{
	static const struct {
		const char *given, *foreign, *json;
	} names[] = {
	        {"a\xc2\x9b"
	         "31m\xe2\x80\xae\xe2\x81\xa6",
	         "a??31m??????", "\"a??31m??????\""}, /* obeyed by terminals */
	        {"\xe2\x80\x8e\xe2\x80\x8f\xd8\x9c", "????????", "\"????????\""},
	        {"\xd8\x9b\xe2\x80\x8d", "\xd8\x9b\xe2\x80\x8d", "\"\xd8\x9b\xe2\x80\x8d\""}, /* their neighbours */
	        {"plain.so", "plain.so", "\"plain.so\""},
	        {"", "", "\"\""},
	        {"a\"b\\c", "a\"b\\c", "\"a\\\"b\\\\c\""},
	        {"two\nlines\t\x7f\x01", "two?lines???", "\"two?lines???\""},
	        {"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f", "\"gr\xc3\xbc\xc3\x9f\""},
	        {"\xe2\x82\xac\xf0\x9f\x94\x91", "\xe2\x82\xac\xf0\x9f\x94\x91",
	         "\"\xe2\x82\xac\xf0\x9f\x94\x91\""},
	        {"cut \xe2\x82", "cut ??", "\"cut ??\""},
	        {"overlong \xc0\x80 \xe0\x80\x80", "overlong ?? ???", "\"overlong ?? ???\""},
	        {"surrogate \xed\xa0\x80", "surrogate ???", "\"surrogate ???\""},
	        {"beyond \xf4\x90\x80\x80", "beyond ????", "\"beyond ????\""},
	        {"latin \xfc!", "latin ?!", "\"latin ?!\""},
	};
	(void)state;
	for (size_t i = 0; i < COUNT(names); i++) {
		struct text text = text_in(buffer, sizeof buffer);
		text_foreign(&text, names[i].given);
		made(text, names[i].foreign);
		text = text_in(buffer, sizeof buffer);
		text_json(&text, names[i].given);
		made(text, names[i].json);
	}
	assert_true(text_is_plain("libfoo-1.so"));
	assert_false(text_is_plain("lib\"foo"));
	assert_false(text_is_plain("gr\xc3\xbc"));
}

/* Never half a character, however little room there is. */
static void test_half_characters(void **state)
{
	(void)state;
	for (size_t size = 0; size < 12; size++) {
		struct text text = text_in(buffer, size);
		text_foreign(&text, "\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac");
		assert_int_equal(text_length(&text), size < 9 ? size / 3 * 3 : 9);
		text = text_in(buffer, size);
		text_foreign(&text, "\"\\\"");
		assert_int_equal(text_length(&text), size < 3 ? size : 3);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_numbers),
	        cmocka_unit_test(test_full),
	        cmocka_unit_test(test_foreign),
	        cmocka_unit_test(test_half_characters),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
