/*
 * getters.h: C_GetFunctionList, C_GetInterface and C_GetInterfaceList, called through a slot (contract B;
 * PKCS #11 3.0: 5.4). The module is asked, and what it hands out is made into lists of the view.
 *
 * caller: an address in the consumer; words: those of the call. No lock may be held.
 */
#ifndef P11SHIM_GETTERS_H
#define P11SHIM_GETTERS_H

#include "core/model.h"

CK_RV getters_function_list(struct list *list, const void *caller, CK_FUNCTION_LIST_PTR_PTR ppFunctionList);
CK_RV getters_interface(struct list *list, const void *caller, const uintptr_t *words);
CK_RV getters_interface_list(struct list *list, const void *caller, const uintptr_t *words);

#endif
