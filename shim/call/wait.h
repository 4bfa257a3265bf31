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
 *   rv = wait_for_slot_event(view, target, flags, pSlot, pReserved);
 */
#ifndef P11SHIM_WAIT_H
#define P11SHIM_WAIT_H

#include "core/view.h"

/*
 * C_WaitForSlotEvent of the view; function: the module's own. Without
 * CKF_DONT_BLOCK it returns when there is an event, when the view finalises
 * (CKR_CRYPTOKI_NOT_INITIALIZED), or when the module gives another answer than
 * CKR_NO_EVENT: that answer. No lock may be held.
 */
CK_RV wait_for_slot_event(struct view *view, void *function, CK_FLAGS flags, CK_SLOT_ID_PTR pSlot,
                          CK_VOID_PTR pReserved);

/*
 * The view has initialised and was not before: what happened until now is not
 * for it. Where the module was up already for others, and has ever told of events,
 * it is asked for those that it still has, for them.
 */
void wait_joined(struct view *view, void *function, bool was_up);

/* Is this thread asking a module that wraps this one, for somebody who waits there? */
bool wait_is_for_a_wrapper(void);

/* The view has finalised: ends its threads' waiting. */
void wait_finalised(struct view *view);

#endif
