/*
 * inherited-handle: a forked child goes on with its parent's session.
 *
 *   sessionless   with nothing of its parent's but the belief that the module is initialised
 *   own           with nothing of its parent's: it initialises, and opens a session, itself
 */
#include "finding.h"

static CK_FUNCTION_LIST *list;
static CK_SESSION_HANDLE session;

static void start_in_parent(void)
{
	MUST(list->C_Initialize(NULL));
}

static void open_in_parent(void)
{
	MUST(list->C_OpenSession(some_slot(list), CKF_SERIAL_SESSION, NULL, NULL, &session));
}

static void use_in_child(void *unused)
{
	CK_SESSION_INFO info;

	(void)unused;
	list->C_GetSessionInfo(session, &info);
}

static void ask_in_child(void *unused)
{
	CK_INFO info;

	(void)unused;
	list->C_GetInfo(&info);
}

static void do_it_properly(void *unused)
{
	CK_SESSION_INFO info;
	CK_SESSION_HANDLE own;

	(void)unused;
	MUST(list->C_Initialize(NULL));
	MUST(list->C_OpenSession(some_slot(list), CKF_SERIAL_SESSION, NULL, NULL, &own));
	MUST(list->C_GetSessionInfo(own, &info));
	MUST(list->C_CloseSession(own));
	MUST(list->C_Finalize(NULL));
}

int main(int argc, char **argv)
{
	list = list_of(load_module(argv[1]));
	start_in_parent();
	open_in_parent();
	in_child(is_variant(argc, argv, "sessionless") ? ask_in_child
	         : is_variant(argc, argv, "own")       ? do_it_properly
	                                               : use_in_child,
	         NULL);
	MUST(list->C_CloseSession(session));
	MUST(list->C_Finalize(NULL));
	return 0;
}
