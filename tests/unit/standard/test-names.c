/*
 * test-names.c: the standard's names of numbers. That the numbers are the
 * standard's: bats/names.bats, against other people's headers.
 */
#include "unit.h"

#include "standard/calls.h"
#include "standard/names.h"

struct entry {
	CK_ULONG value;
	const char *name;
	enum attribute_sort sort;
	unsigned function;
};

static const struct entry mechanisms[] = {
#define MECHANISM(name, value) {value, #name, 0, 0},
#include "standard/names.def"
};
static const struct entry attributes[] = {
#define ATTRIBUTE(name, value, sort) {value, #name, ATTRIBUTE_##sort, 0},
#include "standard/names.def"
};
static const struct entry classes[] = {
#define CLASS(name, value) {value, #name, 0, 0},
#include "standard/names.def"
};
static const struct entry key_types[] = {
#define KEY_TYPE(name, value) {value, #name, 0, 0},
#include "standard/names.def"
};
static const struct entry users[] = {
#define USER(name, value) {value, #name, 0, 0},
#include "standard/names.def"
};
static const struct entry flags[] = {
#define FLAG(function, name, value) {value, #name, 0, CALL_##function},
#include "standard/names.def"
};

/* Each number has its name, each number between two of them none; and they ascend, or find() errs. */
static void check_table(const struct entry *table, size_t count, const char *prefix,
                        const char *(*name_of)(CK_ULONG))
{
	assert_true(count > 0);
	for (size_t i = 0; i < count; i++) {
		if (i > 0)
			assert_true(table[i - 1].value < table[i].value);
		assert_non_null(name_of(table[i].value));
		assert_string_equal(name_of(table[i].value), table[i].name);
		assert_memory_equal(table[i].name, prefix, strlen(prefix));
		if (i + 1 == count || table[i + 1].value != table[i].value + 1)
			assert_null(name_of(table[i].value + 1));
	}
	assert_null(name_of(0x7fffffffUL));
	assert_null(name_of(0x80000001UL));
	assert_null(name_of(0xffffffffUL));
	assert_null(name_of(~0UL));
#if __SIZEOF_LONG__ > 4
	assert_null(name_of(table[0].value + 0x100000000UL));
	assert_null(name_of(table[count - 1].value + 0x100000000UL));
#endif
}

/* contract I2 */
static void test_tables(void **state)
{
	(void)state;
	check_table(mechanisms, COUNT(mechanisms), "CKM_", names_mechanism);
	check_table(attributes, COUNT(attributes), "CKA_", names_attribute);
	check_table(classes, COUNT(classes), "CKO_", names_class);
	check_table(key_types, COUNT(key_types), "CKK_", names_key_type);
	check_table(users, COUNT(users), "CKU_", names_user);
}

/* contract I2: of numbers with two names the current one; the ends of the tables; what 3.2 added */
static void test_names(void **state)
{
	(void)state;
	assert_string_equal(names_mechanism(0), "CKM_RSA_PKCS_KEY_PAIR_GEN");
	assert_string_equal(names_mechanism(CKM_RSA_PKCS), "CKM_RSA_PKCS");
	assert_string_equal(names_mechanism(CKM_SHA256_RSA_PKCS), "CKM_SHA256_RSA_PKCS");
	assert_string_equal(names_mechanism(0x1d), "CKM_ML_DSA");
	assert_string_equal(names_mechanism(0x322), "CKM_CAST128_CBC");
	assert_string_equal(names_mechanism(0x1040), "CKM_EC_KEY_PAIR_GEN");
	assert_string_equal(names_mechanism(0x1087), "CKM_AES_GCM");
	assert_string_equal(names_mechanism(0x2003), "CKM_DSA_PROBABILISTIC_PARAMETER_GEN");
	assert_string_equal(names_mechanism(0x403a), "CKM_PUB_KEY_FROM_PRIV_KEY");
	assert_string_equal(names_mechanism(0x80000000UL), "CKM_VENDOR_DEFINED");
	assert_string_equal(names_attribute(CKA_CLASS), "CKA_CLASS");
	assert_string_equal(names_attribute(0x134), "CKA_SUBPRIME_BITS");
	assert_string_equal(names_attribute(0x180), "CKA_EC_PARAMS");
	assert_string_equal(names_attribute(0x40000211UL), "CKA_WRAP_TEMPLATE");
	assert_string_equal(names_class(CKO_PRIVATE_KEY), "CKO_PRIVATE_KEY");
	assert_string_equal(names_key_type(3), "CKK_EC");
	assert_string_equal(names_key_type(0x1f), "CKK_AES");
	assert_string_equal(names_user(CKU_SO), "CKU_SO");
	assert_string_equal(names_user(CKU_USER), "CKU_USER");
	assert_string_equal(names_user(CKU_CONTEXT_SPECIFIC), "CKU_CONTEXT_SPECIFIC");
}

/* contract I2: sizes, never contents: what may be shown is what is listed so, and nothing of these */
static void test_sorts(void **state)
{
	(void)state;
	static const char *const opaque[] = {
	        "CKA_LABEL",
	        "CKA_UNIQUE_ID",
	        "CKA_APPLICATION",
	        "CKA_VALUE",
	        "CKA_CHECK_VALUE",
	        "CKA_SUBJECT",
	        "CKA_ID",
	        "CKA_MODULUS",
	        "CKA_PUBLIC_EXPONENT",
	        "CKA_PRIVATE_EXPONENT",
	        "CKA_PRIME_1",
	        "CKA_PRIME_2",
	        "CKA_EXPONENT_1",
	        "CKA_EXPONENT_2",
	        "CKA_COEFFICIENT",
	        "CKA_PRIME",
	        "CKA_EC_POINT",
	        "CKA_AUTH_PIN_FLAGS",
	        "CKA_OTP_COUNTER",
	        "CKA_OTP_TIME",
	        "CKA_SEED",
	        "CKA_PUBLIC_KEY_INFO",
	        "CKA_START_DATE",
	        "CKA_WRAP_TEMPLATE",
	        "CKA_X2RATCHET_RK",
	        "CKA_X2RATCHET_NS",
	        "CKA_X2RATCHET_BAG",
	};
	for (size_t i = 0; i < COUNT(attributes); i++)
		assert_int_equal(names_attribute_sort(attributes[i].value), attributes[i].sort);
	for (size_t o = 0; o < COUNT(opaque); o++) {
		size_t i = 0;
		while (i < COUNT(attributes) && strcmp(attributes[i].name, opaque[o]) != 0)
			i++;
		assert_true(i < COUNT(attributes));
		assert_int_equal(names_attribute_sort(attributes[i].value), ATTRIBUTE_OPAQUE);
	}
	assert_int_equal(names_attribute_sort(CKA_CLASS), ATTRIBUTE_CLASS);
	assert_int_equal(names_attribute_sort(CKA_TOKEN), ATTRIBUTE_BOOLEAN);
	assert_int_equal(names_attribute_sort(0x100), ATTRIBUTE_KEY_TYPE);
	assert_int_equal(names_attribute_sort(0x121), ATTRIBUTE_NUMBER);
	assert_int_equal(names_attribute_sort(0x166), ATTRIBUTE_MECHANISM);
	/* not the standard's */
	assert_int_equal(names_attribute_sort(0x5), ATTRIBUTE_OPAQUE);
	assert_int_equal(names_attribute_sort(0x80000000UL), ATTRIBUTE_OPAQUE);
	assert_int_equal(names_attribute_sort(0x80000001UL), ATTRIBUTE_OPAQUE);
	assert_int_equal(names_attribute_sort(~0UL), ATTRIBUTE_OPAQUE);
#if __SIZEOF_LONG__ > 4
	assert_int_equal(names_attribute_sort(CKA_TOKEN + 0x100000000UL), ATTRIBUTE_OPAQUE);
#endif
}

static void check_flags(unsigned function, CK_ULONG value, const char *text)
{
	char buffer[NAMES_FLAGS];
	assert_int_equal(names_flags(function, value, buffer, sizeof buffer), strlen(text));
	assert_string_equal(buffer, text);
}

/* contract I2 */
static void test_flags(void **state)
{
	(void)state;
	check_flags(CALL_C_OpenSession, 0, "0");
	check_flags(CALL_C_OpenSession, CKF_SERIAL_SESSION | CKF_RW_SESSION,
	            "CKF_SERIAL_SESSION|CKF_RW_SESSION");
	check_flags(CALL_C_OpenSession, CKF_SERIAL_SESSION | 0x1f0, "CKF_SERIAL_SESSION|0x1f0");
	check_flags(CALL_C_OpenSession, 0x80000000UL, "0x80000000");
	check_flags(CALL_C_Initialize, CKF_OS_LOCKING_OK, "CKF_OS_LOCKING_OK");
	check_flags(CALL_C_Initialize, 3, "CKF_LIBRARY_CANT_CREATE_OS_THREADS|CKF_OS_LOCKING_OK");
	check_flags(CALL_C_WaitForSlotEvent, 1, "CKF_DONT_BLOCK");
	check_flags(CALL_C_GetInterface, 1, "CKF_INTERFACE_FORK_SAFE");
	check_flags(CALL_C_EncryptMessageNext, 1, "CKF_END_OF_MESSAGE");
	check_flags(CALL_C_DecryptMessageNext, 1, "CKF_END_OF_MESSAGE");
	check_flags(CALL_C_SessionCancel, 0x840, "CKF_FIND_OBJECTS|CKF_SIGN");
	check_flags(CALL_C_Sign, 0x13, "0x13");
	check_flags(CALLS, 1, "0x1");
#if __SIZEOF_LONG__ > 4
	check_flags(CALL_C_OpenSession, ~0UL,
	            "CKF_SERIAL_SESSION|CKF_RW_SESSION|CKF_ASYNC_SESSION|0xfffffffffffffff1");
#endif
	for (size_t i = 0; i < COUNT(flags); i++)
		check_flags(flags[i].function, flags[i].value, flags[i].name);
}

/* Every function that takes flags has names for some, one name a bit. */
static void test_flags_of_all(void **state)
{
	(void)state;
	for (unsigned call = 0; call < CALLS; call++) {
		CK_ULONG named = 0;
		for (size_t i = 0; i < COUNT(flags); i++)
			if (flags[i].function == call) {
				assert_int_equal(flags[i].value & (flags[i].value - 1), 0);
				assert_int_equal(named & flags[i].value, 0);
				named |= flags[i].value;
			}
		bool takes = call == CALL_C_Initialize;
		for (unsigned p = 0; p < calls[call].parameters; p++)
			takes = takes || calls[call].kind[p] == PARAMETER_FLAGS;
		assert_int_equal(named != 0, takes);
	}
}

/* NAMES_FLAGS is enough for all bits of any function; and what is less is kept to. */
static void test_flags_room(void **state)
{
	(void)state;
	for (unsigned call = 0; call < CALLS; call++) {
		char whole[NAMES_FLAGS], part[NAMES_FLAGS + 1];
		size_t length = names_flags(call, ~0UL, whole, sizeof whole);
		assert_true(length + 1 < sizeof whole);
		assert_int_equal(strlen(whole), length);
		assert_non_null(strstr(whole, "0x"));
		for (size_t size = 0; size <= length + 1; size++) {
			memset(part, '#', sizeof part);
			size_t written = names_flags(call, ~0UL, part, size);
			assert_int_equal(written, size == 0 ? 0 : size - 1);
			assert_memory_equal(part, whole, written);
			if (size > 0)
				assert_int_equal(part[written], '\0');
			assert_int_equal(part[size], '#');
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_tables),       cmocka_unit_test(test_names),
	        cmocka_unit_test(test_sorts),        cmocka_unit_test(test_flags),
	        cmocka_unit_test(test_flags_of_all), cmocka_unit_test(test_flags_room),
	};
	return cmocka_run_group_tests_name("names", tests, NULL, NULL);
}
