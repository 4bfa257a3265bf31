/*
 * test-calls.c: calls.def as tables, and calls passed on word by word.
 */
#include "unit.h"

#include "standard/calls.h"
#include "core/gate.h"

/* contract B2, B3: the sizes of the lists of each version */
static void test_sizes(void **state)
{
	(void)state;
	assert_int_equal(CALLS_2_40, 68);
	assert_int_equal(CALLS_3_0, 92);
	assert_int_equal(CALLS_3_2, 104);
	assert_int_equal(sizeof(CK_FUNCTION_LIST), sizeof(void *) * (68 + 1));
	assert_int_equal(sizeof(CK_FUNCTION_LIST_3_2), sizeof(void *) * (104 + 1));
	assert_int_equal(offsetof(CK_FUNCTION_LIST, C_WaitForSlotEvent), sizeof(void *) * 68);
}

static void test_find(void **state)
{
	(void)state;
	for (int i = 0; i < CALLS; i++) {
		assert_int_equal(calls_find(calls[i].name), i);
		assert_true(calls[i].parameters >= 1 && calls[i].parameters <= CALL_PARAMETERS);
	}
	/* a session is always the first parameter: call.c relies on it (contract F4) */
	for (int i = 0; i < CALLS; i++)
		for (unsigned p = 0; p < CALL_PARAMETERS; p++) {
			assert_int_equal(calls[i].kind[p] != PARAMETER_NONE, p < calls[i].parameters);
			if (p > 0)
				assert_int_not_equal(calls[i].kind[p], PARAMETER_SESSION);
		}
	assert_int_equal(calls_find("C_NoSuchThing"), -1);
	assert_int_equal(calls_find("C_"), -1);
	assert_int_equal(calls[CALL_C_UnwrapKeyAuthenticated].parameters, 10);
	assert_int_equal(calls[CALL_C_GetSlotList].parameters, 3);
}

static void test_return_names(void **state)
{
	(void)state;
	assert_string_equal(calls_return_name(CKR_OK), "CKR_OK");
	assert_string_equal(calls_return_name(0x190), "CKR_CRYPTOKI_NOT_INITIALIZED");
	assert_string_equal(calls_return_name(0x80000001UL), "CKR_VENDOR_DEFINED");
	assert_null(calls_return_name(0x7777));
}

static uintptr_t seen[10];

static CK_RV take_10(uintptr_t a, uintptr_t b, uintptr_t c, uintptr_t d, uintptr_t e, uintptr_t f,
                     uintptr_t g, uintptr_t h, uintptr_t i, uintptr_t j)
{
	uintptr_t words[] = {a, b, c, d, e, f, g, h, i, j};
	memcpy(seen, words, sizeof words);
	return 77;
}

/* As many words as the function has, each in its place. */
static void test_invoke(void **state)
{
	(void)state;
	uintptr_t words[10];
	for (unsigned i = 0; i < 10; i++)
		words[i] = ~(uintptr_t)0 - i;
	for (unsigned n = 1; n <= 10; n++) {
		memset(seen, 0, sizeof seen);
		assert_int_equal(calls_invoke((void *)take_10, n, words), 77);
		assert_memory_equal(seen, words, n * sizeof *words);
	}
}

#ifdef __x86_64__
/* The number that a slot hands to the full path: the only `mov $imm32, %eax` in it. */
static uint32_t index_in_slot(const unsigned char *slot)
{
	uint32_t index = ~0U;
	for (unsigned i = 0; i + 5 < GATE_STRIDE; i++)
		if (slot[i] == 0xb8 && (slot[i + 5] == 0xe9 || slot[i + 5] == 0xeb)) {
			memcpy(&index, slot + i + 1, sizeof index);
			break;
		}
	return index;
}
#endif

/* Slots are as far apart as sizes.h says, or every list leads astray. */
static void test_gate_stride(void **state)
{
	(void)state;
	assert_ptr_equal(gate_slot(0, 0), p11shim_gate_slots);
#ifdef __x86_64__
	for (unsigned i = 0; i < GATE_LISTS * CALLS; i++)
		assert_int_equal(index_in_slot(gate_slot(i / CALLS, i % CALLS)), i);
#endif
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_sizes),        cmocka_unit_test(test_find),
	        cmocka_unit_test(test_return_names), cmocka_unit_test(test_invoke),
	        cmocka_unit_test(test_gate_stride),
	};
	return cmocka_run_group_tests_name("calls", tests, NULL, NULL);
}
