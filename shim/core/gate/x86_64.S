/*
 * gate/x86_64.S: the gate slots that stand in the function lists, one for every function of every list. A
 * slot is
 *
 *	if (!live[list]) goto full path; goto target[list][function];
 *
 * and nothing else: a load with its test, a jump not taken, a load with its jump. No register and no stack
 * slot of the call is touched, so the module's function finds everything as the consumer left it, at the
 * consumer's own return address. (_CET_ENDBR is nothing unless built with -fcf-protection.)
 *
 * fast[] lies at the start of the memory that the kernel wipes at fork (host/process.h). Loads and stores of
 * a byte are whole, and on x86 in order.
 */
#include <cet.h>
#include "base/sizes.h"

	.hidden	p11shim_forgotten, p11shim_gate_target, p11shim_call

	.macro	to_full_path
	movl	$index, %eax
	jmp	gate_full
	.endm

	.macro	gate_FAST
	.p2align 5
	_CET_ENDBR
	cmpb	$0, p11shim_forgotten + list(%rip)
	je	1f
	jmp	*p11shim_gate_target + 8 * index(%rip)
1:	to_full_path
	.set	index, index + 1
	.endm

	.macro	gate_FULL
	.p2align 5
	_CET_ENDBR
	to_full_path
	.set	index, index + 1
	.endm

	.text
/*
 * CK_RV p11shim_call(unsigned index, struct gate_frame *frame): the arguments that came in registers are laid
 * below the return address; the other arguments lie behind it already.
 */
	.type	gate_full, @function
	.p2align 4
gate_full:
	.cfi_startproc
	pushq	%r9
	.cfi_adjust_cfa_offset 8
	pushq	%r8
	.cfi_adjust_cfa_offset 8
	pushq	%rcx
	.cfi_adjust_cfa_offset 8
	pushq	%rdx
	.cfi_adjust_cfa_offset 8
	pushq	%rsi
	.cfi_adjust_cfa_offset 8
	pushq	%rdi
	.cfi_adjust_cfa_offset 8
	movl	%eax, %edi
	movq	%rsp, %rsi
	subq	$8, %rsp
	.cfi_adjust_cfa_offset 8
	call	p11shim_call
	addq	$56, %rsp
	.cfi_adjust_cfa_offset -56
	ret
	.cfi_endproc
	.size	gate_full, . - gate_full

#include "slots.h"

	.section .note.GNU-stack, "", @progbits
