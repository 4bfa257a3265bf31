/*
 * door/aarch64.S: the four exported functions; see door/x86_64.S. The target
 * goes through x16, as branch target identification wants it.
 */
	.macro	door name
	.globl	\name
	.type	\name, %function
	.p2align 4
\name:
	.cfi_startproc
	hint	#34			/* bti c */
	stp	x29, x30, [sp, #-48]!
	.cfi_def_cfa_offset 48
	.cfi_offset 29, -48
	.cfi_offset 30, -40
	mov	x29, sp
	stp	x0, x1, [sp, #16]
	stp	x2, x30, [sp, #32]
	add	x0, sp, #16
	bl	p11shim_door_\name
	mov	x16, x0
	ldp	x0, x1, [sp, #16]
	ldr	x2, [sp, #32]
	ldp	x29, x30, [sp], #48
	.cfi_restore 30
	.cfi_restore 29
	.cfi_def_cfa_offset 0
	br	x16
	.cfi_endproc
	.size	\name, . - \name
	.endm

	.text
	.hidden	p11shim_door_dlsym
	.hidden	p11shim_door_dlopen
	.hidden	p11shim_door_dlmopen
	.hidden	p11shim_door_dlclose
	door	dlsym
	door	dlopen
	door	dlmopen
	door	dlclose

/* void *p11shim_door_answer(void *first): a place to jump to that returns its first argument */
	.globl	p11shim_door_answer
	.hidden	p11shim_door_answer
	.type	p11shim_door_answer, %function
	.p2align 4
p11shim_door_answer:
	.cfi_startproc
	hint	#34
	ret
	.cfi_endproc
	.size	p11shim_door_answer, . - p11shim_door_answer

	.section .note.GNU-stack, "", %progbits
