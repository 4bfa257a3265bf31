/*
 * describe.c: see describe.h.
 */
#include <string.h>

#include "base/readable.h"
#include "record/describe.h"
#include "standard/names.h"

#define ATTRIBUTES 24 /* of a template, those that are shown */

/* The parameters' names, one after the other, each with its end. */
static const char parameter_names[CALLS][200] = {
#define P(type, name, kind) #name "\0"
#define CALL(function, route, ...) [CALL_##function] = JOIN(__VA_ARGS__),
#define JOIN(...) JOIN_(__VA_ARGS__, , , , , , , , , , )
#define JOIN_(a, b, c, d, e, f, g, h, i, j, ...) a b c d e f g h i j
#include "standard/calls.def"
};

void describe_return(struct text *text, CK_RV rv)
{
	const char *name = calls_return_name(rv);
	if (name)
		text_put(text, name);
	else
		text_hex(text, rv);
}

struct line {
	struct text *text;
	bool json;
	uintptr_t stack; /* an address in the stack of the call, whose page can be read */
};

/*
 * Much of what consumers pass lies on their stack, just above the words of the call. The kernel need not be
 * asked for that page.
 */
static bool can_read(const struct line *line, const void *start, size_t size)
{
	uintptr_t address = (uintptr_t)start, end = line->stack | 4095;
	return (address >= line->stack && address <= end && size <= end + 1 - address) ||
	       is_readable(start, size);
}

/* Numbers that JSON readers would round are written as text. */
static void put_number(const struct line *line, CK_ULONG number)
{
	bool quoted = line->json && (uint64_t)number >> 53;
	text_put(line->text, quoted ? "\"" : "");
	text_number(line->text, number);
	text_put(line->text, quoted ? "\"" : "");
}

static void put_name(struct text *text, const char *name, CK_ULONG number)
{
	if (name)
		text_put(text, name);
	else
		text_hex(text, number);
}

static void put_quoted(const struct line *line, const char *name, CK_ULONG number)
{
	text_put(line->text, line->json ? "\"" : "");
	put_name(line->text, name, number);
	text_put(line->text, line->json ? "\"" : "");
}

static void put_value(struct text *text, enum attribute_sort sort, const CK_ATTRIBUTE *attribute)
{
	CK_ULONG value;
	memcpy(&value, attribute->pValue, sizeof value);
	if (sort == ATTRIBUTE_CLASS)
		put_name(text, names_class(value), value);
	else if (sort == ATTRIBUTE_KEY_TYPE)
		put_name(text, names_key_type(value), value);
	else if (sort == ATTRIBUTE_MECHANISM)
		put_name(text, names_mechanism(value), value);
	else
		text_number(text, value);
}

/* values: has the consumer or the module put the values there? */
static void put_attribute(const struct line *line, const CK_ATTRIBUTE *attribute, bool values)
{
	struct text *text = line->text;
	enum attribute_sort sort = names_attribute_sort(attribute->type);
	put_name(text, names_attribute(attribute->type), attribute->type);
	if (!names_attribute(attribute->type))
		return;
	if (values && sort == ATTRIBUTE_BOOLEAN && attribute->ulValueLen == 1 &&
	    can_read(line, attribute->pValue, 1)) {
		text_put(text, *(const CK_BBOOL *)attribute->pValue ? "=true" : "=false");
	} else if (values && sort != ATTRIBUTE_OPAQUE && sort != ATTRIBUTE_BOOLEAN &&
	           attribute->ulValueLen == sizeof(CK_ULONG) &&
	           can_read(line, attribute->pValue, sizeof(CK_ULONG))) {
		text_put(text, "=");
		put_value(text, sort, attribute);
	} else if (attribute->ulValueLen == (CK_ULONG)-1) {
		text_put(text, "[unavailable]");
	} else {
		text_put(text, "[");
		text_number(text, attribute->ulValueLen);
		text_put(text, "]");
	}
}

static void put_template(const struct line *line, uintptr_t word, CK_ULONG count, bool values)
{
	const CK_ATTRIBUTE *attribute = (const CK_ATTRIBUTE *)word;
	CK_ULONG shown = count < ATTRIBUTES ? count : ATTRIBUTES;
	text_put(line->text, "[");
	for (CK_ULONG i = 0; i < shown; i++) {
		text_put(line->text, i > 0 ? "," : "");
		text_put(line->text, line->json ? "\"" : "");
		put_attribute(line, &attribute[i], values);
		text_put(line->text, line->json ? "\"" : "");
	}
	if (shown < count)
		text_put(line->text, line->json ? ",\"...\"" : ",...");
	text_put(line->text, "]");
}

static void put_mechanism(const struct line *line, const CK_MECHANISM *mechanism)
{
	text_put(line->text, line->json ? "\"" : "");
	put_name(line->text, names_mechanism(mechanism->mechanism), mechanism->mechanism);
	if (mechanism->ulParameterLen) {
		text_put(line->text, "(");
		text_number(line->text, mechanism->ulParameterLen);
		text_put(line->text, ")");
	}
	text_put(line->text, line->json ? "\"" : "");
}

static void put_flags(const struct line *line, unsigned function, CK_ULONG flags)
{
	char names[NAMES_FLAGS];
	size_t length = names_flags(function, flags, names, sizeof names);
	text_put(line->text, line->json ? "\"" : "");
	text_bytes(line->text, names, length < sizeof names ? length : sizeof names - 1);
	text_put(line->text, line->json ? "\"" : "");
}

static void put_result(const struct line *line, uintptr_t word)
{
	CK_ULONG value;
	memcpy(&value, (const void *)word, sizeof value);
	put_number(line, value);
}

struct parameter {
	unsigned function, i;
	enum parameter_kind kind;
	uintptr_t word;
	CK_ULONG next; /* the word that follows */
	CK_RV rv;
};

/* Writes a parameter that is no pointer. False: it is a pointer, or nothing is told of it. */
static bool put_word(const struct line *line, const struct parameter *p)
{
	switch (p->kind) {
	case PARAMETER_SLOT:
	case PARAMETER_SESSION:
	case PARAMETER_OBJECT:
	case PARAMETER_COUNT:
	case PARAMETER_LENGTH:
	case PARAMETER_NUMBER:
		put_number(line, p->word);
		return true;
	case PARAMETER_BOOLEAN:
		text_put(line->text, (CK_BBOOL)p->word ? "true" : "false");
		return true;
	case PARAMETER_FLAGS:
		put_flags(line, p->function, p->word);
		return true;
	case PARAMETER_USER_TYPE:
		put_quoted(line, names_user(p->word), p->word);
		return true;
	case PARAMETER_MECHANISM_TYPE:
		put_quoted(line, names_mechanism(p->word), p->word);
		return true;
	default:
		return false;
	}
}

/* Writes what a pointer that is not NULL leads to. False: nothing is told of it. */
static bool put_pointed_to(const struct line *line, const struct parameter *p)
{
	bool answered = p->rv == CKR_OK || p->rv == CKR_BUFFER_TOO_SMALL;
	switch (p->kind) {
	case PARAMETER_SECRET:
		text_put(line->text, line->json ? "\"hidden\"" : "hidden");
		return true;
	case PARAMETER_NEW_SLOT:
	case PARAMETER_NEW_SESSION:
	case PARAMETER_NEW_OBJECT:
		answered = p->rv == CKR_OK; /* fall through */
	case PARAMETER_COUNT_OUT:
	case PARAMETER_LENGTH_OUT:
	case PARAMETER_NUMBER_OUT:
	case PARAMETER_FLAGS_OUT:
		if (!answered || !can_read(line, (const void *)p->word, sizeof(CK_ULONG)))
			return false;
		put_result(line, p->word);
		return true;
	case PARAMETER_INIT_ARGS:
		if (!can_read(line, (const void *)p->word, sizeof(CK_C_INITIALIZE_ARGS)))
			return false;
		put_flags(line, p->function, ((const CK_C_INITIALIZE_ARGS *)p->word)->flags);
		return true;
	case PARAMETER_MECHANISM:
		if (!can_read(line, (const void *)p->word, sizeof(CK_MECHANISM)))
			return false;
		put_mechanism(line, (const CK_MECHANISM *)p->word);
		return true;
	case PARAMETER_TEMPLATE:
		if (p->next > 65536 || !can_read(line, (const void *)p->word, p->next * sizeof(CK_ATTRIBUTE)))
			return false;
		put_template(line, p->word, p->next,
		             p->function != CALL_C_GetAttributeValue || p->rv == CKR_OK);
		return true;
	default:
		return false;
	}
}

/* Writes a parameter. False: there is nothing to say of it; the caller takes the text back. */
static bool put_parameter(const struct line *line, const struct parameter *p)
{
	if (put_word(line, p))
		return true;
	if (p->kind == PARAMETER_SECRET_LENGTH || p->kind == PARAMETER_LABEL)
		return false;
	if (p->word)
		return put_pointed_to(line, p);
	text_put(line->text, line->json ? "null" : "NULL");
	return true;
}

void describe_call(struct text *text, unsigned function, const uintptr_t *words, CK_RV rv, bool json)
{
	const struct call_description *call = &calls[function];
	const struct line line = {text, json, (uintptr_t)words};
	const char *name = parameter_names[function];
	for (unsigned i = 0; i < call->parameters; i++, name += strlen(name) + 1) {
		struct text before = *text;
		struct parameter p = {
		        function, i, call->kind[i], words[i], i + 1 < call->parameters ? words[i + 1] : 0,
		        rv};
		text_put(text, json ? ",\"" : " ");
		text_put(text, name);
		text_put(text, json ? "\":" : "=");
		if (!put_parameter(&line, &p) || text->cut)
			text_back(text, &before);
	}
}
