/*
 * object.h: which loaded object an address belongs to, and how to hold an object. These functions call the
 * dynamic linker, so a caller holds no lock of the shim (contract A6).
 */
#ifndef P11SHIM_OBJECT_H
#define P11SHIM_OBJECT_H

#include <link.h>

#include "base/common.h"

/*
 * One loaded object, executable or shared. `map` and `base` tell loaded instances apart while they are
 * loaded. The file (device, inode) and the space stay the same when the object is unloaded and loaded again.
 */
struct object {
	struct link_map *map;
	uintptr_t base;     /* load address */
	const void *inside; /* an address in it */
	const char *path;   /* the linker's name for it; "" for the program; valid while it is loaded */
	long space;         /* namespace (dlmopen) */
	unsigned long long device, inode; /* of the file; 0 and base if the file cannot be asked */
};

/* The object that contains address. False: no object does (code made at run time). */
bool object_of(const void *address, struct object *object);

/* The same, without asking for file and space: enough to tell instances apart. */
bool object_instance(const void *address, struct object *object);

/* Sets device and inode of the file that object->path leads to. */
void object_identify(struct object *object);

/* The same object, loaded anew and perhaps elsewhere: takes over where it lies. */
void object_move(struct object *object, const struct object *now);

/* Was b loaded after a? False: before it, or it is gone. */
bool object_is_later(const struct object *a, const struct object *b);

/* Is that what dlopen gave for the object? */
bool object_has_handle(const struct object *object, const void *handle);

bool object_same_instance(const struct object *a, const struct object *b);
bool object_same_file(const struct object *a, const struct object *b);

/*
 * Holds the loaded instance, so that it cannot be unloaded. `path` is the caller's own copy of object->path,
 * since the object may be gone already. NULL: it is gone. object_release() gives the hold back; that can
 * unload the object.
 *
 * If a child was forked while another thread was loading or unloading, the dynamic linker is left in the
 * middle of that, and glibc ends a process that then loads anything. There the answer for an object that is
 * loaded is OBJECT_NOT_HELD. The object stays loaded all the same, since nothing can be unloaded either.
 */
void *object_hold(const struct object *object, const char *path);
void object_release(void *hold);
#define OBJECT_NOT_HELD ((void *)-1)

/* Is it still loaded? */
bool object_still_there(const struct object *object);

/* The function of that name that the object itself has; NULL: it has none. */
void *object_own_symbol(const struct object *object, const char *name);

/*
 * Can the module destroy itself at exit by handlers of its own (C++ objects, atexit)? What it imports tells
 * (contract C10).
 */
bool object_has_exit_handlers(const struct object *object);

/* Does it have destructor functions beside those that every object has? */
bool object_has_destructors(const struct object *object);

#endif
