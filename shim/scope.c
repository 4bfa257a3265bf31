/*
 * scope.c: see scope.h.
 */
#include <dlfcn.h>
#include <elf.h>
#include <string.h>
#include <sys/stat.h>

#include "door.h"
#include "scope.h"

bool scope_object(const void *address, struct object *object)
{
	Dl_info info;
	struct link_map *map = NULL;
	if (!dladdr1(address, &info, (void **)&map, RTLD_DL_LINKMAP) || !map)
		return false;
	*object = (struct object){.map = map, .base = (uintptr_t)info.dli_fbase, .path = map->l_name};
	Lmid_t space;
	if (dlinfo(map, RTLD_DI_LMID, &space) == 0) /* in glibc a handle is its link_map */
		object->space = space;
	struct stat file;
	if (map->l_name[0] && stat(map->l_name, &file) == 0) {
		object->device = file.st_dev;
		object->inode = file.st_ino;
	} else {
		object->inode = object->base;
	}
	return true;
}

bool scope_same_instance(const struct object *a, const struct object *b)
{
	return a->map == b->map && a->base == b->base;
}

bool scope_same_file(const struct object *a, const struct object *b)
{
	return a->device == b->device && a->inode == b->inode && a->space == b->space;
}

void *scope_hold(const struct object *object, const char *path)
{
	const char *name = path[0] ? path : NULL;
	int flags = RTLD_LAZY | RTLD_NOLOAD;
	void *hold = object->space == LM_ID_BASE ? door_dlopen(name, flags)
						 : door_dlmopen(object->space, name, flags);
	if (!hold || !name)
		return hold;
	/*
	 * The name may have found another file, or the same one loaded anew. The
	 * load address serves as well as dli_fbase to tell: both are compared.
	 */
	struct object now;
	struct link_map *map = hold;
	if (map != object->map || !scope_object(map->l_ld, &now) || now.base != object->base) {
		door_dlclose(hold);
		return NULL;
	}
	return hold;
}

void scope_release(void *hold)
{
	if (hold)
		door_dlclose(hold);
}

static int read_unloads(struct dl_phdr_info *info, size_t size, void *unloads)
{
	if (size >= offsetof(struct dl_phdr_info, dlpi_subs) + sizeof info->dlpi_subs)
		*(unsigned long long *)unloads = info->dlpi_subs;
	return 1;
}

unsigned long long scope_unloads(void)
{
	unsigned long long unloads = 0;
	dl_iterate_phdr(read_unloads, &unloads);
	return unloads;
}

static int covers_base(struct dl_phdr_info *info, size_t size, void *base)
{
	(void)size;
	for (int i = 0; i < info->dlpi_phnum; i++)
		if (info->dlpi_phdr[i].p_type == PT_LOAD) {
			/* dli_fbase is where the first segment begins */
			uintptr_t first = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
			return (first & ~(uintptr_t)0xfff) == (uintptr_t)base;
		}
	return 0;
}

bool scope_still_there(const struct object *object)
{
	if (object->space != LM_ID_BASE)
		return true;
	return dl_iterate_phdr(covers_base, (void *)object->base) != 0;
}

/*
 * An object's dynamic section; addresses in it have been relocated by the
 * linker, except in objects where it is read-only.
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

bool scope_has_exit_handlers(const struct object *object)
{
	const ElfW(Sym) *symbols = (const void *)dynamic_value(object, DT_SYMTAB, true);
	const char *names = (const void *)dynamic_value(object, DT_STRTAB, true);
	/* Symbols that an object imports come before those that its hash table covers. */
	const uint32_t *gnu_hash = (const void *)dynamic_value(object, DT_GNU_HASH, true);
	const uint32_t *hash = (const void *)dynamic_value(object, DT_HASH, true);
	size_t imports = gnu_hash ? gnu_hash[1] : hash ? hash[1] : 0;
	if (!symbols || !names)
		return false;
	for (size_t i = 1; i < imports; i++)
		if (symbols[i].st_shndx == SHN_UNDEF && strcmp(names + symbols[i].st_name, "__cxa_atexit") == 0)
			return true;
	return false;
}

bool scope_has_destructors(const struct object *object)
{
	/* the start files of every object bring one: __do_global_dtors_aux */
	return dynamic_value(object, DT_FINI_ARRAYSZ, false) > sizeof(void *);
}
