#!/usr/bin/env bats
# The life of a module under the shim, on the mock module, which aborts when a
# rule of the standard is broken. What each test does stands in the driver of
# the same case, tests/mock/drivers/.
#
# Without the library all but three fail (`without_shim` in place of
# `with_shim`): the mock gets a caller's own arguments, or calls in the wrong
# order. Those three (B2 getters, B3 errors, B5 modules) say that the library
# does no harm.

# scripts/check-arch repeats these tests for other processors, those with the tag
# `long` only in make check-stress.
# bats file_tags=core

load helper

# A child of a process with threads may find the locks of AddressSanitizer's own
# allocator held for ever, and then hangs in malloc.
not_with_asan() {
	[ "${CHECK_SANITIZER:-}" != asan ] || skip "AddressSanitizer's malloc does not bear a fork among threads"
}

@test "contract B1: a consumer has one list, another consumer another" {
	drive lists B1-one-view
}

@test "contract B1: the count is the view's, whichever of its lists is used" {
	drive lists B1-state-is-the-views
}

@test "contract B1: a symbolic link is the same module, a copied file another" {
	drive lists B1-symlink-and-copy
}

@test "contract B1: a list is safe to call after its module is gone" {
	drive lists B1-stale-list
}

@test "contract B1 A4: functions looked up one by one belong to the same view" {
	drive lists B1-single-functions
}

@test "contract B2: a list has the module's version, and is never read past 2.40's size" {
	drive lists B2-version-is-the-modules
}

@test "contract B2: the getters inside a list give the view's lists" {
	drive lists B2-lists-inside-lists
}

@test "contract B2: a C_GetFunctionList that fails, and one that is given NULL" {
	drive lists B2-function-list-errors
}

@test "contract B3: interfaces of all versions, and a vendor's, as the module offers them" {
	drive lists B3-interfaces
}

@test "contract B3: a C_GetInterface that fails is passed on, its output not looked at" {
	drive lists B3-interface-errors
}

@test "contract B3 A4: an interface found in a dependency belongs to the dependency" {
	drive lists B3-interface-of-a-dependency
}

@test "contract B3: every function of every list reaches its own, all arguments intact" {
	drive lists B3-every-function
}

@test "contract B4: an entry that is NULL answers CKR_FUNCTION_NOT_SUPPORTED" {
	drive lists B4-null-entries
}

@test "contract B5: 220 consumers of one module" {
	drive lists B5-many-consumers
}

@test "contract B5: 150 modules" {
	drive lists B5-many-modules
}

@test "contract C1 C2: initialises are counted by view, the module's happens once" {
	drive lifecycle C1-counts
}

@test "contract C1: already = report" {
	P11SHIM_ALREADY=report drive lifecycle C1-already-report
}

@test "contract C2: eight threads of three consumers, all at the same moment" {
	drive lifecycle C2-race-together
}

@test "contract C2: eight threads of three consumers, each at its own pace" {
	drive lifecycle C2-race-freely
}

@test "contract C2: no call gets in before C_Initialize is over" {
	drive lifecycle C2-no-call-before-it-is-over
}

@test "contract C2: C_Initialize during the last C_Finalize waits and is a real one" {
	drive lifecycle C2-initialise-during-finalise
}

@test "contract C2 C14: a C_Finalize that fails is told, and the module is still there" {
	drive lifecycle C2-failing-finalise
}

@test "contract C3: a surplus C_Finalize touches nothing" {
	drive lifecycle C3-surplus-finalise
}

@test "contract C4: a view that finalised gets CKR_CRYPTOKI_NOT_INITIALIZED from every function" {
	drive lifecycle C4-finalised-view
}

@test "contract C4: while no consumer has it initialised no call reaches the module" {
	drive lifecycle C4-not-initialised-by-anybody
}

@test "contract C4: a view that never initialised may borrow" {
	drive lifecycle C4-borrowing
}

@test "contract C5: a failing C_Initialize reaches all who waited, and may be retried" {
	drive lifecycle C5-failing-initialise
}

@test "contract C6: a module that was initialised out of sight is never finalised" {
	drive lifecycle C6-initialised-by-somebody-unseen
}

@test "contract C7: C_Initialize calls itself back" {
	drive nesting C7-nests-itself
}

@test "contract C7: C_Initialize initialises itself, and stays so" {
	drive nesting C7-nests-itself-for-good
}

@test "contract C7: C_Initialize initialises another module" {
	drive nesting C7-nests-another
}

@test "contract C7: two modules initialise each other" {
	drive nesting C7-nests-in-a-circle
}

@test "contract C7: C_Initialize forks" {
	drive nesting C7-forks-in-initialise
}

@test "contract C7: C_Initialize forks, and the child goes on" {
	drive nesting C7-forks-in-initialise-and-goes-on
}

@test "contract C7: C_GetFunctionList loads another module" {
	drive nesting C7-loads-in-function-list
}

@test "contract C8: OS locking is asked for, whatever the consumer gave" {
	drive arguments C8-os-locking-is-asked-for
}

@test "contract C8: the first consumer knows no threads, the second comes with eight" {
	drive arguments C8-single-threaded-first
}

@test "contract C8: callbacks are used where OS locking is refused" {
	drive arguments C8-callbacks-where-needed
}

@test "contract C8: the module's arguments outlive the caller's" {
	drive arguments C8-arguments-are-kept
}

@test "contract C8: NSS's longer structure" {
	drive arguments C8-longer-arguments
}

@test "contract C8: malformed arguments never reach the module" {
	drive arguments C8-malformed-arguments
}

@test "contract C8: modules that refuse one form of arguments or another" {
	drive arguments C8-ladder
}

@test "contract C8: a module that cannot lock is serialised" {
	drive arguments C8-cannot-lock
}

@test "contract C8: a module that takes nothing but NULL is serialised" {
	drive arguments C8-null-only
}

@test "contract C8: serialize = yes" {
	P11SHIM_SERIALIZE=yes drive arguments C8-serialize-yes
}

@test "contract C9: mapped while initialised and no longer, new when loaded again" {
	drive loading C9-unload-is-real
}

@test "contract C9: another module at the place of one that was unloaded" {
	drive loading C9-another-at-its-place
}

@test "contract C9: the module's file is replaced on disk" {
	drive loading C9-replaced-on-disk
}

@test "contract C9: a consumer that is unloaded and loaded again" {
	drive loading C9-consumer-unloaded
}

@test "contract C10: calls from an exit handler older than the module" {
	drive exit C10-handler-before-load
}

@test "contract C10: calls from a destructor of the program" {
	drive exit C10-destructor-of-program
}

@test "contract C10: calls from an exit handler younger than the module reach it" {
	drive exit C10-handler-after-load
}

@test "contract C10: a module that cannot destroy itself is called to the end" {
	drive exit C10-immortal-module
}

@test "contract C10: at-exit = finalize" {
	P11SHIM_AT_EXIT=finalize drive exit C10-left-initialised
	assert_output "finalise_done 1"
	drive exit C10-left-initialised
	assert_output "finalise_done 0"
}

@test "contract D1: C_CloseAllSessions closes the caller's own" {
	drive sessions D1-close-all
}

@test "contract D1: the last C_Finalize of a view closes what it left open" {
	drive sessions D1-last-finalise
}

@test "contract D1: each session is closed once" {
	drive sessions D1-closed-once
}

@test "contract D1: a number given again belongs to its new owner" {
	drive sessions D1-number-given-again
}

@test "contract D1: a session that the token dropped by itself" {
	drive sessions D1-dropped-by-the-token
}

@test "contract D1: three consumers with 50 sessions each, in threads" {
	drive sessions D1-three-crowds
}

@test "contract D1: the same, and numbers come again at once" {
	drive sessions D1-three-crowds-numbers-again
}

@test "contract D1: the same, and the token drops sessions by itself" {
	drive sessions D1-three-crowds-token-drops
}

@test "contract D1: sessions of a view that only borrows" {
	drive sessions D1-borrowers-sessions
}

@test "contract D2: by default one login for the process, as the standard says, and the module judges every PIN" {
	drive logins D2-shared
}

@test "contract F1: child of a child" {
	drive forks F1-double-fork
}

# bats test_tags=not-emulated
@test "contract F1: raw clone" {
	not_emulated "only the kernel itself notices a raw system call"
	drive forks F1-raw-clone
}

@test "contract F1: fork from a thread" {
	drive forks F1-fork-from-a-thread
}

# bats test_tags=not-sanitized
@test "contract F1: fork while others are in the module" {
	not_with_asan
	drive forks F1-while-others-work
}

# bats test_tags=not-sanitized
@test "contract F1: fork while others initialise and finalise" {
	not_with_asan
	drive forks F1-while-others-come-and-go
}

@test "contract F2: a module that carries its state over is used as it is" {
	drive forks F2-carried-over
}

@test "contract F2: a module that forgets is initialised on first use" {
	drive forks F2-reset-on-fork
}

@test "contract F2: on first use, whatever the call" {
	drive forks F2-any-first-call
}

@test "contract F2: a module that accepts a second C_Initialize in the child" {
	drive forks F2-accepts-in-child
}

@test "contract F2: a module that must be initialised first in the child" {
	drive forks F2-aborts-in-child
}

@test "contract F2: with the original arguments" {
	drive forks F2-original-arguments
}

@test "contract F2: C_Initialize fails in the child" {
	drive forks F2-failing-in-child
}

@test "contract F2: eight threads make the first call together" {
	drive forks F2-eight-first-calls
}

@test "contract F2: fork = reset" {
	P11SHIM_FORK=reset drive forks F2-policy-reset
}

@test "contract F2: fork = strict" {
	P11SHIM_FORK=strict drive forks F2-policy-strict
}

@test "contract F2: fork = off" {
	P11SHIM_FORK=off drive forks F2-policy-off
}

@test "contract F3: a child that exits or only finalises makes no real call" {
	drive forks F3-no-real-call
}

@test "contract F3: the child's counts are its own" {
	drive forks F3-counts-are-the-childs
}

@test "contract F3: one consumer initialises in the child, another goes on" {
	drive forks F3-two-consumers
}

@test "contract F3: nothing to inherit" {
	drive forks F3-nothing-to-inherit
}

# ---- many threads, random sequences; `make check-stress` runs them longer, with more seeds

# bats test_tags=long
@test "contract C1 C2 C3 C4 D1: hammer on the mock" {
	run with_shim "$BUILD/stress/hammer" --seconds 2 --module "$BUILD/mock/mock.so"
	assert_success
	assert_line --partial "nothing wrong"
}

# bats test_tags=long
@test "contract C1 C2 C3 C4 D1: hammer on SoftHSM" {
	need_token
	run with_shim "$BUILD/stress/hammer" --seconds 2 --module "$SOFTHSM2_MODULE" --pin "$TOKEN_PIN"
	assert_success
	assert_line --partial "nothing wrong"
}

# bats test_tags=long
@test "contract B C D: 20,000 random steps as the model says, with a random seed" {
	local seed

	seed=$(date +%s)
	MOCK_OPTIONS=reuse=$((seed % 2)),restart=1 run with_shim \
		"$BUILD/stress/model" --seed "$seed" --module "$BUILD/mock/mock.so"
	assert_success
}

# Left to make check-all, since those that all know find little.
# bats test_tags=long,all
@test "contract B C D: 20,000 random steps as the model says, two seeds that all know" {
	local seed

	for seed in 1 2; do
		MOCK_OPTIONS=reuse=$((seed % 2)),restart=1 run with_shim \
			"$BUILD/stress/model" --seed "$seed" --module "$BUILD/mock/mock.so"
		assert_success
	done
}

# bats test_tags=long
@test "contract B C D: random steps on SoftHSM as the model says" {
	need_token
	run with_shim "$BUILD/stress/model" --steps 2000 --module "$SOFTHSM2_MODULE" --pin "$TOKEN_PIN"
	assert_success
}

@test "contract F4: a session's number from before the fork never means another session" {
	drive forks F4-stale-number
}

# What a kernel before 4.14, or an emulator, makes of it: only raw system calls go unnoticed then.
# bats test_tags=not-sanitized,not-emulated
@test "contract F1: all of this where the kernel cannot wipe memory at a fork" {
	not_emulated "a kernel cannot be emulated within an emulator, which is one itself"
	not_with_asan
	for case in F1-double-fork F1-fork-from-a-thread F1-while-others-work F1-while-others-come-and-go \
		F2-carried-over F2-reset-on-fork F2-any-first-call F2-accepts-in-child F2-aborts-in-child \
		F2-original-arguments F2-failing-in-child F2-eight-first-calls F3-no-real-call \
		F3-counts-are-the-childs F3-two-consumers F3-nothing-to-inherit F4-stale-number; do
		run with_shim "$BUILD/mock/drivers/no-wipe" "$BUILD/mock/drivers/forks" "$case" "$BATS_TEST_TMPDIR"
		assert_success
	done
}
