/*
 * others-logout: a library logs out, and with that the whole process.
 *
 *   done   when this program has closed its sessions already
 */
#include "finding.h"
#include "guest.h"

static CK_FUNCTION_LIST *list;

static void log_in(CK_SESSION_HANDLE session)
{
	MUST(list->C_Login(session, CKU_USER, some_pin(), strlen((const char *)some_pin())));
}

int main(int argc, char **argv)
{
	CK_SESSION_HANDLE mine, guests;

	list = list_of(load_module(argv[1]));
	guest_loads(argv[1]);
	MUST(list->C_Initialize(NULL));
	MUST(guest_initialises(NULL));
	MUST(list->C_OpenSession(some_slot(list), CKF_SERIAL_SESSION, NULL, NULL, &mine));
	log_in(mine);
	guests = guest_opens();
	if (is_variant(argc, argv, "done"))
		MUST(list->C_CloseSession(mine));
	MUST(guest_logs_out(guests));
	list->C_CloseSession(mine);
	list->C_CloseSession(guests);
	guest_finalises();
	list->C_Finalize(NULL);
	return 0;
}
