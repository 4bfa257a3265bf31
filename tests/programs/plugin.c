/*
 * plugin: one plugin of two-plugins, compiled twice (plugin-a.so and
 * plugin-b.so): a library that uses a PKCS #11 module all by itself and does
 * what the standard tells an application to do.
 *
 * With PLUGIN_CALLBACKS defined as flags, it offers mutex functions of its own
 * along with these flags (plugin-callbacks.so, plugin-either.so).
 */
#include "plugin.h"
#include "token.h"
#include <dlfcn.h>

static void *module;
static struct token token;

#ifdef PLUGIN_CALLBACKS
#include "callbacks.h"

static CK_C_INITIALIZE_ARGS arguments = {CALLBACKS, PLUGIN_CALLBACKS, NULL};
#else
static CK_C_INITIALIZE_ARGS arguments = {.flags = CKF_OS_LOCKING_OK};
#endif

static CK_RV plugin_start(const char *module_path, int strict)
{
	CK_RV (*get_function_list)(CK_FUNCTION_LIST **);
	CK_FUNCTION_LIST *list;
	CK_RV rv;

	module = dlopen(module_path, RTLD_NOW | RTLD_LOCAL);
	if (!module)
		return CKR_LIBRARY_LOAD_FAILED;
	*(void **)&get_function_list = dlsym(module, "C_GetFunctionList");
	if (!get_function_list)
		return CKR_LIBRARY_LOAD_FAILED;
	rv = get_function_list(&list);
	if (rv != CKR_OK)
		return rv;
	rv = list->C_Initialize(&arguments);
	if (rv != CKR_OK && (strict || rv != CKR_CRYPTOKI_ALREADY_INITIALIZED))
		return rv;
	return token_open(&token, list);
}

static CK_RV plugin_sign(void)
{
	return token.list ? token_sign(&token) : CKR_CRYPTOKI_NOT_INITIALIZED;
}

static CK_RV plugin_sign_anew(void)
{
	struct token anew;
	CK_RV rv, end;

	if (!token.list)
		return CKR_CRYPTOKI_NOT_INITIALIZED;
	rv = token_open(&anew, token.list);
	if (rv == CKR_OK)
		rv = token_sign(&anew);
	end = rv == CKR_OK ? token.list->C_CloseSession(anew.session) : CKR_OK;
	return rv == CKR_OK ? end : rv;
}

static CK_RV plugin_stop(void)
{
	CK_RV rv = token.list ? token.list->C_Finalize(NULL) : CKR_CRYPTOKI_NOT_INITIALIZED;

	if (module)
		dlclose(module);
	module = NULL;
	token.list = NULL;
	return rv;
}

__attribute__((visibility("default"))) plugin_entry plugin_get;

const struct plugin *plugin_get(void)
{
	static const struct plugin plugin = {plugin_start, plugin_sign, plugin_sign_anew, plugin_stop};

	return &plugin;
}
