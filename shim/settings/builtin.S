/*
 * builtin.S: the files of config/ inside the library, so that it works
 * uninstalled (contract H2); their comments are left out (Makefile).
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
	.incbin	BUILTIN_SETTINGS
p11shim_builtin_settings_end:
p11shim_builtin_modules:
	.incbin	BUILTIN_MODULES
p11shim_builtin_modules_end:
	.byte	0
#ifdef __aarch64__
	.section .note.GNU-stack, "", %progbits
#else
	.section .note.GNU-stack, "", @progbits
#endif
