/*
 * lists.c: the mock's function lists and interfaces. Each list has entry
 * functions of its own, which note which list and which function was called
 * with which words before they go on to the one implementation.
 *
 * Lists lie in read-only memory and end where a page without any access begins,
 * so that whoever writes to one or reads past its end crashes.
 *
 * Variants:
 *   MOCK_NO_INTERFACES   a 2.x module: exports nothing newer than 2.40
 *   MOCK_ONLY_LIST       exports C_GetFunctionList alone
 *   MOCK_SAME_ENTRIES    the exported symbols are the entries of the 2.40 list
 */
#include "rooms.h"
#include <dlfcn.h>
#include <sys/mman.h>
#include <unistd.h>

const char *const function_names[MOCK_FUNCTIONS] = {
#define CALL(name, ...) #name,
#include "standard/calls.def"
};

/* ---- entries: ENTRY(list, name, parameters) for each list and function */

#define ENTRY(where, name, ...)                                                                  \
	__attribute__((unused)) static CK_RV where##_##name(EACH(TYPED, __VA_ARGS__))            \
	{                                                                                        \
		struct mock_call call = {where, MOCK_##name, 0, {EACH(WORD, __VA_ARGS__)}};      \
		CK_RV rv;                                                                        \
		call.count = sizeof((uintptr_t[]){EACH(WORD, __VA_ARGS__)}) / sizeof(uintptr_t); \
		if (!before(&call, &rv))                                                         \
			return rv;                                                               \
		rv = mock_##name(where, EACH(NAMED, __VA_ARGS__));                               \
		after(&call);                                                                    \
		return rv;                                                                       \
	}
#define CALL(name, route, ...)                        \
	ENTRY(MOCK_DIRECT, name, __VA_ARGS__)         \
	ENTRY(MOCK_2_40, name, __VA_ARGS__)           \
	ENTRY(MOCK_INTERFACE_2_40, name, __VA_ARGS__) \
	ENTRY(MOCK_3_0, name, __VA_ARGS__)            \
	ENTRY(MOCK_3_1, name, __VA_ARGS__)            \
	ENTRY(MOCK_3_2, name, __VA_ARGS__)            \
	ENTRY(MOCK_3_9, name, __VA_ARGS__)
#define P PAIR
#include "standard/calls.def"

/* ---- exported symbols */

#define SYMBOL(name, ...) \
	EXPORT CK_RV name(EACH(TYPED, __VA_ARGS__)) __attribute__((alias("MOCK_DIRECT_" #name)));
#ifdef MOCK_ONLY_LIST
EXPORT CK_RV C_GetFunctionList(CK_FUNCTION_LIST_PTR_PTR list)
        __attribute__((alias("MOCK_DIRECT_C_GetFunctionList")));
#else
#ifdef MOCK_NO_INTERFACES
#define CALL_2_40(name, route, ...) SYMBOL(name, __VA_ARGS__)
#else
#define CALL(name, route, ...) SYMBOL(name, __VA_ARGS__)
#endif
#define P PAIR
#include "standard/calls.def"
#endif

/* ---- lists */

struct list_3_9 {
	CK_FUNCTION_LIST_3_2 known;
	CK_RV (*future[4])(void);
};

static CK_RV future(void)
{
	broken("a function newer than 3.2 was called");
}

static CK_RV vendor_twice(CK_ULONG number, CK_ULONG_PTR result)
{
	*result = 2 * number;
	return CKR_OK;
}

static void *list_memory[MOCK_LISTS + 1]; /* the last one is the vendor's list */

/* Version and functions; what lies between is undefined. */
static bool same_list(const char *a, const char *b, size_t size)
{
	return !memcmp(a, b, sizeof(CK_VERSION)) &&
	       !memcmp(a + sizeof(void *), b + sizeof(void *), size - sizeof(void *));
}

/* Put a list where a guard page follows at once, and make it read-only. */
static void place(unsigned int list, const void *content, size_t size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), pages = (size + page - 1) / page * page;
	char *memory = list_memory[list] ? (char *)list_memory[list] + size - pages : NULL;

	if (memory && same_list(list_memory[list], content, size))
		return;
	if (!memory) {
		memory = mmap(NULL, pages + page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (memory == MAP_FAILED)
			broken("no memory for lists");
	}
	mprotect(memory, pages, PROT_READ | PROT_WRITE);
	list_memory[list] = memory + pages - size;
	memcpy(list_memory[list], content, size);
	mprotect(memory, pages, PROT_READ);
}

/* Every n-th entry NULL, but never C_Initialize and C_Finalize. */
static void leave_out(void *list, size_t size)
{
	size_t n = (size_t)ASK(null_entries), first = offsetof(CK_FUNCTION_LIST, C_Initialize);
	char *entry = (char *)list + first;

	for (size_t i = 0; n && i < (size - first) / sizeof(void *); i++)
		if ((i + 1) % n == 0 && i > 1)
			memset(entry + i * sizeof(void *), 0, sizeof(void *));
}

#define PLACE(list, content)                              \
	do {                                              \
		leave_out(&(content), sizeof(content));   \
		place(list, &(content), sizeof(content)); \
	} while (0)

static void build_2_40(void)
{
	CK_FUNCTION_LIST list = {.version = {(CK_BYTE)ASK(version_major), (CK_BYTE)ASK(version_minor)}};

#ifdef MOCK_SAME_ENTRIES
#define CALL_2_40(name, ...) list.name = MOCK_DIRECT_##name;
#else
#define CALL_2_40(name, ...) list.name = MOCK_2_40_##name;
#endif
#include "standard/calls.def"
	PLACE(MOCK_2_40, list);
}

static void build_interface_2_40(void)
{
	CK_FUNCTION_LIST list = {.version = {2, 40}};

#define CALL_2_40(name, ...) list.name = MOCK_INTERFACE_2_40_##name;
#include "standard/calls.def"
	PLACE(MOCK_INTERFACE_2_40, list);
}

static void build_3_0(void)
{
	CK_FUNCTION_LIST_3_0 list = {.version = {3, 0}};

#define CALL_2_40(name, ...) list.name = MOCK_3_0_##name;
#define CALL_3_0(name, ...) list.name = MOCK_3_0_##name;
#include "standard/calls.def"
	PLACE(MOCK_3_0, list);
}

static void build_3_1(void)
{
	CK_FUNCTION_LIST_3_0 list = {.version = {3, 1}};

#define CALL_2_40(name, ...) list.name = MOCK_3_1_##name;
#define CALL_3_0(name, ...) list.name = MOCK_3_1_##name;
#include "standard/calls.def"
	PLACE(MOCK_3_1, list);
}

static void build_3_2(void)
{
	CK_FUNCTION_LIST_3_2 list = {.version = {3, 2}};

#define CALL(name, ...) list.name = MOCK_3_2_##name;
#include "standard/calls.def"
	PLACE(MOCK_3_2, list);
}

static void build_3_9(void)
{
	struct list_3_9 list = {.known = {.version = {3, 9}}, .future = {future, future, future, future}};

#define CALL(name, ...) list.known.name = MOCK_3_9_##name;
#include "standard/calls.def"
	PLACE(MOCK_3_9, list);
}

static CK_INTERFACE interfaces[6];
static CK_ULONG interface_count;
static CK_UTF8CHAR standard_name[] = "PKCS 11", vendor_name[] = MOCK_VENDOR_INTERFACE;

/* The first is the default. */
static void build_interfaces(void)
{
	static const struct {
		int bit;
		unsigned int list;
	} offers[] = {{16, MOCK_3_9},           {8, MOCK_3_2},   {4, MOCK_3_1}, {2, MOCK_3_0},
	              {1, MOCK_INTERFACE_2_40}, {32, MOCK_LISTS}};
	CK_INTERFACE interface;

	interface_count = 0;
	for (size_t i = 0; i < sizeof offers / sizeof offers[0]; i++) {
		if (!(ASK(interfaces) & offers[i].bit))
			continue;
		interface.pInterfaceName = offers[i].bit == 32 ? vendor_name : standard_name;
		interface.pFunctionList = list_memory[offers[i].list];
		interface.flags = (CK_FLAGS)ASK(interface_flags);
		interfaces[interface_count++] = interface;
	}
}

void build_lists(void)
{
	struct mock_vendor_list vendor = {{1, 0}, vendor_twice};

	build_2_40();
	build_interface_2_40();
	build_3_0();
	build_3_1();
	build_3_2();
	build_3_9();
	place(MOCK_LISTS, &vendor, sizeof vendor);
	build_interfaces();
}

long vendor_list(void)
{
	return (long)(uintptr_t)list_memory[MOCK_LISTS];
}

/* ---- asking for them */

/* What a failing function leaves in its output. */
static void spoil(void *output)
{
	void *invalid = (void *)(uintptr_t)0x11;

	if (!output || !ASK(garbage))
		return;
	if (ASK(garbage) == 1)
		invalid = NULL;
	memcpy(output, &invalid, sizeof invalid);
}

static void load_another(void)
{
	void *handle = dlopen(nest_module(), RTLD_NOW | RTLD_LOCAL);
	CK_C_GetFunctionList get_list;
	CK_FUNCTION_LIST *list;

	if (!handle)
		broken("cannot load %s: %s", nest_module(), dlerror());
	get_list = (CK_C_GetFunctionList)(uintptr_t)dlsym(handle, "C_GetFunctionList");
	if (get_list(&list) != CKR_OK)
		broken("no function list from %s", nest_module());
}

CK_RV mock_C_GetFunctionList(enum mock_list where, CK_FUNCTION_LIST_PTR_PTR list)
{
	(void)where;
	if (ASK(get_function_list_fails)) {
		spoil(list);
		return (CK_RV)ASK(get_function_list_fails);
	}
	if (!list)
		return CKR_ARGUMENTS_BAD;
	if (ASK(load_in_list) && nest_module())
		load_another();
	*list = list_memory[MOCK_2_40];
	return CKR_OK;
}

/* Section 5.4.5 (3.0). */
CK_RV mock_C_GetInterfaceList(enum mock_list where, CK_INTERFACE_PTR list, CK_ULONG_PTR count)
{
	CK_ULONG room;

	(void)where;
	if (ASK(get_interface_fails)) {
		spoil(count);
		return (CK_RV)ASK(get_interface_fails);
	}
	if (!count)
		return CKR_ARGUMENTS_BAD;
	room = *count;
	*count = interface_count;
	if (!list)
		return CKR_OK;
	if (room < interface_count)
		return CKR_BUFFER_TOO_SMALL;
	memcpy(list, interfaces, interface_count * sizeof *list);
	return CKR_OK;
}

/* Section 5.4.6 (3.0). */
CK_RV mock_C_GetInterface(enum mock_list where, CK_UTF8CHAR_PTR name, CK_VERSION_PTR version,
                          CK_INTERFACE_PTR_PTR interface, CK_FLAGS flags)
{
	(void)where;
	if (ASK(get_interface_fails)) {
		spoil(interface);
		return (CK_RV)ASK(get_interface_fails);
	}
	if (!interface)
		return CKR_ARGUMENTS_BAD;
	for (CK_ULONG i = 0; i < interface_count; i++) {
		CK_VERSION *offered = interfaces[i].pFunctionList;

		if (name && strcmp((char *)name, (char *)interfaces[i].pInterfaceName))
			continue;
		if (version && (version->major != offered->major || version->minor != offered->minor))
			continue;
		if ((interfaces[i].flags & flags) != flags)
			continue;
		*interface = &interfaces[i];
		return CKR_OK;
	}
	return CKR_ARGUMENTS_BAD;
}
