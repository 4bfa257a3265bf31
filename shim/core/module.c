/*
 * module.c: see module.h.
 */
#include <string.h>

#include "core/module.h"
#include "host/events.h"

/*
 * The caller has found that instance to be gone. Notes this, unless it was noted before, or the module has
 * another instance by now, or is in use. With m->life->lock held. True: it was news.
 */
static bool gone_inlock(struct module *m, unsigned long instance)
{
	bool news = m->instance == instance && m->life->state == LIFE_DOWN && !atomic_load(&m->hold) &&
	            !atomic_load(&m->gone);
	if (news)
		atomic_store(&m->gone, true);
	return news;
}

/*
 * Once an instance is gone, the module counts as gone until module_of() has seen the next instance, even if
 * that lies at the same place already.
 */
void *module_hold(struct module *m)
{
	lock_take(&m->life->lock);
	unsigned long instance = m->instance;
	struct object object = m->object;
	bool gone = atomic_load(&m->gone);
	lock_give(&m->life->lock);
	void *hold = gone ? NULL : object_hold(&object, object.path); /* REENTRANT: no lock held */
	lock_take(&m->life->lock);
	if (!hold)
		gone_inlock(m, instance);
	bool same = m->instance == instance && !atomic_load(&m->gone);
	lock_give(&m->life->lock);
	if (same)
		return hold;
	object_release(hold); /* REENTRANT: no lock held */
	return NULL;
}

void modules_opened(const char *path)
{
	const char *slash = strrchr(path, '/');
	for (unsigned i = 0; i < atomic_load(&modules_made); i++) {
		struct object object = {.path = path};
		if (atomic_load(&modules[i].gone) || (!slash && strcmp(path, modules[i].name) != 0))
			continue;
		if (slash)
			object_identify(&object);
		if (!slash ||
		    (object.inode == modules[i].object.inode && object.device == modules[i].object.device))
			tell_event(.kind = EVENT_OPENED_AGAIN, .module = &modules[i]);
	}
}

void modules_closed(const void *handle)
{
	for (unsigned i = 0; i < atomic_load(&modules_made); i++)
		if (object_has_handle(&modules[i].object, handle) && !atomic_load(&modules[i].gone))
			tell_event(.kind = EVENT_CLOSED, .module = &modules[i]);
}

void modules_notice_unloads(void)
{
	for (unsigned i = 0; i < atomic_load(&modules_made); i++) {
		struct module *m = &modules[i];
		if (atomic_load(&m->hold) || atomic_load(&m->gone))
			continue;
		lock_take(&m->life->lock);
		unsigned long instance = m->instance;
		struct object object = m->object;
		lock_give(&m->life->lock);
		if (object_still_there(&object))
			continue;
		lock_take(&m->life->lock);
		bool news = gone_inlock(m, instance);
		lock_give(&m->life->lock);
		if (news)
			tell_event(.kind = EVENT_UNLOADED, .module = m, .text = object.path);
	}
}
