/*
 * sessions.c: see sessions.h.
 *
 * Each module has one table of its sessions by consumer's handle (`shown`) and one by module's handle
 * (`real`). Each view has a list of its own sessions among them. So opening one, closing one, and closing all
 * of one view cost the same however many sessions other views have. A third table holds the stale handles.
 *
 * Sessions become stale in a child's first call, where every page that is written has to be copied. So their
 * table becomes the table of stale handles as it stands, and the lists of the views end all at once, by a new
 * epoch of the module: a view's list counts only if it is of the same epoch.
 *
 * A fork may copy the tables while another thread is changing them. `sessions_torn` is set around every
 * change: a child that finds it set drops the tables, unread, and a child that finds it clear has whole
 * tables. A child that has dropped them cannot tell by its handle whether a session was there; so every
 * handle that it has not given out itself is stale then.
 */
#include <stdlib.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>
#include <utlist.h>

#include "base/moment.h"
#include "core/sessions.h"
#include "core/view.h"
#include "host/process.h"

struct session {
	CK_SESSION_HANDLE shown, real;
	CK_SLOT_ID slot;
	struct moment opened;        /* when and how it was opened, if that is recorded */
	struct view *owner;          /* unless stale; so are the next two */
	struct session *prev, *next; /* in the owner's list */
	UT_hash_handle hh;           /* in module->sessions, or module->stale, by shown */
	UT_hash_handle by_real;      /* in module->real_sessions */
};

static void change(struct module *module)
{
	lock_take(&module->life->sessions);
	atomic_store(&module->sessions_torn, true);
}

static void changed(struct module *module)
{
	atomic_store(&module->sessions_torn, false);
	lock_give(&module->life->sessions);
}

static struct session *find_inlock(struct session *table, CK_SESSION_HANDLE shown)
{
	struct session *s = NULL;
	HASH_FIND(hh, table, &shown, sizeof shown, s);
	return s;
}

void sessions_note_opened(struct module *module, CK_SESSION_HANDLE shown, const struct moment *moment)
{
	lock_take(&module->life->sessions);
	struct session *s = find_inlock(module->sessions, shown);
	if (s)
		s->opened = *moment;
	lock_give(&module->life->sessions);
}

bool sessions_opened(struct module *module, CK_SESSION_HANDLE shown, struct moment *moment)
{
	lock_take(&module->life->sessions);
	const struct session *s = find_inlock(module->sessions, shown);
	if (!s)
		s = find_inlock(module->stale, shown);
	if (s)
		*moment = s->opened;
	lock_give(&module->life->sessions);
	return s;
}

unsigned sessions_count(const struct view *view, struct moment *moment)
{
	unsigned count = 0;
	lock_take(&view->module->life->sessions);
	if (view->session_epoch == view->module->session_epoch)
		for (const struct session *s = view->sessions; s; s = s->next)
			if (s->opened.pid == process_number()) { /* else the parent is to close it */
				*moment = s->opened;
				count++;
			}
	lock_give(&view->module->life->sessions);
	return count;
}

/* The list of a view's sessions. */
static struct session **own_inlock(struct view *view)
{
	if (view->session_epoch != view->module->session_epoch) {
		view->session_epoch = view->module->session_epoch;
		view->sessions = NULL;
	}
	return &view->sessions;
}

/* Takes a session out of the tables of living sessions. The record then belongs to the caller. */
static void unlink_inlock(struct module *module, struct session *s)
{
	HASH_DELETE(hh, module->sessions, s);
	HASH_DELETE(by_real, module->real_sessions, s);
	struct session **own = own_inlock(s->owner);
	DL_DELETE(*own, s);
}

static bool is_stale_inlock(const struct module *module, CK_SESSION_HANDLE shown)
{
	return module->all_stale || find_inlock(module->stale, shown);
}

/*
 * Chooses a consumer's handle that means nothing else: the module's handle, or else a number counted down
 * from the upper end, far from where modules number. It never chooses such a number twice.
 */
static CK_SESSION_HANDLE choose_inlock(struct module *module, CK_SESSION_HANDLE real)
{
	if (!is_stale_inlock(module, real) && !find_inlock(module->sessions, real))
		return real;
	if (module->last_shown == 0)
		module->last_shown = (CK_SESSION_HANDLE)-16;
	do
		module->last_shown--;
	while (find_inlock(module->stale, module->last_shown) ||
	       find_inlock(module->sessions, module->last_shown));
	return module->last_shown;
}

static struct session *add_inlock(struct view *view, CK_SESSION_HANDLE shown, CK_SESSION_HANDLE real,
                                  CK_SLOT_ID slot)
{
	struct module *module = view->module;
	struct session *s = calloc(1, sizeof *s);
	if (!s)
		return NULL;
	*s = (struct session){.shown = shown, .real = real, .slot = slot, .owner = view};
	HASH_ADD(hh, module->sessions, shown, sizeof s->shown, s);
	if (s->hh.tbl) {
		HASH_ADD(by_real, module->real_sessions, real, sizeof s->real, s);
		if (s->by_real.tbl) {
			struct session **own = own_inlock(view);
			DL_APPEND(*own, s);
			return s;
		}
		HASH_DELETE(hh, module->sessions, s);
	}
	free(s);
	return NULL;
}

CK_SESSION_HANDLE sessions_add(struct view *view, CK_SESSION_HANDLE real, CK_SLOT_ID slot)
{
	struct module *module = view->module;
	struct session *s = NULL;
	change(module);
	HASH_FIND(by_real, module->real_sessions, &real, sizeof real, s);
	if (s) { /* the module gave the handle out again: that session had ended */
		unlink_inlock(module, s);
		free(s);
	}
	CK_SESSION_HANDLE shown = choose_inlock(module, real);
	add_inlock(view, shown, real, slot);
	changed(module);
	return shown;
}

bool sessions_translated(const struct module *module)
{
	return atomic_load_explicit(&module->translated, memory_order_relaxed);
}

bool sessions_real(struct module *module, CK_SESSION_HANDLE shown, CK_SESSION_HANDLE *real)
{
	lock_take(&module->life->sessions);
	const struct session *s = find_inlock(module->sessions, shown);
	bool good = s || !is_stale_inlock(module, shown);
	*real = s ? s->real : shown;
	lock_give(&module->life->sessions);
	return good;
}

bool sessions_slot(struct module *module, CK_SESSION_HANDLE shown, CK_SLOT_ID *slot)
{
	lock_take(&module->life->sessions);
	const struct session *s = find_inlock(module->sessions, shown);
	if (s)
		*slot = s->slot;
	lock_give(&module->life->sessions);
	return s;
}

bool sessions_nth(struct module *module, const struct view *view, CK_SLOT_ID slot, unsigned n,
                  CK_SESSION_HANDLE *real)
{
	const struct session *s;
	lock_take(&module->life->sessions);
	for (s = module->sessions; s; s = s->hh.next)
		if (s->slot == slot && (!view || s->owner == view) && n-- == 0) {
			*real = s->real;
			break;
		}
	lock_give(&module->life->sessions);
	return s;
}

static void describe(struct taken_session *taken, const struct session *s)
{
	*taken = (struct taken_session){
	        .shown = s->shown, .real = s->real, .slot = s->slot, .owner = s->owner};
}

bool sessions_take(struct module *module, CK_SESSION_HANDLE shown, struct taken_session *taken)
{
	bool good = true;
	change(module);
	struct session *s = find_inlock(module->sessions, shown);
	if (s) {
		describe(taken, s);
		unlink_inlock(module, s);
		free(s);
	} else {
		*taken = (struct taken_session){.shown = shown, .real = shown};
		good = !is_stale_inlock(module, shown);
	}
	changed(module);
	return good;
}

void sessions_put_back(struct module *module, const struct taken_session *taken)
{
	struct session *s = NULL;
	if (!taken->owner)
		return;
	change(module);
	HASH_FIND(by_real, module->real_sessions, &taken->real, sizeof taken->real, s);
	if (!s && !find_inlock(module->sessions, taken->shown))
		add_inlock(taken->owner, taken->shown, taken->real, taken->slot);
	changed(module);
}

struct session *sessions_take_all(struct view *view, const CK_SLOT_ID *slot)
{
	struct session *s, *next, *taken = NULL;
	change(view->module);
	DL_FOREACH_SAFE (*own_inlock(view), s, next)
		if (!slot || s->slot == *slot) {
			unlink_inlock(view->module, s);
			DL_APPEND(taken, s);
		}
	changed(view->module);
	return taken;
}

bool sessions_next(struct session **sessions, struct taken_session *taken)
{
	struct session *s = *sessions;
	if (!s)
		return false;
	describe(taken, s);
	DL_DELETE(*sessions, s);
	free(s);
	return true;
}

void sessions_forget_all(struct module *module)
{
	struct session *s, *next;
	change(module);
	HASH_ITER (hh, module->sessions, s, next) {
		unlink_inlock(module, s);
		free(s);
	}
	changed(module);
}

/* Adds the sessions of another life to those that are stale already, record by record. */
static void add_to_stale_inlock(struct module *module)
{
	struct session *s, *next;
	HASH_ITER (hh, module->sessions, s, next) {
		HASH_DELETE(hh, module->sessions, s);
		if (find_inlock(module->stale, s->shown)) {
			free(s);
			continue;
		}
		HASH_ADD(hh, module->stale, shown, sizeof s->shown, s);
		if (!s->hh.tbl) { /* no memory: this handle can no longer be told from good ones */
			free(s);
			module->all_stale = true;
		}
	}
}

void sessions_make_stale(struct module *module)
{
	if (!module->sessions && !module->some_unknown)
		return; /* no lock is needed: no other thread is concerned with the module now */
	change(module);
	if (module->some_unknown)
		module->all_stale = true;
	if (module->stale)
		add_to_stale_inlock(module);
	else
		module->stale = module->sessions;
	module->sessions = NULL;
	module->real_sessions = NULL; /* its memory is not freed: freeing writes */
	module->session_epoch++;
	atomic_store(&module->translated, true);
	changed(module);
}

void sessions_inherit(struct module *module)
{
	if (!atomic_load(&module->sessions_torn))
		return;
	module->sessions = NULL;
	module->real_sessions = NULL;
	module->stale = NULL;
	module->some_unknown = true;
	module->session_epoch++;
	atomic_store(&module->sessions_torn, false);
}
