/*
 * crash.h: what was going on when the process died (contract I5). On request only: P11SHIM_ON_CRASH=1.
 *
 * On SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS or SIGTRAP the last life-cycle events, the calls in
 * flight and the stack are written, with what a signal handler may use. Then the signal's previous
 * disposition takes over, at the same instruction with the same information: a core dump, or the program's
 * own handler. That happens once.
 *
 * If the program had a handler, and the thread is in no PKCS #11 call, that handler is called and nothing is
 * written. A handler that the program sets later takes the place of the shim's.
 */
#ifndef P11SHIM_CRASH_H
#define P11SHIM_CRASH_H

/* Sets the handlers. */
void crash_start(void);

#endif
