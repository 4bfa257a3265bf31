/*
 * builtin.S: the files of config/ as they stand, inside the library, so that it
 * works uninstalled (contract H2).
 */
#ifdef __x86_64__
#include <cet.h>
#endif
	.section .rodata
	.irp	name, settings, settings_end, modules, modules_end
	.globl	p11shim_builtin_\name
	.hidden	p11shim_builtin_\name
	.endr
p11shim_builtin_settings:
	.incbin	"p11shim.conf"
p11shim_builtin_settings_end:
p11shim_builtin_modules:
	.incbin	"modules.conf"
p11shim_builtin_modules_end:
	.byte	0
#ifdef __aarch64__
	.section .note.GNU-stack, "", %progbits
#else
	.section .note.GNU-stack, "", @progbits
#endif
