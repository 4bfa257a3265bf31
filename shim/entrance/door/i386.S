/*
 * door/i386.S: the four exported functions; see door/x86_64.S. All arguments
 * lie on the stack already, behind the return address: struct door_frame.
 */
	.macro	door name
	.globl	\name
	.type	\name, @function
	.p2align 4
\name:
	.cfi_startproc
	movl	%esp, %eax
	subl	$8, %esp
	.cfi_adjust_cfa_offset 8
	pushl	%eax
	.cfi_adjust_cfa_offset 4
	call	p11shim_door_\name
	addl	$12, %esp
	.cfi_adjust_cfa_offset -12
	jmp	*%eax
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
	movl	4(%esp), %eax
	ret
	.cfi_endproc
	.size	p11shim_door_answer, . - p11shim_door_answer

	.section .note.GNU-stack, "", @progbits
