/*
 * sizes.h: sizes of the fixed tables, for C and for the assembly of the gate. All these tables lie in .bss:
 * the part that is not used costs address space only.
 */
#ifndef P11SHIM_SIZES_H
#define P11SHIM_SIZES_H

#define GATE_LISTS 128 /* function lists that can be handed out (contract B1, B5) */
#define MODULES 32     /* modules; each needs one list for itself */
#define SHARED_LISTS 8 /* lists kept for consumers that come when all other lists are used up */
#define EVENT_SLOTS 64 /* slots of a module whose events are kept until all threads have seen them */
#define FLIGHTS 256    /* recorded calls that can be seen in flight at once */
#define VIEWS 128      /* views, the modules' shared ones included */

#if defined __aarch64__
#define GATE_STRIDE 64       /* bytes of one gate slot */
#define FORGOTTEN_PAGE 65536 /* the largest page size of the architecture */
#else
#define GATE_STRIDE 32
#define FORGOTTEN_PAGE 4096
#endif

#endif
