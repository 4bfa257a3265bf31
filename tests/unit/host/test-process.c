/*
 * test-process.c: a forked child is noticed however it came about (contract F1),
 * and where the kernel cannot wipe, by fork() all the same. Linked with
 * --wrap=madvise, so that the kernel can be made to refuse.
 */
#include "unit.h"

#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "host/process.h"

static enum { REAL, REFUSE, YES_TO_ALL } advice;

int __real_madvise(void *, size_t, int);
int __wrap_madvise(void *, size_t, int);

int __wrap_madvise(void *address, size_t size, int what)
{
	if (advice == REAL)
		return __real_madvise(address, size, what);
	return advice == REFUSE ? -1 : 0;
}

/* In a child: everything is forgotten, and noticed once. */
static int is_new_process(void)
{
	CHILD_CHECK(p11shim_forgotten.state.entered == 0);
	CHILD_CHECK(p11shim_forgotten.state.fast[0] == 0);
	CHILD_CHECK(p11shim_forgotten.state.fast[GATE_LISTS - 1] == 0);
	CHILD_CHECK(p11shim_forgotten.state.life[MODULES - 1].references == 0);
	CHILD_CHECK(p11shim_forgotten.state.registry.word == 0);
	lock_give(&p11shim_forgotten.state.registry); /* as a thread would that forked in a signal handler */
	lock_take(&p11shim_forgotten.state.registry);
	process_enter();
	process_enter();
	CHILD_CHECK(process_number() == getpid());
	return 0;
}

static void occupy(void)
{
	process_enter();
	p11shim_forgotten.state.fast[0] = 1;
	p11shim_forgotten.state.fast[GATE_LISTS - 1] = 1;
	p11shim_forgotten.state.life[MODULES - 1].references = 5;
	lock_take(&p11shim_forgotten.state.registry);
}

static int fork_twice(void)
{
	occupy();
	int child = in_child(is_new_process);
	CHILD_CHECK(child == 0);
	CHILD_CHECK(p11shim_forgotten.state.life[MODULES - 1].references == 5);
	return 0;
}

static int grandchild(void)
{
	occupy();
	return in_child(fork_twice);
}

static int raw_clone(void)
{
	occupy();
	pid_t child = (pid_t)syscall(SYS_clone, (long)SIGCHLD, 0, 0, 0, 0);
	if (child == 0)
		_exit(is_new_process());
	int status = -1;
	waitpid(child, &status, 0);
	CHILD_CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	return 0;
}

static int refused(void)
{
	advice = REFUSE;
	return fork_twice();
}

static int emulated(void)
{
	advice = YES_TO_ALL; /* as emulators that do not know the advice answer */
	return fork_twice();
}

static void test_fork(void **state)
{
	(void)state;
	assert_int_equal(in_child(fork_twice), 0);
}

static void test_grandchild(void **state)
{
	(void)state;
	assert_int_equal(in_child(grandchild), 0);
}

static void test_raw_clone(void **state)
{
	(void)state;
	const char *emulator = getenv("EMULATOR");
	if (emulator && strncmp(emulator, "qemu", 4) == 0)
		return; /* it does not wipe memory as the kernel does */
	assert_int_equal(in_child(raw_clone), 0);
}

static void test_refused(void **state)
{
	(void)state;
	assert_int_equal(in_child(refused), 0);
}

static void test_emulated(void **state)
{
	(void)state;
	assert_int_equal(in_child(emulated), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_fork),      cmocka_unit_test(test_grandchild),
	        cmocka_unit_test(test_raw_clone), cmocka_unit_test(test_refused),
	        cmocka_unit_test(test_emulated),
	};
	return cmocka_run_group_tests_name("process", tests, NULL, NULL);
}
