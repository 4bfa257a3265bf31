/*
 * names.c: see names.h.
 *
 * All names lie in one block, one after another, and the tables say where each
 * begins in it. So there are no pointers for the dynamic linker to fill in: the
 * tables are plain .rodata, and a process that records nothing never touches
 * them.
 */
#include "standard/names.h"

#include "standard/calls.h"

/*
 * This is not done by one helper macro: names such as CKM_RSA_PKCS are macros themselves, and would be
 * replaced.
 */
struct names {
#define MECHANISM(name, value) char at_##name[sizeof #name];
#define ATTRIBUTE(name, value, sort) char at_##name[sizeof #name];
#define CLASS(name, value) char at_##name[sizeof #name];
#define KEY_TYPE(name, value) char at_##name[sizeof #name];
#define USER(name, value) char at_##name[sizeof #name];
#define FLAG(function, name, value) char at_##function##_##name[sizeof #name];
#include "standard/names.def"
};

static const struct names names = {
#define MECHANISM(name, value) #name,
#define ATTRIBUTE(name, value, sort) #name,
#define CLASS(name, value) #name,
#define KEY_TYPE(name, value) #name,
#define USER(name, value) #name,
#define FLAG(function, name, value) #name,
#include "standard/names.def"
};

_Static_assert(sizeof(struct names) <= UINT16_MAX, "a place in it is 16 bits");

/* Of each kind: the numbers, ascending, and where the name of each begins. */
static const uint32_t mechanisms[] = {
#define MECHANISM(name, value) value,
#include "standard/names.def"
};
static const uint16_t mechanisms_at[] = {
#define MECHANISM(name, value) offsetof(struct names, at_##name),
#include "standard/names.def"
};

static const uint32_t attributes[] = {
#define ATTRIBUTE(name, value, sort) value,
#include "standard/names.def"
};
static const uint16_t attributes_at[] = {
#define ATTRIBUTE(name, value, sort) offsetof(struct names, at_##name),
#include "standard/names.def"
};
static const unsigned char attribute_sorts[] = {
#define ATTRIBUTE(name, value, sort) ATTRIBUTE_##sort,
#include "standard/names.def"
};

static const uint32_t classes[] = {
#define CLASS(name, value) value,
#include "standard/names.def"
};
static const uint16_t classes_at[] = {
#define CLASS(name, value) offsetof(struct names, at_##name),
#include "standard/names.def"
};

static const uint32_t key_types[] = {
#define KEY_TYPE(name, value) value,
#include "standard/names.def"
};
static const uint16_t key_types_at[] = {
#define KEY_TYPE(name, value) offsetof(struct names, at_##name),
#include "standard/names.def"
};

static const uint32_t users[] = {
#define USER(name, value) value,
#include "standard/names.def"
};
static const uint16_t users_at[] = {
#define USER(name, value) offsetof(struct names, at_##name),
#include "standard/names.def"
};

static const struct {
	uint32_t value;
	uint16_t at;
	unsigned char function;
} flag_names[] = {
#define FLAG(function, name, value) {value, offsetof(struct names, at_##function##_##name), CALL_##function},
#include "standard/names.def"
};

/* The position of value in values; count: it is not there. */
static size_t find(const uint32_t *values, size_t count, CK_ULONG value)
{
	size_t low = 0, high = count;
	while (low < high) {
		size_t middle = (low + high) / 2;
		if (values[middle] < value)
			low = middle + 1;
		else
			high = middle;
	}
	return low < count && values[low] == value ? low : count;
}

static const char *name_of(const uint32_t *values, const uint16_t *at, size_t count, CK_ULONG value)
{
	size_t i = find(values, count, value);
	return i < count ? (const char *)&names + at[i] : NULL;
}

const char *names_mechanism(CK_ULONG mechanism)
{
	return name_of(mechanisms, mechanisms_at, COUNT(mechanisms), mechanism);
}

const char *names_attribute(CK_ULONG type)
{
	return name_of(attributes, attributes_at, COUNT(attributes), type);
}

const char *names_class(CK_ULONG class)
{
	return name_of(classes, classes_at, COUNT(classes), class);
}

const char *names_key_type(CK_ULONG type)
{
	return name_of(key_types, key_types_at, COUNT(key_types), type);
}

const char *names_user(CK_ULONG user)
{
	return name_of(users, users_at, COUNT(users), user);
}

enum attribute_sort names_attribute_sort(CK_ULONG type)
{
	size_t i = find(attributes, COUNT(attributes), type);
	return i < COUNT(attributes) ? attribute_sorts[i] : ATTRIBUTE_OPAQUE;
}

/* Puts at `at` as much of the string as fits, with room left for a '\0'. Returns where it ends. */
static char *put(char *at, const char *end, const char *string)
{
	while (*string != '\0' && at + 1 < end)
		*at++ = *string++;
	return at;
}

static char *put_hex(char *at, const char *end, CK_ULONG number)
{
	char digits[2 * sizeof number + 1], *first = digits + sizeof digits - 1;
	*first = '\0';
	do
		*--first = "0123456789abcdef"[number % 16];
	while ((number /= 16) != 0);
	return put(put(at, end, "0x"), end, first);
}

size_t names_flags(unsigned function, CK_ULONG flags, char *buffer, size_t size)
{
	if (size == 0)
		return 0;
	const char *end = buffer + size, *between = "";
	char *at = buffer;
	for (size_t i = 0; i < COUNT(flag_names); i++) {
		if (flag_names[i].function != function || (flags & flag_names[i].value) == 0)
			continue;
		at = put(put(at, end, between), end, (const char *)&names + flag_names[i].at);
		between = "|";
		flags &= ~(CK_ULONG)flag_names[i].value;
	}
	if (flags != 0)
		at = put_hex(put(at, end, between), end, flags);
	else if (*between == '\0')
		at = put(at, end, "0");
	*at = '\0';
	return (size_t)(at - buffer);
}
