/*
 * test-handles.c: who owns which session (contract D1).
 */
#include "unit.h"

#include "handles.h"
#include "view.h"

static struct module module;
static struct view *a, *b;

static int setup(void **state)
{
	(void)state;
	memset(&module, 0, sizeof module);
	memset(&p11shim_forgotten, 0, sizeof p11shim_forgotten);
	module.life = &p11shim_forgotten.state.life[0];
	a = &views[0];
	b = &views[1];
	memset(views, 0, sizeof views);
	a->module = b->module = &module;
	views_made = 2;
	return 0;
}

static unsigned count(struct session *taken)
{
	CK_SESSION_HANDLE h;
	unsigned n = 0;
	while (handles_next(&taken, &h))
		n++;
	return n;
}

/* contract D1: a view's sessions, by slot or all, and nobody else's */
static void test_own_only(void **state)
{
	(void)state;
	for (CK_SESSION_HANDLE h = 1; h <= 10; h++)
		handles_add(h % 2 ? a : b, h, h <= 4 ? 0 : 1);
	CK_SLOT_ID slot = 0;
	assert_int_equal(count(handles_take_all(a, &slot)), 2);
	assert_int_equal(count(handles_take_all(a, NULL)), 3);
	assert_int_equal(count(handles_take_all(a, NULL)), 0);
	assert_int_equal(count(handles_take_all(b, NULL)), 5);
}

/* contract D1: a handle that the module gives out again has its new owner only */
static void test_reissued(void **state)
{
	(void)state;
	CK_SLOT_ID slot;
	handles_add(a, 7, 3);
	handles_add(b, 7, 4);
	assert_int_equal(count(handles_take_all(a, NULL)), 0);
	assert_ptr_equal(handles_take(&module, 7, &slot), b);
	assert_int_equal(slot, 4);
	assert_null(handles_take(&module, 7, &slot));
	assert_int_equal(count(handles_take_all(b, NULL)), 0);
}

static void test_forget_all(void **state)
{
	(void)state;
	for (CK_SESSION_HANDLE h = 0; h < 1000; h++)
		handles_add(h % 3 ? a : b, h, 0);
	handles_forget_all(&module);
	assert_null(a->sessions);
	assert_null(b->sessions);
	assert_null(module.sessions);
	handles_forget_all(&module);
}

/* contract F1: a table that was being changed at the fork is not read */
static void test_torn(void **state)
{
	(void)state;
	handles_add(a, 1, 0);
	handles_adopt(&module);
	assert_non_null(a->sessions);
	handles_forget_all(&module);
	module.sessions_torn = true;
	module.sessions = (void *)1;
	a->sessions = (void *)1;
	handles_adopt(&module);
	assert_null(module.sessions);
	assert_null(a->sessions);
	assert_false(module.sessions_torn);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup(test_own_only, setup),
	        cmocka_unit_test_setup(test_reissued, setup),
	        cmocka_unit_test_setup(test_forget_all, setup),
	        cmocka_unit_test_setup(test_torn, setup),
	};
	return cmocka_run_group_tests_name("handles", tests, NULL, NULL);
}
