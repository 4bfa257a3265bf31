/*
 * process.h: am I still the process I was? (contract F1)
 *
 * All that a forked child must not believe lies together in one stretch of
 * memory which the kernel itself empties in the child (MADV_WIPEONFORK),
 * however the child came about: fork, clone, a raw system call. What lies there
 * and why zero is right for each of it in a new process:
 *
 *   live[]    zero: every gate slot takes the full path, where the child is
 *             noticed.
 *   entered   zero: nobody has noticed yet. Else this process's number.
 *   locks     zero: free (lock.h). The threads that may have held them do not
 *             exist in the child.
 *   life[]    zero: no module is initialised in this process, nobody is inside
 *             an initialise or finalise, nobody waits. core/state.c works out from
 *             the views what the parent had.
 *   view[]    zero: no view's count was made in this process.
 *   told, history   zero: free (findings.c, history.c).
 *   events[]  zero: nobody waits for slot events, none has been found, and
 *   view_events[]   none of them has been seen.
 *   flights[] zero: no recorded call is in flight (crash.c).
 *
 * Everything else is ordinary memory, which the child inherits in whatever
 * state the other threads had left it; each room says how its own is read.
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
	struct bell changed;
	unsigned state;    /* enum life_state */
	bool inherited;    /* what the parent had has been taken into account */
	bool foreign;      /* the module said ALREADY_INITIALIZED: never finalised by us */
	bool initialising; /* while BUSY: initialise, not finalise */
	bool reviving;     /* ... in a child, of what its parent had */
	uintptr_t owner;   /* while BUSY: the thread inside the real call */
	unsigned references;
	unsigned inside, polling;     /* calls that are in the module, and those that only poll it */
	uintptr_t poller;             /* the thread that came last to poll */
	unsigned long attempt;        /* number of the last real initialise that began */
	unsigned long failed_attempt; /* number of the last one that failed, and how */
	CK_RV failure;
	struct lock sessions;                /* sessions.c */
	struct lock serialised;              /* calls into a module that cannot lock */
	_Atomic(uintptr_t) serialised_owner; /* a thread; 0: nobody */
	unsigned serialised_depth;
	struct lock logins; /* logins.c */
	struct bell login_changed;
	uintptr_t login_owner; /* a thread; 0: nobody */
	_Atomic(bool) waited;  /* wait.c has anything to remember */
};

/* A view's state in this process; under life.lock of its module. */
struct view_life {
	bool counted;          /* its count was made here; else a count is the parent's */
	unsigned nested;       /* counts that a running initialise of the module made itself */
	unsigned long changes; /* how often it has begun or ceased to count, for the record */
};

/* Slot events that were found. Belongs to wait.c, which explains it. */
struct slot_event {
	CK_SLOT_ID slot;
	unsigned long number; /* 0: none */
};

struct events {
	struct lock lock;
	struct bell changed;
	bool asking; /* a thread is asking the module */
	bool blocks; /* ... for one that waits, not for one that only looks */
	uintptr_t asker;
	unsigned lookers; /* threads that only look, and wait for the one that is asking */
	bool answered;    /* the module has ever told of an event, or that there is none */
	uint64_t delay;   /* how long the last answer took, in nanoseconds */
	uint64_t next;    /* when to ask again, in nanoseconds of CLOCK_MONOTONIC */
	unsigned long newest;
	struct slot_event slots[EVENT_SLOTS];
};

struct view_events {
	unsigned long epoch; /* counts its C_Finalize */
	unsigned long seen;  /* the last event that a thread of it has been told */
	bool joined;         /* seen has begun */
	struct reader *readers;
};

/* A recorded call in flight. Belongs to crash.c, which explains it. */
struct flight {
	_Atomic(uintptr_t) thread; /* 0: none */
	_Atomic(uintptr_t) depth, view, caller;
	_Atomic(uint64_t) began;
	_Atomic(unsigned) function;
	_Atomic(int) tid;
};

struct forgotten {
	_Atomic(unsigned char) live[GATE_LISTS];
	_Atomic(int) entered;
	bool linker_suspect; /* see process_linker_suspect() */
	struct lock entering;
	struct lock registry; /* lists.c, view.c, module.c: making new records */
	struct view_life view[VIEWS];
	struct life life[MODULES];
	/* on pages of their own, as a rule: not wanted by a child that never waits */
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
 * To be called on the way into every full path, and before any use of the
 * forgotten memory. Cheap when nothing is new. Takes `entering` only.
 */
void process_enter(void);

/*
 * The number of this process: code that finds another one after a call than
 * before it has been forked inside.
 */
int process_number(void);

/*
 * Is the calling thread certainly the only one? glibc tells from 2.32 on; before,
 * or unsure: false. May call the dynamic linker; no lock may be held.
 */
bool process_alone(void);

/*
 * Around what calls the dynamic linker, or may: the value that begin gives goes
 * to end. Nesting is fine.
 */
int process_linker_begin(void);
void process_linker_end(int begun);

/*
 * Was this process forked while another thread was in between? Then the linker
 * may be locked for ever, or in the middle of loading, and is not to be called.
 */
bool process_linker_suspect(void);

#endif
