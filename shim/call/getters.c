/*
 * getters.c: see getters.h.
 *
 * The module is held while it is asked, so that it cannot be unloaded together with what it hands out.
 */
#include <string.h>

#include "call/getters.h"
#include "core/life.h"
#include "core/lists.h"
#include "core/module.h"
#include "core/view.h"
#include "host/events.h"

/*
 * The view's list for what the module handed out. If there is no room, it is the shared view's; NULL: not
 * even that has room (contract B5).
 */
static struct list *wrap(struct view *view, const struct raw_list *kind)
{
	struct list *list = lists_for(view, kind);
	if (list)
		life_refresh(list->view);
	if (!list || list->view != view)
		tell_event(.kind = EVENT_NO_ROOM_FOR_LIST, .view = view, .number = list != NULL);
	return list;
}

/*
 * Which view is asking? A module's own list is the same for all consumers; there the address of the caller
 * tells which consumer it is. Any other list belongs to a view already.
 */
static struct view *view_asking(const struct list *list, const void *caller)
{
	struct module *module = list->view->module;
	struct object consumer;
	if (list != module->own)
		return list->view;
	if (!object_of(caller, &consumer))
		return module->shared;
	return view_of(module, &consumer);
}

CK_RV getters_function_list(struct list *list, const void *caller, CK_FUNCTION_LIST_PTR_PTR ppFunctionList)
{
	struct module *module = list->view->module;
	if (!ppFunctionList)
		return CKR_ARGUMENTS_BAD;
	void *hold = module_hold(module);
	if (!hold)
		return CKR_GENERAL_ERROR; /* a consumer has kept the function beyond its module's end */
	struct view *view = view_asking(list, caller);
	const void *handed_out = module->settings.observe ? NULL : lists_known(module);
	CK_RV rv = CKR_OK;
	if (!handed_out) {
		uintptr_t word = (uintptr_t)ppFunctionList;
		rv = calls_invoke(lists_target(list, CALL_C_GetFunctionList), 1,
		                  &word); /* REENTRANT: no lock held */
		handed_out = rv == CKR_OK ? *ppFunctionList : NULL;
		if (rv == CKR_OK && !handed_out)
			rv = CKR_GENERAL_ERROR;
	}
	if (rv == CKR_OK) {
		struct raw_list kind = {.list = handed_out,
		                        .version = *(const CK_VERSION *)handed_out,
		                        .functions = CALLS_2_40};
		struct list *wrapped = wrap(view, &kind);
		*ppFunctionList =
		        wrapped ? (CK_FUNCTION_LIST_PTR)&wrapped->table : (CK_FUNCTION_LIST_PTR)handed_out;
	}
	tell_event(.kind = EVENT_LIST_GIVEN, .view = view, .function = CALL_C_GetFunctionList, .rv = rv);
	object_release(hold);
	return rv;
}

/* How many functions an interface of that version has; 0: the shim does not know that version. */
static unsigned functions_of(CK_VERSION *version)
{
	if (version->major == 2)
		return CALLS_2_40;
	if (version->major != 3)
		return 0;
	if (version->minor < 2)
		return CALLS_3_0;
	version->minor = 2; /* a newer version begins with what 3.2 has */
	return CALLS_3_2;
}

/*
 * The view's interface for an interface of the module's. If that is not to be wrapped, it is returned as it
 * is.
 */
static const CK_INTERFACE *wrap_interface(struct view *view, const CK_INTERFACE *handed_out)
{
	if (!handed_out->pInterfaceName || !handed_out->pFunctionList ||
	    strcmp((const char *)handed_out->pInterfaceName, (const char *)lists_standard_interface) != 0)
		return handed_out;
	struct raw_list kind = {.list = handed_out->pFunctionList,
	                        .version = *(const CK_VERSION *)handed_out->pFunctionList,
	                        .from_interface = true,
	                        .flags = handed_out->flags};
	kind.functions = functions_of(&kind.version);
	struct list *list = kind.functions ? wrap(view, &kind) : NULL;
	return list ? &list->as_interface : handed_out;
}

CK_RV getters_interface(struct list *list, const void *caller, const uintptr_t *words)
{
	struct module *module = list->view->module;
	CK_INTERFACE_PTR_PTR ppInterface = (CK_INTERFACE_PTR_PTR)words[2];
	void *hold = module_hold(module);
	if (!hold)
		return CKR_GENERAL_ERROR;
	struct view *view = view_asking(list, caller);
	CK_RV rv =
	        calls_invoke(lists_target(list, CALL_C_GetInterface), 4, words); /* REENTRANT: no lock held */
	if (rv == CKR_OK && ppInterface && *ppInterface)
		*ppInterface = (CK_INTERFACE_PTR)wrap_interface(view, *ppInterface);
	tell_event(.kind = EVENT_LIST_GIVEN, .view = view, .function = CALL_C_GetInterface, .rv = rv);
	object_release(hold);
	return rv;
}

CK_RV getters_interface_list(struct list *list, const void *caller, const uintptr_t *words)
{
	struct module *module = list->view->module;
	CK_INTERFACE_PTR pInterfacesList = (CK_INTERFACE_PTR)words[0];
	CK_ULONG_PTR pulCount = (CK_ULONG_PTR)words[1];
	void *hold = module_hold(module);
	if (!hold)
		return CKR_GENERAL_ERROR;
	struct view *view = view_asking(list, caller);
	CK_ULONG capacity = pInterfacesList && pulCount ? *pulCount : 0;
	CK_RV rv = calls_invoke(lists_target(list, CALL_C_GetInterfaceList), 2,
	                        words); /* REENTRANT: no lock held */
	if (rv == CKR_OK)
		for (CK_ULONG i = 0; i < capacity && i < *pulCount; i++)
			pInterfacesList[i] = *wrap_interface(view, &pInterfacesList[i]);
	tell_event(.kind = EVENT_LIST_GIVEN, .view = view, .function = CALL_C_GetInterfaceList, .rv = rv);
	object_release(hold);
	return rv;
}
