/*
 * gate/i386.S: the gate slots; see gate/x86_64.S. There is no addressing relative to the program counter. So
 * %eax, in which no C function receives anything, is loaded with the program counter first.
 */
#include "base/sizes.h"

	.hidden	p11shim_forgotten, p11shim_gate_target, p11shim_call

	.macro	to_full_path
	movl	$index, %eax
	jmp	gate_full
	.endm

	.macro	gate_FAST
	.p2align 5
	call	gate_here
1:	cmpb	$0, p11shim_forgotten + list - 1b(%eax)
	je	2f
	jmp	*p11shim_gate_target + 4 * index - 1b(%eax)
2:	to_full_path
	.set	index, index + 1
	.endm

	.macro	gate_FULL
	.p2align 5
	to_full_path
	.set	index, index + 1
	.endm

	.text
	.type	gate_here, @function
	.p2align 4
gate_here:
	.cfi_startproc
	movl	(%esp), %eax
	ret
	.cfi_endproc
	.size	gate_here, . - gate_here

/* CK_RV p11shim_call(unsigned index, struct gate_frame *frame) */
	.type	gate_full, @function
	.p2align 4
gate_full:
	.cfi_startproc
	movl	%esp, %edx
	subl	$4, %esp
	.cfi_adjust_cfa_offset 4
	pushl	%edx
	.cfi_adjust_cfa_offset 4
	pushl	%eax
	.cfi_adjust_cfa_offset 4
	call	p11shim_call
	addl	$12, %esp
	.cfi_adjust_cfa_offset -12
	ret
	.cfi_endproc
	.size	gate_full, . - gate_full

#include "slots.h"

	.section .note.GNU-stack, "", @progbits
