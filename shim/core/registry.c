/*
 * registry.c: see registry.h.
 *
 * A module is made under `registry` and published by the count, whole: a reader, or a child forked in
 * the middle, sees it whole or not at all.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "core/exit.h"
#include "core/lists.h"
#include "core/registry.h"
#include "core/view.h"
#include "host/events.h"

static struct module *find(const struct object *object, bool gone)
{
	unsigned made = atomic_load_explicit(&modules_made, memory_order_acquire);
	for (unsigned i = 0; i < made; i++) {
		struct module *m = &modules[i];
		if (atomic_load(&m->gone) != gone)
			continue;
		if (gone ? object_same_file(&m->object, object) : object_same_instance(&m->object, object))
			return m;
	}
	return NULL;
}

/* What is found out about a loaded instance, with no lock held. */
struct traits {
	struct object object;
	char *path; /* allocated */
	struct settings settings;
	bool exit_handlers, destructors;
};

/*
 * m->path becomes the path of this instance. The instance before may have had another path. Other threads may
 * still be looking at that, so it is never freed.
 */
static void put_traits(struct module *m, struct traits *traits)
{
	if (!m->path || strcmp(m->path, traits->path) != 0) {
		m->path = traits->path;
		traits->path = NULL;
	}
	const char *slash = strrchr(m->path, '/');
	snprintf(m->name, sizeof m->name, "%s", slash ? slash + 1 : m->path[0] ? m->path : "program");
	m->plain = text_is_plain(m->name);
	m->object = traits->object;
	m->object.path = m->path;
	m->settings = traits->settings;
	m->exit_handlers = traits->exit_handlers;
	m->destructors = traits->destructors;
	m->was_up = false;
	m->instance++;
}

static struct module *make_inlock(struct traits *traits)
{
	unsigned made = atomic_load(&modules_made);
	if (made >= MODULES)
		return NULL;
	struct module *m = &modules[made];
	memset(m, 0, sizeof *m);
	put_traits(m, traits);
	m->serialise = m->settings.serialize == SERIALIZE_YES;
	m->life = &p11shim_forgotten.state.life[made];
	m->shared = view_make_shared_inlock(m);
	m->own = lists_make_own_inlock(m->shared);
	atomic_store_explicit(&modules_made, made + 1, memory_order_release);
	return m;
}

/*
 * A module that was unloaded is loaded again, perhaps elsewhere: its views and their lists serve again. No
 * list may lead to the old instance any more by the time that the new one can be held (module_hold). False: a
 * view has the old instance initialised after all.
 */
static bool revive_inlock(struct module *m, struct traits *traits)
{
	lock_take(&m->life->lock);
	bool down = m->life->state == LIFE_DOWN && m->life->references == 0;
	if (down) {
		lists_disown_inlock(m);
		put_traits(m, traits);
		for (unsigned i = 0; i < atomic_load(&views_made); i++)
			if (views[i].module == m)
				views[i].finalised = false;
		atomic_store(&m->gone, false);
	}
	lock_give(&m->life->lock);
	return down;
}

struct module *module_of(const void *function, const struct object *instance)
{
	struct object object;
	struct module *m = find(instance, false);
	if (m)
		return m;
	if (!object_of(function, &object) || !object_own_symbol(&object, "C_GetFunctionList"))
		return NULL;
	struct traits traits = {
	        .object = object,
	        .path = strdup(object.path),
	        .settings = settings_of_module(object.path),
	        .exit_handlers = object_has_exit_handlers(&object),
	        .destructors = object_has_destructors(&object),
	};
	bool is_new = false;
	if (traits.path && traits.settings.in_scope) {
		lock_take(&p11shim_forgotten.state.registry);
		m = find(&object, false); /* another thread may have been here first */
		if (!m) {
			is_new = true;
			m = find(&object, true);
			if (!m || !revive_inlock(m, &traits))
				m = make_inlock(&traits);
		}
		lock_give(&p11shim_forgotten.state.registry);
		if (!m)
			tell_event(.kind = EVENT_NO_ROOM_FOR_MODULE, .text = object.path);
	}
	free(traits.path);
	if (m && is_new) {
		/*
		 * The handler is registered only if it has something to do: in a child, glibc may have left
		 * the lock of exit handlers held.
		 */
		if (m->settings.at_exit == AT_EXIT_AUTO ? m->exit_handlers
		                                        : m->settings.at_exit != AT_EXIT_FORWARD)
			exit_watch(m);
		tell_event(.kind = EVENT_LOADED, .module = m, .text = m->path);
	}
	return m;
}
