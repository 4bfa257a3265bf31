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
 *             an initialise or finalise, nobody waits. module.c works out from
 *             the views what the parent had.
 *   view[]    zero: no view's count was made in this process.
 *
 * Everything else is ordinary memory, which the child inherits in whatever
 * state the other threads had left it; each room says how its own is read.
 */
#ifndef P11SHIM_PROCESS_H
#define P11SHIM_PROCESS_H

#include "common.h"
#include "lock.h"
#include "sizes.h"
#include "pkcs11.h"

enum life_state { LIFE_DOWN, LIFE_BUSY, LIFE_UP };

/* A module's life in this process. Belongs to module.c, which explains it. */
struct life {
	struct lock lock;
	struct bell changed;
	unsigned state;    /* enum life_state */
	bool adopted;      /* what the parent had has been taken into account */
	bool foreign;      /* the module said ALREADY_INITIALIZED: never finalised by us */
	bool initialising; /* while BUSY: initialise, not finalise */
	bool reviving;     /* ... in a child, of what its parent had */
	uintptr_t owner;   /* while BUSY: the thread inside the real call */
	unsigned references;
	unsigned long attempt;        /* number of the last real initialise that began */
	unsigned long failed_attempt; /* number of the last one that failed, and how */
	CK_RV failure;
	struct lock sessions;                /* handles.c */
	struct lock serialised;              /* calls into a module that cannot lock */
	_Atomic(uintptr_t) serialised_owner; /* a thread; 0: nobody */
	unsigned serialised_depth;
};

/* A view's state in this process; under life.lock of its module. */
struct view_life {
	bool counted;    /* its count was made here; else a count is the parent's */
	unsigned nested; /* counts that a running initialise of the module made itself */
};

struct forgotten {
	_Atomic(unsigned char) live[GATE_LISTS];
	_Atomic(int) entered;
	bool linker_suspect; /* see process_linker_suspect() */
	struct lock entering;
	struct lock registry; /* lists.c, view.c, module.c: making new records */
	struct view_life view[VIEWS];
	struct life life[MODULES];
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
