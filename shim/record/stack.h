/*
 * stack.h: stacks of calls. They are taken with glibc's backtrace(), and kept as objects and offsets: by the
 * time that they are looked at, an object may be unloaded, and another one lie there. Names of functions are
 * found later, outside (p11shim report).
 *
 * Only for a process that is being recorded: backtrace() loads libgcc_s.
 *
 * Equal stacks are kept once, in memory of a fixed size that is never given back; when it is full, new stacks
 * are unknown. There are no locks; a child inherits all stacks that were there, and may add to them.
 */
#ifndef P11SHIM_STACK_H
#define P11SHIM_STACK_H

#include "base/moment.h"
#include "base/text.h"

#define STACK_FRAMES 32 /* at most; frames further out are left off */

/* To be called first, once. May load a library; no lock may be held. */
void stack_start(void);

/*
 * The calling thread's stack, from the function that called into the shim outwards. errno is kept. May call
 * the dynamic linker (before glibc 2.35); no lock may be held.
 */
stack_id stack_take(void);

/* The calling thread's frames as addresses, at most so many; how many. For the handler of fatal signals. */
int stack_frames(void **frames, int most);

/* A stack of one frame only: a call that returns to that address. */
stack_id stack_of_caller(const void *caller);

/* The file of the n-th frame, from within; NULL: there are not so many frames, or the file is unknown. */
const char *stack_path(stack_id stack, unsigned n);

/* The frames of a stack: ["PATH+0xOFFSET",...] for JSON, PATH+0xOFFSET PATH... else. */
void stack_print(struct text *text, stack_id stack, bool json);

/*
 * Prints an address in the same form (JSON: in quotes). From glibc 2.35 on it calls nothing but what a signal
 * handler may call; before, it calls dladdr().
 */
void stack_print_address(struct text *text, uintptr_t address, bool json);

/* An object that a stack mentions. */
struct stack_object {
	const char *path;
	unsigned char build_id[20];
	unsigned build_id_size;
	_Atomic(uint64_t) told; /* for the trace: the process and the file that it was last told of in */
};

/* Calls `tell` for each object of the stack that does not have that mark yet, and marks it. */
void stack_untold(stack_id stack, uint64_t mark, void (*tell)(const struct stack_object *object));

/* The program's own file. */
const char *stack_program(void);

/* The file of a view's consumer, also if that is the program; "": unknown. */
struct view;
const char *stack_file_of(const struct view *view);

#endif
