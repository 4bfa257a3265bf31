/*
 * stack.c: see stack.h.
 *
 * All of it lies in one mapping, handed out from its beginning by an atomic
 * counter, so a fork or a signal in the middle costs no more than the piece that
 * was being written. A record or an object is published, by one word, when it is
 * whole. Two threads that meet the same stack at the same time may keep it twice.
 */
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <link.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/readable.h"
#include "core/view.h"
#include "host/linker.h"
#include "host/process.h"
#include "record/stack.h"

#define ARENA (2u << 20)
#define OBJECTS 512
#define BUCKETS 1024
#define DEEPEST (STACK_FRAMES + 16) /* with the frames of the shim */
#define NO_OBJECT 0xffffu

struct record {
	uint32_t next, hash, frames, unused;
	uint64_t frame[]; /* object << 48 | offset */
};

struct known_object {
	struct stack_object object;
	const struct link_map *map;
	uintptr_t base;
};

static char *_Atomic arena;
static _Atomic(uint32_t) used;
static _Atomic(stack_id) bucket[BUCKETS];
static struct known_object *_Atomic objects[OBJECTS];
static char program[4096];

/* What struct dl_find_object begins with; some headers do not have that structure. */
struct found_object {
	unsigned long long flags;
	void *start, *end;
	struct link_map *map;
	void *rest[16]; /* more than there is */
};

static int (*find_object)(void *, struct found_object *);

static void *allocate(size_t size)
{
	char *from = atomic_load(&arena);
	uint32_t whole = (uint32_t)(size + 7) / 8 * 8;
	if (!from || atomic_load(&used) + whole > ARENA)
		return NULL;
	uint32_t at = atomic_fetch_add(&used, whole);
	return at + whole <= ARENA ? from + at : NULL;
}

void stack_start(void)
{
	int error = errno;
	void *frames[4];
	void *memory =
	        mmap(NULL, ARENA, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	ssize_t n = syscall(SYS_readlinkat, AT_FDCWD, "/proc/self/exe", program, sizeof program - 1);
	if (n < 0 || n == sizeof program - 1) /* unknown, or cut */
		program[0] = '\0';
	find_object = (int (*)(void *, struct found_object *))linker_dlsym(RTLD_DEFAULT, "_dl_find_object");
	backtrace(frames, COUNT(frames)); /* loads what it needs */
	atomic_store(&used, 8);           /* 0 is no stack */
	if (memory != MAP_FAILED)
		atomic_store(&arena, memory);
	errno = error;
}

const char *stack_program(void)
{
	return program;
}

const char *stack_file_of(const struct view *view)
{
	return view->path && view->path[0] ? view->path : stack_program();
}

/* ---- objects */

static struct link_map *object_at(uintptr_t address, const void **start)
{
	struct found_object found;
	Dl_info info;
	struct link_map *map = NULL;
	if (find_object) {
		if (find_object((void *)address, &found) != 0)
			return NULL;
		*start = found.start;
		return found.map;
	}
	if (!dladdr1((void *)address, &info, (void **)&map, RTLD_DL_LINKMAP))
		return NULL;
	*start = info.dli_fbase;
	return map;
}

static const char *path_of(const struct link_map *map)
{
	return map->l_name[0] ? map->l_name : program;
}

/* Takes the build id from the note, if that is the note which has it. */
static bool take_build_id(struct stack_object *object, const ElfW(Nhdr) * note, const char *value)
{
	size_t size = note->n_descsz < sizeof object->build_id ? note->n_descsz : sizeof object->build_id;
	if (note->n_type != NT_GNU_BUILD_ID || note->n_namesz != 4 || memcmp(note + 1, "GNU", 4) != 0)
		return false;
	memcpy(object->build_id, value, size);
	object->build_id_size = (unsigned)size;
	return true;
}

static bool find_in_notes(struct stack_object *object, const char *note, size_t size)
{
	const char *end = note + size;
	while (end - note > (ptrdiff_t)sizeof(ElfW(Nhdr))) {
		const ElfW(Nhdr) *n = (const void *)note;
		size_t head = sizeof *n + ((size_t)n->n_namesz + 3) / 4 * 4, left = (size_t)(end - note);
		if (head > left || n->n_descsz > left - head)
			return false;
		if (take_build_id(object, n, note + head))
			return true;
		if (((size_t)n->n_descsz + 3) / 4 * 4 > left - head)
			return false;
		note += head + ((size_t)n->n_descsz + 3) / 4 * 4;
	}
	return false;
}

/*
 * Reads the build id out of the notes of the loaded object. As a rule, the headers and the notes of a file
 * are in what is loaded of it, but they need not be.
 */
static void read_build_id(struct stack_object *object, const void *start, uintptr_t base)
{
	const ElfW(Ehdr) *header = start;
	if (!is_readable(header, sizeof *header) || memcmp(header->e_ident, ELFMAG, SELFMAG) != 0)
		return;
	const ElfW(Phdr) *segment = (const void *)((const char *)start + header->e_phoff);
	if (header->e_phentsize != sizeof *segment ||
	    !is_readable(segment, header->e_phnum * sizeof *segment))
		return;
	for (unsigned i = 0; i < header->e_phnum; i++) {
		const char *notes = (const char *)(base + segment[i].p_vaddr);
		if (segment[i].p_type == PT_NOTE && is_readable(notes, segment[i].p_memsz) &&
		    find_in_notes(object, notes, segment[i].p_memsz))
			return;
	}
}

static unsigned object_number(const struct link_map *map, const void *start)
{
	const char *path = path_of(map);
	for (unsigned i = 0; i < OBJECTS; i++) {
		struct known_object *known = atomic_load_explicit(&objects[i], memory_order_acquire);
		if (!known) {
			size_t length = strlen(path) + 1;
			known = allocate(sizeof *known + length);
			if (!known)
				return NO_OBJECT;
			*known = (struct known_object){.map = map, .base = map->l_addr};
			known->object.path = memcpy(known + 1, path, length);
			read_build_id(&known->object, start, map->l_addr);
			struct known_object *none = NULL;
			if (!atomic_compare_exchange_strong(&objects[i], &none, known))
				known = none;
		}
		if (known->map == map && known->base == map->l_addr && strcmp(known->object.path, path) == 0)
			return i;
	}
	return NO_OBJECT;
}

/* ---- stacks */

static uint64_t frame_of(uintptr_t address)
{
	const void *start;
	const struct link_map *map = object_at(address, &start);
	unsigned object = map ? object_number(map, start) : NO_OBJECT;
	uintptr_t offset = object == NO_OBJECT ? address : address - map->l_addr;
	return (uint64_t)object << 48 | ((uint64_t)offset & 0xffffffffffff);
}

static const struct record *record_of(stack_id stack)
{
	const char *from = atomic_load(&arena);
	return from && stack && stack < ARENA ? (const void *)(from + stack) : NULL;
}

static stack_id keep(const uint64_t *frame, uint32_t frames)
{
	uint32_t hash = 2166136261u;
	for (const unsigned char *c = (const void *)frame; c < (const unsigned char *)(frame + frames); c++)
		hash = (hash ^ *c) * 16777619u;
	_Atomic(stack_id) *head = &bucket[hash % BUCKETS];
	stack_id first = atomic_load_explicit(head, memory_order_acquire);
	for (stack_id at = first; at; at = record_of(at)->next) {
		const struct record *r = record_of(at);
		if (r->hash == hash && r->frames == frames &&
		    memcmp(r->frame, frame, frames * sizeof *frame) == 0)
			return at;
	}
	struct record *new = allocate(sizeof *new + frames * sizeof *frame);
	if (!new)
		return 0;
	*new = (struct record){.next = first, .hash = hash, .frames = frames};
	memcpy(new->frame, frame, frames * sizeof *frame);
	stack_id id = (stack_id)((char *)new - atomic_load(&arena));
	while (!atomic_compare_exchange_weak(head, &first, id))
		new->next = first;
	return id;
}

/*
 * A return address may lie behind the end of the function that called. The address before it lies in the
 * call.
 */
stack_id stack_take(void)
{
	void *address[DEEPEST];
	uint64_t frame[STACK_FRAMES];
	uint32_t frames = 0;
	const void *start;
	if (!atomic_load(&arena) || process_linker_suspect())
		return 0;
	int error = errno;
	int n = backtrace(address, DEEPEST), first = 0; /* REENTRANT: no lock held */
	const struct link_map *own = object_at((uintptr_t)stack_take, &start);
	while (first < n && object_at((uintptr_t)address[first] - 1, &start) == own)
		first++;
	for (int i = first; i < n && frames < STACK_FRAMES; i++)
		frame[frames++] = frame_of((uintptr_t)address[i] - 1);
	errno = error;
	return frames ? keep(frame, frames) : 0;
}

int stack_frames(void **frames, int most)
{
	return backtrace(frames, most);
}

stack_id stack_of_caller(const void *caller)
{
	uint64_t frame;
	if (!atomic_load(&arena) || process_linker_suspect())
		return 0;
	frame = frame_of((uintptr_t)caller - 1);
	return keep(&frame, 1);
}

const char *stack_path(stack_id stack, unsigned n)
{
	const struct record *r = record_of(stack);
	unsigned object = r && n < r->frames ? r->frame[n] >> 48 : NO_OBJECT;
	return object < OBJECTS ? objects[object]->object.path : NULL;
}

static void print_frame(struct text *text, const char *path, uint64_t offset, bool json)
{
	struct text before = *text;
	if (json) {
		text_json(text, path ? path : "");
		if (!text->cut)
			text->at--; /* into the quotes */
	} else {
		text_foreign(text, path);
	}
	text_put(text, path ? "+" : "");
	text_hex(text, offset);
	text_put(text, json ? "\"" : "");
	if (text->cut)
		text_back(text, &before);
}

void stack_print(struct text *text, stack_id stack, bool json)
{
	const struct record *r = record_of(stack);
	text_put(text, json ? "[" : "");
	if (text->cut || text->at == text->end)
		return;
	text->end -= json; /* for the end of the array */
	for (uint32_t i = 0; r && i < r->frames; i++) {
		unsigned object = r->frame[i] >> 48;
		uint64_t offset = r->frame[i] & 0xffffffffffff;
		struct text before = *text;
		text_put(text, i == 0 ? "" : json ? "," : " ");
		const char *had = text->at;
		print_frame(text, object < OBJECTS ? objects[object]->object.path : NULL, offset, json);
		if (text->at == had) { /* it did not fit */
			text_back(text, &before);
			break;
		}
	}
	text->end += json;
	text_put(text, json ? "]" : "");
}

void stack_print_address(struct text *text, uintptr_t address, bool json)
{
	const void *start;
	const struct link_map *map = object_at(address, &start);
	print_frame(text, map ? path_of(map) : NULL, map ? address - map->l_addr : address, json);
}

void stack_untold(stack_id stack, uint64_t mark, void (*tell)(const struct stack_object *object))
{
	const struct record *r = record_of(stack);
	for (uint32_t i = 0; r && i < r->frames; i++) {
		unsigned object = r->frame[i] >> 48;
		struct stack_object *o = object < OBJECTS ? &objects[object]->object : NULL;
		if (o && atomic_exchange(&o->told, mark) != mark)
			tell(o);
	}
}
