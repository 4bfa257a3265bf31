/*
 * conflicts.c: see conflicts.h.
 */
#include "base/readable.h"
#include "core/model.h"
#include "record/conflicts.h"
#include "standard/calls.h"

/* What C_Initialize was given, as far as it matters to other consumers. */
struct wishes {
	CK_FLAGS flags;
	bool callbacks, some_callbacks;
	const void *reserved;
	uint32_t reserved_text; /* hash of the text there */
};

static struct wishes wishes_of_first[MODULES]; /* of the view that initialised the module; under `told` */

static struct lock *lock(void)
{
	return &p11shim_forgotten.state.told;
}

static struct wishes wishes_of(const CK_C_INITIALIZE_ARGS *args)
{
	struct wishes wishes = {0};
	if (!args || !is_readable(args, sizeof *args))
		return wishes;
	int callbacks = !!args->CreateMutex + !!args->DestroyMutex + !!args->LockMutex + !!args->UnlockMutex;
	wishes.flags = args->flags;
	wishes.callbacks = callbacks == 4;
	wishes.some_callbacks = callbacks > 0 && callbacks < 4;
	wishes.reserved = args->pReserved;
	if (wishes.reserved && is_readable(wishes.reserved, 1)) {
		const unsigned char *c = wishes.reserved;
		const unsigned char *end = c + (4096 - (uintptr_t)c % 4096);
		wishes.reserved_text = 2166136261u;
		while (c < end && *c)
			wishes.reserved_text = (wishes.reserved_text ^ *c++) * 16777619u;
	}
	return wishes;
}

static bool locks(const struct wishes *wishes)
{
	return wishes->callbacks || wishes->flags & CKF_OS_LOCKING_OK;
}

static const char *conflict(const struct wishes *first, const struct wishes *second, bool observed)
{
	if (second->reserved && second->reserved != first->reserved &&
	    second->reserved_text != first->reserved_text)
		return "$v passed parameters in pReserved, too late: $o had initialised $m already";
	if (second->flags & CKF_LIBRARY_CANT_CREATE_OS_THREADS &&
	    !(first->flags & CKF_LIBRARY_CANT_CREATE_OS_THREADS))
		return "$v forbids $m to create threads, but $o had initialised $m and allowed it";
	if (observed && locks(second) && !locks(first))
		return "$v asks $m to lock, but $o had initialised $m without asking for that";
	return NULL;
}

void conflicts_check(const struct view *view, const uintptr_t *words, CK_RV rv,
                     const struct call_snapshot *snapshot, bool was_up)
{
	unsigned m = module_number(view->module);
	struct wishes mine = wishes_of((const CK_C_INITIALIZE_ARGS *)words[0]);
	struct evidence evidence = {.count = 0};
	evidence_add(&evidence, "C_Initialize by", view->name, snapshot->now);
	if (mine.some_callbacks && rv == CKR_ARGUMENTS_BAD) {
		tell_finding(view, INCOMPATIBLE_ARGUMENTS, CALL_C_Initialize, &evidence,
		             "$v passed some of the four mutex functions, but not all", NULL, 0);
		return;
	}
	if (!was_up && rv == CKR_OK) {
		lock_take(lock());
		wishes_of_first[m] = mine;
		lock_give(lock());
	}
	if (!was_up || (rv != CKR_OK && rv != CKR_CRYPTOKI_ALREADY_INITIALIZED))
		return;
	struct who_when first = history_initialised_last(view->module);
	lock_take(lock());
	struct wishes its = wishes_of_first[m];
	lock_give(lock());
	const char *what = conflict(&its, &mine, view->module->settings.observe);
	if (!what || !first.view || first.view == view)
		return;
	evidence_add_last(&evidence, "initialised by", first);
	tell_finding(view, INCOMPATIBLE_ARGUMENTS, CALL_C_Initialize, &evidence, what, first.view->name, 0);
}
