/*
 * events.h: the events that the lower floors tell to a recorder. They do not know the recorder itself.
 *
 * A recorder that is switched on stands in `recorder`; it is put there once and never taken away. While there
 * is none, telling an event costs a load and a test.
 *
 * The teller of an event holds no lock, unless the comment of its kind says so. The recorder changes no
 * answer and keeps errno. A text belongs to the teller, and lasts as long as the call.
 */
#ifndef P11SHIM_EVENTS_H
#define P11SHIM_EVENTS_H

#include "base/common.h"
#include "standard/pkcs11.h"

struct call;
struct module;
struct view;

enum event_kind {
	/* of the process */
	EVENT_FORKED,             /* the shim has found this process to be a forked child */
	EVENT_PROBLEM,            /* text: a mistake in the settings */
	EVENT_NO_ROOM_FOR_MODULE, /* text: the path of a module, which is left alone */
	EVENT_EXIT,               /* the process ends; nothing of the shim runs after this */

	/* of a module */
	EVENT_LOADED,            /* text: its path. It was met for the first time, or loaded anew */
	EVENT_OPENED_AGAIN,      /* it is about to be opened by a dlopen of the host */
	EVENT_CLOSED,            /* it is about to be closed by a dlclose of the host */
	EVENT_UNLOADED,          /* text: its path. The shim has found it to be gone from memory */
	EVENT_GONE_AT_LAST,      /* it is gone; until now the shim had held it, initialised */
	EVENT_SERIALISED,        /* it cannot lock: one call at a time from now on */
	EVENT_REAL_INITIALISE,   /* rv: its C_Initialize has answered; text: why it was called, or NULL */
	EVENT_REAL_FINALISE,     /* the same of its C_Finalize */
	EVENT_UP,                /* it is initialised from now on */
	EVENT_DOWN,              /* it is finalised from now on */
	EVENT_LOGGED_OUT,        /* rv: its answer to a C_Logout that the shim had held back */
	EVENT_RETIRED,           /* the process is exiting: no call goes to it any more */
	EVENT_RETIRED_FOR_LATER, /* the same, but only of consumers that were loaded after it */

	/* of a view */
	EVENT_NO_ROOM_FOR_VIEW,     /* module; text: the path of a consumer, which gets the shared view */
	EVENT_NO_ROOM_FOR_LIST,     /* number: 1, it gets the shared view's list; 0, the module's own */
	EVENT_LIST_GIVEN,           /* function, rv: how a view that asked for lists was answered */
	EVENT_SESSIONS_CLOSED,      /* number: how many sessions it had left open */
	EVENT_LAST_FINALISE,        /* its C_Finalize is the last, and calls may be in the module */
	EVENT_CALLS_DID_NOT_RETURN, /* number: how many of them did not come back in time */
};

struct event {
	enum event_kind kind;
	const struct module *module; /* not set for an event of a view, except EVENT_NO_ROOM_FOR_VIEW */
	const struct view *view;
	unsigned function;
	CK_RV rv;
	const char *text;
	unsigned long number;
};

struct recorder {
	bool every_call; /* it wants to see every call, so none may take the fast path */
	void (*event)(const struct event *event);
	/*
	 * Carries a call out by carry_out(call), and looks at it before and after. words: those of the call,
	 * as the consumer gave them; caller: the address that the call returns to. No lock is held.
	 */
	CK_RV(*call)
	(struct view *view, unsigned function, const uintptr_t *words, const void *caller, struct call *call,
	 CK_RV (*carry_out)(struct call *call));
};

extern _Atomic(const struct recorder *) recorder; /* NULL: nothing is recorded */

static inline const struct recorder *events_recorder(void)
{
	return atomic_load_explicit(&recorder, memory_order_acquire);
}

/* tell_event(.kind = EVENT_UP, .module = m); a field that is not named is 0. */
#define tell_event(...)                                                       \
	do {                                                                  \
		const struct recorder *listening = events_recorder();         \
		if (UNLIKELY(listening))                                      \
			listening->event(&(const struct event){__VA_ARGS__}); \
	} while (0)

#endif
