/*
 * guest.c: see guest.h.
 */
#include "finding.h"
#include "guest.h"

static void *module;
static CK_FUNCTION_LIST *list;
static int when_destroyed;

void guest_loads(const char *path)
{
	module = load_module(path);
	list = list_of(module);
}

CK_RV guest_initialises(CK_C_INITIALIZE_ARGS *args)
{
	return list->C_Initialize(args);
}

CK_RV guest_finalises(void)
{
	return list->C_Finalize(NULL);
}

void guest_unloads(void)
{
	CHECK(dlclose(module) == 0);
}

CK_SESSION_HANDLE guest_opens(void)
{
	CK_SESSION_HANDLE session;

	MUST(list->C_OpenSession(some_slot(list), CKF_SERIAL_SESSION, NULL, NULL, &session));
	return session;
}

CK_RV guest_logs_out(CK_SESSION_HANDLE session)
{
	return list->C_Logout(session);
}

void guest_finalises_when_destroyed(void)
{
	when_destroyed = 1;
}

__attribute__((destructor)) static void destroy(void)
{
	if (when_destroyed)
		MUST(guest_finalises());
}
