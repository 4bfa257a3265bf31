/*
 * crash.h: what was going on when the process died (contract I5). On request only: P11SHIM_ON_CRASH=1.
 *
 * On SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS or SIGTRAP the last
 * life-cycle events, the calls in flight and the stack are written, with what a
 * signal handler may use; then the disposition of before takes over, at the same
 * instruction with the same information: a core dump, or the program's own handler.
 * That happens once. Where the program had a handler and no PKCS #11 call is on the
 * thread, that is called and nothing written; a handler that the program sets later
 * has our place.
 */
#ifndef P11SHIM_CRASH_H
#define P11SHIM_CRASH_H

/* Sets the handlers. */
void crash_start(void);

#endif
