/*
 * lists.c: see lists.h.
 *
 * The function lists that a module hands out are remembered per module (`raw_list`), by the function that
 * handed them out, version, size and flags. All views of a module get lists that are made from the same raw
 * lists. Some modules (p11-kit-proxy) give a new instance at every call, and only one of these will ever be
 * initialised; the first one counts. (Under mode = observe, every list that a module hands out has a raw list
 * of its own.)
 *
 * Lists and raw lists are made under `registry` and published whole, by the count or the head that leads to
 * them; they are never freed. A child forked in the middle sees them whole or not at all.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/gate.h"
#include "core/lists.h"
#include "host/events.h"
#include "host/linker.h"
#include "host/process.h"
#include "settings/settings.h"

static struct list lists[GATE_LISTS];
static _Atomic(unsigned) lists_made;

const CK_UTF8CHAR lists_standard_interface[8] = "PKCS 11";

static CK_RV not_supported(void)
{
	return CKR_FUNCTION_NOT_SUPPORTED;
}

struct list *lists_at(unsigned number)
{
	return &lists[number];
}

void *lists_target(const struct list *list, unsigned function)
{
	return atomic_load(&p11shim_gate_target[list->number * CALLS + function]);
}

bool lists_supports(const struct list *list, unsigned function)
{
	return lists_target(list, function) != (void *)not_supported;
}

void lists_set_target(const struct list *list, unsigned function, void *target)
{
	atomic_store(&p11shim_gate_target[list->number * CALLS + function],
	             target ? target : (void *)not_supported);
}

static struct list *make_inlock(struct view *view, struct raw_list *raw, unsigned limit)
{
	unsigned made = atomic_load(&lists_made);
	if (made >= limit)
		return NULL;
	struct list *list = &lists[made];
	memset(list, 0, sizeof *list);
	list->number = made;
	list->view = view;
	list->raw = raw;
	for (unsigned i = 0; i < CALLS; i++)
		lists_set_target(list, i, NULL);
	list->next = atomic_load(&view->lists);
	atomic_store(&lists_made, made + 1);
	return list;
}

static void publish_inlock(struct list *list)
{
	atomic_store_explicit(&list->view->lists, list, memory_order_release);
}

/*
 * How many lists there may be when the next one is made for a consumer. One list is kept back for each module
 * that can still be loaded, and some more lists are kept back for shared views.
 */
static unsigned capacity(const struct view *view)
{
	unsigned limit = GATE_LISTS - (MODULES - atomic_load(&modules_made));
	return view->shared ? limit : limit - SHARED_LISTS;
}

struct list *lists_make_own_inlock(struct view *shared)
{
	struct list *list = make_inlock(shared, NULL, GATE_LISTS);
	publish_inlock(list);
	return list;
}

/* ---- lists of the view, made from the module's */

static const void *const *entries(const void *list)
{
	return (const void *const *)((const char *)list + offsetof(CK_FUNCTION_LIST, C_Initialize));
}

/*
 * C_Initialize, the first function, is set last. A thread may use a list from before an unload: if it finds
 * C_Initialize there, it finds all functions that go with it. (first_initialise_inlock() then keeps
 * C_Finalize, for the view that finalises last.)
 */
static void fill(struct list *list, const void *raw)
{
	for (unsigned i = list->raw->functions; i-- > 0;)
		lists_set_target(list, i, (void *)entries(raw)[i]);
}

static struct list *find_list(struct view *view, const struct raw_list *raw)
{
	struct list *list = atomic_load_explicit(&view->lists, memory_order_acquire);
	while (list && list->raw != raw)
		list = list->next;
	return list;
}

static bool same_kind(const struct raw_list *a, const struct raw_list *b)
{
	return a->functions == b->functions && a->from_interface == b->from_interface &&
	       a->flags == b->flags && memcmp(&a->version, &b->version, sizeof a->version) == 0;
}

/* The module's raw list of that kind, made from `kind` if there is none yet. */
static struct raw_list *raw_inlock(struct module *module, const struct raw_list *kind)
{
	struct raw_list *raw = module->raw;
	while (raw && !(same_kind(raw, kind) && (!module->settings.observe || raw->list == kind->list)))
		raw = raw->next;
	if (!raw) {
		raw = calloc(1, sizeof *raw);
		if (!raw)
			return NULL;
		*raw = *kind;
		raw->next = module->raw;
		module->raw = raw;
	}
	/*
	 * The module was loaded again: the lists made before lead to it again. Only then does raw->list make
	 * it known.
	 */
	if (!raw->list) {
		unsigned made = atomic_load(&lists_made);
		for (unsigned i = 0; i < made; i++)
			if (lists[i].raw == raw)
				fill(&lists[i], kind->list);
		raw->list = kind->list;
	}
	return raw;
}

static struct list *list_inlock(struct view *view, struct raw_list *raw)
{
	struct list *list = find_list(view, raw);
	if (list)
		return list;
	list = make_inlock(view, raw, capacity(view));
	if (!list)
		return NULL;
	fill(list, raw->list);
	list->as_interface =
	        (CK_INTERFACE){(CK_UTF8CHAR_PTR)lists_standard_interface, &list->table, raw->flags};
	list->table.version = raw->version;
	void **table = (void **)entries(&list->table);
	for (unsigned i = 0; i < raw->functions; i++)
		table[i] = gate_slot(list->number, i);
	publish_inlock(list);
	return list;
}

void lists_disown_inlock(struct module *module)
{
	for (struct raw_list *raw = module->raw; raw; raw = raw->next)
		raw->list = NULL;
	unsigned made = atomic_load(&lists_made);
	for (unsigned i = 0; i < made; i++)
		if (lists[i].view->module == module)
			for (unsigned function = 0; function < CALLS; function++)
				lists_set_target(&lists[i], function, NULL);
}

struct list *lists_for(struct view *view, const struct raw_list *kind)
{
	struct module *module = view->module;
	struct list *list = NULL;
	lock_take(&p11shim_forgotten.state.registry);
	struct raw_list *raw = raw_inlock(module, kind);
	if (raw) {
		list = list_inlock(view, raw);
		if (!list)
			list = list_inlock(module->shared, raw);
	}
	lock_give(&p11shim_forgotten.state.registry);
	return list;
}

const void *lists_known(const struct module *module)
{
	const void *found = NULL;
	lock_take(&p11shim_forgotten.state.registry);
	for (const struct raw_list *raw = module->raw; raw; raw = raw->next)
		if (!raw->from_interface && raw->list)
			found = raw->list;
	lock_give(&p11shim_forgotten.state.registry);
	return found;
}

struct list *lists_looked_up(struct view *view)
{
	lock_take(&p11shim_forgotten.state.registry);
	struct list *list = find_list(view, NULL);
	if (!list) {
		list = make_inlock(view, NULL, capacity(view));
		if (list)
			publish_inlock(list);
	}
	lock_give(&p11shim_forgotten.state.registry);
	return list;
}
