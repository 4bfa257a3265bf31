#!/usr/bin/env bats
# Who is logged in, who logs out, and who is still inside when all finalise. That one login is the
# process's by default is in lifecycle.bats.

# shellcheck disable=SC2030,SC2031 # each test, with its settings, is a shell of its own

load helper

# breaks DRIVER CASE: one in which the mock aborts, since a rule is broken.
breaks() {
	run with_shim "$BUILD/mock/drivers/$1" "$2"
	assert_failure
}

held() {
	export P11SHIM_LOGOUT=held
	drive logins "$1"
}

@test "contract D2: held, a logout waits for the other who logged in, and the module judges each PIN" {
	held D2-held
}

@test "contract D2: held, until the other finalises or closes its last session" {
	held D2-held-leaves
}

@test "contract D2: held, no consumer is logged out unless one asked for it, nor on another token" {
	held D2-held-not-wished
}

@test "contract D2: held, three consumers in threads" {
	held D2-held-threads
}

@test "contract D2 F2: held, a child that is initialised anew holds nothing" {
	held D2-held-child
}

@test "contract D2 D1: held, with sessions that the token dropped or another closed" {
	held D2-held-odd-sessions
}

@test "contract D2 D1: a session opened while its consumer finalises goes with it" {
	held D2-held-opens-while-finalising
}

@test "contract D2: held, on SoftHSM" {
	need_token
	export MODULE=$SOFTHSM2_MODULE
	held D2-held-really
}

@test "contract C2 E0: drain = yes waits for calls that are in the module at the last finalise" {
	export P11SHIM_DRAIN=yes
	drive drain C2-drain
}

@test "contract C2 E0 I4: ... for ten seconds at most, and says so" {
	export P11SHIM_DRAIN=yes P11SHIM_LOG=$BATS_TEST_TMPDIR/log
	breaks drain C2-drain-bounded
	assert_output --partial "C_Finalize while 1 calls are inside"
	grep -q 'finding call-in-flight: .* although calls in it did not return in time: 1' "$P11SHIM_LOG"
}

# in_flight: the log tells of one finding, and that is it; the report of the crash may repeat it.
in_flight() {
	run bash -c 'grep -o " finding .*" "$1" | sort -u' - "$P11SHIM_LOG"
	assert_line --regexp '^ finding call-in-flight: consumer-1.so was the last to finalise .*, while calls were still running in it: 1'
	assert_equal "${#lines[@]}" 1
}

@test "contract I4: a call in flight during the last finalise is told of" {
	export P11SHIM_LOG=$BATS_TEST_TMPDIR/log
	breaks drain I4-call-in-flight
	assert_output --partial "C_Finalize while 1 calls are inside"
	in_flight
}

# Calls on the fast path are known of only then; and whose they are, if every call is recorded.
@test "contract I4: ... also one that takes the fast path, with drain = report" {
	export P11SHIM_LOG=$BATS_TEST_TMPDIR/log P11SHIM_DRAIN=report
	breaks drain I4-call-in-flight-report
	assert_output --partial "C_Finalize while 1 calls are inside"
	in_flight
}
