/*
 * lists.c: contract B1 to B5, what a consumer receives: views, function lists,
 * interfaces. Cases are named after the clause.
 */
#include "driver.h"
#include <limits.h>
#include <sys/mman.h>

/* A consumer gets the same list each time; another consumer gets another. */
static void one_view(void)
{
	struct user a = user_of(1, MOCK), b = user_of(2, MOCK);

	EQUAL(a.consumer->list(a.module), a.list);
	EQUAL(b.consumer->list(b.module), b.list);
	TRUE(a.list != b.list);
	EQUAL(a.consumer->list_3(a.module, 3, 0), a.consumer->list_3(a.module, 3, 0));
	EQUAL(a.consumer->list_3(a.module, 0, 0), a.consumer->list_3(a.module, 3, 2));
	TRUE(a.consumer->list_3(a.module, 3, 0) != b.consumer->list_3(b.module, 3, 0));
}

/* The count is the view's, whichever of its lists is used. */
static void state_is_the_views(void)
{
	struct user a = user_of(1, MOCK), b = user_of(2, MOCK);
	CK_FUNCTION_LIST_3_2 *a3 = a.consumer->list_3(a.module, 3, 2);
	CK_FUNCTION_LIST_3_0 *a30 = a.consumer->list_3(a.module, 3, 0);
	CK_INFO info;

	IS(a3->C_Initialize(NULL), CKR_OK);
	IS(a.list->C_GetInfo(&info), CKR_OK);
	IS(initialise(&b), CKR_OK);
	IS(a30->C_Finalize(NULL), CKR_OK);
	IS(a3->C_GetInfo(&info), CKR_CRYPTOKI_NOT_INITIALIZED);
	IS(a.list->C_GetInfo(&info), CKR_CRYPTOKI_NOT_INITIALIZED);
	IS(a3->C_Finalize(NULL), CKR_CRYPTOKI_NOT_INITIALIZED);
	IS(b.list->C_GetInfo(&info), CKR_OK);
	IS(finalise(&b), CKR_OK);
	EQUAL(a.mock.get("initialise_done"), 1);
	EQUAL(a.mock.get("finalise_done"), 1);
}

/* A symbolic link is the same module, a copied file is another. */
static void symlink_and_copy(void)
{
	char link[4096], copy[4096];
	struct user a = user_of(1, MOCK), b, c;

	snprintf(link, sizeof link, "%s/link.so", scratch);
	snprintf(copy, sizeof copy, "%s/copy.so", scratch);
	EQUAL(symlink(build_path(MOCK), link), 0);
	copy_file(build_path(MOCK), copy);
	b = user_of(2, link);
	c = user_of(2, copy);
	IS(initialise(&a), CKR_OK);
	IS(initialise(&b), CKR_OK);
	EQUAL(a.mock.get("initialise_calls"), 1);
	EQUAL(c.mock.get("initialise_calls"), 0);
	IS(initialise(&c), CKR_OK);
	EQUAL(a.mock.get("initialise_calls"), 1);
	EQUAL(c.mock.get("initialise_calls"), 1);
	IS(finalise(&c), CKR_OK);
	EQUAL(c.mock.get("finalise_done"), 1);
	IS(work(&a), CKR_OK);
	IS(finalise(&a), CKR_OK);
	IS(work(&b), CKR_OK);
	IS(finalise(&b), CKR_OK);
	EQUAL(a.mock.get("finalise_done"), 1);
}

/* A list may be called after its module is gone. */
static void stale_list(void)
{
	struct user a = user_of(1, MOCK);
	CK_FUNCTION_LIST_3_2 *a3 = a.consumer->list_3(a.module, 3, 2);
	CK_INFO info;

	IS(initialise(&a), CKR_OK);
	IS(finalise(&a), CKR_OK);
	EQUAL(a.consumer->unload(a.module), 0);
	TRUE(!loaded(build_path(MOCK)));
	IS(a.list->C_GetInfo(&info), CKR_CRYPTOKI_NOT_INITIALIZED);
	IS(a3->C_GetInfo(&info), CKR_CRYPTOKI_NOT_INITIALIZED);
	IS(a.list->C_Finalize(NULL), CKR_CRYPTOKI_NOT_INITIALIZED);
	IS(slots_of(&a), CKR_CRYPTOKI_NOT_INITIALIZED);
	TRUE(initialise(&a) != CKR_OK); /* there is nothing to initialise; any error will do */
}

static atomic_bool enough;

/* A list kept from before an unload: what others do meanwhile is right. */
static void *insist(void *list)
{
	CK_FUNCTION_LIST *stale = list;
	CK_C_INITIALIZE_ARGS args = {.flags = CKF_OS_LOCKING_OK};

	while (!enough)
		if (stale->C_Initialize(&args) == CKR_OK)
			EQUAL(stale->C_Finalize(NULL), CKR_OK); /* what leads to one leads to the other */
	return NULL;
}

static void stale_list_meanwhile(void)
{
	const struct consumer *two = load_consumer(2);
	struct user a = user_of(1, MOCK);
	double end = now() + 3;
	pthread_t insisting;

	EQUAL(a.consumer->unload(a.module), 0);
	TRUE(!loaded(build_path(MOCK)));
	insisting = start(insist, a.list);
	while (now() < end) {
		struct user b = user_at(two, build_path(MOCK));

		IS(initialise(&b), CKR_OK);
		for (int i = 0; i < 5; i++)
			IS(slots_of(&b), CKR_OK);
		IS(work(&b), CKR_OK);
		IS(finalise(&b), CKR_OK);
		IS(slots_of(&b), CKR_CRYPTOKI_NOT_INITIALIZED);
		EQUAL(b.consumer->unload(b.module), 0);
	}
	enough = true;
	pthread_join(insisting, NULL);
}

/* A consumer stays itself, whatever becomes of its path. */
static void same_consumer(const struct user *before)
{
	struct user again = user_at(before->consumer, build_path(MOCK));

	EQUAL(again.list, before->list);
	IS(work(&again), CKR_OK);
	IS(finalise(&again), CKR_OK);
	IS(slots_of(&again), CKR_CRYPTOKI_NOT_INITIALIZED);
	EQUAL(behind(again.module).get("finalise_done"), 1);
}

static void consumer_by_relative_path(void)
{
	struct user a;

	EQUAL(chdir(scratch), 0);
	copy_file(build_path("consumers/consumer-1.so"), "consumer.so");
	a = user_at(load_consumer_file("./consumer.so"), build_path(MOCK));
	IS(initialise(&a), CKR_OK);
	EQUAL(chdir("/"), 0);
	same_consumer(&a);
}

static void consumer_replaced(void)
{
	char path[PATH_MAX], fresh[PATH_MAX];
	struct user a;

	snprintf(path, sizeof path, "%s/consumer.so", scratch);
	snprintf(fresh, sizeof fresh, "%s/fresh.so", scratch);
	copy_file(build_path("consumers/consumer-1.so"), path);
	a = user_at(load_consumer_file(path), build_path(MOCK));
	IS(initialise(&a), CKR_OK);
	copy_file(build_path("consumers/consumer-1.so"), fresh);
	EQUAL(rename(fresh, path), 0);
	same_consumer(&a);
}

/* The module's own version number, and never a byte past a 2.40 list (the mock's ends at a guard page). */
static void version_is_the_modules(void)
{
	static const CK_VERSION versions[] = {{2, 1}, {2, 11}, {2, 20}, {2, 40}, {3, 0}, {3, 2}, {9, 99}};

	for (size_t i = 0; i < sizeof versions / sizeof versions[0]; i++) {
		void *module = dlopen(build_path(MOCK), RTLD_NOW);
		struct user a = {.consumer = load_consumer(1 + (int)i % 4)};

		TRUE(module);
		behind(module).set("version_major", versions[i].major);
		behind(module).set("version_minor", versions[i].minor);
		a.module = module;
		a.mock = behind(module);
		a.list = a.consumer->list(module);
		TRUE(a.list);
		EQUAL(a.list->version.major, versions[i].major);
		EQUAL(a.list->version.minor, versions[i].minor);
		IS(initialise(&a), CKR_OK);
		IS(work(&a), CKR_OK);
		IS(finalise(&a), CKR_OK);
		EQUAL(a.mock.get("finalise_done"), 1);
		dlclose(module);
		TRUE(!loaded(build_path(MOCK)));
	}
}

/* The functions inside a list that give lists give the view's again. */
static void lists_inside_lists(void)
{
	struct user a = user_of(1, MOCK), b = user_of(2, MOCK);
	CK_FUNCTION_LIST_3_2 *a3 = a.consumer->list_3(a.module, 3, 2);
	CK_VERSION v30 = {3, 0};
	CK_FUNCTION_LIST *list = NULL;
	CK_INTERFACE *interface = NULL, interfaces[8];
	CK_ULONG count = 8;
	bool seen = false;

	IS(a.list->C_GetFunctionList(&list), CKR_OK);
	EQUAL(list, a.list);
	IS(b.list->C_GetFunctionList(&list), CKR_OK);
	EQUAL(list, b.list);
	IS(a3->C_GetFunctionList(&list), CKR_OK);
	EQUAL(list, a.list);
	IS(a3->C_GetInterface(NULL, NULL, &interface, 0), CKR_OK);
	EQUAL(interface->pFunctionList, a3);
	IS(a3->C_GetInterface((CK_UTF8CHAR *)"PKCS 11", &v30, &interface, 0), CKR_OK);
	EQUAL(interface->pFunctionList, a.consumer->list_3(a.module, 3, 0));
	IS(a3->C_GetInterfaceList(interfaces, &count), CKR_OK);
	for (CK_ULONG i = 0; i < count; i++)
		seen |= interfaces[i].pFunctionList == (void *)a3;
	TRUE(seen);
}

/* All interfaces a module offers, as it offers them, standard ones wrapped, others untouched. */
static void interfaces(void)
{
	static const CK_VERSION offered[] = {{3, 2}, {3, 2}, {3, 1}, {3, 0}, {2, 40}, {1, 0}};
	struct user a = user_of(1, MOCK), b = user_of(2, MOCK);
	CK_INTERFACE all[8], others[8], *interface;
	CK_ULONG count = 0, more = 8;

	a.mock.set("interfaces", 63);
	a.mock.set("interface_flags", CKF_INTERFACE_FORK_SAFE);
	IS(a.consumer->ask_interfaces(a.module, NULL, &count), CKR_OK);
	EQUAL(count, 6);
	count = 5;
	IS(a.consumer->ask_interfaces(a.module, all, &count), CKR_BUFFER_TOO_SMALL);
	EQUAL(count, 6);
	count = 8;
	IS(a.consumer->ask_interfaces(a.module, all, &count), CKR_OK);
	EQUAL(count, 6);
	IS(b.consumer->ask_interfaces(b.module, others, &more), CKR_OK);
	for (CK_ULONG i = 0; i < count; i++) {
		CK_VERSION *version = all[i].pFunctionList;

		EQUAL(all[i].flags, CKF_INTERFACE_FORK_SAFE);
		/* The first is the mock's 3.9, a newer minor version than the shim knows. */
		EQUAL(version->major, offered[i].major);
		EQUAL(version->minor, offered[i].minor);
		EQUAL(strcmp((char *)all[i].pInterfaceName, i == 5 ? MOCK_VENDOR_INTERFACE : "PKCS 11"), 0);
		EQUAL(all[i].pFunctionList == others[i].pFunctionList, i == 5);
	}
	EQUAL(all[5].pFunctionList, a.mock.get("vendor_list"));

	IS(a.consumer->ask_interface(a.module, MOCK_VENDOR_INTERFACE, NULL, &interface, 0), CKR_OK);
	EQUAL(interface->pFunctionList, a.mock.get("vendor_list"));
	IS(a.consumer->ask_interface(a.module, NULL, NULL, &interface, CKF_INTERFACE_FORK_SAFE), CKR_OK);
	EQUAL(interface->flags, CKF_INTERFACE_FORK_SAFE);
	EQUAL(strcmp((char *)interface->pInterfaceName, "PKCS 11"), 0);
	IS(a.consumer->ask_interface(a.module, "no such", NULL, &interface, 0), CKR_ARGUMENTS_BAD);
	IS(a.consumer->ask_interface(a.module, NULL, NULL, &interface, 0x80), CKR_ARGUMENTS_BAD);
	IS(a.consumer->ask_interface(a.module, NULL, NULL, NULL, 0), CKR_ARGUMENTS_BAD);
}

/* An error passes through, and what the module left in the output is not looked at. */
static void interface_errors(void)
{
	struct user a = user_of(1, MOCK);
	CK_INTERFACE *interface;
	CK_ULONG count;

	a.mock.set("get_interface_fails", CKR_DEVICE_ERROR);
	for (int garbage = 0; garbage <= 2; garbage++) {
		a.mock.set("garbage", garbage);
		interface = (CK_INTERFACE *)(uintptr_t)0x22;
		count = 0x22;
		IS(a.consumer->ask_interface(a.module, NULL, NULL, &interface, 0), CKR_DEVICE_ERROR);
		IS(a.consumer->ask_interfaces(a.module, NULL, &count), CKR_DEVICE_ERROR);
	}
	a.mock.set("get_interface_fails", 0);
	IS(a.consumer->ask_interface(a.module, NULL, NULL, &interface, 0), CKR_OK);
	IS(((CK_FUNCTION_LIST *)interface->pFunctionList)->C_Initialize(NULL), CKR_OK);
	IS(work(&a), CKR_OK);
	IS(finalise(&a), CKR_OK);
}

/* The same for C_GetFunctionList; NULL is answered by the module too. */
static void function_list_errors(void)
{
	struct user a = {.consumer = load_consumer(1)}, b = {.consumer = load_consumer(2)};
	CK_FUNCTION_LIST *list;

	a.module = a.consumer->load(build_path(MOCK));
	b.module = b.consumer->load(build_path(MOCK));
	IS(b.consumer->ask_list(b.module, NULL), CKR_ARGUMENTS_BAD);
	a.mock = b.mock = behind(a.module);
	a.mock.set("get_function_list_fails", CKR_DEVICE_MEMORY);
	for (int garbage = 0; garbage <= 2; garbage++) {
		a.mock.set("garbage", garbage);
		list = (CK_FUNCTION_LIST *)(uintptr_t)0x22;
		IS(a.consumer->ask_list(a.module, &list), CKR_DEVICE_MEMORY);
		IS(b.consumer->ask_list(b.module, &list), CKR_DEVICE_MEMORY);
	}
	a.mock.set("get_function_list_fails", 0);
	IS(a.consumer->ask_list(a.module, &a.list), CKR_OK);
	IS(b.consumer->ask_list(b.module, &b.list), CKR_OK);
	TRUE(b.list != a.list);
	IS(initialise(&b), CKR_OK);
	IS(work(&b), CKR_OK);
	IS(finalise(&b), CKR_OK);
	IS(a.list->C_GetFunctionList(NULL), CKR_ARGUMENTS_BAD);
}

/* A module without interfaces has none; one that is linked to a module with interfaces shows the other's. */
static void interface_of_a_dependency(void)
{
	struct user none = user_of(1, "mock/mock-noifc.so"), dep = user_of(1, "mock/mock-dep.so");
	struct user other = user_of(2, MOCK);
	CK_FUNCTION_LIST_3_2 *list;

	TRUE(!none.consumer->symbol(none.module, "C_GetInterface"));
	TRUE(strstr(dlerror(), "undefined symbol: C_GetInterface"));
	list = dep.consumer->list_3(dep.module, 3, 2);
	TRUE(list);
	IS(list->C_Initialize(NULL), CKR_OK);
	EQUAL(dep.mock.get("initialise_calls"), 0);
	EQUAL(other.mock.get("initialise_calls"), 1);
	IS(slots_of(&dep), CKR_CRYPTOKI_NOT_INITIALIZED);
	IS(initialise(&dep), CKR_OK);
	EQUAL(dep.mock.get("initialise_calls"), 1);
	EQUAL(other.mock.get("initialise_calls"), 1);
	/* The consumer already has the other module by its dependant. */
	EQUAL(dep.consumer->list_3(other.module, 3, 2), list);
	IS(list->C_Finalize(NULL), CKR_OK);
	EQUAL(other.mock.get("finalise_done"), 1);
	IS(work(&dep), CKR_OK);
	IS(finalise(&dep), CKR_OK);
}

/* Several lists of one version, of mock/tiny.so. */
static const CK_INTERFACE *interface_of(const struct user *user, CK_VERSION version, CK_FLAGS flags)
{
	CK_INTERFACE *interface = NULL;

	IS(user->consumer->ask_interface(user->module, "PKCS 11", &version, &interface, flags), CKR_OK);
	EQUAL(interface->flags, flags);
	return interface;
}

static void lists_of_one_version(void)
{
	for (int n = 1; n <= 2; n++) { /* each consumer, in each order */
		struct user a = user_of_tiny(n);
		const CK_VERSION v2 = {2, 40}, v3 = {3, 0};
		CK_FLAGS first = n == 1 ? 0 : CKF_INTERFACE_FORK_SAFE, second = first ^ 1;
		const CK_INTERFACE *one = interface_of(&a, v3, first), *two = interface_of(&a, v3, second),
		                   *old = interface_of(&a, v2, 0);

		IS(initialise(&a), CKR_OK);
		IS(answer_of(one->pFunctionList), CKR_VENDOR_DEFINED | first);
		IS(answer_of(two->pFunctionList), CKR_VENDOR_DEFINED | second);
		IS(answer_of(old->pFunctionList), CKR_VENDOR_DEFINED | 2);
		IS(answer_of(a.list), CKR_VENDOR_DEFINED | 3);
		EQUAL(interface_of(&a, v3, first)->pFunctionList, one->pFunctionList);
		EQUAL(interface_of(&a, v2, 0)->pFunctionList, old->pFunctionList);
		EQUAL(a.consumer->list(a.module), a.list);
		IS(finalise(&a), CKR_OK);
		IS(answer_of(two->pFunctionList), CKR_CRYPTOKI_NOT_INITIALIZED); /* the state is the view's */
	}
}

/* The module says that it wrote far more than there is room for; behind the array is no memory. */
static void more_than_there_are(void)
{
	enum { GIVEN = 6 };
	struct user a = user_of_tiny(1);
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *memory = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CK_INTERFACE *array = (CK_INTERFACE *)(uintptr_t)(memory + page) - GIVEN;
	CK_ULONG count = GIVEN;

	TRUE(memory != MAP_FAILED);
	EQUAL(mprotect(memory + page, page, PROT_NONE), 0);
	IS(initialise(&a), CKR_OK);
	IS(a.consumer->ask_interfaces(a.module, NULL, &count), CKR_OK);
	EQUAL(count, LONG_MAX);
	count = GIVEN;
	IS(a.consumer->ask_interfaces(a.module, array, &count), CKR_OK);
	EQUAL(count, LONG_MAX);
	IS(answer_of(array[0].pFunctionList), CKR_VENDOR_DEFINED | 0);
	IS(answer_of(array[1].pFunctionList), CKR_VENDOR_DEFINED | 1);
	EQUAL(array[2].pInterfaceName, 0);
	EQUAL(array[3].pFunctionList, 0);
	EQUAL(array[4].pFunctionList, 3); /* a vendor's, whatever that is */
	IS(answer_of(array[5].pFunctionList), CKR_VENDOR_DEFINED | 2);
	EQUAL(array[0].flags, 0);
	EQUAL(array[1].flags, CKF_INTERFACE_FORK_SAFE);
	IS(finalise(&a), CKR_OK);
}

/* Functions looked up one by one belong to the same view. */
static void single_functions(void)
{
	struct user a = user_of(1, MOCK), b = user_of(2, MOCK);
	CK_C_Initialize init = (CK_C_Initialize)(uintptr_t)a.consumer->symbol(a.module, "C_Initialize");
	CK_C_Finalize fini = (CK_C_Finalize)(uintptr_t)a.consumer->symbol(a.module, "C_Finalize");
	CK_C_GetInfo info = (CK_C_GetInfo)(uintptr_t)a.consumer->symbol(a.module, "C_GetInfo");
	CK_INFO out;

	IS(info(&out), CKR_CRYPTOKI_NOT_INITIALIZED);
	IS(init(NULL), CKR_OK);
	IS(initialise(&b), CKR_OK);
	EQUAL(a.mock.get("initialise_calls"), 1);
	IS(info(&out), CKR_OK);
	IS(slots_of(&a), CKR_OK);
	IS(fini(NULL), CKR_OK);
	IS(work(&b), CKR_OK);
	IS(finalise(&b), CKR_OK);
	EQUAL(a.mock.get("finalise_done"), 1);
	IS(info(&out), CKR_CRYPTOKI_NOT_INITIALIZED);
}

/* An entry that is NULL in the module's list answers CKR_FUNCTION_NOT_SUPPORTED in the view's. */
static void null_entries(void)
{
	uintptr_t nothing[10] = {0};

	setenv("MOCK_OPTIONS", "null_entries=3,echo=1", 1);
	for (int which = 0; which < 3; which++) {
		struct user a = user_of(1 + which, MOCK);
		const CK_FUNCTION_LIST *list =
		        which == 0 ? a.list : a.consumer->list_3(a.module, 3, which == 1 ? 0 : 2);

		IS(list->C_Initialize(NULL), CKR_OK);
		for (int n = 0; n < functions_of(list->version); n++) {
			if (!entry_of(list, n))
				fprintf(stderr, "%s is NULL\n", function_names[n]);
			TRUE(entry_of(list, n));
			if (about_life_or_lists(n) || (n + 1) % 3)
				continue;
			is(__FILE__, __LINE__, function_names[n], call_with(entry_of(list, n), nothing),
			   CKR_FUNCTION_NOT_SUPPORTED);
		}
		IS(list->C_Finalize(NULL), CKR_OK);
	}
}

/*
 * Every function of every list reaches the same-named function of the same
 * list of the module, with every argument as it was given.
 */
static void check_list(struct user *a, const void *list, enum mock_list expected)
{
	CK_VERSION version = *(const CK_VERSION *)list;
	CK_BYTE pin[] = "a secret";
	CK_SLOT_ID slot;
	CK_SESSION_HANDLE session;

	for (int n = 0; n < functions_of(version); n++) {
		uintptr_t words[10];
		struct mock_call call;

		if (about_life_or_lists(n) || n == MOCK_C_CloseAllSessions) /* see sessions.c */
			continue;
		for (int i = 0; i < 10; i++)
			words[i] = 0x10000000u + (unsigned)n * 0x1000u + (unsigned)i * 0x11u;
		if (n == MOCK_C_WaitForSlotEvent) { /* the shim looks at these */
			words[0] = CKF_DONT_BLOCK;
			words[1] = (uintptr_t)&slot;
			words[2] = 0;
		} else if (n == MOCK_C_Login || n == MOCK_C_LoginUser) {
			words[2] = (uintptr_t)pin;
			words[3] = sizeof pin - 1;
		} else if (n == MOCK_C_OpenSession) {
			words[4] = (uintptr_t)&session;
		}
		a->mock.set(function_names[n], 0);
		is(__FILE__, __LINE__, function_names[n], call_with(entry_of(list, n), words),
		   MOCK_ANSWER(expected, n));
		EQUAL(a->mock.get(function_names[n]), 1);
		a->mock.last_call(&call);
		EQUAL(call.list, expected);
		EQUAL(call.function, n);
		for (int i = 0; i < call.count; i++)
			if (call.words[i] != (words[i] & 0xff) &&      /* a CK_BBOOL */
			    !(n == MOCK_C_WaitForSlotEvent && i == 1)) /* the shim's own */
				equal(__FILE__, __LINE__, function_names[n], (long)call.words[i],
				      (long)words[i]);
	}
}

static void every_function(void)
{
	struct user a = user_of(1, MOCK), b = user_of(2, MOCK);

	a.mock.set("interfaces", 63);
	a.mock.set("echo", 1);
	IS(initialise(&a), CKR_OK);
	IS(initialise(&b), CKR_OK);
	for (int again = 0; again < 2; again++) {
		struct user *u = again ? &b : &a;

		/* B1: one list a version, so two lists of the module may have become one. */
		const void *v240 = u->consumer->list_3(u->module, 2, 40),
		           *v32 = u->consumer->list_3(u->module, 3, 2);
		const void *newest = u->consumer->list_3(u->module, 0, 0);

		check_list(u, u->list, MOCK_2_40);
		check_list(u, v240, v240 == u->list ? MOCK_2_40 : MOCK_INTERFACE_2_40);
		check_list(u, u->consumer->list_3(u->module, 3, 0), MOCK_3_0);
		check_list(u, u->consumer->list_3(u->module, 3, 1), MOCK_3_1);
		check_list(u, v32, MOCK_3_2);
		check_list(u, newest, newest == v32 ? MOCK_3_2 : MOCK_3_9);
	}
	for (int n = 0; n < MOCK_FUNCTIONS; n++) { /* and those that dlsym gives one by one */
		uintptr_t words[10] = {0};
		struct mock_call call;
		void *function;

		if (about_life_or_lists(n) || n == MOCK_C_CloseAllSessions || n == MOCK_C_WaitForSlotEvent)
			continue;
		for (int i = 0; i < 10; i++)
			words[i] = 0x20000000u + (unsigned)n * 0x1000u + (unsigned)i * 0x11u;
		function = a.consumer->symbol(a.module, function_names[n]);
		TRUE(function);
		is(__FILE__, __LINE__, function_names[n], call_with(function, words),
		   MOCK_ANSWER(MOCK_DIRECT, n));
		a.mock.last_call(&call);
		for (int i = 0; i < call.count; i++)
			if (call.words[i] != (words[i] & 0xff))
				equal(__FILE__, __LINE__, function_names[n], (long)call.words[i],
				      (long)words[i]);
	}
}

/* More consumers than there are views: each still works, and the module's life is right. */
static void many_consumers(void)
{
	enum { CONSUMERS = 220 };
	static struct user users[CONSUMERS];
	void *module = dlopen(build_path(MOCK), RTLD_NOW);
	struct mock mock = behind(module);

	for (int i = 0; i < CONSUMERS; i++) {
		char path[4096];

		snprintf(path, sizeof path, "%s/consumer-%d.so", scratch, i);
		copy_file(build_path("consumers/consumer-1.so"), path);
		users[i] = user_at(load_consumer_file(path), build_path(MOCK));
		users[i].mock = mock;
		unlink(path);
	}
	for (int i = 0; i < CONSUMERS; i++)
		IS(initialise(&users[i]), CKR_OK);
	EQUAL(mock.get("initialise_calls"), 1);
	for (int i = 0; i < CONSUMERS; i++) {
		IS(work(&users[i]), CKR_OK);
		IS(finalise(&users[i]), CKR_OK);
		if (i + 1 < CONSUMERS)
			IS(work(&users[CONSUMERS - 1]), CKR_OK);
	}
	EQUAL(mock.get("finalise_done"), 1);
	IS(finalise(&users[0]), CKR_CRYPTOKI_NOT_INITIALIZED);
	IS(finalise(&users[CONSUMERS - 1]), CKR_CRYPTOKI_NOT_INITIALIZED);
	IS(slots_of(&users[CONSUMERS - 1]), CKR_CRYPTOKI_NOT_INITIALIZED);
	IS(initialise(&users[CONSUMERS - 1]), CKR_OK);
	IS(work(&users[CONSUMERS - 1]), CKR_OK);
	IS(finalise(&users[CONSUMERS - 1]), CKR_OK);
	EQUAL(mock.get("finalise_done"), 2);
}

/* More modules than there is room for: the rest works as without the shim. */
static void many_modules(void)
{
	enum { MODULES = 150 };
	static struct user users[MODULES];

	setenv("MOCK_OPTIONS", "lenient=1", 1); /* those beyond are called directly */
	for (int i = 0; i < MODULES; i++) {
		char path[4096];

		snprintf(path, sizeof path, "%s/module-%d.so", scratch, i);
		copy_file(build_path(MOCK), path);
		users[i] = user_of(1 + i % 4, path);
		IS(initialise(&users[i]), CKR_OK);
		IS(work(&users[i]), CKR_OK);
		unlink(path);
	}
	for (int i = 0; i < MODULES; i++) {
		IS(work(&users[i]), CKR_OK);
		IS(finalise(&users[i]), CKR_OK);
		IS(slots_of(&users[i]), CKR_CRYPTOKI_NOT_INITIALIZED);
		EQUAL(users[i].mock.get("finalise_done"), 1);
	}
}

int main(int argc, char **argv)
{
	static const struct test_case cases[] = {
	        {"B1-one-view", one_view},
	        {"B1-state-is-the-views", state_is_the_views},
	        {"B1-symlink-and-copy", symlink_and_copy},
	        {"B1-stale-list", stale_list},
	        {"B1-stale-list-meanwhile", stale_list_meanwhile},
	        {"B1-consumer-by-relative-path", consumer_by_relative_path},
	        {"B1-consumer-replaced", consumer_replaced},
	        {"B2-version-is-the-modules", version_is_the_modules},
	        {"B2-lists-inside-lists", lists_inside_lists},
	        {"B2-function-list-errors", function_list_errors},
	        {"B3-interfaces", interfaces},
	        {"B3-interface-errors", interface_errors},
	        {"B3-interface-of-a-dependency", interface_of_a_dependency},
	        {"B3-lists-of-one-version", lists_of_one_version},
	        {"B3-more-than-there-are", more_than_there_are},
	        {"B1-single-functions", single_functions},
	        {"B4-null-entries", null_entries},
	        {"B3-every-function", every_function},
	        {"B5-many-consumers", many_consumers},
	        {"B5-many-modules", many_modules},
	        {NULL, NULL},
	};

	return run_case(cases, argc, argv);
}
