/*
 * logins.c: see logins.h.
 *
 * There is one record for each view and slot that has ever logged in, in a list of the module that only
 * grows. Its head and each record's state are single words, so a child inherits every record whole. The
 * states are right in a child too: if the module carried its state over, the logins came along, and if it was
 * initialised anew, logins_forget() has been called.
 *
 * Only the thread that has called logins_begin() may change states and act on them: `login_owner`. That lies
 * in forgotten memory, since in a child no thread has called it.
 */
#include <stdlib.h>

#include "core/logins.h"
#include "host/process.h"

enum login_state {
	NOT_IN,
	IN,      /* the view has logged in, and needs the token */
	WAITING, /* the view has logged out, while other views needed the token */
};

struct login {
	const struct view *view;
	CK_SLOT_ID slot;
	_Atomic(enum login_state) state;
	struct login *next;
};

static struct login *first(const struct module *module)
{
	return atomic_load_explicit(&module->logins, memory_order_acquire);
}

bool logins_begin(struct module *module)
{
	struct life *life = module->life;
	bool mine;
	lock_take(&life->logins);
	while (life->login_owner && life->login_owner != thread_self())
		queue_wait(&life->login_changed, &life->logins, 0);
	mine = life->login_owner == thread_self();
	life->login_owner = thread_self();
	lock_give(&life->logins);
	return !mine;
}

void logins_end(struct module *module)
{
	struct life *life = module->life;
	lock_take(&life->logins);
	life->login_owner = 0;
	queue_wake_all(&life->login_changed);
	lock_give(&life->logins);
}

/* The record of that view and slot; made if need be. NULL: no memory. */
static struct login *record(struct view *view, CK_SLOT_ID slot)
{
	struct login *l;
	for (l = first(view->module); l; l = l->next)
		if (l->view == view && l->slot == slot)
			return l;
	l = calloc(1, sizeof *l);
	if (!l)
		return NULL;
	l->view = view;
	l->slot = slot;
	l->next = first(view->module);
	atomic_store_explicit(&view->module->logins, l, memory_order_release);
	return l;
}

void logins_in(struct view *view, CK_SLOT_ID slot)
{
	struct login *l = record(view, slot);
	if (l)
		atomic_store(&l->state, IN);
}

static bool any(const struct module *module, CK_SLOT_ID slot, enum login_state state, const struct view *but)
{
	for (const struct login *l = first(module); l; l = l->next)
		if (l->slot == slot && l->view != but && atomic_load(&l->state) == state)
			return true;
	return false;
}

bool logins_out(struct view *view, CK_SLOT_ID slot, bool *was_in)
{
	if (!any(view->module, slot, IN, view))
		return false;
	struct login *l = record(view, slot);
	*was_in = !l || atomic_load(&l->state) != WAITING;
	if (l)
		atomic_store(&l->state, WAITING);
	return true;
}

void logins_all_out(struct module *module, CK_SLOT_ID slot)
{
	for (struct login *l = first(module); l; l = l->next)
		if (l->slot == slot)
			atomic_store(&l->state, NOT_IN);
}

bool logins_leave(struct view *view, CK_SLOT_ID slot)
{
	bool was_in = false;
	for (struct login *l = first(view->module); l; l = l->next)
		if (l->view == view && l->slot == slot && atomic_load(&l->state) == IN) {
			atomic_store(&l->state, NOT_IN); /* a wish from before (WAITING) stays */
			was_in = true;
		}
	return was_in && !any(view->module, slot, IN, NULL) && any(view->module, slot, WAITING, NULL);
}

bool logins_slot(const struct view *view, CK_SLOT_ID *slot)
{
	for (const struct login *l = first(view->module); l; l = l->next)
		if (l->view == view && atomic_load(&l->state) == IN) {
			*slot = l->slot;
			return true;
		}
	return false;
}

void logins_forget(struct module *module)
{
	for (struct login *l = first(module); l; l = l->next)
		if (atomic_load(&l->state) != NOT_IN)
			atomic_store(&l->state, NOT_IN);
}
