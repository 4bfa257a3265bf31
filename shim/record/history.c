/*
 * history.c: see history.h.
 *
 * All of it lies in ordinary memory and is copied under `history`, a lock that a fork frees. A child that was
 * forked in the middle of such a copy may read a moment that is half another. Then a finding shows a wrong
 * stack, and nothing worse happens: every number in a moment is checked where it is used.
 */
#include "host/process.h"
#include "record/history.h"

static struct {
	struct moment initialised, finalised, closed;
	uint64_t finalising;
	unsigned has;
	int pid; /* not observed: in which process `has` was set, and by which change */
	unsigned long change;
	bool carried_over;
} of_view[VIEWS];

static struct {
	struct who_when initialised, finalised;
	unsigned opened; /* how often it was opened again and has not been closed since */
	_Atomic(unsigned) up;
	_Atomic(bool) foreign;
} of_module[MODULES];

#define LOGINS 64
static struct {
	const struct view *view; /* NULL: free */
	CK_SLOT_ID slot;
	struct moment moment;
} logins[LOGINS];

static void take(void)
{
	lock_take(&p11shim_forgotten.state.history);
}

static void give(void)
{
	lock_give(&p11shim_forgotten.state.history);
}

/* ---- of a consumer */

static struct moment moment_of(const struct moment *moment)
{
	take();
	struct moment copy = *moment;
	give();
	return copy;
}

struct moment history_initialised(const struct view *view)
{
	return moment_of(&of_view[view - views].initialised);
}

struct moment history_finalised(const struct view *view)
{
	return moment_of(&of_view[view - views].finalised);
}

struct moment history_closed(const struct view *view)
{
	return moment_of(&of_view[view - views].closed);
}

uint64_t history_finalising(const struct view *view)
{
	take();
	uint64_t at = of_view[view - views].finalising;
	give();
	return at;
}

void history_note_finalising(const struct view *view, uint64_t at)
{
	take();
	of_view[view - views].finalising = at;
	give();
}

unsigned history_has(const struct view *view)
{
	take();
	unsigned count = of_view[view - views].has;
	give();
	return count;
}

/*
 * Several threads may come here in another order than that in which they changed the standing: the last
 * change counts.
 */
void history_follow(struct view *view)
{
	unsigned v = (unsigned)(view - views);
	int pid = process_number();
	struct standing is = life_standing(view);
	take();
	bool here = of_view[v].pid == pid, had = here && of_view[v].has > 0;
	bool news = !here || is.changes > of_view[v].change;
	if (news) {
		of_view[v].has = is.counts;
		of_view[v].pid = pid;
		of_view[v].change = is.changes;
		if (!is.counts)
			of_view[v].closed = (struct moment){0};
	}
	uint64_t at = clock_at(CLOCK_MONOTONIC);
	give();
	if (news && had != is.counts)
		journal_has(view, is.counts, at);
}

void history_note_left(const struct view *view)
{
	take();
	bool had = of_view[view - views].has > 0;
	of_view[view - views].has = 0;
	give();
	if (had)
		journal_has(view, false, 0);
}

void history_note_carried_over(const struct view *view, const struct moment *now)
{
	take();
	of_view[view - views].initialised = *now;
	of_view[view - views].has = 1;
	of_view[view - views].carried_over = true;
	give();
	journal_has(view, true, 0);
}

bool history_is_carried_over(const struct view *view)
{
	take();
	bool carried_over = of_view[view - views].carried_over;
	give();
	return carried_over;
}

void history_note_initialised(const struct view *view, const struct moment *now, bool really)
{
	unsigned m = module_number(view->module);
	take();
	of_view[view - views].initialised = *now;
	of_view[view - views].closed = (struct moment){0};
	of_view[view - views].carried_over = false;
	if (view->module->settings.observe)
		of_view[view - views].has++;
	if (really) {
		of_module[m].initialised = (struct who_when){view, *now};
		of_module[m].foreign = false;
		of_module[m].up++;
	}
	give();
}

void history_note_finalised(const struct view *view, const struct moment *now, bool entirely, bool really)
{
	unsigned m = module_number(view->module);
	take();
	of_view[view - views].finalised = *now;
	if (entirely && view->module->settings.observe)
		of_view[view - views].has = 0;
	else if (of_view[view - views].has > 0 && view->module->settings.observe)
		of_view[view - views].has--;
	if (of_view[view - views].has == 0)
		of_view[view - views].closed = (struct moment){0};
	if (really) {
		of_module[m].finalised = (struct who_when){view, *now};
		if (of_module[m].up > 0)
			of_module[m].up--;
	}
	for (unsigned i = 0; i < LOGINS; i++)
		if (logins[i].view &&
		    (really ? logins[i].view->module == view->module : logins[i].view == view))
			logins[i].view = NULL;
	give();
}

void history_note_login(const struct view *view, CK_SLOT_ID slot, const struct moment *now)
{
	unsigned place = LOGINS;
	take();
	for (unsigned i = 0; i < LOGINS; i++) {
		bool same = logins[i].view == view && logins[i].slot == slot;
		if (same || (!logins[i].view && place == LOGINS))
			place = i;
		if (same)
			break;
	}
	if (place < LOGINS) {
		logins[place].view = view;
		logins[place].slot = slot;
		logins[place].moment = *now;
	}
	give();
}

bool history_logged_in(const struct view *view, CK_SLOT_ID slot, unsigned n, struct who_when *other)
{
	bool found = false;
	take();
	for (unsigned i = 0; i < LOGINS && !found; i++) {
		const struct view *v = logins[i].view;
		if (v && v != view && v->module == view->module && logins[i].slot == slot && n-- == 0) {
			*other = (struct who_when){v, logins[i].moment};
			found = true;
		}
	}
	for (unsigned i = 0; i < LOGINS && !found; i++)
		if (logins[i].view && logins[i].view->module == view->module && logins[i].slot == slot)
			logins[i].view = NULL;
	give();
	return found;
}

/* ---- of a module */

static struct who_when who_when_of(const struct who_when *of)
{
	take();
	struct who_when copy = *of;
	give();
	return copy;
}

struct who_when history_initialised_last(const struct module *module)
{
	return who_when_of(&of_module[module_number(module)].initialised);
}

struct who_when history_finalised_last(const struct module *module)
{
	return who_when_of(&of_module[module_number(module)].finalised);
}

unsigned history_up(const struct module *module)
{
	return of_module[module_number(module)].up;
}

void history_note_down(const struct module *module)
{
	of_module[module_number(module)].up = 0;
}

bool history_is_foreign(const struct module *module)
{
	return of_module[module_number(module)].foreign;
}

void history_note_foreign(const struct module *module)
{
	of_module[module_number(module)].foreign = true;
}

void history_forget_parents(const struct module *module)
{
	take();
	for (unsigned i = 0; i < atomic_load(&views_made); i++)
		if (views[i].module == module)
			of_view[i].has = 0;
	of_module[module_number(module)].up = 0;
	give();
}

void history_forget_module(const struct module *module)
{
	unsigned m = module_number(module);
	take();
	for (unsigned i = 0; i < atomic_load(&views_made); i++)
		if (views[i].module == module) {
			of_view[i].has = 0;
			of_view[i].closed = (struct moment){0};
		}
	of_module[m].up = 0;
	of_module[m].opened = 0;
	of_module[m].foreign = false;
	give();
}

void history_note_opened(const struct module *module)
{
	take();
	of_module[module_number(module)].opened++;
	give();
}

void history_note_closed(const struct module *module, const struct view *view, const struct moment *now)
{
	unsigned m = module_number(module);
	take();
	if (of_module[m].opened > 0)
		of_module[m].opened--;
	else if (view && of_view[view - views].has > 0 && !of_view[view - views].closed.at)
		of_view[view - views].closed = *now;
	give();
}

/* The decision is made and set under one lock, so that the last decision is the one that stays. */
void history_decide_pass(struct view *view)
{
	unsigned v = (unsigned)(view - views), m = module_number(view->module);
	take();
	atomic_store(&view->may_pass, (of_module[m].up > 0 && of_view[v].has > 0 && !of_view[v].closed.at) ||
	                                      of_module[m].foreign);
	give();
}
