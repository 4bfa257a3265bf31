/*
 * logins.h: who needs which token logged in, for logout = held (contract D2).
 *
 * A token is logged in for the whole process (PKCS #11 2.40, 3.0: 5.6 C_Login;
 * 3.2: 5.6.8), so one consumer's C_Logout logs out all. Held, it waits until no
 * other consumer that has logged in needs the token: until they have logged out
 * too, closed their last session there, or finalised. Then it is done.
 *
 * C_Login always goes to the module, which alone judges a PIN; what it says while
 * the token is logged in, CKR_USER_ALREADY_LOGGED_IN as a rule, is passed on.
 *
 * Nothing here is called, and no memory is used, under logout = shared.
 */
#ifndef P11SHIM_LOGINS_H
#define P11SHIM_LOGINS_H

#include "core/view.h"

/*
 * Around each C_Login and C_Logout, and what is decided about them: one at a
 * time for a module, so that no login comes between the decision to log out and
 * doing it. False: this thread is in between already (the module calls itself);
 * then no logins_end(). Nothing may be held.
 */
bool logins_begin(struct module *module);
void logins_end(struct module *module);

/* Between the two: the view has logged in on that slot. */
void logins_in(struct view *view, CK_SLOT_ID slot);

/*
 * The view wants to log out. True: another needs the token, so it must stay; the
 * view's wish is remembered. *was_in: whether the view was logged in itself.
 */
bool logins_out(struct view *view, CK_SLOT_ID slot, bool *was_in);

/* The token is logged out, for all. */
void logins_all_out(struct module *module, CK_SLOT_ID slot);

/*
 * The view needs that token no more. True: so nobody does, and somebody wished to
 * log out: now it is to be done.
 */
bool logins_leave(struct view *view, CK_SLOT_ID slot);

/* A slot on which the view is logged in; false: none. For logins_leave(), one by one. */
bool logins_slot(const struct view *view, CK_SLOT_ID *slot);

/* The module is initialised or finalised: nobody is logged in anywhere. */
void logins_forget(struct module *module);

#endif
