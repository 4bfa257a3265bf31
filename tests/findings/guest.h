/*
 * guest.h: another consumer in the same process, a library of its own: guest.so.
 */
#ifndef GUEST_H
#define GUEST_H

#include "standard/pkcs11.h"

void guest_loads(const char *module); /* and asks for its list; must be the first */
CK_RV guest_initialises(CK_C_INITIALIZE_ARGS *args);
CK_RV guest_finalises(void);
void guest_unloads(void);
CK_SESSION_HANDLE guest_opens(void);
CK_RV guest_logs_out(CK_SESSION_HANDLE session);

/* When the library is destroyed, at exit. */
void guest_finalises_when_destroyed(void);

#endif
