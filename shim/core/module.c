/*
 * module.c: one module's life in this process.
 *
 *            first C_Initialize                      CKR_OK
 *   DOWN ----------------------> BUSY, initialising ---------> UP
 *    ^  <------------------------------ any error              |
 *    |                                                         | last reference
 *    +------ CKR_OK ------ BUSY, finalising <------------------+
 *
 * life.lock guards the state and the counts of the module's views. It is held
 * for a few instructions, never across a call into the module or into dl*.
 * What keeps two threads out of the real C_Initialize and C_Finalize is the
 * state BUSY, whose owner alone leaves it; others wait for `changed`. So the
 * decision to initialise or finalise and the call are one step, as seen from
 * outside (contract C2), and yet no lock is held in the module.
 *
 * One thread never waits for itself: a module that, inside C_Initialize, calls
 * itself back through the shim is found to be the owner and let through (C7).
 *
 * references counts the views that have the module initialised, each thread
 * that is just leaving it (module_finalise), and each call of a view that only
 * borrows it (module_enter). UP with references > 0 is never left, so a thread
 * with a reference may call into the module without any lock.
 *
 * A module is held in memory from before its real initialise until after its
 * real finalise (C9). Taking and dropping the hold calls the dynamic linker,
 * so both are done with no lock and in no BUSY state: a thread that is inside a
 * constructor, with the linker's lock, may be waiting for us.
 *
 * Fork. `struct life` is forgotten memory (process.h): in a child every module
 * is DOWN and `adopted` is off. The first to take the lock there works out
 * what the parent had from the counts of the views, each a single word that is
 * written when the real call is over: a count above zero means that the module
 * was up. Such a count is inherited until the view is counted here; the first
 * call that needs the module brings it up again with the arguments that it had
 * in the parent (F2, F3). A fork inside the real C_Initialize, by the module
 * itself, copies the thread that is BUSY; when that copy comes back out of the
 * module it finds another process number, and finishes what it began for the
 * child alone.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/readable.h"
#include "base/text.h"
#include "core/gate.h"
#include "core/lists.h"
#include "core/logins.h"
#include "core/module.h"
#include "core/sessions.h"
#include "core/view.h"
#include "host/events.h"
#include "standard/calls.h"
#include "standard/mutex.h"

/*
 * Writes only what is new: what stands there already, in memory that a child
 * shares with its parent, would cost the child a copy of the page.
 */
#define CHANGE(place, value)               \
	do {                               \
		if ((place) != (value))    \
			(place) = (value); \
	} while (0)

static struct module modules[MODULES];
_Atomic(unsigned) modules_made;

extern int __cxa_atexit(void (*)(void *), void *, void *);
extern void *__dso_handle;

static void at_exit_of_module(void *module);

/* ---- which modules there are */

static struct module *find(const struct object *object, bool gone)
{
	unsigned made = atomic_load_explicit(&modules_made, memory_order_acquire);
	for (unsigned i = 0; i < made; i++) {
		struct module *m = &modules[i];
		if (atomic_load(&m->gone) != gone)
			continue;
		if (gone ? scope_same_file(&m->object, object) : scope_same_instance(&m->object, object))
			return m;
	}
	return NULL;
}

/* What a loaded instance is like; found out with no lock held. */
struct traits {
	struct object object;
	char *path; /* allocated */
	struct settings settings;
	bool exit_handlers, destructors;
};

/*
 * m->path is the path of this instance: the one before may have come by another,
 * and is still being looked at, so it is never freed.
 */
static void put_traits(struct module *m, struct traits *traits)
{
	if (!m->path || strcmp(m->path, traits->path) != 0) {
		m->path = traits->path;
		traits->path = NULL;
	}
	const char *slash = strrchr(m->path, '/');
	snprintf(m->name, sizeof m->name, "%s", slash ? slash + 1 : m->path[0] ? m->path : "program");
	m->plain = text_is_plain(m->name);
	m->object = traits->object;
	m->object.path = m->path;
	m->settings = traits->settings;
	m->exit_handlers = traits->exit_handlers;
	m->destructors = traits->destructors;
	m->was_up = false;
	m->instance++;
}

static struct module *make_inlock(struct traits *traits)
{
	unsigned made = atomic_load(&modules_made);
	if (made >= MODULES)
		return NULL;
	struct module *m = &modules[made];
	memset(m, 0, sizeof *m);
	put_traits(m, traits);
	m->serialise = m->settings.serialize == SERIALIZE_YES;
	m->life = &p11shim_forgotten.state.life[made];
	m->shared = view_make_shared_inlock(m);
	m->own = lists_make_own_inlock(m->shared);
	atomic_store_explicit(&modules_made, made + 1, memory_order_release);
	return m;
}

/*
 * A module that was unloaded is loaded again, perhaps elsewhere: its views and
 * their lists serve again. No list may lead to the old instance any more by the
 * time that the new one can be held (module_hold). False: somebody has the old
 * one initialised after all.
 */
static bool revive_inlock(struct module *m, struct traits *traits)
{
	lock_take(&m->life->lock);
	bool down = m->life->state == LIFE_DOWN && m->life->references == 0;
	if (down) {
		lists_disown_inlock(m);
		put_traits(m, traits);
		for (unsigned i = 0; i < atomic_load(&views_made); i++)
			if (views[i].module == m)
				views[i].finalised = false;
		atomic_store(&m->gone, false);
	}
	lock_give(&m->life->lock);
	return down;
}

/*
 * The instance is found to be gone: said only of the one that was looked at, and
 * once. With m->life->lock. True: it was news.
 */
static bool gone_inlock(struct module *m, unsigned long instance)
{
	bool news = m->instance == instance && m->life->state == LIFE_DOWN && !atomic_load(&m->hold) &&
	            !atomic_load(&m->gone);
	if (news)
		atomic_store(&m->gone, true);
	return news;
}

/*
 * An instance that is gone stays so until module_of() has seen the next one, even
 * if that lies at the same place already.
 */
void *module_hold(struct module *m)
{
	lock_take(&m->life->lock);
	unsigned long instance = m->instance;
	struct object object = m->object;
	bool gone = atomic_load(&m->gone);
	lock_give(&m->life->lock);
	void *hold = gone ? NULL : scope_hold(&object, object.path); /* REENTRANT: no lock held */
	lock_take(&m->life->lock);
	if (!hold)
		gone_inlock(m, instance);
	bool same = m->instance == instance && !atomic_load(&m->gone);
	lock_give(&m->life->lock);
	if (same)
		return hold;
	scope_release(hold); /* REENTRANT: no lock held */
	return NULL;
}

struct module *module_of(const void *function, const struct object *instance)
{
	struct object object;
	struct module *m = find(instance, false);
	if (m)
		return m;
	if (!scope_object(function, &object) || !scope_own_symbol(&object, "C_GetFunctionList"))
		return NULL;
	struct traits traits = {
	        .object = object,
	        .path = strdup(object.path),
	        .settings = settings_of_module(object.path),
	        .exit_handlers = scope_has_exit_handlers(&object),
	        .destructors = scope_has_destructors(&object),
	};
	bool is_new = false;
	if (traits.path && traits.settings.in_scope) {
		lock_take(&p11shim_forgotten.state.registry);
		m = find(&object, false); /* another thread may have been here first */
		if (!m) {
			is_new = true;
			m = find(&object, true);
			if (!m || !revive_inlock(m, &traits))
				m = make_inlock(&traits);
		}
		lock_give(&p11shim_forgotten.state.registry);
		if (!m)
			tell_event(.kind = EVENT_NO_ROOM_FOR_MODULE, .text = object.path);
	}
	free(traits.path);
	if (m && is_new) {
		/*
		 * New at every load: between the exit handlers of consumers and the
		 * module's own. Only where it has something to do, since in a child
		 * glibc may have left the lock of exit handlers held.
		 */
		if (m->settings.at_exit == AT_EXIT_AUTO ? m->exit_handlers
		                                        : m->settings.at_exit != AT_EXIT_FORWARD)
			__cxa_atexit(at_exit_of_module, m, &__dso_handle);
		tell_event(.kind = EVENT_LOADED, .module = m, .text = m->path);
	}
	return m;
}

void modules_opened(const char *path)
{
	const char *slash = strrchr(path, '/');
	for (unsigned i = 0; i < atomic_load(&modules_made); i++) {
		struct object object = {.path = path};
		if (atomic_load(&modules[i].gone) || (!slash && strcmp(path, modules[i].name) != 0))
			continue;
		if (slash)
			scope_identify(&object);
		if (!slash ||
		    (object.inode == modules[i].object.inode && object.device == modules[i].object.device))
			tell_event(.kind = EVENT_OPENED_AGAIN, .module = &modules[i]);
	}
}

void modules_closed(const void *handle)
{
	for (unsigned i = 0; i < atomic_load(&modules_made); i++)
		if (modules[i].object.map == handle && !atomic_load(&modules[i].gone))
			tell_event(.kind = EVENT_CLOSED, .module = &modules[i]);
}

void modules_notice_unloads(void)
{
	for (unsigned i = 0; i < atomic_load(&modules_made); i++) {
		struct module *m = &modules[i];
		if (atomic_load(&m->hold) || atomic_load(&m->gone))
			continue;
		lock_take(&m->life->lock);
		unsigned long instance = m->instance;
		struct object object = m->object;
		lock_give(&m->life->lock);
		if (scope_still_there(&object))
			continue;
		lock_take(&m->life->lock);
		bool news = gone_inlock(m, instance);
		lock_give(&m->life->lock);
		if (news)
			tell_event(.kind = EVENT_UNLOADED, .module = m, .text = object.path);
	}
}

/* ---- waiting, counting */

static bool mine_inlock(const struct life *life)
{
	return life->state == LIFE_BUSY && life->owner == thread_self();
}

static bool is_retired(const struct view *view)
{
	return atomic_load(&view->module->retired) || atomic_load(&view->retired);
}

static void view_refresh_inlock(struct view *view)
{
	const struct module *m = view->module;
	const struct recorder *listening = events_recorder();
	bool on = !listening || !listening->every_call;
	if (m->settings.observe)
		on = on && (!listening || atomic_load(&view->may_pass));
	else
		on = on && m->life->state == LIFE_UP && view->count > 0 && !m->serialise &&
		     m->settings.drain == DRAIN_NO && !handles_translated(m);
	view_live_inlock(view, on && !is_retired(view));
}

void module_refresh(struct view *view)
{
	struct life *life = view->module->life;
	lock_take(&life->lock);
	view_refresh_inlock(view);
	lock_give(&life->lock);
}

/*
 * First thing after taking the lock. In the process that began, all counts are
 * zero and this does nothing.
 */
static void adopt_inlock(struct module *m)
{
	struct life *life = m->life;
	if (life->adopted)
		return;
	life->adopted = true;
	handles_adopt(m);
	for (unsigned i = 0; i < atomic_load(&views_made); i++)
		if (views[i].module == m && views[i].count > 0)
			life->references++;
	if (life->references > 0 && m->settings.fork == FORK_OFF)
		life->state = LIFE_UP;
}

/* Until something has changed. A signal handler may fork meanwhile: then this is a child. */
static void sleep_inlock(struct module *m)
{
	bell_wait(&m->life->changed, &m->life->lock, 0);
	process_enter();
	adopt_inlock(m);
}

static void count_inlock(struct view *view, unsigned count)
{
	struct life *life = view->module->life;
	if (view->count == 0)
		life->references++; /* matched in release_inlock() */
	if (view->count == 0 || view_inherited_inlock(view))
		view_life_inlock(view)->changes++;
	CHANGE(view->count, count);
	CHANGE(view->finalised, false);
	view_life_inlock(view)->counted = true;
	view_refresh_inlock(view);
}

static void release_inlock(struct view *view)
{
	view->module->life->references--; /* matches count_inlock() */
	view->count = 0;
	view->finalised = true;
	view_life_inlock(view)->changes++;
	view_refresh_inlock(view);
}

static void begin_inlock(struct life *life, bool initialising)
{
	life->state = LIFE_BUSY;
	life->initialising = initialising;
	life->owner = thread_self();
	if (initialising) {
		life->attempt++;
		life->inside = 0; /* whoever never came back from the life before */
		life->polling = 0;
	}
}

static void end_inlock(struct life *life, unsigned state)
{
	life->state = state;
	bell_ring(&life->changed);
}

/* ---- arguments (contract C8) */

/* Reads the standard's six fields, no more. False: not legal. */
static bool read_arguments(struct module_arguments *given, const CK_C_INITIALIZE_ARGS *args)
{
	memset(given, 0, sizeof *given);
	given->null = !args;
	if (!args)
		return true;
	given->args = *args;
	int callbacks = !!args->CreateMutex + !!args->DestroyMutex + !!args->LockMutex + !!args->UnlockMutex;
	return callbacks == 0 || callbacks == 4;
}

#define SHORTEST_TEXT 7 /* shorter than any parameter */
#define LONGEST_TEXT 4096

/* Bytes of UTF-8. 32-bit addresses of libraries (0xf7...) and stacks (0xff...) have one that is none. */
static bool in_text(unsigned char c)
{
	return c >= ' ' && c != 127 && c < 0xf5;
}

/*
 * What pReserved points to, if it is text: softoken, p11-kit-trust and others take
 * parameters there, and the consumer may have freed them by the time that a
 * child needs them (F2). NULL if not: shorter than any parameter, or than a
 * pointer that looks like text; not printable; not readable.
 */
__attribute__((noinline)) static char *copy_text(const void *pReserved)
{
	const char *text = pReserved;
	size_t length = 0;
	for (;; length++) {
		bool new_page = length == 0 || (uintptr_t)(text + length) % 4096 == 0;
		if (length == LONGEST_TEXT || (new_page && !is_readable(text + length, 1)))
			return NULL;
		if (!in_text((unsigned char)text[length]))
			break;
	}
	return length >= SHORTEST_TEXT && text[length] == '\0' ? strdup(text) : NULL;
}

static bool same_arguments(const struct module_arguments *a, const struct module_arguments *b)
{
	return a->null == b->null && memcmp(&a->args, &b->args, sizeof a->args) == 0;
}

static CK_RV try(struct module *m, void *initialise, const struct module_arguments *arguments)
{
	if (!same_arguments(&m->arguments, arguments))
		m->arguments = *arguments;
	uintptr_t word = arguments->null ? 0 : (uintptr_t)&m->arguments.args;
	return calls_invoke(initialise, 1, &word); /* REENTRANT: no lock held */
}

/*
 * Does a module mean by this answer that it does not like its arguments? Not the
 * general errors: they are what a module says whose device does not answer, and
 * asking again would make its consumer wait, and read its complaints, twice.
 */
static bool may_be_the_arguments(CK_RV rv)
{
	return rv == CKR_ARGUMENTS_BAD || rv == CKR_CANT_LOCK || rv == CKR_NEED_TO_CREATE_THREADS ||
	       rv == CKR_FUNCTION_NOT_SUPPORTED;
}

/*
 * The ladder. First what is best for everybody: OS locking, whatever the first
 * consumer asked for. If the module refuses that, mutexes of ours. Then as the
 * consumer wished, but never with its own mutexes, which may live in a library
 * that is unloaded first. If the module cannot lock at all, without; then the
 * shim lets one call in at a time. A rung that does not differ from one before is
 * left out. If all are refused, the answer is the one to what the consumer wished.
 */
static CK_RV climb(struct module *m, void *initialise, const struct module_arguments *given)
{
	struct module_arguments best = *given, mutexes = *given, wished = *given, none = {.null = true};
	memset(&best.args, 0, offsetof(CK_C_INITIALIZE_ARGS, flags));
	best.null = mutexes.null = false;
	best.args.flags |= CKF_OS_LOCKING_OK;
	mutex_functions(&mutexes.args);
	mutexes.args.flags &= ~(CK_FLAGS)CKF_OS_LOCKING_OK;
	if (given->args.CreateMutex)
		mutex_functions(&wished.args);
	none.args.pReserved = given->args.pReserved;
	none.null = !none.args.pReserved;

	CK_RV rv = try(m, initialise, &best), first = rv;
	if (!may_be_the_arguments(rv))
		return rv;
	bool cannot = first == CKR_CANT_LOCK;
	if (cannot)
		rv = try(m, initialise, &mutexes);
	if (may_be_the_arguments(rv) && !(cannot && same_arguments(&wished, &mutexes)))
		rv = same_arguments(&wished, &best) ? first : try(m, initialise, &wished);
	if (rv == CKR_CANT_LOCK && cannot && !given->null) {
		CK_RV last = try(m, initialise, &none);
		if (!may_be_the_arguments(last))
			rv = last;
	}
	return rv;
}

/* The real C_Initialize. */
static CK_RV real_initialise(struct module *m, void *initialise, bool again_in_child)
{
	struct module_arguments given = m->given;
	if (again_in_child && m->reserved_text)
		given.args.pReserved = m->reserved_text;
	CHANGE(m->serialise, m->settings.serialize == SERIALIZE_YES);
	CK_RV rv = climb(m, initialise, &given);
	const CK_C_INITIALIZE_ARGS *taken = &m->arguments.args;
	bool locks = !m->arguments.null && (taken->CreateMutex || taken->flags & CKF_OS_LOCKING_OK);
	if (rv == CKR_OK && !locks && m->settings.serialize != SERIALIZE_NO) {
		atomic_store(&m->serialise, true);
		tell_event(.kind = EVENT_SERIALISED, .module = m);
	}
	return rv;
}

static CK_RV real_finalise(struct module *m, CK_VOID_PTR pReserved)
{
	uintptr_t word = (uintptr_t)pReserved;
	return calls_invoke(m->finalise, 1, &word); /* REENTRANT: no lock held */
}

/* A child's pristine module where the parent's state came along (fork = reset). */
static CK_RV reset(struct module *m)
{
	CK_RV rv = real_finalise(m, NULL);
	tell_event(.kind = EVENT_REAL_FINALISE, .module = m, .rv = rv, .text = "in a child, to reset it");
	return real_initialise(m, m->initialise, true);
}

/* ---- up and down */

/*
 * The real C_Initialize, from DOWN, with m->given, m->initialise and m->finalise
 * set. Called and returns with the lock held; drops it for the call. CKR_OK: UP.
 */
static CK_RV bring_up_inlock(struct module *m)
{
	struct life *life = m->life;
	int process = process_number();
	bool inherited = life->references > 0;
	begin_inlock(life, true);
	bool parents = life->attempt == 1 && m->was_up; /* what is there comes from before this process */
	life->reviving = inherited;
	lock_give(&life->lock);

	/*
	 * Others wait for this thread, which must not be cancelled; and modules load
	 * others, and libraries, in there, while others might fork. In a child without
	 * other threads, as most are at first, this costs two pages and serves nobody.
	 */
	bool alone = process_alone() && inherited;
	int cancel, begun = 0;
	if (!alone) {
		pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
		begun = process_linker_begin();
	}
	CK_RV rv = real_initialise(m, m->initialise, inherited);
	if (rv == CKR_CRYPTOKI_ALREADY_INITIALIZED && parents && m->settings.fork == FORK_RESET)
		rv = reset(m);
	tell_event(.kind = EVENT_REAL_INITIALISE, .module = m, .rv = rv,
	           .text = inherited ? "in a child" : NULL);
	if (rv == CKR_OK || rv == CKR_CRYPTOKI_ALREADY_INITIALIZED)
		tell_event(.kind = EVENT_UP, .module = m);

	if (!alone) {
		process_linker_end(begun);
		pthread_setcancelstate(cancel, NULL);
	}
	process_enter(); /* the module may have forked: this may be a child */
	lock_take(&life->lock);
	if (process_number() != process)
		adopt_inlock(m);
	life->foreign = rv == CKR_CRYPTOKI_ALREADY_INITIALIZED;
	if (life->foreign)
		rv = CKR_OK;
	if (rv != CKR_OK) {
		life->failed_attempt = life->attempt;
		life->failure = rv;
	}
	for (unsigned i = 0; i < atomic_load(&views_made); i++) {
		struct view_life *now = view_life_inlock(&views[i]);
		if (views[i].module == m && now->nested > 0) {
			if (rv == CKR_OK)
				count_inlock(&views[i], views[i].count + now->nested);
			now->nested = 0;
		}
	}
	if (rv == CKR_OK && inherited && !life->foreign) {
		login_forget(m);
		handles_make_stale(m); /* a new life: the parent's sessions are not in it (F4) */
	}
	if (rv == CKR_OK)
		CHANGE(m->was_up, true);
	end_inlock(life, rv == CKR_OK ? LIFE_UP : LIFE_DOWN);
	return rv;
}

/*
 * Is this thread bringing another module up again in a child? Then that one is
 * a wrapper (pkcs11-spy, say) which initialises the one below.
 */
static bool inside_a_wrapper(void)
{
	bool inside = false;
	for (unsigned i = 0; i < atomic_load(&modules_made) && !inside; i++) {
		struct life *life = modules[i].life;
		lock_take(&life->lock);
		inside = mine_inlock(life) && life->initialising && life->reviving;
		lock_give(&life->lock);
	}
	return inside;
}

/*
 * C_Initialize of a view that finds the module DOWN. The hold is the caller's,
 * given to the module if it comes up; so is the text, for the one before.
 */
static CK_RV first_initialise_inlock(struct view *view, const struct list *list,
                                     const struct module_arguments *given, char **text, void **hold)
{
	struct module *m = view->module;
	char *old_text = m->reserved_text;
	if (!same_arguments(&m->given, given))
		m->given = *given;
	CHANGE(m->reserved_text, *text);
	*text = old_text;
	CHANGE(m->initialise, lists_target(list, CALL_C_Initialize));
	CHANGE(m->finalise, lists_target(list, CALL_C_Finalize));
	CHANGE(m->close_session, lists_target(list, CALL_C_CloseSession));
	CK_RV rv = bring_up_inlock(m);
	if (rv != CKR_OK)
		return rv;
	if (!atomic_load(&m->hold)) {
		atomic_store(&m->hold, *hold);
		*hold = NULL;
	}
	count_inlock(view, view_inherited_inlock(view) ? 1 : view->count + 1);
	return CKR_OK;
}

/* C_Initialize from inside the module's own C_Initialize or C_Finalize. */
static CK_RV nested_initialise_inlock(struct view *view)
{
	if (!view->module->life->initialising)
		return CKR_FUNCTION_FAILED; /* on its way down: there is nothing to wait for */
	view_life_inlock(view)->nested++;
	return CKR_OK;
}

CK_RV module_initialise(struct view *view, const struct list *list, CK_VOID_PTR pInitArgs)
{
	struct module *m = view->module;
	struct life *life = m->life;
	struct module_arguments given;
	if (is_retired(view))
		return CKR_CRYPTOKI_NOT_INITIALIZED;
	if (!read_arguments(&given, pInitArgs))
		return CKR_ARGUMENTS_BAD;

	void *hold = NULL;
	char *text = given.args.pReserved ? copy_text(given.args.pReserved) : NULL;
	CK_RV rv = CKR_OK;
	unsigned long waited_for = 0;
	lock_take(&life->lock);
	adopt_inlock(m);
	bool was_inherited = view_inherited_inlock(view);
	for (;;) {
		adopt_inlock(m);
		if (mine_inlock(life)) {
			rv = nested_initialise_inlock(view);
			break;
		}
		if (life->state == LIFE_BUSY) {
			waited_for = life->initialising ? life->attempt : 0;
			sleep_inlock(m);
			continue;
		}
		if (waited_for && life->state == LIFE_DOWN && life->failed_attempt >= waited_for) {
			rv = life->failure; /* what we waited for failed, for everybody (C5) */
			break;
		}
		if (life->state == LIFE_UP) {
			if (view->count > 0 && !view_inherited_inlock(view) && m->settings.already_report)
				rv = CKR_CRYPTOKI_ALREADY_INITIALIZED;
			else
				count_inlock(view, view_inherited_inlock(view) ? 1 : view->count + 1);
			break;
		}
		if (!hold && !atomic_load(&m->hold)) { /* a child may have inherited one */
			lock_give(&life->lock);
			hold = module_hold(m);
			lock_take(&life->lock);
			if (hold)
				continue;
			rv = CKR_GENERAL_ERROR;
			break;
		}
		/* A list kept beyond its module's end leads nowhere: no attempt for others to wait for. */
		rv = lists_supports(list, CALL_C_Initialize)
		             ? first_initialise_inlock(view, list, &given, &text, &hold)
		             : CKR_GENERAL_ERROR;
		break;
	}
	/*
	 * A wrapper must learn that the module below carried its state over the fork,
	 * else it would be taken for new itself, and its sessions for stale. What it
	 * then says of that comes back through real_initialise(), not to its consumer.
	 */
	bool carried = rv == CKR_OK && was_inherited && life->foreign;
	lock_give(&life->lock);
	if (text)
		free(text);
	scope_release(hold); /* REENTRANT: no lock held */
	if (carried && inside_a_wrapper())
		rv = CKR_CRYPTOKI_ALREADY_INITIALIZED;
	return rv;
}

/*
 * One call at a time into a module that cannot lock. A call that the module
 * makes itself, on the same thread, is let through.
 */
static bool serial_enter(struct life *life, bool queues)
{
	if (atomic_load(&life->serialised_owner) == thread_self()) { /* only true if set by this thread */
		life->serialised_depth++;
		return true;
	}
	if (queues)
		lock_take(&life->serialised);
	else if (!lock_try(&life->serialised))
		return false;
	atomic_store(&life->serialised_owner, thread_self());
	life->serialised_depth = 1;
	return true;
}

static void serial_leave(struct life *life)
{
	if (--life->serialised_depth > 0)
		return;
	atomic_store(&life->serialised_owner, 0);
	lock_give(&life->serialised);
}

CK_RV module_call(struct module *module, void *function, unsigned parameters, const uintptr_t *words,
                  enum call_kind kind)
{
	if (!atomic_load(&module->serialise) || kind == MODULE_BLOCKS)
		return calls_invoke(function, parameters, words); /* REENTRANT: no lock held */
	int cancel, process = process_number();
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel); /* others wait for this thread */
	CK_RV rv = CKR_NO_EVENT;
	if (serial_enter(module->life, kind != MODULE_POLL)) {
		rv = calls_invoke(function, parameters, words); /* REENTRANT: `serialised` held */
		process_enter();
		if (process == process_number()) /* else the module forked, and this child holds nothing */
			serial_leave(module->life);
	}
	pthread_setcancelstate(cancel, NULL);
	return rv;
}

/* Closes what the view left open. The caller has a reference, and no lock. */
static void close_sessions(struct view *view, struct session *sessions)
{
	struct module *m = view->module;
	struct taken_session session;
	unsigned closed = 0;
	while (handles_next(&sessions, &session)) {
		uintptr_t word = session.real;
		module_call(m, m->close_session, 1, &word, MODULE_CALL);
		closed++;
	}
	if (closed)
		tell_event(.kind = EVENT_SESSIONS_CLOSED, .view = view, .number = closed);
}

/*
 * The view leaves while others stay. Its reference is kept until its sessions
 * are closed, so the module stays UP for that; if all others leave meanwhile,
 * this thread is the last and brings the module down.
 */
static void leave_inlock(struct view *view)
{
	struct life *life = view->module->life;
	int process = process_number();
	life->references++;
	release_inlock(view);
	struct session *sessions = handles_take_all(view, NULL);
	lock_give(&life->lock);
	close_sessions(view, sessions);
	process_enter();
	lock_take(&life->lock);
	adopt_inlock(view->module);
	if (process == process_number()) /* else the module forked, and this child had no reference */
		life->references--;
}

#define POLL_PATIENCE (2 * 1000000000ULL)   /* nanoseconds that a poll may take to come back */
#define DRAIN_PATIENCE (10 * 1000000000ULL) /* and any call, with drain = yes */

/*
 * Lets the calls come back that are in the module although it is about to be
 * finalised; the state is BUSY already, so no others go in. Calls that take the
 * short way are not known of, unless drain = yes or report forbids it, or every
 * call is recorded. How many did not come back.
 */
static unsigned drain_inlock(struct module *m)
{
	struct life *life = m->life;
	bool all = m->settings.drain == DRAIN_YES;
	if (life->polling == 0 && life->inside == 0)
		return 0;
	uint64_t t = clock_at(CLOCK_MONOTONIC), end = t + (all ? DRAIN_PATIENCE : POLL_PATIENCE);
	/* A thread that comes here out of its own poll, by a signal, does not wait for itself. */
	for (; ((life->polling > 0 && life->poller != thread_self()) || (all && life->inside > 0)) && t < end;
	     t = clock_at(CLOCK_MONOTONIC))
		bell_wait(&life->changed, &life->lock, end - t);
	return t >= end ? life->inside + life->polling : 0;
}

/*
 * From UP, with no reference left: the real C_Finalize. Called and returns with
 * the lock held; drops it for the call. What was held comes back in *hold, to
 * be released without the lock.
 */
static CK_RV bring_down_inlock(struct module *m, struct view *view, CK_VOID_PTR pReserved, void **hold)
{
	struct life *life = m->life;
	begin_inlock(life, false);
	unsigned inside = life->foreign ? 0 : life->inside;
	if (UNLIKELY(events_recorder()) && inside > 0) {
		lock_give(&life->lock);
		tell_event(.kind = EVENT_LAST_FINALISE, .view = view);
		lock_take(&life->lock);
	}
	unsigned lost = life->foreign ? 0 : drain_inlock(m);
	struct session *sessions = life->foreign ? handles_take_all(view, NULL) : NULL;
	lock_give(&life->lock);
	if (lost > 0)
		tell_event(.kind = EVENT_CALLS_DID_NOT_RETURN, .view = view, .number = lost);
	int cancel;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel); /* others wait for this thread */
	CK_RV rv = CKR_OK;
	if (life->foreign) {
		close_sessions(view, sessions); /* not ours to finalise (C6) */
	} else {
		int begun = process_linker_begin();
		rv = real_finalise(m, pReserved);
		process_linker_end(begun);
		tell_event(.kind = EVENT_REAL_FINALISE, .module = m, .rv = rv);
	}
	pthread_setcancelstate(cancel, NULL);
	process_enter();
	bool down = rv == CKR_OK || rv == CKR_CRYPTOKI_NOT_INITIALIZED;
	if (down)
		tell_event(.kind = EVENT_DOWN, .module = m);
	lock_take(&life->lock);
	adopt_inlock(m);
	if (down) {
		handles_forget_all(m);
		login_forget(m);
		*hold = atomic_exchange(&m->hold, NULL);
		end_inlock(life, LIFE_DOWN);
	} else {
		end_inlock(life, LIFE_UP); /* it says that it lives on */
	}
	return rv;
}

/* What kept a module in memory while it was initialised. With no lock. */
static void let_go(struct module *m, void *hold)
{
	struct object object = m->object;
	scope_release(hold); /* REENTRANT: no lock held */
	if (UNLIKELY(events_recorder()) && hold && !scope_still_there(&object))
		tell_event(.kind = EVENT_GONE_AT_LAST, .module = m);
}

CK_RV module_finalise(struct view *view, CK_VOID_PTR pReserved)
{
	struct module *m = view->module;
	struct life *life = m->life;
	if (is_retired(view))
		return CKR_OK; /* C10 */
	void *hold = NULL;
	CK_RV rv = CKR_OK;
	lock_take(&life->lock);
	adopt_inlock(m);
	while (life->state == LIFE_BUSY && !mine_inlock(life) && view->count > 0)
		sleep_inlock(m);
	if (life->state == LIFE_BUSY && mine_inlock(life)) {
		struct view_life *now = view_life_inlock(view);
		if (now->nested > 0)
			now->nested--;
		else
			rv = CKR_CRYPTOKI_NOT_INITIALIZED;
	} else if (view->count == 0) {
		rv = CKR_CRYPTOKI_NOT_INITIALIZED; /* C3 */
	} else if (pReserved && (view->count > 1 || life->references > 1)) {
		rv = CKR_ARGUMENTS_BAD; /* the standard's answer: the module is not asked */
	} else if (view->count > 1) {
		view->count--;
	} else if (life->state == LIFE_DOWN) {
		release_inlock(view); /* a child lets go of what only the parent had (F3) */
		if (life->references == 0)
			hold = atomic_exchange(&m->hold, NULL);
	} else if (life->references > 1) {
		leave_inlock(view);
		if (life->references == 0 && life->state == LIFE_UP)
			bring_down_inlock(m, view, NULL, &hold);
	} else {
		release_inlock(view);
		rv = bring_down_inlock(m, view, pReserved, &hold);
		if (life->state == LIFE_UP && view->count == 0)
			count_inlock(view, 1); /* it refused: as before */
	}
	lock_give(&life->lock);
	let_go(m, hold);
	return rv;
}

/* DOWN, for a call that is neither C_Initialize nor C_Finalize. */
static CK_RV enter_down_inlock(struct view *view)
{
	struct module *m = view->module;
	struct life *life = m->life;
	bool may = view->count > 0 || !view->finalised;
	if (life->references == 0 || !may || m->settings.fork == FORK_STRICT)
		return CKR_CRYPTOKI_NOT_INITIALIZED;
	if (bring_up_inlock(m) != CKR_OK) /* a child's first use */
		return CKR_CRYPTOKI_NOT_INITIALIZED;
	for (unsigned i = 0; i < atomic_load(&views_made); i++)
		if (views[i].module == m)
			view_refresh_inlock(&views[i]);
	return CKR_OK;
}

static void arrive_inlock(struct life *life, const struct ticket *ticket)
{
	life->references += ticket->reference; /* matched in module_leave(), as are these */
	life->inside += ticket->kind == MODULE_CALL;
	life->polling += ticket->kind == MODULE_POLL;
	if (ticket->kind == MODULE_POLL)
		life->poller = thread_self();
}

CK_RV module_enter(struct view *view, struct ticket *ticket, enum call_kind kind)
{
	struct module *m = view->module;
	struct life *life = m->life;
	CK_RV rv = CKR_OK;
	*ticket = (struct ticket){.process = 0};
	if (is_retired(view))
		return CKR_CRYPTOKI_NOT_INITIALIZED;
	lock_take(&life->lock);
	adopt_inlock(m);
	/* A child's threads wait for the one that brings the module up again. */
	while (life->state == LIFE_BUSY && !mine_inlock(life) && view->count > 0)
		sleep_inlock(m);
	if (life->state == LIFE_DOWN)
		rv = enter_down_inlock(view);
	else if (life->state == LIFE_BUSY && !mine_inlock(life))
		rv = CKR_CRYPTOKI_NOT_INITIALIZED;
	bool borrows = life->state == LIFE_UP && view->count == 0;
	if (borrows && view->finalised)
		rv = CKR_CRYPTOKI_NOT_INITIALIZED; /* C4 */
	if (rv == CKR_OK) {
		*ticket = (struct ticket){.process = process_number(),
		                          .kind = kind,
		                          .reference = borrows,
		                          .attempt = life->attempt};
		arrive_inlock(life, ticket);
		if (life->state == LIFE_UP && !borrows)
			view_refresh_inlock(view);
	}
	lock_give(&life->lock);
	return rv;
}

/* If all others have finalised meanwhile, the borrower is the last to leave. */
void module_leave(struct view *view, const struct ticket *ticket)
{
	struct module *m = view->module;
	struct life *life = m->life;
	void *hold = NULL;
	process_enter();
	if (ticket->process != process_number())
		return; /* the module forked: in this child the call counts for nothing */
	lock_take(&life->lock);
	if (ticket->attempt == life->attempt) { /* these match arrive_inlock() */
		life->inside -= ticket->kind == MODULE_CALL;
		life->polling -= ticket->kind == MODULE_POLL;
	}
	life->references -= ticket->reference;
	if (life->state == LIFE_BUSY && !life->initialising)
		bell_ring(&life->changed); /* see drain_inlock() */
	if (ticket->reference && life->references == 0 && life->state == LIFE_UP)
		bring_down_inlock(m, view, NULL, &hold);
	lock_give(&life->lock);
	let_go(m, hold);
}

struct standing module_standing(struct view *view)
{
	struct life *life = view->module->life;
	lock_take(&life->lock);
	adopt_inlock(view->module);
	struct standing standing = {.counts = view->count > 0 && !view_inherited_inlock(view),
	                            .left = view->finalised,
	                            .up = life->state == LIFE_UP,
	                            .inherited = view_inherited_inlock(view),
	                            .changes = view_life_inlock(view)->changes,
	                            .retired = is_retired(view)};
	lock_give(&life->lock);
	return standing;
}

/* ---- process exit (contract C10) */

static void retire(struct module *m)
{
	if (atomic_exchange(&m->retired, true))
		return;
	lock_take(&m->life->lock);
	for (unsigned i = 0; i < atomic_load(&views_made); i++)
		if (views[i].module == m)
			view_refresh_inlock(&views[i]);
	lock_give(&m->life->lock);
	tell_event(.kind = EVENT_RETIRED, .module = m);
}

static void finalise_at_exit(struct module *m)
{
	struct life *life = m->life;
	void *hold;
	lock_take(&life->lock);
	adopt_inlock(m);
	if (life->state == LIFE_UP) {
		for (unsigned i = 0; i < atomic_load(&views_made); i++)
			if (views[i].module == m && views[i].count > 0)
				release_inlock(&views[i]);
		bring_down_inlock(m, m->shared, NULL, &hold); /* kept in memory: it is exit */
	}
	lock_give(&life->lock);
}

/*
 * Runs among the exit handlers, last registered first: after those that
 * consumers registered since the module was loaded, before the module's own.
 */
static void at_exit_of_module(void *argument)
{
	struct module *m = argument;
	process_enter();
	if (atomic_load(&m->gone))
		return;
	if (m->settings.at_exit == AT_EXIT_FINALIZE && !m->settings.observe)
		finalise_at_exit(m);
	retire(m);
}

/* Was the consumer loaded after the module? Then it is destroyed after it. */
static bool is_later(const struct module *m, const struct view *view)
{
	if (view->shared)
		return true; /* nobody knows who that is */
	for (const struct link_map *map = m->object.map; map; map = map->l_next)
		if (map == view->consumer.map)
			return true;
	return false;
}

/*
 * Destructors of objects run after all exit handlers: the program's first, then
 * those of preloaded libraries, then the others in the order in which they were
 * loaded (but what an object needs after the object). Of consumers of a module
 * that destroys itself there, those that come before it may still use it.
 */
static void retire_for_later_consumers(struct module *m)
{
	lock_take(&m->life->lock);
	for (unsigned i = 0; i < atomic_load(&views_made); i++)
		if (views[i].module == m && is_later(m, &views[i])) {
			atomic_store(&views[i].retired, true);
			view_refresh_inlock(&views[i]);
		}
	lock_give(&m->life->lock);
	tell_event(.kind = EVENT_RETIRED_FOR_LATER, .module = m);
}

static void at_the_very_end(void *nothing)
{
	(void)nothing;
	process_enter();
	tell_event(.kind = EVENT_EXIT);
}

/*
 * An exit handler that is registered now, among the destructors of objects, runs
 * when all of those have run: they are one handler to exit(), which then looks for
 * new ones.
 */
__attribute__((destructor)) static void at_exit_of_process(void)
{
	if (UNLIKELY(events_recorder()))
		__cxa_atexit(at_the_very_end, NULL, &__dso_handle);
	for (unsigned i = 0; i < atomic_load(&modules_made); i++) {
		struct module *m = &modules[i];
		if (!m->destructors || m->settings.at_exit != AT_EXIT_AUTO || atomic_load(&m->gone))
			continue;
		process_enter();
		if (scope_still_there(&m->object))
			retire_for_later_consumers(m);
	}
}
