/*
 * module: a PKCS #11 module that `p11shim list` has to survive. How it behaves is
 * decided when it is built: HANG, CRASH, LEAVE (ends the process) or none of these;
 * always it writes where it should not, has a child that stays, and puts characters
 * into its description that a terminal would obey.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "standard/pkcs11.h"

struct function_list {
	CK_VERSION version;
	CK_RV (*C_Initialize)(CK_VOID_PTR), (*C_Finalize)(CK_VOID_PTR), (*C_GetInfo)(CK_INFO_PTR);
};

static CK_RV nothing(CK_VOID_PTR arguments)
{
	(void)arguments;
	return CKR_OK;
}

static CK_RV get_info(CK_INFO_PTR info)
{
	memset(info, ' ', sizeof *info);
	memcpy(info->manufacturerID, "Nobody", 6);
	memcpy(info->libraryDescription, "evil\033[2J", 8);
	info->libraryVersion = (CK_VERSION){4, 2};
	return CKR_OK;
}

static struct function_list list = {{2, 40}, nothing, nothing, get_info};

CK_RV C_GetFunctionList(struct function_list **out);

CK_RV C_GetFunctionList(struct function_list **out)
{
	puts("pollution");
	fprintf(stderr, "pollution\n");
	fflush(NULL);
	if (fork() == 0)
		for (;;)
			pause();
#ifdef HANG
	for (;;)
		pause();
#endif
#ifdef CRASH
	raise(SIGSEGV);
#endif
#ifdef LEAVE
	exit(0);
#endif
	*out = &list;
	return CKR_OK;
}
