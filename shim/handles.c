/*
 * handles.c: see handles.h.
 *
 * One table per module, by handle, and in it a list per view, so that opening,
 * closing, and closing all of one view cost the same however many sessions
 * others have.
 *
 * A fork may copy the table while another thread is changing it. `sessions_torn`
 * is set around every change: a child that finds it set drops the table, unread
 * (it knows then of no session from before the fork), and one that finds it
 * clear has a whole table.
 */
#include <stdlib.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>
#include <utlist.h>

#include "handles.h"
#include "view.h"

struct session {
	CK_SESSION_HANDLE handle;
	CK_SLOT_ID slot;
	struct view *owner;
	struct session *prev, *next; /* of the owner's */
	UT_hash_handle hh;
};

static void change(struct module *module)
{
	pthread_mutex_lock(&module->life->sessions);
	atomic_store(&module->sessions_torn, true);
}

static void changed(struct module *module)
{
	atomic_store(&module->sessions_torn, false);
	pthread_mutex_unlock(&module->life->sessions);
}

static void remove_inlock(struct module *module, struct session *s)
{
	HASH_DEL(module->sessions, s);
	DL_DELETE(s->owner->sessions, s);
	free(s);
}

void handles_add(struct view *view, CK_SESSION_HANDLE handle, CK_SLOT_ID slot)
{
	struct module *module = view->module;
	struct session *s = NULL;
	change(module);
	HASH_FIND(hh, module->sessions, &handle, sizeof handle, s);
	if (s)
		remove_inlock(module, s);
	s = calloc(1, sizeof *s);
	if (s) {
		s->handle = handle;
		s->slot = slot;
		s->owner = view;
		HASH_ADD(hh, module->sessions, handle, sizeof s->handle, s);
		if (s->hh.tbl)
			DL_APPEND(view->sessions, s);
		else
			free(s);
	}
	changed(module);
}

struct view *handles_take(struct module *module, CK_SESSION_HANDLE handle, CK_SLOT_ID *slot)
{
	struct session *s = NULL;
	struct view *owner = NULL;
	change(module);
	HASH_FIND(hh, module->sessions, &handle, sizeof handle, s);
	if (s) {
		owner = s->owner;
		*slot = s->slot;
		remove_inlock(module, s);
	}
	changed(module);
	return owner;
}

struct session *handles_take_all(struct view *view, const CK_SLOT_ID *slot)
{
	struct session *s, *next, *taken = NULL;
	change(view->module);
	DL_FOREACH_SAFE (view->sessions, s, next)
		if (!slot || s->slot == *slot) {
			HASH_DEL(view->module->sessions, s);
			DL_DELETE(view->sessions, s);
			DL_APPEND(taken, s);
		}
	changed(view->module);
	return taken;
}

bool handles_next(struct session **taken, CK_SESSION_HANDLE *session)
{
	struct session *s = *taken;
	if (!s)
		return false;
	*session = s->handle;
	DL_DELETE(*taken, s);
	free(s);
	return true;
}

void handles_forget_all(struct module *module)
{
	struct session *s, *next;
	change(module);
	HASH_ITER (hh, module->sessions, s, next)
		remove_inlock(module, s);
	changed(module);
}

void handles_adopt(struct module *module)
{
	if (!atomic_load(&module->sessions_torn))
		return;
	module->sessions = NULL;
	for (unsigned i = 0; i < atomic_load(&views_made); i++)
		if (views[i].module == module)
			views[i].sessions = NULL;
	atomic_store(&module->sessions_torn, false);
}
