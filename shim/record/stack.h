/*
 * stack.h: stacks of calls, taken with glibc's backtrace(), kept as objects and
 * offsets: what they lead to may be unloaded, and another object lie there, by the
 * time that they are looked at. Names of functions are found later, outside
 * (p11shim report).
 *
 * Only for a process that is being recorded: backtrace() loads libgcc_s.
 *
 * Equal stacks are kept once, in memory of a fixed size that is never given back;
 * when it is full new ones are unknown. No locks; a child inherits all that was
 * there, and may add to it.
 */
#ifndef P11SHIM_STACK_H
#define P11SHIM_STACK_H

#include "base/moment.h"
#include "base/text.h"

#define STACK_FRAMES 32 /* at most; what is further out is left off */

/* To be called first, once. May load a library; no lock may be held. */
void stack_start(void);

/*
 * The calling thread's stack, from whoever called into the shim. errno is kept.
 * May call the dynamic linker (before glibc 2.35); no lock may be held.
 */
stack_id stack_take(void);

/* The calling thread's frames as addresses, at most so many; how many. For the handler of fatal signals. */
int stack_frames(void **frames, int most);

/* One frame only: a call that returns to that address. */
stack_id stack_of_caller(const void *caller);

/* The file of the n-th frame, from within; NULL: there are not so many, or nobody knows. */
const char *stack_path(stack_id stack, unsigned n);

/* The frames of a stack: ["PATH+0xOFFSET",...] for JSON, PATH+0xOFFSET PATH... else. */
void stack_print(struct text *text, stack_id stack, bool json);

/*
 * An address, in the same form (JSON: in quotes). Calls nothing but what a signal handler may, from
 * glibc 2.35 on; before, dladdr().
 */
void stack_print_address(struct text *text, uintptr_t address, bool json);

/* An object that a stack mentions. */
struct stack_object {
	const char *path;
	unsigned char build_id[20];
	unsigned build_id_size;
	_Atomic(uint64_t) told; /* for the trace: by whom, and where to, it was last told of */
};

/* Calls `tell` for each object of the stack that is not marked so yet. */
void stack_untold(stack_id stack, uint64_t mark, void (*tell)(const struct stack_object *object));

/* The program's own file. */
const char *stack_program(void);

/* The file of a view's consumer, the program's own too; "": unknown. */
struct view;
const char *stack_file_of(const struct view *view);

#endif
