/*
 * object.c: see object.h.
 */
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "host/linker.h"
#include "host/object.h"
#include "host/process.h"

bool object_instance(const void *address, struct object *object)
{
	Dl_info info;
	struct link_map *map = NULL;
	if (!dladdr1(address, &info, (void **)&map, RTLD_DL_LINKMAP) || !map)
		return false;
	*object = (struct object){.map = map, .base = map->l_addr, .inside = map->l_ld, .path = map->l_name};
	return true;
}

/*
 * statx is called by its number: glibc's function has a symbol version that libraries of older systems lack.
 * The structure is the same on every architecture.
 */
void object_identify(struct object *object)
{
	struct statx file;
	if (object->path[0] &&
	    syscall(SYS_statx, AT_FDCWD, object->path, AT_STATX_DONT_SYNC, STATX_INO, &file) == 0) {
		object->device = (unsigned long long)file.stx_dev_major << 32 | file.stx_dev_minor;
		object->inode = file.stx_ino;
	} else {
		object->inode = object->base;
	}
}

bool object_of(const void *address, struct object *object)
{
	int error = errno;
	if (!object_instance(address, object))
		return false;
	Lmid_t space;
	if (dlinfo(object->map, RTLD_DI_LMID, &space) == 0) /* in glibc a handle is its link_map */
		object->space = space;
	object_identify(object);
	errno = error;
	return true;
}

void object_move(struct object *object, const struct object *now)
{
	object->map = now->map;
	object->base = now->base;
}

/* The linker keeps objects in the order in which they were loaded. */
bool object_is_later(const struct object *a, const struct object *b)
{
	for (const struct link_map *map = a->map; map; map = map->l_next)
		if (map == b->map)
			return true;
	return false;
}

/* In glibc a handle is the link_map. */
bool object_has_handle(const struct object *object, const void *handle)
{
	return object->map == handle;
}

bool object_same_instance(const struct object *a, const struct object *b)
{
	return a->map == b->map && a->base == b->base;
}

bool object_same_file(const struct object *a, const struct object *b)
{
	return a->device == b->device && a->inode == b->inode && a->space == b->space;
}

bool object_still_there(const struct object *object)
{
	struct object now;
	return object_instance(object->inside, &now) && object_same_instance(&now, object);
}

/*
 * Has a fork left the dynamic linker in the middle of loading (see object_hold() in object.h)? fork() gives
 * the child a new lock of the linker, but leaves r_state, which says that loading is under way, as it was. In
 * a process where a thread is really loading, dladdr() waits for that thread; so a state that stays is one
 * that a fork has left behind. (With many loads at once, one in a million may be taken for that by mistake.
 * Then a module is not held, and nothing worse happens.)
 */
static bool linker_was_interrupted(void)
{
	static _Atomic(const volatile struct r_debug *) debug;
	const volatile struct r_debug *r = atomic_load(&debug);
	if (!r) {
		r = linker_dlsym(RTLD_DEFAULT, "_r_debug");
		atomic_store(&debug, r);
	}
	for (int i = 0; r && r->r_state != RT_CONSISTENT; i++) {
		struct object object;
		if (i == 20)
			return true;
		object_instance((const void *)linker_was_interrupted, &object);
	}
	return false;
}

static void *hold(const struct object *object, const char *path)
{
	const char *name = path[0] ? path : NULL;
	int flags = RTLD_LAZY | RTLD_NOLOAD;
	if (linker_was_interrupted())
		return object_still_there(object) ? OBJECT_NOT_HELD : NULL;
	void *held = object->space == LM_ID_BASE ? linker_dlopen(name, flags)
	                                         : linker_dlmopen(object->space, name, flags);
	if (!held || !name)
		return held;
	/* The name may have found another object, or the same one loaded anew. */
	struct link_map *map = held;
	if (map == object->map && map->l_addr == object->base)
		return held;
	linker_dlclose(held);
	return NULL;
}

void *object_hold(const struct object *object, const char *path)
{
	if (process_linker_suspect())
		return OBJECT_NOT_HELD;
	int begun = process_linker_begin();
	void *held = hold(object, path);
	process_linker_end(begun);
	return held;
}

void object_release(void *held)
{
	if (!held || held == OBJECT_NOT_HELD || process_linker_suspect())
		return;
	int begun = process_linker_begin();
	if (!linker_was_interrupted())
		linker_dlclose(held);
	process_linker_end(begun);
}

/*
 * A handle is needed for this: the link_map of an object that came as a dependency is no handle before the
 * object has been opened.
 */
void *object_own_symbol(const struct object *object, const char *name)
{
	struct object defines;
	void *handle = object_hold(object, object->path);
	void *symbol = handle && handle != OBJECT_NOT_HELD ? linker_dlsym(handle, name) : NULL;
	if (symbol && (!object_instance(symbol, &defines) || defines.map != object->map))
		symbol = NULL;
	object_release(handle);
	return symbol;
}

/*
 * A value in an object's dynamic section. The linker has relocated the addresses in it, except in objects
 * where it is read-only.
 */
static uintptr_t dynamic_value(const struct object *object, ElfW(Sxword) tag, bool address)
{
	for (const ElfW(Dyn) *entry = object->map->l_ld; entry->d_tag != DT_NULL; entry++)
		if (entry->d_tag == tag) {
			uintptr_t value = entry->d_un.d_ptr;
			return address && value < object->map->l_addr ? value + object->map->l_addr : value;
		}
	return 0;
}

bool object_has_exit_handlers(const struct object *object)
{
	const ElfW(Sym) *symbols = (const void *)dynamic_value(object, DT_SYMTAB, true);
	const char *names = (const void *)dynamic_value(object, DT_STRTAB, true);
	/* Symbols that an object imports come before those that its hash table covers. */
	const uint32_t *gnu_hash = (const void *)dynamic_value(object, DT_GNU_HASH, true);
	const uint32_t *hash = (const void *)dynamic_value(object, DT_HASH, true);
	size_t imports = gnu_hash ? gnu_hash[1] : hash ? hash[1] : 0;
	if (!symbols || !names)
		return false;
	for (size_t i = 1; i < imports; i++) {
		const char *name = names + symbols[i].st_name;
		if (symbols[i].st_shndx == SHN_UNDEF &&
		    (strcmp(name, "__cxa_atexit") == 0 || strcmp(name, "atexit") == 0 ||
		     strcmp(name, "on_exit") == 0))
			return true;
	}
	return false;
}

bool object_has_destructors(const struct object *object)
{
	/* the start files give every object one: __do_global_dtors_aux */
	return dynamic_value(object, DT_FINI_ARRAYSZ, false) > sizeof(void *);
}
