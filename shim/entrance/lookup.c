/*
 * lookup.c: see lookup.h.
 */
#include <errno.h>

#include "call/call.h"
#include "core/gate.h"
#include "core/life.h"
#include "core/lists.h"
#include "core/module.h"
#include "core/registry.h"
#include "core/view.h"
#include "entrance/lookup.h"
#include "entrance/start.h"
#include "host/events.h"
#include "host/linker.h"
#include "host/process.h"
#include "settings/settings.h"

static void *slot_of_looked_up(struct module *module, unsigned function, void *symbol, const void *caller)
{
	struct object consumer;
	bool known = object_of(caller, &consumer);
	struct view *view = known ? view_of(module, &consumer) : module->shared;
	struct list *list = lists_looked_up(view);
	if (!list)
		list = module->own;
	/* The functions that the shim itself calls once this consumer initialises. */
	static const unsigned needed[] = {CALL_C_Initialize, CALL_C_Finalize, CALL_C_CloseSession,
	                                  CALL_C_GetSlotInfo};
	for (unsigned i = 0; i < COUNT(needed); i++)
		if (!lists_supports(list, needed[i]))
			lists_set_target(list, needed[i],
			                 object_own_symbol(&module->object, calls[needed[i]].name));
	lists_set_target(list, function, symbol);
	life_refresh(list->view);
	return gate_slot(list->number, function);
}

void *lookup_symbol(void *handle, const char *name, const void *caller)
{
	int function = calls_find(name);
	struct object defines;
	if (function < 0)
		return NULL;
	start();
	if (settings_disabled())
		return NULL;
	void *symbol = linker_dlsym(handle, name);
	if (!symbol || !object_instance(symbol, &defines))
		return NULL;
	process_enter();
	call_start();
	struct module *module = module_of(symbol, &defines);
	if (!module)
		return NULL;
	void *slot;
	if (calls_is_getter((unsigned)function)) {
		lists_set_target(module->own, (unsigned)function, symbol);
		slot = gate_slot(module->own->number, (unsigned)function);
	} else {
		slot = slot_of_looked_up(module, (unsigned)function, symbol, caller);
	}
	linker_dlsym(handle, name); /* it succeeds: dlerror() is to tell of this, not of the shim's lookups */
	return slot;
}

void lookup_before_unload(const void *handle)
{
	int error = errno;
	process_enter();
	modules_closed(handle);
	errno = error;
}

bool lookup_before_load(const char *path, int flags)
{
	if (atomic_load(&modules_made) > 0) {
		process_enter();
		modules_notice_unloads();
		if (UNLIKELY(events_recorder()) && path) {
			int error = errno;
			modules_opened(path);
			errno = error;
		}
	}
	if (!linker_hides(flags))
		return false;
	start();
	return !settings_disabled() && settings_strip_deepbind();
}
