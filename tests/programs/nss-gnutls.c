/*
 * nss-gnutls: NSS and GnuTLS share one PKCS #11 module in one process, as
 * they do in Evolution or LibreOffice: each loads it without knowing of the
 * other, each has a private key there. Then one of them shuts down, and the
 * one that stays must go on as if nothing had happened.
 *
 *	nss-gnutls --first nss|gnutls --leaves nss|gnutls [--reload] [--db DIR]
 *
 *	--first   who loads the module first
 *	--leaves  who shuts down first
 *	--reload  NSS is told to put up with a module that is already
 *	          initialised (NSS_INIT_PK11RELOAD)
 *	--db      NSS uses (and creates) a database there; otherwise none
 *
 * Environment: SOFTHSM2_MODULE, TOKEN_LABEL, TOKEN_PIN (see scripts/token).
 * Prints one line a step; exit status 0 only if every step went well.
 */
#include "say.h"

#include <nspr.h>
#include <nss.h>
#include <cert.h>
#include <cryptohi.h>
#include <keyhi.h>
#include <pk11pub.h>
#include <secerr.h>
#include <secmod.h>
#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <gnutls/pkcs11.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char message[] = "to be signed";
static const char *module_path, *token_label, *token_pin;

/* RSA signatures after PKCS #1 v1.5 are deterministic: all must equal the
 * first one. */
static struct {
	unsigned char bytes[1024];
	size_t size;
} first_signature;

static const char *compare_signature(const void *bytes, size_t size)
{
	if (!first_signature.size && size <= sizeof(first_signature.bytes)) {
		memcpy(first_signature.bytes, bytes, size);
		first_signature.size = size;
	}
	if (size != first_signature.size || memcmp(first_signature.bytes, bytes, size))
		return "the signature differs";
	return NULL;
}

/* ---- NSS */

static struct {
	const char *db;
	int reload;
	SECMODModule *module;
	SECKEYPrivateKey *key;
} nss;

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

/* NSS without a database needs no file at all. */
static SECStatus nss_initialize(void)
{
	PRUint32 flags = nss.reload ? NSS_INIT_PK11RELOAD : 0;
	char directory[4096];

	if (!nss.db) {
		flags |= NSS_INIT_READONLY | NSS_INIT_NOCERTDB | NSS_INIT_NOMODDB | NSS_INIT_FORCEOPEN |
		         NSS_INIT_NOROOTINIT | NSS_INIT_OPTIMIZESPACE;
		return NSS_Initialize("", "", "", "", flags);
	}
	mkdir(nss.db, 0700);
	snprintf(directory, sizeof(directory), "sql:%s", nss.db);
	return NSS_Initialize(directory, "", "", SECMOD_DB, flags | NSS_INIT_NOROOTINIT);
}

static const char *nss_find(SECKEYPrivateKey **key)
{
	PK11SlotInfo *slot = PK11_FindSlotByName(token_label);
	SECKEYPrivateKeyList *keys = NULL;
	const char *reason = NULL;

	*key = NULL;
	if (!slot)
		return "no such token";
	if (PK11_Authenticate(slot, PR_TRUE, NULL) != SECSuccess) {
		reason = nss_error();
	} else {
		keys = PK11_ListPrivKeysInSlot(slot, (char *)"key1", NULL);
		if (!keys || PRIVKEY_LIST_END(PRIVKEY_LIST_HEAD(keys), keys))
			reason = "the token shows no key";
		else
			*key = SECKEY_CopyPrivateKey(PRIVKEY_LIST_HEAD(keys)->key);
	}
	if (keys)
		SECKEY_DestroyPrivateKeyList(keys);
	PK11_FreeSlot(slot);
	return *key ? NULL : reason ? reason : nss_error();
}

static const char *nss_sign(SECKEYPrivateKey *key)
{
	SECItem signature = {siBuffer, NULL, 0};
	const char *reason;

	if (!key)
		return "no key";
	if (SEC_SignData(&signature, (const unsigned char *)message, sizeof(message), key,
	                 SEC_OID_PKCS1_SHA256_WITH_RSA_ENCRYPTION) != SECSuccess)
		return nss_error();
	reason = compare_signature(signature.data, signature.len);
	SECITEM_FreeItem(&signature, PR_FALSE);
	return reason;
}

static void nss_arrive(void)
{
	char specification[4096];

	PK11_SetPasswordFunc(nss_password);
	if (!say("nss", "initialise", nss_initialize() == SECSuccess ? NULL : nss_error()))
		return;
	snprintf(specification, sizeof(specification), "library=\"%s\" name=\"softhsm\"", module_path);
	nss.module = SECMOD_LoadUserModule(specification, NULL, PR_FALSE);
	if (!say("nss", "load the module", nss.module && nss.module->loaded ? NULL : nss_error()))
		return;
	say("nss", "find the key", nss_find(&nss.key));
	say("nss", "sign", nss_sign(nss.key));
}

static void nss_go_on(void)
{
	SECKEYPrivateKey *anew;

	say("nss", "sign with the existing key", nss_sign(nss.key));
	if (say("nss", "find the key anew", nss_find(&anew)))
		say("nss", "sign with the key found anew", nss_sign(anew));
	SECKEY_DestroyPrivateKey(anew);
}

static void nss_leave(void)
{
	SECKEY_DestroyPrivateKey(nss.key);
	if (nss.module)
		SECMOD_DestroyModule(nss.module);
	nss.key = NULL;
	nss.module = NULL;
	say("nss", "shut down", NSS_Shutdown() == SECSuccess ? NULL : nss_error());
}

/* ---- GnuTLS */

static gnutls_privkey_t gnutls_key;

static const char *gnutls_reason(int result)
{
	return result < 0 ? gnutls_strerror(result) : NULL;
}

static const char *gnutls_find(gnutls_privkey_t *key)
{
	char url[512];
	int result;

	snprintf(url, sizeof(url), "pkcs11:token=%s;object=key1;type=private?pin-value=%s", token_label,
	         token_pin);
	result = gnutls_privkey_init(key);
	if (result == 0)
		result = gnutls_privkey_import_url(*key, url, 0);
	if (result < 0) {
		gnutls_privkey_deinit(*key);
		*key = NULL;
	}
	return gnutls_reason(result);
}

static const char *gnutls_sign(gnutls_privkey_t key)
{
	const gnutls_datum_t data = {(unsigned char *)message, sizeof(message)};
	gnutls_datum_t signature;
	const char *reason;
	int result;

	if (!key)
		return "no key";
	result = gnutls_privkey_sign_data2(key, GNUTLS_SIGN_RSA_SHA256, 0, &data, &signature);
	if (result < 0)
		return gnutls_reason(result);
	reason = compare_signature(signature.data, signature.size);
	gnutls_free(signature.data);
	return reason;
}

static const char *gnutls_tokens(void)
{
	char *url = NULL;
	int result = gnutls_pkcs11_token_get_url(0, 0, &url);

	gnutls_free(url);
	return gnutls_reason(result);
}

static void gnutls_arrive(void)
{
	if (!say("gnutls", "initialise", gnutls_reason(gnutls_pkcs11_init(GNUTLS_PKCS11_FLAG_MANUAL, NULL))))
		return;
	if (!say("gnutls", "load the module", gnutls_reason(gnutls_pkcs11_add_provider(module_path, NULL))))
		return;
	say("gnutls", "find the key", gnutls_find(&gnutls_key));
	say("gnutls", "sign", gnutls_sign(gnutls_key));
}

static void gnutls_go_on(void)
{
	gnutls_privkey_t anew = NULL;

	say("gnutls", "sign with the existing key", gnutls_sign(gnutls_key));
	say("gnutls", "find the token anew", gnutls_tokens());
	if (say("gnutls", "find the key anew", gnutls_find(&anew)))
		say("gnutls", "sign with the key found anew", gnutls_sign(anew));
	if (anew)
		gnutls_privkey_deinit(anew);
}

static void gnutls_leave(void)
{
	if (gnutls_key)
		gnutls_privkey_deinit(gnutls_key);
	gnutls_key = NULL;
	gnutls_pkcs11_deinit();
	say("gnutls", "shut down", NULL);
}

/* ---- The meeting */

static const struct consumer {
	const char *name;
	void (*arrive)(void);
	void (*go_on)(void);
	void (*leave)(void);
} consumers[] = {
        {"nss", nss_arrive, nss_go_on, nss_leave},
        {"gnutls", gnutls_arrive, gnutls_go_on, gnutls_leave},
};

static void usage(void)
{
	fputs("usage: nss-gnutls --first nss|gnutls --leaves nss|gnutls [--reload] [--db DIR]\n"
	      "with SOFTHSM2_MODULE, TOKEN_LABEL and TOKEN_PIN set\n",
	      stderr);
	exit(2);
}

static int which(const char *name)
{
	if (!strcmp(name, consumers[0].name))
		return 0;
	if (!strcmp(name, consumers[1].name))
		return 1;
	usage();
	return -1;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
	        {"first", required_argument, NULL, 'f'},
	        {"leaves", required_argument, NULL, 'l'},
	        {"reload", no_argument, NULL, 'r'},
	        {"db", required_argument, NULL, 'd'},
	        {NULL, 0, NULL, 0},
	};
	int option, first = -1, leaves = -1;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'f':
			first = which(optarg);
			break;
		case 'l':
			leaves = which(optarg);
			break;
		case 'r':
			nss.reload = 1;
			break;
		case 'd':
			nss.db = optarg;
			break;
		default:
			usage();
		}
	}
	module_path = getenv("SOFTHSM2_MODULE");
	token_label = getenv("TOKEN_LABEL");
	token_pin = getenv("TOKEN_PIN");
	if (first < 0 || leaves < 0 || optind != argc || !module_path || !token_label || !token_pin)
		usage();

	consumers[first].arrive();
	consumers[!first].arrive();
	consumers[leaves].leave();
	consumers[!leaves].go_on();
	consumers[!leaves].leave();
	return say_failures ? 1 : 0;
}
