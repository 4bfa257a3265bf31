/*
 * every-function: every function of every list that a module hands out leads to
 * the function of the same name in the same list of the module, with the same
 * arguments, and its answer comes back.
 *
 *	every-function [--observe] MODULE
 *
 *	--observe   the shim only watches (mode = observe)
 *
 * The module's own lists are obtained behind the shim's back, from the module's
 * symbol table, and every entry is replaced by a recorder: one for each function
 * of each list, which notes its arguments and answers what no other answers. So
 * the module itself is never initialised, and needs no token. Then the program
 * gets all lists as any consumer does and calls whatever is in them. Of what the
 * shim looks after itself (life cycle, sessions, slot events, lists) it expects
 * what the shim promises. Lists that lie in the same memory share recorders: the
 * module itself does not tell them apart.
 *
 * That each name stands in its place, calls.def itself cannot tell; it is seen
 * in modules whose lists hold their exported functions.
 *
 * Prints, with the shim
 *
 *	opensc-pkcs11.so: through the shim
 *	opensc-pkcs11.so: 159 entries are the exported function of that name
 *	opensc-pkcs11.so C_GetFunctionList 2.20: 68 functions
 *	opensc-pkcs11.so PKCS 11 3.0: 92 functions
 *	libsoftokn3.so Vendor NSS Module Interface 1.0: the module's own
 *
 * without it `not through the shim`, and the same for the lists; and whatever
 * was not as expected. Exit status 0 only if all was.
 */
#include "standard/calls.h"
#include "names.h"
#include "each.h"
#include <dlfcn.h>
#include <getopt.h>
#include <link.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { LISTS = 8, OFFERED = 16, SHOWN = 40 };

static const char *module_name;
static bool wrapped; /* the shim is between us and the module */
static bool managed; /* ... and looks after life cycle and sessions */

/* ---- What went wrong */

static unsigned failures;
static char subject[128]; /* the list in question */

__attribute__((format(printf, 1, 2))) static bool fail(const char *format, ...)
{
	va_list arguments;

	if (failures++ >= SHOWN)
		return false;
	printf("FAILED: %s: ", subject);
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	printf("\n");
	return false;
}

__attribute__((format(printf, 1, 2), noreturn)) static void stop(const char *format, ...)
{
	va_list arguments;

	fflush(stdout);
	fprintf(stderr, "every-function: %s: ", module_name);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fprintf(stderr, "\n");
	exit(2);
}

/* ---- calls.def as a table and as calls with the types of the standard */

enum shape { POINTER, NUMBER, BYTE };

struct parameter {
	enum shape shape;
	enum parameter_kind kind;
};

#define SHAPE(type) _Generic((type)0, CK_ULONG : NUMBER, CK_BBOOL : BYTE, default : POINTER)
#define PARAMETERS(...) (sizeof((struct parameter[]){__VA_ARGS__}) / sizeof(struct parameter))

static const struct {
	const char *name;
	unsigned parameters;
	struct parameter parameter[CALL_PARAMETERS];
} functions[CALLS] = {
#define CALL(name, route, ...) {#name, PARAMETERS(__VA_ARGS__), {__VA_ARGS__}},
#define P(type, name, kind)                   \
	{                                     \
		SHAPE(type), PARAMETER_##kind \
	}
#include "standard/calls.def"
};

#define PLACE(pair) PLACE_ pair
#define PLACE_(type, name) at_##name
#define TAKE(pair) TAKE_ pair
#define TAKE_(type, name) (type) words[at_##name]

#define CALL(name, route, ...)                                                    \
	static CK_RV call_##name(const void *function, const uintptr_t *words)    \
	{                                                                         \
		enum { EACH(PLACE, __VA_ARGS__) };                                \
		return ((CK_##name)(uintptr_t)function)(EACH(TAKE, __VA_ARGS__)); \
	}
#define P PAIR
#include "standard/calls.def"

static CK_RV (*const callers[CALLS])(const void *, const uintptr_t *) = {
#define CALL(name, ...) call_##name,
#include "standard/calls.def"
};

/* A number with something in its upper half, to see whether all of it arrives. */
static uintptr_t number(unsigned mark, unsigned n)
{
	return (uintptr_t)mark << (sizeof(uintptr_t) * 8 - 16) | n;
}

/* No two calls have an argument in common. Where pointers lead can be read, by whoever records. */
static void fill(uintptr_t *words, unsigned which, unsigned function)
{
	static uintptr_t readable[OFFERED * CALLS * CALL_PARAMETERS + 64];

	for (unsigned i = 0; i < functions[function].parameters; i++) {
		const struct parameter *p = &functions[function].parameter[i];
		unsigned n = (which * CALLS + function) * CALL_PARAMETERS + i;

		words[i] = p->kind == PARAMETER_RESERVED        ? 0
		           : p->kind == PARAMETER_SECRET_LENGTH ? 4 + i
		           : p->shape == POINTER                ? (uintptr_t)&readable[n]
		           : p->shape == BYTE                   ? (CK_BBOOL)(n | 0x80)
		                                                : number(0x5a5a, n);
	}
}

/* ---- The module's own lists, and the recorders in them */

static struct own {
	void *list;
	char name[48]; /* of the first interface that it belongs to */
	unsigned functions;
	void *original[CALLS];
} own[LISTS];
static unsigned owns;

struct record {
	unsigned list, function, count;
	uintptr_t words[CALL_PARAMETERS];
};
static struct record records[8];
static unsigned recorded;

/* How recorders answer: what no other answers, or as a module that works. */
static bool works;
static bool event;
static CK_SLOT_ID event_slot;
static CK_SESSION_HANDLE newest_session;
static CK_C_INITIALIZE_ARGS given; /* to C_Initialize */

#define ANSWER(list, function) (~(CK_RV)0 - ((CK_RV)(list) << 8 | (function)))

static CK_RV get_from_module(const struct record *call)
{
	return callers[call->function](own[call->list].original[call->function], call->words);
}

static CK_RV record(unsigned list, unsigned function, const uintptr_t *words, unsigned count)
{
	struct record call = {.list = list, .function = function, .count = count};

	memcpy(call.words, words, count * sizeof(*words));
	if (recorded < COUNT(records))
		records[recorded] = call;
	recorded++;
	switch (function) {
	case CALL_C_GetFunctionList:
	case CALL_C_GetInterface:
	case CALL_C_GetInterfaceList:
		return get_from_module(&call);
	case CALL_C_Initialize:
		if (words[0])
			given = *(CK_C_INITIALIZE_ARGS *)words[0];
		break;
	case CALL_C_OpenSession:
		if (works)
			*(CK_SESSION_HANDLE *)words[4] = ++newest_session;
		break;
	case CALL_C_WaitForSlotEvent:
		if (!works)
			break;
		if (!event)
			return CKR_NO_EVENT;
		event = false;
		*(CK_SLOT_ID *)words[1] = event_slot;
		break;
	}
	return works ? CKR_OK : ANSWER(list, function);
}

#define RECORDER(list, name, ...)                                                        \
	static CK_RV recorder_##list##_##name(EACH(TYPED, __VA_ARGS__))                  \
	{                                                                                \
		const uintptr_t words[] = {EACH(WORD, __VA_ARGS__)};                     \
		return record(list, CALL_##name, words, sizeof(words) / sizeof(*words)); \
	}
#define CALL(name, route, ...)         \
	RECORDER(0, name, __VA_ARGS__) \
	RECORDER(1, name, __VA_ARGS__) \
	RECORDER(2, name, __VA_ARGS__) \
	RECORDER(3, name, __VA_ARGS__) \
	RECORDER(4, name, __VA_ARGS__) \
	RECORDER(5, name, __VA_ARGS__) \
	RECORDER(6, name, __VA_ARGS__) \
	RECORDER(7, name, __VA_ARGS__)
#define P PAIR
#include "standard/calls.def"

static void *const recorders[CALLS][LISTS] = {
#define CALL(name, ...)                                                              \
	{recorder_0_##name, recorder_1_##name, recorder_2_##name, recorder_3_##name, \
	 recorder_4_##name, recorder_5_##name, recorder_6_##name, recorder_7_##name},
#include "standard/calls.def"
};

static const void *dynamic(const struct link_map *map, ElfW(Sxword) tag)
{
	for (const ElfW(Dyn) *entry = map->l_ld; entry->d_tag != DT_NULL; entry++)
		if (entry->d_tag == tag) /* relocated, except where the section is read-only */
			return (const void *)(entry->d_un.d_ptr < map->l_addr
			                              ? entry->d_un.d_ptr + map->l_addr
			                              : entry->d_un.d_ptr);
	stop("no entry %ld in its dynamic section", (long)tag);
}

/* What the module itself exports under that name, or NULL: dlsym() without dlsym(). */
static void *exported(const struct link_map *map, const char *name)
{
	const ElfW(Sym) *symbols = dynamic(map, DT_SYMTAB);
	const char *names = dynamic(map, DT_STRTAB);
	const uint32_t *table = dynamic(map, DT_GNU_HASH);
	uint32_t buckets = table[0], first = table[1], bloom = table[2], hash = 5381;
	const uint32_t *bucket = table + 4 + bloom * (sizeof(ElfW(Addr)) / sizeof(uint32_t));
	const uint32_t *chain = bucket + buckets;

	for (const char *c = name; *c; c++)
		hash = hash * 33 + (unsigned char)*c;
	for (uint32_t i = bucket[hash % buckets]; i >= first; i++) {
		if ((chain[i - first] | 1) == (hash | 1) && !strcmp(names + symbols[i].st_name, name))
			return (void *)(map->l_addr + symbols[i].st_value);
		if (chain[i - first] & 1)
			break;
	}
	return NULL;
}

static void **entries(const void *list)
{
	return (void **)((char *)list + offsetof(CK_FUNCTION_LIST, C_Initialize));
}

/* The number of a list of the module's own; the same memory is the same list. */
static unsigned own_list(const CK_INTERFACE *interface, unsigned size)
{
	const CK_VERSION *version = interface->pFunctionList;
	unsigned i = 0;

	while (i < owns && own[i].list != interface->pFunctionList)
		i++;
	if (i == LISTS)
		stop("more than %d lists", LISTS);
	if (i == owns) {
		own[owns++].list = interface->pFunctionList;
		snprintf(own[i].name, sizeof(own[i].name), "%s %d.%d", interface->pInterfaceName,
		         version->major, version->minor);
	}
	if (own[i].functions < size)
		own[i].functions = size;
	return i;
}

/* Is an entry one of the module's exported functions? Then it bears that one's name. */
static bool bears_its_name(const struct link_map *map, void *entry, const char *name)
{
	Dl_info info;

	if (entry && exported(map, name) == entry)
		return true;
	if (entry && dladdr(entry, &info) && info.dli_saddr == entry && !strncmp(info.dli_sname, "C_", 2))
		fail("%s of the standard's list is %s in the module's", name, info.dli_sname);
	return false;
}

static unsigned replace(const struct link_map *map, struct own *it)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), begin = (uintptr_t)it->list & -page;
	void **entry = entries(it->list);
	unsigned named = 0;

	if (mprotect((void *)begin, (uintptr_t)(entry + it->functions) - begin, PROT_READ | PROT_WRITE) < 0)
		stop("cannot write to its lists: %m");
	for (unsigned i = 0; i < it->functions; i++) {
		named += bears_its_name(map, entry[i], functions[i].name);
		it->original[i] = entry[i];
		entry[i] = recorders[i][it - own];
	}
	return named;
}

/* ---- What a consumer is offered */

static struct offered {
	CK_INTERFACE interface; /* as the consumer gets it */
	const CK_INTERFACE *at; /* where C_GetInterface of the module itself has it */
	CK_VERSION version;
	unsigned own, functions; /* functions is 0 for a vendor's: not wrapped */
} offered[OFFERED];
static unsigned offers;

static void set_subject(const struct offered *o)
{
	snprintf(subject, sizeof(subject), "%s %s %d.%d", module_name, o->interface.pInterfaceName,
	         o->version.major, o->version.minor);
}

/* A newer minor version is offered as the newest that is known (contract B3). */
static unsigned known(CK_VERSION *version)
{
	if (version->major == 3 && version->minor > 2 && wrapped)
		version->minor = 2;
	return version->major == 2   ? CALLS_2_40
	       : version->major != 3 ? 0
	       : version->minor < 2  ? CALLS_3_0
	                             : CALLS_3_2;
}

struct getters {
	CK_C_GetFunctionList list;
	CK_C_GetInterfaceList interfaces;
	CK_C_GetInterface interface;
};

static struct getters by_dlsym(void *handle)
{
	return (struct getters){
	        (CK_C_GetFunctionList)(uintptr_t)dlsym(handle, "C_GetFunctionList"),
	        (CK_C_GetInterfaceList)(uintptr_t)dlsym(handle, "C_GetInterfaceList"),
	        (CK_C_GetInterface)(uintptr_t)dlsym(handle, "C_GetInterface"),
	};
}

static struct getters by_symbol_table(const struct link_map *map)
{
	return (struct getters){
	        (CK_C_GetFunctionList)(uintptr_t)exported(map, "C_GetFunctionList"),
	        (CK_C_GetInterfaceList)(uintptr_t)exported(map, "C_GetInterfaceList"),
	        (CK_C_GetInterface)(uintptr_t)exported(map, "C_GetInterface"),
	};
}

/* All that a module has, C_GetFunctionList's first. */
static unsigned ask(const struct getters *get, CK_INTERFACE *all)
{
	CK_FUNCTION_LIST *list = NULL;
	CK_ULONG count = OFFERED - 1;

	if (!get->list || get->list(&list) != CKR_OK || !list)
		stop("no function list");
	all[0] = (CK_INTERFACE){(CK_UTF8CHAR *)"C_GetFunctionList", list, 0};
	if (!get->interfaces)
		return 1;
	if (get->interfaces(all + 1, &count) != CKR_OK)
		stop("no list of at most %d interfaces", OFFERED - 1);
	return 1 + (unsigned)count;
}

static bool same_interface(const CK_INTERFACE *a, const CK_INTERFACE *b)
{
	return a->pFunctionList == b->pFunctionList && a->flags == b->flags &&
	       !strcmp((char *)a->pInterfaceName, (char *)b->pInterfaceName);
}

/* What the consumer has got for the i-th of the module's own. */
static void compare_offer(struct offered *o, const CK_INTERFACE *raw)
{
	const CK_VERSION *version = o->interface.pFunctionList;
	bool same_list = o->interface.pFunctionList == raw->pFunctionList;

	set_subject(o);
	if (strcmp((char *)o->interface.pInterfaceName, (char *)raw->pInterfaceName))
		fail("the module's is named %s", raw->pInterfaceName);
	if (o->interface.flags != raw->flags)
		fail("flags 0x%lx, the module's has 0x%lx", o->interface.flags, raw->flags);
	if (version->major != o->version.major || version->minor != o->version.minor)
		fail("its version is %d.%d", version->major, version->minor);
	if (same_list != (!wrapped || o->functions == 0))
		fail(same_list ? "it is the module's own list" : "it is not the module's own list");
}

static const CK_INTERFACE *module_interface(const struct getters *raw, const CK_INTERFACE *it)
{
	CK_INTERFACE *found = NULL;

	if (!raw->interface || raw->interface(it->pInterfaceName, it->pFunctionList, &found, 0) != CKR_OK)
		return NULL;
	return found;
}

static void prepare(const char *path)
{
	CK_INTERFACE all[OFFERED], seen[OFFERED], again[OFFERED];
	void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	struct getters raw, get;
	struct link_map *map;
	unsigned named = 0, first_count;

	if (!handle || dlinfo(handle, RTLD_DI_LINKMAP, &map) < 0)
		stop("%s", dlerror());
	snprintf(subject, sizeof(subject), "%s", module_name);
	raw = by_symbol_table(map);
	get = by_dlsym(handle);
	wrapped = get.list != raw.list;
	managed = managed && wrapped;
	if (raw.interfaces && wrapped != (get.interfaces != raw.interfaces))
		fail("C_GetInterfaceList is not the shim's");
	if (raw.interface && wrapped != (get.interface != raw.interface))
		fail("C_GetInterface is not the shim's");
	printf("%s: %sthrough the shim\n", module_name, wrapped ? "" : "not ");

	offers = ask(&raw, all);
	for (unsigned i = 0; i < offers; i++) {
		struct offered *o = &offered[i];
		bool standard = i == 0 || !strcmp((char *)all[i].pInterfaceName, "PKCS 11");

		o->version = *(CK_VERSION *)all[i].pFunctionList;
		o->functions = i == 0 ? CALLS_2_40 : standard ? known(&o->version) : 0;
		if (o->functions > 0)
			o->own = own_list(&all[i], o->functions);
		if (i > 0 && !(o->at = module_interface(&raw, &all[i])))
			stop("C_GetInterface does not know %s %d.%d", all[i].pInterfaceName, o->version.major,
			     o->version.minor);
	}
	for (unsigned i = 0; i < owns; i++)
		named += replace(map, &own[i]);
	if (named > 0)
		printf("%s: %u entries are the exported function of that name\n", module_name, named);

	first_count = ask(&get, seen);
	if (first_count != offers)
		stop("%u lists, the module has %u", first_count, offers);
	for (unsigned i = 0; i < offers; i++) {
		offered[i].interface = seen[i];
		compare_offer(&offered[i], &all[i]);
	}
	ask(&get, again);
	for (unsigned i = 0; i < offers; i++) {
		set_subject(&offered[i]);
		if (!same_interface(&seen[i], &again[i]))
			fail("another list when asked again");
	}
}

/* ---- Calls, and what must come of them */

/* Calls a function of the list with these words, with the records emptied before. */
static CK_RV call(const struct offered *o, unsigned function, const uintptr_t *words)
{
	recorded = 0;
	return callers[function](entries(o->interface.pFunctionList)[function], words);
}

static bool same_words(const struct record *got, const uintptr_t *words)
{
	bool good = true;

	for (unsigned i = 0; i < functions[got->function].parameters; i++)
		if (got->words[i] != words[i])
			good = fail("%s: argument %u is 0x%lx, expected 0x%lx", functions[got->function].name,
			            i + 1, (long)got->words[i], (long)words[i]);
	return good;
}

/* Did the n-th record come of a call of this function of this list? */
static bool is_from(const struct offered *o, unsigned function, unsigned n)
{
	const struct record *got = &records[n];

	if (got->function == function && got->list == o->own)
		return true;
	return fail("%s: reached %s of %s, expected %s of %s", functions[function].name,
	            functions[got->function].name, own[got->list].name, functions[function].name,
	            own[o->own].name);
}

static bool answers(unsigned function, CK_RV rv, CK_RV expected)
{
	if (rv == expected)
		return true;
	fail("%s: answer %s", functions[function].name, rv_name(rv));
	return fail("%s: expected %s", functions[function].name, rv_name(expected));
}

static bool reached_once(unsigned function)
{
	return recorded == 1 ||
	       fail("%s: reached the module %u times, expected once", functions[function].name, recorded);
}

/* The ordinary case: the one function is called once, with just these words, and its answer comes back. */
static bool reaches(const struct offered *o, unsigned function, const uintptr_t *words)
{
	CK_RV rv = call(o, function, words);

	return reached_once(function) && is_from(o, function, 0) && same_words(&records[0], words) &&
	       answers(function, rv, works ? CKR_OK : ANSWER(o->own, function));
}

/*
 * The module gets a copy of the arguments, with locking switched on (contract
 * C8). Nothing but slot events may be asked for besides.
 */
static bool initialises(const struct offered *o)
{
	static char reserved[] = "every-function";
	CK_C_INITIALIZE_ARGS args = {.flags = CKF_LIBRARY_CANT_CREATE_OS_THREADS, .pReserved = reserved};
	uintptr_t words[] = {(uintptr_t)&args};
	unsigned found = 0;
	CK_RV rv;

	if (!managed)
		return reaches(o, CALL_C_Initialize, words);
	rv = call(o, CALL_C_Initialize, words);
	for (unsigned i = 0; i < recorded && i < COUNT(records); i++)
		if (records[i].function != CALL_C_WaitForSlotEvent)
			records[found++] = records[i];
	recorded = found;
	if (!reached_once(CALL_C_Initialize) || !is_from(o, CALL_C_Initialize, 0) ||
	    !answers(CALL_C_Initialize, rv, works ? CKR_OK : ANSWER(o->own, CALL_C_Initialize)))
		return false;
	args.flags |= CKF_OS_LOCKING_OK;
	if (records[0].words[0] == words[0])
		return fail("C_Initialize: the caller's own arguments");
	if (memcmp(&given, &args, sizeof(args)))
		return fail("C_Initialize: other arguments than the caller's with locking");
	return true;
}

static bool finalises(const struct offered *o)
{
	static const uintptr_t words[] = {0};

	return reaches(o, CALL_C_Finalize, words);
}

static bool opens(const struct offered *o, CK_SLOT_ID slot, CK_SESSION_HANDLE *session)
{
	uintptr_t words[CALL_PARAMETERS];

	fill(words, (unsigned)(o - offered), CALL_C_OpenSession);
	words[0] = slot;
	words[4] = (uintptr_t)session;
	*session = 0;
	works = true;
	if (!reaches(o, CALL_C_OpenSession, words))
		return false;
	return *session == newest_session ||
	       fail("C_OpenSession: session 0x%lx, expected 0x%lx", *session, newest_session);
}

static bool closes(const struct offered *o, CK_SESSION_HANDLE session)
{
	uintptr_t words[] = {session};

	works = false; /* a session that is not closed, and then is */
	if (!reaches(o, CALL_C_CloseSession, words))
		return false;
	works = true;
	return reaches(o, CALL_C_CloseSession, words);
}

static bool check_open(const struct offered *o)
{
	uintptr_t words[CALL_PARAMETERS];
	CK_SESSION_HANDLE session;

	fill(words, (unsigned)(o - offered), CALL_C_OpenSession);
	return reaches(o, CALL_C_OpenSession, words) && opens(o, number(0x510, 1), &session) &&
	       closes(o, session);
}

static bool check_close(const struct offered *o)
{
	CK_SESSION_HANDLE session;

	return opens(o, number(0x510, 2), &session) && closes(o, session);
}

/* Of the caller's sessions those on that slot, each by itself (contract D1). */
static bool check_close_all(const struct offered *o)
{
	uintptr_t words[] = {number(0x510, 3)};
	CK_SESSION_HANDLE a, b, other;
	CK_RV rv;

	if (!managed)
		return reaches(o, CALL_C_CloseAllSessions, words);
	if (!opens(o, words[0], &a) || !opens(o, number(0x510, 4), &other) || !opens(o, words[0], &b))
		return false;
	rv = call(o, CALL_C_CloseAllSessions, words);
	if (recorded != 2)
		return fail("C_CloseAllSessions: %u calls of the module, expected two", recorded);
	if (!is_from(o, CALL_C_CloseSession, 0) || !is_from(o, CALL_C_CloseSession, 1))
		return false;
	if (!(records[0].words[0] == a && records[1].words[0] == b) &&
	    !(records[0].words[0] == b && records[1].words[0] == a))
		return fail("C_CloseAllSessions: closed 0x%lx and 0x%lx, expected 0x%lx and 0x%lx",
		            (long)records[0].words[0], (long)records[1].words[0], a, b);
	return answers(CALL_C_CloseAllSessions, rv, CKR_OK) && closes(o, other);
}

/*
 * The shim asks on behalf of all views, by whichever list (contract D3). First
 * there is an event, then an answer of the module's own.
 */
static bool check_wait(const struct offered *o)
{
	CK_SLOT_ID slot = 0;
	uintptr_t words[] = {CKF_DONT_BLOCK, (uintptr_t)&slot, 0};

	for (int error = 0; error <= 1; error++) {
		works = !error;
		event = !error;
		event_slot = number(0x510, 100 + (unsigned)(o - offered));
		CK_RV rv = call(o, CALL_C_WaitForSlotEvent, words);
		if (!reached_once(CALL_C_WaitForSlotEvent))
			return false;
		if (managed) {
			if (records[0].function != CALL_C_WaitForSlotEvent)
				return is_from(o, CALL_C_WaitForSlotEvent, 0);
			if (!(records[0].words[0] & CKF_DONT_BLOCK) || records[0].words[2])
				return fail("C_WaitForSlotEvent: flags 0x%lx, pReserved 0x%lx",
				            (long)records[0].words[0], (long)records[0].words[2]);
		} else if (!is_from(o, CALL_C_WaitForSlotEvent, 0) || !same_words(&records[0], words)) {
			return false;
		}
		if (!answers(CALL_C_WaitForSlotEvent, rv,
		             works ? CKR_OK : ANSWER(records[0].list, CALL_C_WaitForSlotEvent)))
			return false;
		if (slot != event_slot)
			return fail("C_WaitForSlotEvent: slot 0x%lx, expected 0x%lx", slot, event_slot);
	}
	return true;
}

/* Inside a list the getters give the consumer's own again (contract B2). */
static bool check_get_list(const struct offered *o)
{
	CK_FUNCTION_LIST *list = NULL;
	uintptr_t words[] = {(uintptr_t)&list};
	CK_RV rv = call(o, CALL_C_GetFunctionList, words);

	if (!(wrapped && recorded == 0) && /* the shim knows already what the module says */
	    !(reached_once(CALL_C_GetFunctionList) && is_from(o, CALL_C_GetFunctionList, 0) &&
	      same_words(&records[0], words)))
		return false;
	if (!answers(CALL_C_GetFunctionList, rv, CKR_OK))
		return false;
	return list == offered[0].interface.pFunctionList ||
	       fail("C_GetFunctionList: another list than the consumer's");
}

static bool check_get_interface(const struct offered *o)
{
	for (unsigned i = 1; i < offers; i++) {
		const struct offered *it = &offered[i];
		CK_VERSION version = *(CK_VERSION *)it->at->pFunctionList;
		CK_INTERFACE *interface = NULL;
		uintptr_t words[] = {(uintptr_t)it->interface.pInterfaceName, (uintptr_t)&version,
		                     (uintptr_t)&interface, 0};
		CK_RV rv = call(o, CALL_C_GetInterface, words);

		if (!reached_once(CALL_C_GetInterface) || !is_from(o, CALL_C_GetInterface, 0) ||
		    !same_words(&records[0], words) || !answers(CALL_C_GetInterface, rv, CKR_OK))
			return false;
		if (!interface || !same_interface(interface, &it->interface))
			return fail("C_GetInterface: another %s %d.%d than in C_GetInterfaceList",
			            it->interface.pInterfaceName, version.major, version.minor);
		if ((interface == it->at) != (!wrapped || it->functions == 0))
			return fail("C_GetInterface: %s %d.%d is%s the module's own",
			            it->interface.pInterfaceName, version.major, version.minor,
			            interface == it->at ? "" : " not");
	}
	return true;
}

static bool check_get_interfaces(const struct offered *o)
{
	CK_INTERFACE all[OFFERED];
	CK_ULONG count = OFFERED;
	uintptr_t words[] = {(uintptr_t)all, (uintptr_t)&count};
	CK_RV rv = call(o, CALL_C_GetInterfaceList, words);

	if (!reached_once(CALL_C_GetInterfaceList) || !is_from(o, CALL_C_GetInterfaceList, 0) ||
	    !same_words(&records[0], words) || !answers(CALL_C_GetInterfaceList, rv, CKR_OK))
		return false;
	if (count != offers - 1)
		return fail("C_GetInterfaceList: %lu interfaces, expected %u", count, offers - 1);
	for (unsigned i = 1; i < offers; i++)
		if (!same_interface(&all[i - 1], &offered[i].interface))
			return fail("C_GetInterfaceList: another %s", offered[i].interface.pInterfaceName);
	return true;
}

static bool check_function(const struct offered *o, unsigned function)
{
	uintptr_t words[CALL_PARAMETERS];

	works = false;
	switch (function) {
	case CALL_C_OpenSession:
		return check_open(o);
	case CALL_C_CloseSession:
		return check_close(o);
	case CALL_C_CloseAllSessions:
		return check_close_all(o);
	case CALL_C_WaitForSlotEvent:
		return check_wait(o);
	case CALL_C_GetFunctionList:
		return check_get_list(o);
	case CALL_C_GetInterface:
		return check_get_interface(o);
	case CALL_C_GetInterfaceList:
		return check_get_interfaces(o);
	}
	fill(words, (unsigned)(o - offered), function);
	return reaches(o, function, words);
}

/* Each list has the module to itself, from a C_Initialize of its own to its C_Finalize. */
static void check_list(const struct offered *o)
{
	unsigned good = 0;

	works = false;
	bool initialised = initialises(o);
	works = true;
	initialised &= initialises(o);
	good += initialised;
	for (unsigned i = 0; i < o->functions; i++)
		if (i != CALL_C_Initialize && i != CALL_C_Finalize)
			good += check_function(o, i);
	works = false;
	bool finalised = finalises(o);
	works = true;
	finalised &= finalises(o);
	good += finalised;
	printf("%s: %u functions\n", subject, good);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"observe", no_argument, NULL, 'o'}, {NULL, 0, NULL, 0}};
	const char *slash;
	int option;

	managed = true;
	newest_session = number(0x5e55, 0);
	while ((option = getopt_long(argc, argv, "", options, NULL)) == 'o')
		managed = false;
	if (option != -1 || optind != argc - 1) {
		fputs("usage: every-function [--observe] MODULE\n", stderr);
		return 2;
	}
	slash = strrchr(argv[optind], '/');
	module_name = slash ? slash + 1 : argv[optind];
	prepare(argv[optind]);
	for (unsigned i = 0; i < offers; i++) {
		set_subject(&offered[i]);
		if (offered[i].functions > 0)
			check_list(&offered[i]);
		else
			printf("%s: the module's own\n", subject);
	}
	if (failures > 0)
		printf("%u FAILED\n", failures);
	return failures > 0;
}
