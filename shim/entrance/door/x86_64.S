/*
 * door/x86_64.S: the four exported functions. Each saves its arguments, asks a C function (door.c) where to
 * go, restores them and jumps there, so that the next function sees the true caller in its return address
 * (contract A2).
 *
 * The C function gets a pointer to the stack itself: struct door_frame.
 */
#include <cet.h>

	.macro	door name
	.globl	\name
	.type	\name, @function
	.p2align 4
\name:
	.cfi_startproc
	_CET_ENDBR
	pushq	%rdx
	.cfi_adjust_cfa_offset 8
	pushq	%rsi
	.cfi_adjust_cfa_offset 8
	pushq	%rdi
	.cfi_adjust_cfa_offset 8
	movq	%rsp, %rdi
	call	p11shim_door_\name
	popq	%rdi
	.cfi_adjust_cfa_offset -8
	popq	%rsi
	.cfi_adjust_cfa_offset -8
	popq	%rdx
	.cfi_adjust_cfa_offset -8
	jmp	*%rax
	.cfi_endproc
	.size	\name, . - \name
	.endm

	.text
	.hidden	p11shim_door_dlsym, p11shim_door_dlopen, p11shim_door_dlmopen, p11shim_door_dlclose
	door	dlsym
	door	dlopen
	door	dlmopen
	door	dlclose

/* void *p11shim_door_answer(void *first): a place to jump to that returns its first argument */
	.globl	p11shim_door_answer
	.hidden	p11shim_door_answer
	.type	p11shim_door_answer, @function
	.p2align 4
p11shim_door_answer:
	.cfi_startproc
	_CET_ENDBR
	movq	%rdi, %rax
	ret
	.cfi_endproc
	.size	p11shim_door_answer, . - p11shim_door_answer

	.section .note.GNU-stack, "", @progbits
