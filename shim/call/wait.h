/*
 * wait.h: slot events (contract D3). One module's events are for all its views.
 *
 * A module tells each event once, to the thread that asks first. Some modules block for an event, and only a
 * real C_Finalize can end that. Here no thread blocks in the module. One of the waiting threads asks it now
 * and then with CKF_DONT_BLOCK, for all of them. What it finds is kept until every waiting thread has seen
 * it.
 *
 * Every thread of every view that waits, blocking or not, sees each event once. Events of one slot that a
 * thread has not fetched yet count as one, as in the standard (PKCS #11 2.40, 3.0, 3.2: 5.5
 * C_WaitForSlotEvent). A view sees what happens after it has initialised.
 *
 * call_C_WaitForSlotEvent() in call.h is the function itself.
 */
#ifndef P11SHIM_WAIT_H
#define P11SHIM_WAIT_H

#include "core/view.h"

/*
 * The view has initialised, and was not initialised before: what happened until now is not for it. If the
 * module was up already for other views, and has told of events before, it is asked for the events that it
 * still has, for those views.
 */
void wait_joined(struct view *view, void *function, bool was_up);

/* The view has finalised: ends the waiting of its threads. */
void wait_finalised(struct view *view);

#endif
