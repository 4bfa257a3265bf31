/*
 * test-object.c: which object an address belongs to; holding it in memory.
 */
#include "unit.h"

#include <dlfcn.h>
#include <math.h>

#include "host/object.h"

static void test_objects(void **state)
{
	(void)state;
	struct object mine, too, c, m, none;
	int local = 0;
	assert_true(object_of((const void *)test_objects, &mine));
	assert_true(object_of((const void *)object_of, &too));
	assert_true(object_same_instance(&mine, &too));
	assert_true(object_same_file(&mine, &too));
	assert_string_equal(mine.path, "");
	assert_true(object_of((const void *)puts, &c));
	assert_true(object_of((const void *)cos, &m));
	assert_false(object_same_instance(&c, &m));
	assert_false(object_same_file(&c, &m));
	assert_non_null(strstr(m.path, "libm.so"));
	assert_true(m.inode != 0);
	assert_false(object_of(&local, &none)); /* code made at run time lies in no object */
}

/* contract C9: held is loaded, released is unloaded, and gone is noticed */
static void test_hold(void **state)
{
	(void)state;
	struct object object;
	void *handle = dlopen(HELD, RTLD_NOW);
	assert_non_null(handle);
	assert_true(object_of(dlsym(handle, "held"), &object));
	char *path = strdup(object.path);
	object.path = path;
	void *hold = object_hold(&object, path);
	assert_non_null(hold);
	dlclose(handle);
	assert_true(object_still_there(&object));
	object_release(hold);
	assert_false(object_still_there(&object));
	assert_null(object_hold(&object, path));
	free(path);
}

/* contract C10: who can destroy itself */
static void test_exit_handlers(void **state)
{
	(void)state;
	struct object object;
	void *handle = dlopen(HELD, RTLD_NOW);
	assert_true(object_of(dlsym(handle, "held"), &object));
	assert_true(object_has_exit_handlers(&object));
	assert_true(object_has_destructors(&object));
	dlclose(handle);
	assert_true(object_of((const void *)cos, &object));
	assert_false(object_has_exit_handlers(&object));
	assert_false(object_has_destructors(&object));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_objects),
	        cmocka_unit_test(test_hold),
	        cmocka_unit_test(test_exit_handlers),
	};
	return cmocka_run_group_tests_name("scope", tests, NULL, NULL);
}
