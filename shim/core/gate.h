/*
 * gate.h: the compiled entry points (gate/ARCH.S) and what they share with C.
 *
 * A gate slot belongs to one function of one list; slot index = list number * CALLS + function. While the
 * list's flag in fast[] is on, its slots take the fast path: a slot jumps straight to
 * p11shim_gate_target[index]. Else they take the full path: a slot goes, by p11shim_call(), to gate_full_path
 * with its index and the words of the call.
 */
#ifndef P11SHIM_GATE_H
#define P11SHIM_GATE_H

#include "base/sizes.h"
#include "host/process.h"
#include "standard/calls.h"

/* The words of a call as gate/ARCH.S leaves them on the stack. */
struct gate_frame {
#if defined __x86_64__
#define GATE_REGISTERS 6
	uintptr_t in_register[GATE_REGISTERS];
	void *caller;
#elif defined __i386__
#define GATE_REGISTERS 0
	void *caller;
#elif defined __aarch64__
#define GATE_REGISTERS 8
	uintptr_t in_register[GATE_REGISTERS];
	void *caller, *unused;
#else
#error "no gate for this architecture: see shim/core/gate/"
#endif
	uintptr_t on_stack[];
};

/* Where each slot jumps to on the fast path: never NULL for a slot that was handed out. */
extern _Atomic(void *) p11shim_gate_target[GATE_LISTS * CALLS];

extern const char p11shim_gate_slots[];

/* The entry point that stands in a consumer's list. */
static inline void *gate_slot(unsigned list, unsigned function)
{
	return (void *)(p11shim_gate_slots + (size_t)(list * CALLS + function) * GATE_STRIDE);
}

/* The i-th word of a call; i must be less than its number of parameters. */
static inline uintptr_t gate_word(const struct gate_frame *frame, unsigned i)
{
#if GATE_REGISTERS > 0
	if (i < GATE_REGISTERS)
		return frame->in_register[i];
#endif
	return frame->on_stack[i - GATE_REGISTERS];
}

/* The full path of a call; put there before any list is handed out (call/call.h). */
extern CK_RV (*_Atomic gate_full_path)(unsigned index, const struct gate_frame *frame);

/*
 * Turns the fast path of a list on or off. Off is always right: then calls take the full path. On is right
 * only while the full path would have nothing to do for a call (state_refresh_inlock() in state.c decides).
 */
static inline void gate_set_fast(unsigned list, bool on)
{
	atomic_store_explicit(&p11shim_forgotten.state.fast[list], on, memory_order_release);
}

static inline bool gate_is_fast(unsigned list)
{
	return atomic_load_explicit(&p11shim_forgotten.state.fast[list], memory_order_relaxed);
}

#endif
