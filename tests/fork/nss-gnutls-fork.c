/*
 * nss-gnutls-fork: NSS and GnuTLS get their private keys from one PKCS #11
 * module, then the process forks, as servers do; the child signs with the keys
 * of before the fork, and then the parent does.
 *
 *	nss-gnutls-fork nss|gnutls [alone]
 *
 * The one that is named loads the module first, or is alone with it.
 *
 * Environment: SOFTHSM2_MODULE, TOKEN_LABEL, TOKEN_PIN (see scripts/token).
 * Prints one line a step; exit status 0 only if every step went well.
 */
#include "say.h"

#include <nspr.h>
#include <nss.h>
#include <cryptohi.h>
#include <keyhi.h>
#include <pk11pub.h>
#include <secmod.h>
#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <gnutls/pkcs11.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char message[] = "to be signed";
static const char *module_path, *token_label, *token_pin;

/* All signatures must equal the first: PKCS #1 v1.5 leaves nothing to chance. */
static unsigned char first_signature[1024];
static size_t first_size;

static const char *compare_signature(const void *bytes, size_t size)
{
	if (!first_size && size <= sizeof(first_signature)) {
		memcpy(first_signature, bytes, size);
		first_size = size;
	}
	return size == first_size && !memcmp(first_signature, bytes, size) ? NULL : "the signature differs";
}

/* ---- NSS, without a database */

static SECKEYPrivateKey *nss_key;

static const char *nss_error(void)
{
	const char *name = PR_ErrorToName(PR_GetError());

	return name ? name : "no error code";
}

static char *nss_password(PK11SlotInfo *slot, PRBool retry, void *argument)
{
	(void)slot;
	(void)argument;
	return retry ? NULL : PORT_Strdup(token_pin);
}

static const char *nss_begin(void)
{
	char specification[4096];
	SECMODModule *module;
	SECKEYPrivateKeyList *keys;
	PK11SlotInfo *slot;

	PK11_SetPasswordFunc(nss_password);
	if (NSS_NoDB_Init(NULL) != SECSuccess)
		return nss_error();
	snprintf(specification, sizeof(specification), "library=\"%s\" name=\"softhsm\"", module_path);
	module = SECMOD_LoadUserModule(specification, NULL, PR_FALSE);
	if (!module || !module->loaded)
		return nss_error();
	slot = PK11_FindSlotByName(token_label);
	if (!slot || PK11_Authenticate(slot, PR_TRUE, NULL) != SECSuccess)
		return nss_error();
	keys = PK11_ListPrivKeysInSlot(slot, (char *)"key1", NULL);
	if (!keys || PRIVKEY_LIST_END(PRIVKEY_LIST_HEAD(keys), keys))
		return "the token shows no key";
	nss_key = SECKEY_CopyPrivateKey(PRIVKEY_LIST_HEAD(keys)->key);
	return nss_key ? NULL : nss_error();
}

static const char *nss_sign(void)
{
	SECItem signature = {siBuffer, NULL, 0};
	const char *reason;

	if (!nss_key)
		return "no key";
	if (SEC_SignData(&signature, (const unsigned char *)message, sizeof(message), nss_key,
	                 SEC_OID_PKCS1_SHA256_WITH_RSA_ENCRYPTION) != SECSuccess)
		return nss_error();
	reason = compare_signature(signature.data, signature.len);
	SECITEM_FreeItem(&signature, PR_FALSE);
	return reason;
}

/* ---- GnuTLS */

static gnutls_privkey_t gnutls_key;

static const char *gnutls_begin(void)
{
	char url[512];
	int result;

	snprintf(url, sizeof(url), "pkcs11:token=%s;object=key1;type=private?pin-value=%s", token_label,
	         token_pin);
	result = gnutls_pkcs11_init(GNUTLS_PKCS11_FLAG_MANUAL, NULL);
	if (result == 0)
		result = gnutls_pkcs11_add_provider(module_path, NULL);
	if (result == 0)
		result = gnutls_privkey_init(&gnutls_key);
	if (result == 0)
		result = gnutls_privkey_import_url(gnutls_key, url, 0);
	return result < 0 ? gnutls_strerror(result) : NULL;
}

static const char *gnutls_sign(void)
{
	const gnutls_datum_t data = {(unsigned char *)message, sizeof(message)};
	gnutls_datum_t signature;
	const char *reason;
	int result;

	result = gnutls_privkey_sign_data2(gnutls_key, GNUTLS_SIGN_RSA_SHA256, 0, &data, &signature);
	if (result < 0)
		return gnutls_strerror(result);
	reason = compare_signature(signature.data, signature.size);
	gnutls_free(signature.data);
	return reason;
}

/* ---- before, in the child, after */

static const struct consumer {
	const char *name;
	const char *(*begin)(void);
	const char *(*sign)(void);
} consumers[] = {
        {"nss", nss_begin, nss_sign},
        {"gnutls", gnutls_begin, gnutls_sign},
};

static void sign_all(const char *who, int first, int others)
{
	char name[32];
	int i;

	for (i = 0; i <= others; i++) {
		const struct consumer *c = &consumers[first ^ i];

		snprintf(name, sizeof(name), "%s: %s", who, c->name);
		say(name, "sign with the key of before the fork", c->sign());
	}
}

int main(int argc, char **argv)
{
	int first, others = argc < 3, status = -1;
	pid_t pid;

	module_path = getenv("SOFTHSM2_MODULE");
	token_label = getenv("TOKEN_LABEL");
	token_pin = getenv("TOKEN_PIN");
	if (argc < 2 || argc > 3 || (argc == 3 && strcmp(argv[2], "alone")) || !module_path || !token_label ||
	    !token_pin || (strcmp(argv[1], "nss") && strcmp(argv[1], "gnutls"))) {
		fputs("usage: nss-gnutls-fork nss|gnutls [alone]\n"
		      "with SOFTHSM2_MODULE, TOKEN_LABEL and TOKEN_PIN set\n",
		      stderr);
		return 2;
	}
	first = strcmp(argv[1], "nss") != 0;
	if (!say(consumers[first].name, "find the key", consumers[first].begin()) ||
	    (others && !say(consumers[!first].name, "find the key", consumers[!first].begin())))
		return 1;
	sign_all("before", first, others);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		alarm(20);
		sign_all("child", first, others);
		fflush(stdout);
		_exit(say_failures ? 1 : 0);
	}
	if (pid > 0)
		waitpid(pid, &status, 0);
	say("child", "end", status == 0 ? NULL : "it failed, crashed or hung");
	sign_all("parent", first, others);
	return say_failures ? 1 : 0;
}
