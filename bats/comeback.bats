#!/usr/bin/env bats
# Modules and consumers that come back under another name, lists that outlive
# their module, and awkward moments: a cancelled thread, a fork from a signal
# handler, the destructors at exit. What each test does stands in the driver of
# the same case, tests/mock/drivers/. Unlike those of lifecycle.bats these are not
# repeated for other processors.

load helper

# drive_library CASE | linked: the library's destructor at exit, with a module.
drive_library() {
	if [ "$1" = linked ]; then
		run with_shim "$BUILD/mock/drivers/exit-linked" "$BUILD/${MODULE:-mock/tiny.so}"
		assert_success
	else
		drive exit "$1"
	fi
}

@test "contract C9: a module comes back by another path, after a change of directory" {
	drive loading C9-another-relative-path
}

@test "contract C9: a module is copied to a new path for each use, and removed after it" {
	drive loading C9-copied-anew
}

@test "contract C9: a module's file is renamed after each use" {
	drive loading C9-renamed
}

# With the log, whose writing makes room for another thread in the middle of a C_Initialize.
@test "contract B1: a thread insists on a list from before an unload, another consumer is right" {
	P11SHIM_LOG=$BATS_TEST_TMPDIR/log drive lists B1-stale-list-meanwhile
}

@test "contract B1: a consumer opened by a relative path is the same after a change of directory" {
	drive lists B1-consumer-by-relative-path
}

@test "contract B1: a consumer whose file is replaced is the same" {
	drive lists B1-consumer-replaced
}

@test "contract B3: lists of one version keep their own functions" {
	drive lists B3-lists-of-one-version
}

@test "contract B3: a module that claims more interfaces than there is room for" {
	drive lists B3-more-than-there-are
}

@test "contract C10: the destructor of a library linked to the program reaches the module" {
	drive_library linked
	assert_output "library: C_OpenSession 0x0
library: C_Finalize 0x0
module: destroyed, finalised 1"
}

@test "contract C10: the destructor of a library opened before the module reaches it" {
	drive_library C10-library-before-module
	assert_output "library: C_OpenSession 0x0
library: C_Finalize 0x0
module: destroyed, finalised 1"
}

@test "contract C10: the destructor of a library opened after the module never reaches it" {
	drive_library C10-library-after-module
	assert_output "module: destroyed, finalised 0
library: C_OpenSession 0x190
library: C_Finalize 0x0"
}

# The exit handler of the module comes before all destructors of libraries.
@test "contract C10: no destructor of a library reaches a module that an exit handler destroyed" {
	export MODULE=mock/mock.so MOCK_OPTIONS=destructor=1
	for when in linked C10-library-before-module C10-library-after-module; do
		drive_library "$when"
		assert_output "library: C_OpenSession 0x190
library: C_Finalize 0x0"
	done
}

@test "contract C10: at-exit = auto" {
	drive exit C10-at-exit-auto
}

@test "contract C10: at-exit = forward" {
	P11SHIM_AT_EXIT=forward drive exit C10-at-exit-forward
}

@test "contract C10: at-exit = retire" {
	P11SHIM_AT_EXIT=retire drive exit C10-at-exit-retire
}

@test "contract C10: at-exit = finalize, with exit handlers before and after" {
	P11SHIM_AT_EXIT=finalize drive exit C10-at-exit-finalize
}

@test "contract F2: text in pReserved that was freed before the fork" {
	drive forks F2-reserved-text-freed
}

@test "contract C2: a thread is cancelled while it waits in C_Initialize" {
	drive lifecycle C2-cancelled-while-waiting
}

@test "contract C2: C_Finalize of a view that never initialised does not wait" {
	drive lifecycle C2-finalise-does-not-wait
}

@test "contract F1: forks from a signal handler, whatever it interrupts" {
	drive forks F1-fork-from-signal
}

@test "contract F3: a child that only finalises can unload the module" {
	drive forks F3-child-unloads
}

@test "contract C3 C14: a C_Finalize that the module refuses gives no other consumer a count" {
	drive lifecycle C3-refused-finalise
}
