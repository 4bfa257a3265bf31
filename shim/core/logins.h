/*
 * logins.h: which views need which token logged in, for logout = held (contract D2).
 *
 * A token is logged in for the whole process (PKCS #11 2.40, 3.0: 5.6 C_Login; 3.2: 5.6.8), so the C_Logout
 * of one consumer logs out all consumers. With logout = held the shim holds a C_Logout back until no other
 * consumer that has logged in needs the token: until each of them has logged out too, has closed its last
 * session there, or has finalised. Then the shim logs out.
 *
 * C_Login always goes to the module, which alone judges a PIN. What the module answers while the token is
 * logged in, CKR_USER_ALREADY_LOGGED_IN as a rule, is passed on.
 *
 * Under logout = shared nothing here is called, and no memory is used.
 */
#ifndef P11SHIM_LOGINS_H
#define P11SHIM_LOGINS_H

#include "core/view.h"

/*
 * To be called around each C_Login and C_Logout and the decisions about them. Only one thread at a time is
 * between the two for a module, so no login comes between the decision to log out and the logout. False: this
 * thread is between the two already (the module calls itself); then it does not call logins_end(). No lock
 * may be held.
 */
bool logins_begin(struct module *module);
void logins_end(struct module *module);

/* Between the two: the view has logged in on that slot. */
void logins_in(struct view *view, CK_SLOT_ID slot);

/*
 * The view wants to log out. True: another view needs the token, so it must stay logged in; the view's wish
 * is remembered. *was_in: whether the view was logged in itself.
 */
bool logins_out(struct view *view, CK_SLOT_ID slot, bool *was_in);

/* The token is logged out, for all views. */
void logins_all_out(struct module *module, CK_SLOT_ID slot);

/*
 * The view no longer needs that token. True: no view needs it now, and a view has wished to log out: the
 * caller is to do that.
 */
bool logins_leave(struct view *view, CK_SLOT_ID slot);

/* A slot on which the view is logged in; false: none. For logins_leave(), one by one. */
bool logins_slot(const struct view *view, CK_SLOT_ID *slot);

/* The module is initialised or finalised: no view is logged in anywhere. */
void logins_forget(struct module *module);

#endif
