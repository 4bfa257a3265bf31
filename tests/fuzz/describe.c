/*
 * describe.c: calls with any words: wild pointers, pointers to the end of what can
 * be read, templates and mechanisms of any bytes. Nothing crashes, and JSON comes out.
 *
 * Without AddressSanitizer: the kernel is asked for memory that the sanitizer keeps for
 * itself. What is read too far is caught by a page that cannot be read.
 *
 * Input: function, JSON or log, size of the buffer (two bytes), return value, then ten
 * words of nine bytes each (what kind, and the number), then what lies in memory, where
 * a word whose highest byte is 0x5a becomes a pointer into that memory.
 */
#include <sys/mman.h>
#include <unistd.h>

#include "record/describe.h"
#include "fuzz.h"
#include "standard/names.h"
#include "base/readable.h"

#define ROOM 8192 /* two pages */

static unsigned char *memory; /* ROOM bytes, and then a page that cannot be read */

static void make_memory(void)
{
	memory = mmap(NULL, ROOM + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CLAIM(memory != MAP_FAILED);
	CLAIM(mprotect(memory + ROOM, 4096, PROT_NONE) == 0);
	CLAIM(is_readable(memory, ROOM) && !is_readable(memory, ROOM + 1));
	readable_start();
}

static uintptr_t word_of(unsigned kind, uint64_t number, const unsigned char *start, size_t length)
{
	switch (kind % 6) {
	case 0:
		return (uintptr_t)number; /* wild */
	case 1:
		return (uintptr_t)(start + number % (length + 1));
	case 2:
		return 0;
	case 3:
		return (uintptr_t)(memory + ROOM - number % 64); /* the end */
	case 4:
		return (uintptr_t)(number % 70000); /* a count, or a wild pointer */
	default:
		return (uintptr_t)start + (uintptr_t)(number % 8); /* perhaps not aligned */
	}
}

static void flags(unsigned function, uint64_t value, size_t room)
{
	char whole[NAMES_FLAGS], *small = malloc(room + 1);
	size_t length = names_flags(function, (CK_ULONG)value, whole, sizeof whole);

	CLAIM(length < sizeof whole && strlen(whole) == length && length > 0 && is_line(whole, length));
	small[room] = '#';
	size_t written = names_flags(function, (CK_ULONG)value, small, room);
	CLAIM(written <= length && (room == 0 ? written == 0 : written < room));
	CLAIM(memcmp(small, whole, written) == 0 && small[room] == '#');
	free(small);
	(void)names_mechanism((CK_ULONG)value);
	(void)names_attribute((CK_ULONG)value);
	(void)names_attribute_sort((CK_ULONG)value);
	(void)names_class((CK_ULONG)value);
	(void)names_key_type((CK_ULONG)value);
	(void)names_user((CK_ULONG)value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const size_t head = 4 + 8 + CALL_PARAMETERS * 9;
	uint64_t number;
	uintptr_t words[CALL_PARAMETERS];

	if (!memory)
		make_memory();
	if (size < head)
		return 0;
	unsigned function = data[0] % CALLS;
	bool json = data[1] & 1;
	size_t room = (data[2] | (size_t)data[3] << 8) % 4096;
	CK_RV rv;
	memcpy(&number, data + 4, sizeof number);
	rv = (CK_RV)(data[1] & 2 ? CKR_OK : number);

	size_t length = size - head < ROOM ? size - head : ROOM;
	unsigned char *start = memory + ROOM - length;
	memcpy(start, data + head, length);
	for (size_t at = 0; at + sizeof(uintptr_t) <= length; at += sizeof(uintptr_t)) {
		uintptr_t word;
		memcpy(&word, start + at, sizeof word);
		if (word >> (8 * sizeof word - 8) != 0x5a)
			continue;
		word = (uintptr_t)start + (word & 0xffff) % (length + 1);
		memcpy(start + at, &word, sizeof word);
	}
	for (unsigned i = 0; i < CALL_PARAMETERS; i++) {
		const uint8_t *from = data + 12 + i * 9;
		memcpy(&number, from + 1, sizeof number);
		words[i] = word_of(from[0], number, start, length);
	}
	flags(function, number, room % 512);

	char *buffer = malloc(room + 1);
	buffer[room] = '#';
	struct text text = text_in(buffer, room);
	describe_call(&text, function, words, rv, json);
	CLAIM(buffer[room] == '#' && text_length(&text) <= room);
	CLAIM(!text.cut); /* what does not fit is left out, whole */
	CLAIM(is_line(buffer, text_length(&text)));
	if (json)
		CLAIM(json_members(buffer, text.at));
	text = text_in(buffer, room);
	describe_return(&text, rv);
	CLAIM(is_line(buffer, text_length(&text)));
	free(buffer);
	return 0;
}
