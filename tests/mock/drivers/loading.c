/*
 * loading.c: contract C9, modules and consumers that are unloaded, come back, or
 * are copied, renamed or replaced on disk. Cases are named after the clause.
 */
#include "driver.h"
#include <limits.h>
#include <sys/stat.h>

static void unload_is_real(void)
{
	const char *path = strdup(build_path(MOCK));
	struct user a = user_of(1, MOCK), b = user_of(2, MOCK);

	IS(initialise(&a), CKR_OK);
	EQUAL(a.consumer->unload(a.module), 0); /* b has it still */
	IS(work(&a), CKR_OK);
	EQUAL(b.consumer->unload(b.module), 0);
	TRUE(loaded(path)); /* since a has it initialised */
	IS(work(&a), CKR_OK);
	IS(finalise(&a), CKR_OK);
	TRUE(!loaded(path));
	IS(slots_of(&a), CKR_CRYPTOKI_NOT_INITIALIZED);

	for (int i = 0; i < 5; i++) { /* and again: new, since its counters are */
		a = user_of(1, path);
		EQUAL(a.mock.get("initialise_calls"), 0);
		IS(slots_of(&a), CKR_CRYPTOKI_NOT_INITIALIZED);
		IS(initialise(&a), CKR_OK);
		EQUAL(a.mock.get("initialise_calls"), 1);
		IS(work(&a), CKR_OK);
		IS(finalise(&a), CKR_OK);
		EQUAL(a.mock.get("finalise_done"), 1);
		EQUAL(a.consumer->unload(a.module), 0);
		TRUE(!loaded(path));
	}
}

/* Another module where one was: same memory, different file. */
static void another_at_its_place(void)
{
	static const char *const modules[] = {MOCK, "mock/mock2.so", "mock/mock3.so", "mock/mock-noifc.so",
	                                      MOCK};

	for (size_t i = 0; i < sizeof modules / sizeof modules[0]; i++) {
		struct user a = user_of(1, modules[i]), b = user_of(2, modules[i]);

		EQUAL(a.mock.get("calls"), 0);
		IS(initialise(&a), CKR_OK);
		IS(initialise(&b), CKR_OK);
		IS(work(&a), CKR_OK);
		IS(finalise(&a), CKR_OK);
		IS(work(&b), CKR_OK);
		IS(finalise(&b), CKR_OK);
		EQUAL(a.mock.get("initialise_done"), 1);
		EQUAL(a.mock.get("finalise_done"), 1);
		a.consumer->unload(a.module);
		b.consumer->unload(b.module);
		TRUE(!loaded(build_path(modules[i])));
	}
}

/* The module's file is replaced, as by an upgrade, while it is loaded; later the new one is loaded. */
static void replaced_on_disk(void)
{
	char path[4096], fresh[4096];
	struct user a, b, c;

	snprintf(path, sizeof path, "%s/module.so", scratch);
	snprintf(fresh, sizeof fresh, "%s/new.so", scratch);
	copy_file(build_path(MOCK), path);
	copy_file(build_path("mock/mock2.so"), fresh);
	a = user_of(1, path);
	IS(initialise(&a), CKR_OK);
	EQUAL(rename(fresh, path), 0);
	b = user_of(2, path); /* the loader gives it the instance that is there */
	IS(initialise(&b), CKR_OK);
	EQUAL(a.mock.get("initialise_calls"), 1);
	IS(finalise(&a), CKR_OK);
	IS(work(&b), CKR_OK);
	IS(finalise(&b), CKR_OK);
	EQUAL(a.mock.get("finalise_done"), 1);
	a.consumer->unload(a.module);
	b.consumer->unload(b.module);
	TRUE(!loaded(path));
	c = user_of(1, path);
	EQUAL(c.mock.get("calls"), 0);
	IS(initialise(&c), CKR_OK);
	IS(work(&c), CKR_OK);
	IS(finalise(&c), CKR_OK);
	EQUAL(c.mock.get("finalise_done"), 1);
}

/* A consumer is unloaded without a finalise, and loaded again. */
static void consumer_unloaded(void)
{
	struct user b = user_of(2, MOCK);
	void *library = dlopen(build_path("consumers/consumer-1.so"), RTLD_NOW);
	const struct consumer *consumer = dlsym(library, "consumer");
	CK_FUNCTION_LIST *list = consumer->list(consumer->load(build_path(MOCK)));

	IS(initialise(&b), CKR_OK);
	IS(consumer->initialise(list), CKR_OK);
	dlclose(library);
	TRUE(!loaded(build_path("consumers/consumer-1.so")));
	IS(work(&b), CKR_OK);
	library = dlopen(build_path("consumers/consumer-1.so"), RTLD_NOW);
	consumer = dlsym(library, "consumer");
	list = consumer->list(consumer->load(build_path(MOCK)));
	IS(consumer->initialise(list), CKR_OK);
	IS(list->C_Finalize(NULL), CKR_OK);
	IS(work(&b), CKR_OK);
	IS(finalise(&b), CKR_OK);
}

/* ---- the same file, loaded anew under another path */

/* A relative path, and the directory changes: nothing happens to the file. */
static void another_relative_path(void)
{
	const struct consumer *one = load_consumer(1), *two = load_consumer(2);
	char path[PATH_MAX];

	EQUAL(chdir(scratch), 0);
	EQUAL(mkdir("below", 0700), 0);
	copy_file(build_path(MOCK), "module.so");
	TRUE(realpath("module.so", path));
	for (int i = 0; i < 3; i++) {
		EQUAL(chdir(scratch), 0);
		use_once(one, "./module.so");
		EQUAL(chdir("below"), 0);
		use_once(one, "../module.so");
		use_once(two, "../below/../module.so");
		use_once(one, path);
	}
}

/* Extracted to a new path for each use, removed after it: a new file may have the old one's number. */
static void copied_anew(void)
{
	const struct consumer *one = load_consumer(1);
	char path[PATH_MAX];

	for (int i = 0; i < 20; i++) {
		snprintf(path, sizeof path, "%s/extracted-%d.so", scratch, i);
		copy_file(build_path(MOCK), path);
		use_once(one, path);
		EQUAL(unlink(path), 0);
	}
}

/* Renamed after each use: certainly the same file. */
static void renamed(void)
{
	const struct consumer *one = load_consumer(1);
	char path[PATH_MAX], next[PATH_MAX];

	snprintf(path, sizeof path, "%s/renamed.so", scratch);
	copy_file(build_path(MOCK), path);
	for (int i = 0; i < 20; i++) {
		use_once(one, path);
		snprintf(next, sizeof next, "%s/renamed-%d.so", scratch, i);
		EQUAL(rename(path, next), 0);
		strcpy(path, next);
	}
}

int main(int argc, char **argv)
{
	static const struct test_case cases[] = {
	        {"C9-unload-is-real", unload_is_real},
	        {"C9-another-at-its-place", another_at_its_place},
	        {"C9-replaced-on-disk", replaced_on_disk},
	        {"C9-consumer-unloaded", consumer_unloaded},
	        {"C9-another-relative-path", another_relative_path},
	        {"C9-copied-anew", copied_anew},
	        {"C9-renamed", renamed},
	        {NULL, NULL},
	};

	return run_case(cases, argc, argv);
}
