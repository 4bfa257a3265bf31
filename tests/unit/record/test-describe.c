/*
 * test-describe.c: the parameters of a call, for log and trace: names and sizes,
 * never contents, and no crash whatever the pointers are.
 */
#include "unit.h"

#include <sys/mman.h>

#include "record/describe.h"
#include "base/readable.h"

static char buffer[2048];

static const char *described(unsigned function, const uintptr_t *words, CK_RV rv, bool json)
{
	struct text text = text_in(buffer, sizeof buffer - 1);
	describe_call(&text, function, words, rv, json);
	*text.at = '\0';
	return buffer;
}

/* contract I2: sizes, never contents; not even the length of a PIN */
static void test_secrets(void **state)
{
	static const char secret[4096] __attribute__((aligned(16))) = "open sesame 4711";
	(void)state;
	const uintptr_t login[] = {7, CKU_USER, (uintptr_t)secret, 16, (uintptr_t)secret, 16};
	assert_string_equal(described(CALL_C_Login, login, CKR_OK, false),
	                    " hSession=7 userType=CKU_USER pPin=hidden");
	assert_string_equal(described(CALL_C_Login, login, CKR_OK, true),
	                    ",\"hSession\":7,\"userType\":\"CKU_USER\",\"pPin\":\"hidden\"");
	const uintptr_t set[] = {7, (uintptr_t)secret, 16, (uintptr_t)secret, 17};
	assert_string_equal(described(CALL_C_SetPIN, set, CKR_OK, false),
	                    " hSession=7 pOldPin=hidden pNewPin=hidden");
	for (unsigned f = 0; f < CALLS; f++) {
		uintptr_t words[CALL_PARAMETERS];
		for (unsigned i = 0; i < CALL_PARAMETERS; i++)
			words[i] = (uintptr_t)secret;
		for (int json = 0; json < 2; json++) {
			assert_null(strstr(described(f, words, CKR_OK, json), "sesame"));
			assert_null(strstr(buffer, "4711"));
		}
	}
	const uintptr_t pinpad[] = {7, CKU_USER, 0, 0};
	assert_string_equal(described(CALL_C_Login, pinpad, CKR_OK, false),
	                    " hSession=7 userType=CKU_USER pPin=NULL");
}

static void test_templates(void **state)
{
	CK_ULONG class = 3, key_type = 0, bits = 2048;
	CK_BBOOL yes = 1;
	CK_ATTRIBUTE attributes[] = {
	        {CKA_CLASS, &class, sizeof class},
	        {0x100, &key_type, sizeof key_type},
	        {CKA_TOKEN, &yes, sizeof yes},
	        {0x121, &bits, sizeof bits},
	        {CKA_ID, "secret id", 9},
	        {0x11, "key material", 12},
	        {CKA_LABEL, NULL, (CK_ULONG)-1},
	        {0x80001234UL, "vendor", 6},
	        {CKA_CLASS, &class, 3},
	};
	uintptr_t words[] = {1, (uintptr_t)attributes, COUNT(attributes), 0};
	(void)state;
	assert_string_equal(described(CALL_C_FindObjectsInit, words, CKR_OK, false),
	                    " hSession=1 pTemplate=[CKA_CLASS=CKO_PRIVATE_KEY,CKA_KEY_TYPE=CKK_RSA,"
	                    "CKA_TOKEN=true,CKA_MODULUS_BITS=2048,CKA_ID[9],CKA_VALUE[12],"
	                    "CKA_LABEL[unavailable],0x80001234,CKA_CLASS[3]] ulCount=9");
	/* what the module has not filled in is whatever the consumer had there */
	uintptr_t get[] = {1, 2, (uintptr_t)attributes, 4};
	assert_string_equal(described(CALL_C_GetAttributeValue, get, CKR_ATTRIBUTE_TYPE_INVALID, false),
	                    sizeof(CK_ULONG) == 8
	                            ? " hSession=1 hObject=2 pTemplate=[CKA_CLASS[8],CKA_KEY_TYPE[8],"
	                              "CKA_TOKEN[1],CKA_MODULUS_BITS[8]] ulCount=4"
	                            : " hSession=1 hObject=2 pTemplate=[CKA_CLASS[4],CKA_KEY_TYPE[4],"
	                              "CKA_TOKEN[1],CKA_MODULUS_BITS[4]] ulCount=4");
}

static void test_mechanisms_and_sizes(void **state)
{
	CK_MECHANISM mechanism = {CKM_RSA_PKCS, NULL, 0}, with = {0x1082, "0123456789abcdef", 16};
	CK_ULONG length = 256;
	uintptr_t init[] = {1, (uintptr_t)&mechanism, 2},
	          sign[] = {1, (uintptr_t) "x", 1, 0, (uintptr_t)&length};
	(void)state;
	assert_string_equal(described(CALL_C_SignInit, init, CKR_OK, false),
	                    " hSession=1 pMechanism=CKM_RSA_PKCS hKey=2");
	init[1] = (uintptr_t)&with;
	assert_string_equal(described(CALL_C_SignInit, init, CKR_OK, false),
	                    " hSession=1 pMechanism=CKM_AES_CBC(16) hKey=2");
	assert_string_equal(described(CALL_C_Sign, sign, CKR_OK, true),
	                    ",\"hSession\":1,\"ulDataLen\":1,\"pSignature\":null,\"pulSignatureLen\":256");
	assert_string_equal(described(CALL_C_Sign, sign, CKR_FUNCTION_FAILED, true),
	                    ",\"hSession\":1,\"ulDataLen\":1,\"pSignature\":null");
	sign[0] = (uintptr_t)1 << (8 * sizeof(uintptr_t) - 1);
	assert_non_null(strstr(described(CALL_C_Sign, sign, CKR_OK, true),
	                       sizeof(uintptr_t) == 8 ? "\"hSession\":\"9223372036854775808\""
	                                              : "\"hSession\":2147483648"));
}

/* contract: absurd arguments of a consumer do no harm */
static void test_wild_pointers(void **state)
{
	long page = sysconf(_SC_PAGESIZE);
	char *two = mmap(NULL, (size_t)page * 2, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	(void)state;
	assert_ptr_not_equal(two, MAP_FAILED);
	munmap(two + page, (size_t)page);
	const uintptr_t wild[] = {0,
	                          1,
	                          8,
	                          4095,
	                          4096,
	                          (uintptr_t)-1,
	                          (uintptr_t)-8,
	                          (uintptr_t)1 << (8 * sizeof(uintptr_t) - 1),
	                          (uintptr_t)two + (uintptr_t)page - 1,
	                          (uintptr_t)two + (uintptr_t)page - 8,
	                          (uintptr_t)two + (uintptr_t)page - 20,
	                          (uintptr_t)two + (uintptr_t)page};
	for (unsigned f = 0; f < CALLS; f++)
		for (unsigned w = 0; w < COUNT(wild); w++)
			for (unsigned count = 0; count < 3; count++) {
				uintptr_t words[CALL_PARAMETERS];
				for (unsigned i = 0; i < CALL_PARAMETERS; i++)
					words[i] = i % 2 == count % 2 ? wild[w]
					           : count == 2       ? 70000
					                              : wild[w];
				described(f, words, count == 1 ? CKR_BUFFER_TOO_SMALL : CKR_OK, count != 0);
			}
	assert_false(is_readable(two + page - 4, 8));
	assert_true(is_readable(two + page - 8, 8));
	assert_true(is_readable(two, (size_t)page));
	assert_false(is_readable(two, (size_t)page + 8));
	assert_false(is_readable((void *)(uintptr_t)-16, 64));
}

/* However little room: whole parameters or none. */
static void test_little_room(void **state)
{
	CK_MECHANISM mechanism = {CKM_RSA_PKCS, NULL, 0};
	const uintptr_t words[] = {1, (uintptr_t)&mechanism, 2};
	(void)state;
	for (size_t size = 0; size < 80; size++) {
		struct text text = text_in(buffer, size);
		describe_call(&text, CALL_C_SignInit, words, CKR_OK, true);
		*text.at = '\0';
		assert_false(text.cut);
		size_t length = text_length(&text);
		assert_true(length == 0 || buffer[length - 1] != ',');
		assert_true(!strchr(buffer, '"') || strchr(buffer, ':'));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_secrets),
	        cmocka_unit_test(test_templates),
	        cmocka_unit_test(test_mechanisms_and_sizes),
	        cmocka_unit_test(test_wild_pointers),
	        cmocka_unit_test(test_little_room),
	};
	readable_start();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
