/*
 * gate/slots.h: the slots of all lists, from an architecture's macros gate_FAST
 * and gate_FULL. Included once, at the end of gate/ARCH.S; assembly only.
 */
	.macro	gate_list
#define CALL(name, route, ...) gate_##route
#include "standard/calls.def"
	.set	list, list + 1
	.endm

	.balign	GATE_STRIDE
	.globl	p11shim_gate_slots
	.hidden	p11shim_gate_slots
	.type	p11shim_gate_slots, STT_FUNC
p11shim_gate_slots:
	.cfi_startproc
	.set	index, 0
	.set	list, 0
	.rept	GATE_LISTS
	gate_list
	.endr
	.cfi_endproc
	.size	p11shim_gate_slots, . - p11shim_gate_slots
