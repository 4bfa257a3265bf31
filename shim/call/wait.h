/*
 * wait.h: slot events (contract D3). One module's events are for all its views.
 *
 * A module tells each event once, to whoever asks first; some block for it where
 * only a real C_Finalize can end that. Here nobody blocks in the module: whoever
 * waits asks it now and then with CKF_DONT_BLOCK, on its own thread, one thread
 * for all, and what is found is kept until every waiter has seen it.
 *
 * Every thread of every view that waits, blocking or not, sees each event once.
 * Events of one slot that a thread has not fetched yet are one, as in the
 * standard (PKCS #11 2.40, 3.0, 3.2: 5.5 C_WaitForSlotEvent). A view sees what
 * happens after it has initialised.
 *
 * call_C_WaitForSlotEvent() in call.h is the function itself.
 */
#ifndef P11SHIM_WAIT_H
#define P11SHIM_WAIT_H

#include "core/view.h"

/*
 * The view has initialised and was not before: what happened until now is not
 * for it. Where the module was up already for others, and has ever told of events,
 * it is asked for those that it still has, for them.
 */
void wait_joined(struct view *view, void *function, bool was_up);

/* The view has finalised: ends its threads' waiting. */
void wait_finalised(struct view *view);

#endif
