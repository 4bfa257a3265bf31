/*
 * process.h: is this still the process that it was, or a forked child? (contract F1)
 *
 * All that a forked child must not believe lies together in one stretch of memory, which the kernel itself
 * empties in the child (MADV_WIPEONFORK), however the child came about: by fork, clone, or a raw system call.
 * What lies there, and why zero is right for each part in a new process:
 *
 *   fast[]    zero: every gate slot takes the full path, where the child is
 *             noticed.
 *   entered   zero: no thread has noticed yet that the process is new. Else
 *             this process's number.
 *   locks     zero: free (base/lock.h). The threads that may have held them do
 *             not exist in the child.
 *   life[]    zero: no module is initialised in this process, no thread is
 *             inside an initialise or finalise, and none waits. core/state.c
 *             works out from the views what the parent had.
 *   view[]    zero: no view's count was made in this process.
 *   told, history   zero: free locks (record/tell.c, conflicts.c, history.c).
 *   events[]  zero: no thread waits for slot events, and no event has been
 *   view_events[]   found or seen.
 *   flights[] zero: no recorded call is in flight (record/flights.c).
 *
 * Everything else is ordinary memory. The child inherits it in the state in which the other threads had left
 * it; each file says how it reads its own.
 */
#ifndef P11SHIM_PROCESS_H
#define P11SHIM_PROCESS_H

#include "base/common.h"
#include "base/lock.h"
#include "base/sizes.h"
#include "standard/pkcs11.h"

enum life_state { LIFE_DOWN, LIFE_BUSY, LIFE_UP };

/* A module's life in this process. Belongs to core/life.c, which explains it. */
struct life {
	struct lock lock;
	struct wait_queue changed;
	unsigned state;    /* enum life_state */
	bool inherited;    /* the shim has taken into account what the parent had */
	bool foreign;      /* the module answered ALREADY_INITIALIZED: the shim never finalises it */
	bool initialising; /* while BUSY: this is an initialise, not a finalise */
	bool reviving;     /* ... in a child, of a module that the parent had initialised */
	uintptr_t owner;   /* while BUSY: the thread inside the real call */
	unsigned references;
	unsigned inside, polling;     /* calls that are in the module, and calls that only poll it */
	uintptr_t poller;             /* the thread that came last to poll */
	unsigned long attempt;        /* number of the last real initialise that began */
	unsigned long failed_attempt; /* number of the last one that failed; its answer: */
	CK_RV failure;
	struct lock sessions;                /* core/sessions.c */
	struct lock serialised;              /* calls into a module that cannot lock */
	_Atomic(uintptr_t) serialised_owner; /* a thread; 0: none */
	unsigned serialised_depth;
	struct lock logins; /* core/logins.c */
	struct wait_queue login_changed;
	uintptr_t login_owner; /* a thread; 0: none */
	_Atomic(bool) waited;  /* call/wait.c has something to remember */
};

/* A view's state in this process; under life.lock of its module. */
struct view_life {
	bool counted;          /* its count was made in this process; else a count is the parent's */
	unsigned nested;       /* counts that the module itself made in its running initialise */
	unsigned long changes; /* how often it has begun or ceased to count; for the record */
};

/* Slot events that were found. Belongs to call/wait.c, which explains it. */
struct slot_event {
	CK_SLOT_ID slot;
	unsigned long number; /* 0: none */
};

struct events {
	struct lock lock;
	struct wait_queue changed;
	bool asking; /* a thread is asking the module */
	bool blocks; /* ... for a thread that waits, not for one that only looks */
	uintptr_t asker;
	unsigned lookers; /* threads that only look, and wait for the thread that is asking */
	bool answered;    /* the module has told before of an event, or that there is none */
	uint64_t delay;   /* how long the last answer took, in nanoseconds */
	uint64_t next;    /* when to ask again, in nanoseconds of CLOCK_MONOTONIC */
	unsigned long newest;
	struct slot_event slots[EVENT_SLOTS];
};

struct view_events {
	unsigned long epoch; /* counts its C_Finalize */
	unsigned long seen;  /* the last event that a thread of the view has been told */
	bool joined;         /* the view has joined: `seen` is valid */
	struct reader *readers;
};

/* A recorded call in flight. Belongs to record/flights.c, which explains it. */
struct flight {
	_Atomic(uintptr_t) thread; /* 0: none */
	_Atomic(uintptr_t) depth, view, caller;
	_Atomic(uint64_t) began;
	_Atomic(unsigned) function;
	_Atomic(int) tid;
};

struct forgotten {
	_Atomic(unsigned char) fast[GATE_LISTS];
	_Atomic(int) entered;
	bool linker_suspect; /* see process_linker_suspect() */
	struct lock entering;
	struct lock registry; /* for making new records: core/lists.c, view.c, registry.c */
	struct view_life view[VIEWS];
	struct life life[MODULES];
	/* These lie on pages of their own, as a rule: a child that never waits does not touch those. */
	struct events events[MODULES];
	struct view_events view_events[VIEWS];
	struct lock told, history;
	struct flight flights[FLIGHTS];
};

#define FORGOTTEN_SIZE ((sizeof(struct forgotten) + FORGOTTEN_PAGE - 1) / FORGOTTEN_PAGE * FORGOTTEN_PAGE)

union forgotten_memory {
	struct forgotten state;
	char whole_pages[FORGOTTEN_SIZE];
};

extern union forgotten_memory p11shim_forgotten;

/*
 * To be called at the start of every full path, and before any use of the forgotten memory. It is cheap when
 * nothing is new. Takes `entering` only.
 */
void process_enter(void);

/*
 * The number of this process. Code that finds another number after a call than before it was forked inside
 * that call: it runs in the child.
 */
int process_number(void);

/*
 * Is the calling thread certainly the only one? glibc tells this from 2.32 on. With an older glibc, or if it
 * is not sure, the answer is false. May call the dynamic linker; no lock may be held.
 */
bool process_alone(void);

/*
 * To be called around code that calls the dynamic linker, or may call it. The value that begin gives goes to
 * end. Such pairs may be nested.
 */
int process_linker_begin(void);
void process_linker_end(int begun);

/*
 * Was this process forked while another thread was between those two? Then the linker may be locked for ever,
 * or in the middle of loading, and is not to be called.
 */
bool process_linker_suspect(void);

#endif
