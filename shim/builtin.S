/*
 * builtin.S: config/p11shim.conf as it stands, inside the library, so that it
 * works uninstalled (contract H2).
 */
	.section .rodata
	.globl	p11shim_builtin_settings, p11shim_builtin_settings_end
	.hidden	p11shim_builtin_settings
	.hidden	p11shim_builtin_settings_end
p11shim_builtin_settings:
	.incbin	"p11shim.conf"
p11shim_builtin_settings_end:
	.byte	0
#ifdef __aarch64__
	.section .note.GNU-stack, "", %progbits
#else
	.section .note.GNU-stack, "", @progbits
#endif
