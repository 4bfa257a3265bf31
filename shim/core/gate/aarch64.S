/*
 * gate/aarch64.S: the gate slots; see gate/x86_64.S. x16 is the register that the procedure call standard
 * leaves to code between caller and callee. The load of fast[] acquires: a thread that sees the flag also
 * sees what initialisation wrote.
 */
#include "base/sizes.h"

	.hidden	p11shim_forgotten
	.hidden	p11shim_gate_target
	.hidden	p11shim_call

	.macro	to_full_path
	mov	w16, #index
	b	gate_full
	.endm

	.macro	gate_FAST
	.p2align 6
	hint	#34			/* bti c */
	adrp	x16, p11shim_forgotten + list
	add	x16, x16, :lo12:p11shim_forgotten + list
	ldarb	w16, [x16]
	cbz	w16, 1f
	adrp	x16, p11shim_gate_target + 8 * index
	ldr	x16, [x16, :lo12:p11shim_gate_target + 8 * index]
	br	x16
1:	to_full_path
	.set	index, index + 1
	.endm

	.macro	gate_FULL
	.p2align 6
	hint	#34
	to_full_path
	.set	index, index + 1
	.endm

	.text
/*
 * CK_RV p11shim_call(unsigned index, struct gate_frame *frame): the arguments that came in registers are laid
 * on the stack, with the return address behind them; that ends where the other arguments begin.
 */
	.type	gate_full, %function
	.p2align 4
gate_full:
	.cfi_startproc
	stp	x29, x30, [sp, #-96]!
	.cfi_def_cfa_offset 96
	.cfi_offset 29, -96
	.cfi_offset 30, -88
	mov	x29, sp
	stp	x0, x1, [sp, #16]
	stp	x2, x3, [sp, #32]
	stp	x4, x5, [sp, #48]
	stp	x6, x7, [sp, #64]
	str	x30, [sp, #80]
	mov	w0, w16
	add	x1, sp, #16
	bl	p11shim_call
	ldp	x29, x30, [sp], #96
	.cfi_restore 30
	.cfi_restore 29
	.cfi_def_cfa_offset 0
	ret
	.cfi_endproc
	.size	gate_full, . - gate_full

#include "slots.h"

	.section .note.GNU-stack, "", %progbits
