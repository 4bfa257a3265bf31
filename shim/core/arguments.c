/*
 * arguments.c: see arguments.h.
 */
#include <stdlib.h>
#include <string.h>

#include "base/readable.h"
#include "core/arguments.h"
#include "core/state.h"
#include "host/events.h"
#include "standard/calls.h"
#include "standard/mutex.h"

/* See arguments.h. */
bool arguments_read(struct module_arguments *given, const CK_C_INITIALIZE_ARGS *args)
{
	memset(given, 0, sizeof *given);
	given->null = !args;
	if (!args)
		return true;
	given->args = *args;
	int callbacks = !!args->CreateMutex + !!args->DestroyMutex + !!args->LockMutex + !!args->UnlockMutex;
	return callbacks == 0 || callbacks == 4;
}

#define SHORTEST_TEXT 7 /* shorter than any parameter */
#define LONGEST_TEXT 4096

/*
 * Can the byte stand in UTF-8 text? The 32-bit addresses of libraries (0xf7...) and stacks (0xff...) have a
 * byte that cannot.
 */
static bool in_text(unsigned char c)
{
	return c >= ' ' && c != 127 && c < 0xf5;
}

/*
 * Copies what pReserved points to, if it is text: softoken, p11-kit-trust and others take parameters there,
 * and the consumer may have freed them by the time that a child needs them (F2). NULL if it is no text: not
 * readable, not printable, shorter than any parameter, or no longer than a pointer that looks like text.
 */
__attribute__((noinline)) char *arguments_copy_text(const void *pReserved)
{
	const char *text = pReserved;
	size_t length = 0;
	for (;; length++) {
		bool new_page = length == 0 || (uintptr_t)(text + length) % 4096 == 0;
		if (length == LONGEST_TEXT || (new_page && !is_readable(text + length, 1)))
			return NULL;
		if (!in_text((unsigned char)text[length]))
			break;
	}
	return length >= SHORTEST_TEXT && text[length] == '\0' ? strdup(text) : NULL;
}

bool arguments_same(const struct module_arguments *a, const struct module_arguments *b)
{
	return a->null == b->null && memcmp(&a->args, &b->args, sizeof a->args) == 0;
}

static CK_RV try_initialise(struct module *m, void *initialise, const struct module_arguments *arguments)
{
	if (!arguments_same(&m->arguments, arguments))
		m->arguments = *arguments;
	uintptr_t word = arguments->null ? 0 : (uintptr_t)&m->arguments.args;
	return calls_invoke(initialise, 1, &word); /* REENTRANT: no lock held */
}

/*
 * Does a module say by this answer that it does not like its arguments? The general errors are not among
 * these answers: a module gives them when its device does not answer, and to ask again would make its
 * consumer wait, and read the module's complaints, twice.
 */
static bool may_be_the_arguments(CK_RV rv)
{
	return rv == CKR_ARGUMENTS_BAD || rv == CKR_CANT_LOCK || rv == CKR_NEED_TO_CREATE_THREADS ||
	       rv == CKR_FUNCTION_NOT_SUPPORTED;
}

/*
 * Tries one set of arguments after another, until the module takes one. The first set is best for all
 * consumers: OS locking, whatever the first consumer asked for. If the module answers that it cannot lock so,
 * the next set has mutexes of the shim's own. The next set is as the consumer wished, but never with the
 * consumer's own mutexes, which may live in a library that is unloaded first. If the module cannot lock at
 * all, the last set asks for no locking; then the shim lets one call in at a time. A set that does not differ
 * from one before is left out. If the module refuses all, the consumer gets the answer to its own wishes.
 */
static CK_RV negotiate_arguments(struct module *m, void *initialise, const struct module_arguments *given)
{
	struct module_arguments best = *given, mutexes = *given, wished = *given, none = {.null = true};
	memset(&best.args, 0, offsetof(CK_C_INITIALIZE_ARGS, flags));
	best.null = mutexes.null = false;
	best.args.flags |= CKF_OS_LOCKING_OK;
	mutex_functions(&mutexes.args);
	mutexes.args.flags &= ~(CK_FLAGS)CKF_OS_LOCKING_OK;
	if (given->args.CreateMutex)
		mutex_functions(&wished.args);
	none.args.pReserved = given->args.pReserved;
	none.null = !none.args.pReserved;

	CK_RV rv = try_initialise(m, initialise, &best), first = rv;
	if (!may_be_the_arguments(rv))
		return rv;
	bool cannot = first == CKR_CANT_LOCK;
	if (cannot)
		rv = try_initialise(m, initialise, &mutexes);
	if (may_be_the_arguments(rv) && !(cannot && arguments_same(&wished, &mutexes)))
		rv = arguments_same(&wished, &best) ? first : try_initialise(m, initialise, &wished);
	if (rv == CKR_CANT_LOCK && cannot && !given->null) {
		CK_RV last = try_initialise(m, initialise, &none);
		if (!may_be_the_arguments(last))
			rv = last;
	}
	return rv;
}

/* See arguments.h. */
CK_RV arguments_initialise(struct module *m, void *initialise, bool again_in_child)
{
	struct module_arguments given = m->given;
	if (again_in_child && m->reserved_text)
		given.args.pReserved = m->reserved_text;
	CHANGE(m->serialise, m->settings.serialize == SERIALIZE_YES);
	CK_RV rv = negotiate_arguments(m, initialise, &given);
	const CK_C_INITIALIZE_ARGS *taken = &m->arguments.args;
	bool locks = !m->arguments.null && (taken->CreateMutex || taken->flags & CKF_OS_LOCKING_OK);
	if (rv == CKR_OK && !locks && m->settings.serialize != SERIALIZE_NO) {
		atomic_store(&m->serialise, true);
		tell_event(.kind = EVENT_SERIALISED, .module = m);
	}
	return rv;
}
