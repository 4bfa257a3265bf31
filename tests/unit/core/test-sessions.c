/*
 * test-sessions.c: who owns which session (contract D1).
 */
#include "unit.h"

#include "core/sessions.h"
#include "core/view.h"

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
	struct taken_session one;
	unsigned n = 0;
	while (sessions_next(&taken, &one))
		n++;
	return n;
}

/* contract D1: a view's sessions, by slot or all, and nobody else's */
static void test_own_only(void **state)
{
	(void)state;
	for (CK_SESSION_HANDLE h = 1; h <= 10; h++)
		sessions_add(h % 2 ? a : b, h, h <= 4 ? 0 : 1);
	CK_SLOT_ID slot = 0;
	assert_int_equal(count(sessions_take_all(a, &slot)), 2);
	assert_int_equal(count(sessions_take_all(a, NULL)), 3);
	assert_int_equal(count(sessions_take_all(a, NULL)), 0);
	assert_int_equal(count(sessions_take_all(b, NULL)), 5);
}

/* contract D1: a handle that the module gives out again has its new owner only */
static void test_reissued(void **state)
{
	(void)state;
	struct taken_session session;
	sessions_add(a, 7, 3);
	assert_int_equal(sessions_add(b, 7, 4), 7);
	assert_int_equal(count(sessions_take_all(a, NULL)), 0);
	assert_true(sessions_take(&module, 7, &session));
	assert_ptr_equal(session.owner, b);
	assert_int_equal(session.slot, 4);
	assert_int_equal(session.real, 7);
	assert_true(sessions_take(&module, 7, &session));
	assert_null(session.owner);
	assert_int_equal(count(sessions_take_all(b, NULL)), 0);
}

static void test_forget_all(void **state)
{
	(void)state;
	for (CK_SESSION_HANDLE h = 0; h < 1000; h++)
		sessions_add(h % 3 ? a : b, h, 0);
	sessions_forget_all(&module);
	assert_null(a->sessions);
	assert_null(b->sessions);
	assert_null(module.sessions);
	sessions_forget_all(&module);
}

/* contract D1: what could not be closed is put back, unless its number means another by now */
static void test_put_back(void **state)
{
	(void)state;
	struct taken_session session;
	sessions_add(a, 5, 1);
	assert_true(sessions_take(&module, 5, &session));
	sessions_put_back(&module, &session);
	assert_int_equal(count(sessions_take_all(a, NULL)), 1);
	sessions_add(a, 5, 1);
	assert_true(sessions_take(&module, 5, &session));
	sessions_add(b, 5, 1);
	sessions_put_back(&module, &session);
	assert_int_equal(count(sessions_take_all(a, NULL)), 0);
	assert_int_equal(count(sessions_take_all(b, NULL)), 1);
}

/* contract F4: a stale number never means another session, in any generation */
static void test_stale(void **state)
{
	(void)state;
	struct taken_session session;
	CK_SESSION_HANDLE real, shown[3];
	sessions_add(a, 1, 0);
	sessions_add(a, 2, 0);
	assert_false(sessions_translated(&module));
	sessions_make_stale(&module);
	assert_true(sessions_translated(&module));
	assert_false(sessions_real(&module, 1, &real));
	assert_false(sessions_take(&module, 2, &session));
	for (CK_SESSION_HANDLE h = 1; h <= 3; h++)
		shown[h - 1] = sessions_add(b, h, 0);
	assert_int_not_equal(shown[0], 1);
	assert_int_not_equal(shown[1], 2);
	assert_int_equal(shown[2], 3);
	for (CK_SESSION_HANDLE h = 1; h <= 3; h++) {
		assert_true(sessions_real(&module, shown[h - 1], &real));
		assert_int_equal(real, h);
	}
	assert_false(sessions_real(&module, 1, &real));
	assert_true(sessions_take(&module, shown[0], &session));
	assert_int_equal(session.real, 1);
	sessions_make_stale(&module);
	assert_false(sessions_real(&module, shown[1], &real));
	assert_false(sessions_real(&module, 3, &real));
	assert_false(sessions_real(&module, 1, &real));
	CK_SESSION_HANDLE again = sessions_add(a, 1, 0);
	assert_true(again != 1 && again != shown[0] && again != shown[1]);
	sessions_forget_all(&module);
	assert_false(sessions_real(&module, 2, &real));
}

/* contract D1, F4: nobody closes what became stale, and a view's list begins anew */
static void test_stale_lists(void **state)
{
	(void)state;
	struct taken_session session;
	sessions_add(a, 1, 0);
	sessions_add(b, 2, 0);
	for (int life = 0; life < 3; life++) {
		sessions_make_stale(&module);
		assert_null(sessions_take_all(a, NULL));
		CK_SESSION_HANDLE shown = sessions_add(a, 1, 0);
		assert_int_not_equal(shown, 1);
		sessions_add(b, 2, 0);
		assert_true(sessions_take(&module, shown, &session));
		assert_ptr_equal(session.owner, a);
		sessions_put_back(&module, &session);
		assert_int_equal(count(sessions_take_all(a, NULL)), 1);
		sessions_add(a, 3 + (CK_SESSION_HANDLE)life, 0);
	}
	assert_int_equal(count(sessions_take_all(b, NULL)), 1);
	assert_int_equal(count(sessions_take_all(a, NULL)), 1);
}

/* contract F1, F4: a table that was being changed at the fork is not read, and then nothing is believed */
static void test_torn(void **state)
{
	(void)state;
	CK_SESSION_HANDLE real;
	sessions_add(a, 1, 0);
	sessions_inherit(&module);
	assert_non_null(a->sessions);
	sessions_forget_all(&module);
	module.sessions_torn = true;
	module.sessions = (void *)1;
	module.real_sessions = (void *)1;
	a->sessions = (void *)1;
	sessions_inherit(&module);
	assert_null(module.sessions);
	assert_null(sessions_take_all(a, NULL));
	assert_false(module.sessions_torn);
	/* carried over: the parent's numbers still mean what they meant */
	assert_true(sessions_real(&module, 77, &real));
	/* initialised anew: they do not */
	sessions_make_stale(&module);
	assert_true(sessions_translated(&module));
	assert_false(sessions_real(&module, 77, &real));
	CK_SESSION_HANDLE shown = sessions_add(a, 77, 0);
	assert_int_not_equal(shown, 77);
	assert_true(sessions_real(&module, shown, &real));
	assert_int_equal(real, 77);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup(test_own_only, setup),
	        cmocka_unit_test_setup(test_reissued, setup),
	        cmocka_unit_test_setup(test_forget_all, setup),
	        cmocka_unit_test_setup(test_put_back, setup),
	        cmocka_unit_test_setup(test_stale, setup),
	        cmocka_unit_test_setup(test_stale_lists, setup),
	        cmocka_unit_test_setup(test_torn, setup),
	};
	return cmocka_run_group_tests_name("handles", tests, NULL, NULL);
}
