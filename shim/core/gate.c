/*
 * gate.c: see gate.h; the slots themselves are in gate/ARCH.S.
 */
#include "core/gate.h"
#include "host/process.h"

_Atomic(void *) p11shim_gate_target[GATE_LISTS * CALLS];

_Static_assert(offsetof(struct forgotten, fast) == 0, "gate/ARCH.S finds fast[] at the start");

CK_RV (*_Atomic gate_full_path)(unsigned index, const struct gate_frame *frame);

/* Called by gate/ARCH.S. */
CK_RV p11shim_call(unsigned index, const struct gate_frame *frame);

CK_RV p11shim_call(unsigned index, const struct gate_frame *frame)
{
	return atomic_load_explicit(&gate_full_path, memory_order_acquire)(index, frame);
}
