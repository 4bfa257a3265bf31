/*
 * serial.c: see serial.h.
 */
#include <pthread.h>

#include "core/serial.h"
#include "host/process.h"
#include "standard/calls.h"

/*
 * Lets one call at a time into a module that cannot lock. A call that the module makes itself, on the same
 * thread, is let through. queues: waits for its turn; else the answer is false if another call is inside.
 */
static bool serial_enter(struct life *life, bool queues)
{
	if (atomic_load(&life->serialised_owner) == thread_self()) { /* true only if this thread has set it */
		life->serialised_depth++;
		return true;
	}
	if (queues)
		lock_take(&life->serialised);
	else if (!lock_try(&life->serialised))
		return false;
	atomic_store(&life->serialised_owner, thread_self());
	life->serialised_depth = 1;
	return true;
}

static void serial_leave(struct life *life)
{
	if (--life->serialised_depth > 0)
		return;
	atomic_store(&life->serialised_owner, 0);
	lock_give(&life->serialised);
}

CK_RV serial_call(struct module *module, void *function, unsigned parameters, const uintptr_t *words,
                  enum call_kind kind)
{
	if (!atomic_load(&module->serialise) || kind == MODULE_BLOCKS)
		return calls_invoke(function, parameters, words); /* REENTRANT: no lock held */
	int cancel, process = process_number();
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel); /* other threads wait for this one */
	CK_RV rv = CKR_NO_EVENT;
	if (serial_enter(module->life, kind != MODULE_POLL)) {
		rv = calls_invoke(function, parameters, words); /* REENTRANT: `serialised` held */
		process_enter();
		if (process == process_number()) /* else the module forked, and this child holds nothing */
			serial_leave(module->life);
	}
	pthread_setcancelstate(cancel, NULL);
	return rv;
}
