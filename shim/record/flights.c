/*
 * flights.c: see flights.h.
 */
#include "host/process.h"
#include "record/flights.h"
#include "standard/calls.h"

static struct flight *flights(void)
{
	return p11shim_forgotten.state.flights;
}

/*
 * Is that call over? If a thread was cancelled in a call, or thrown out of it, its place is still taken. When
 * that thread, or another thread on the same stack, begins a call from further out on it, the old call is
 * over.
 */
static bool is_over(const struct flight *flight, uintptr_t thread, uintptr_t depth)
{
	return atomic_load(&flight->thread) == thread && atomic_load(&flight->depth) <= depth;
}

struct flight *flight_begin(const struct view *view, unsigned function, const struct moment *moment,
                            const void *caller)
{
	uintptr_t thread = thread_self(), depth = (uintptr_t)moment;
	unsigned first = (unsigned)(thread >> 12) % FLIGHTS;
	for (unsigned i = 0; i < FLIGHTS; i++) {
		struct flight *f = &flights()[(first + i) % FLIGHTS];
		uintptr_t nobody = 0;
		uintptr_t had = atomic_load_explicit(&f->thread, memory_order_relaxed);
		if (had ? !is_over(f, thread, depth)
		        : !atomic_compare_exchange_strong(&f->thread, &nobody, thread))
			continue;
		atomic_store_explicit(&f->depth, depth, memory_order_relaxed);
		atomic_store_explicit(&f->view, (uintptr_t)view, memory_order_relaxed);
		atomic_store_explicit(&f->function, function, memory_order_relaxed);
		atomic_store_explicit(&f->tid, moment->tid, memory_order_relaxed);
		atomic_store_explicit(&f->began, moment->at, memory_order_relaxed);
		atomic_store_explicit(&f->caller, (uintptr_t)caller, memory_order_release);
		return f;
	}
	return NULL;
}

void flight_end(struct flight *flight)
{
	if (flight && atomic_load(&flight->thread) == thread_self()) { /* else a fork has wiped it */
		atomic_store_explicit(&flight->caller, 0, memory_order_relaxed);
		atomic_store_explicit(&flight->thread, 0, memory_order_release);
	}
}

static bool look_at(const struct flight *f, struct flying *found)
{
	*found = (struct flying){
	        .caller = (const void *)atomic_load_explicit(&f->caller, memory_order_acquire),
	        .view = (const struct view *)atomic_load(&f->view),
	        .function = atomic_load(&f->function),
	        .tid = atomic_load(&f->tid),
	        .began = atomic_load(&f->began),
	};
	return atomic_load(&f->thread) && found->caller && found->view && found->function < CALLS;
}

unsigned flights_in(const struct module *module, struct flying *found, unsigned most, bool of_others)
{
	unsigned n = 0;
	for (unsigned i = 0; i < FLIGHTS && n < most; i++)
		if (!(of_others && atomic_load(&flights()[i].thread) == thread_self()) &&
		    look_at(&flights()[i], &found[n]) && (!module || found[n].view->module == module))
			n++;
	return n;
}

bool flight_at(unsigned place, struct flying *found)
{
	return look_at(&flights()[place], found);
}

bool flight_of_this_thread(void)
{
	for (unsigned i = 0; i < FLIGHTS; i++)
		if (atomic_load(&flights()[i].thread) == thread_self())
			return true;
	return false;
}
