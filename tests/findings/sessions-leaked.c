/*
 * sessions-leaked: C_Finalize with sessions open.
 *
 *   closed   without
 */
#include "finding.h"

static CK_FUNCTION_LIST *list;

static CK_SESSION_HANDLE open_and_forget(void)
{
	CK_SESSION_HANDLE session;

	MUST(list->C_OpenSession(some_slot(list), CKF_SERIAL_SESSION, NULL, NULL, &session));
	return session;
}

static void leave_them_open(void)
{
	MUST(list->C_Finalize(NULL));
}

int main(int argc, char **argv)
{
	list = list_of(load_module(argv[1]));
	MUST(list->C_Initialize(NULL));
	for (int i = 0; i < 3; i++) {
		CK_SESSION_HANDLE session = open_and_forget();

		if (is_variant(argc, argv, "closed"))
			MUST(list->C_CloseSession(session));
	}
	leave_them_open();
	return 0;
}
