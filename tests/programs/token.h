/*
 * token.h: what a plain PKCS #11 program does with the test token: find its
 * slot, open a session, log in, find the private key, sign.
 *
 * Environment: TOKEN_LABEL, TOKEN_PIN (see scripts/token); TOKEN_KEY, the key's
 * label (key1).
 */
#ifndef P11SHIM_TEST_TOKEN_H
#define P11SHIM_TEST_TOKEN_H

#include "standard/pkcs11.h"
#include <stdlib.h>
#include <string.h>

#define TOKEN_SIGNATURE_SIZE 256 /* RSA-2048 */

struct token {
	CK_FUNCTION_LIST *list;
	CK_SESSION_HANDLE session;
	CK_OBJECT_HANDLE key;
};

/* The slot of the token whose label is in the environment, or CKR_TOKEN_NOT_PRESENT. */
static inline CK_RV token_slot(CK_FUNCTION_LIST *list, CK_SLOT_ID *slot)
{
	CK_SLOT_ID slots[64];
	CK_ULONG count = sizeof(slots) / sizeof(*slots), i;
	const char *label = getenv("TOKEN_LABEL");
	CK_TOKEN_INFO info;
	CK_RV rv;

	if (!label)
		return CKR_TOKEN_NOT_PRESENT;
	rv = list->C_GetSlotList(CK_TRUE, slots, &count);
	if (rv != CKR_OK)
		return rv;
	for (i = 0; i < count; i++) {
		rv = list->C_GetTokenInfo(slots[i], &info);
		if (rv == CKR_OK && !memcmp(info.label, label, strlen(label)) &&
		    (strlen(label) == sizeof(info.label) || info.label[strlen(label)] == ' ')) {
			*slot = slots[i];
			return CKR_OK;
		}
	}
	return CKR_TOKEN_NOT_PRESENT;
}

/* Somebody else's login counts as ours: it holds for the whole process. */
static inline CK_RV token_login(struct token *token)
{
	char *pin = getenv("TOKEN_PIN");
	CK_RV rv;

	if (!pin)
		return CKR_PIN_INCORRECT;
	rv = token->list->C_Login(token->session, CKU_USER, (CK_UTF8CHAR *)pin, strlen(pin));
	return rv == CKR_USER_ALREADY_LOGGED_IN ? CKR_OK : rv;
}

static inline CK_RV token_find_key(struct token *token)
{
	CK_OBJECT_CLASS class = CKO_PRIVATE_KEY;
	const char *label = getenv("TOKEN_KEY") ? getenv("TOKEN_KEY") : "key1";
	CK_ATTRIBUTE template[] = {
	        {CKA_CLASS, &class, sizeof(class)},
	        {CKA_LABEL, (void *)label, strlen(label)},
	};
	CK_ULONG count = 0;
	CK_RV rv, end;

	rv = token->list->C_FindObjectsInit(token->session, template, 2);
	if (rv != CKR_OK)
		return rv;
	rv = token->list->C_FindObjects(token->session, &token->key, 1, &count);
	end = token->list->C_FindObjectsFinal(token->session);
	if (rv == CKR_OK)
		rv = end;
	return rv == CKR_OK && count != 1 ? CKR_KEY_HANDLE_INVALID : rv;
}

/* After C_Initialize: from the slot to the key. */
static inline CK_RV token_open(struct token *token, CK_FUNCTION_LIST *list)
{
	CK_SLOT_ID slot;
	CK_RV rv;

	token->list = list;
	rv = token_slot(list, &slot);
	if (rv == CKR_OK)
		rv = list->C_OpenSession(slot, CKF_SERIAL_SESSION, NULL, NULL, &token->session);
	if (rv == CKR_OK)
		rv = token_login(token);
	if (rv == CKR_OK)
		rv = token_find_key(token);
	return rv;
}

static inline CK_RV token_sign(struct token *token)
{
	CK_MECHANISM mechanism = {CKM_SHA256_RSA_PKCS, NULL, 0};
	CK_BYTE signature[TOKEN_SIGNATURE_SIZE];
	CK_ULONG size = sizeof(signature);
	CK_RV rv;

	rv = token->list->C_SignInit(token->session, &mechanism, token->key);
	if (rv == CKR_OK)
		rv = token->list->C_Sign(token->session, (CK_BYTE *)"to be signed", 12, signature, &size);
	return rv;
}

#endif
