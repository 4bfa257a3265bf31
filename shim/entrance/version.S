/*
 * version.S: the version, in a note. Tools that know nothing of this library show it:
 *
 *	strings libp11shim.so | grep '^libp11shim '
 *	readelf --string-dump=.note.libp11shim libp11shim.so
 *
 * and a core file has it, too. VERSION comes from scripts/version.
 */
#ifdef __x86_64__
#include <cet.h>
#endif
	.section .note.libp11shim, "a", %note
	.p2align 2
	.long	2f - 1f, 4f - 3f, 1
1:	.asciz	"libp11shim"
2:	.p2align 2
3:	.ascii	"libp11shim "
	.globl	p11shim_version
	.hidden	p11shim_version
p11shim_version:
	.asciz	VERSION
4:	.p2align 2
#ifdef __aarch64__
	.section .note.GNU-stack, "", %progbits
#else
	.section .note.GNU-stack, "", @progbits
#endif
