/*
 * view.c: see view.h.
 *
 * New views are made under `registry` and published by the count, so that a reader, or a child forked in the
 * middle, sees each view either whole or not at all. If a fork left a view half-made, the next view
 * overwrites it. One place is kept, for its shared view, for each module that may still come.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/text.h"
#include "core/gate.h"
#include "core/lists.h"
#include "core/view.h"
#include "host/events.h"
#include "host/process.h"

_Static_assert(VIEWS > MODULES, "every module needs a shared view");

/*
 * Is it the view of that consumer? The same loaded object under the same name is the same consumer, whatever
 * has become of its file, or of the directory that the name starts in. If the consumer was loaded anew,
 * perhaps elsewhere, the file tells.
 */
static bool is_of(const struct view *view, const struct object *consumer)
{
	return object_same_file(&view->consumer, consumer) ||
	       (object_same_instance(&view->consumer, consumer) && strcmp(view->path, consumer->path) == 0);
}

static struct view *find(struct module *module, const struct object *consumer)
{
	unsigned made = atomic_load_explicit(&views_made, memory_order_acquire);
	for (unsigned i = 0; i < made; i++)
		if (views[i].module == module && !views[i].shared && is_of(&views[i], consumer))
			return &views[i];
	return NULL;
}

/*
 * The program itself has no path. Its view is named after its file, or, without /proc, after the thread (16
 * bytes at most).
 */
static void name_view(struct view *view, const char *path)
{
	char program[1024];
	ssize_t length =
	        path[0] ? 0
	                : syscall(SYS_readlinkat, AT_FDCWD, "/proc/self/exe", program, sizeof program - 1);
	if (length > 0) {
		program[length] = '\0';
		path = program;
	}
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	struct text text = text_in(view->name, sizeof view->name - 1);
	text_put(&text, name);
	*text.at = '\0';
	if (!name[0])
		syscall(SYS_prctl, PR_GET_NAME, view->name);
	view->plain = text_is_plain(view->name);
}

static struct view *make_inlock(struct module *module, const struct object *consumer, unsigned limit)
{
	unsigned made = atomic_load_explicit(&views_made, memory_order_relaxed);
	if (made >= limit)
		return NULL;
	struct view *view = &views[made];
	memset(view, 0, sizeof *view);
	view->module = module;
	if (consumer) {
		view->path = strdup(consumer->path);
		if (!view->path)
			return NULL;
		view->consumer = *consumer;
		view->consumer.path = view->path;
		name_view(view, consumer->path);
	} else {
		view->shared = true;
		strcpy(view->name, "everyone");
		view->plain = true;
	}
	atomic_store_explicit(&views_made, made + 1, memory_order_release);
	return view;
}

struct view *view_make_shared_inlock(struct module *module)
{
	return make_inlock(module, NULL, VIEWS);
}

struct view *view_of(struct module *module, const struct object *consumer)
{
	lock_take(&p11shim_forgotten.state.registry);
	struct view *view = find(module, consumer);
	if (!view)
		view = make_inlock(module, consumer, VIEWS - MODULES + atomic_load(&modules_made));
	if (view) /* the consumer may have been loaded anew, elsewhere */
		object_move(&view->consumer, consumer);
	lock_give(&p11shim_forgotten.state.registry);
	if (view)
		return view;
	tell_event(.kind = EVENT_NO_ROOM_FOR_VIEW, .module = module, .text = consumer->path);
	return module->shared;
}

void view_set_fast_inlock(struct view *view, bool on)
{
	for (struct list *list = atomic_load(&view->lists); list; list = list->next)
		gate_set_fast(list->number, on);
}
