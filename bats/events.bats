#!/usr/bin/env bats
# Slot events on the mock, whose wait really blocks: every consumer is told, and none
# is parked where only a real C_Finalize could wake it.

load helper

drive() {
	run with_shim "$BUILD/mock/drivers/events" "$1"
	assert_success
}

@test "contract D3: each of three waiting threads is told once, blocking" {
	drive D3-told-blocking
}

@test "contract D3: ... asking again and again" {
	drive D3-told-polling
}

@test "contract D3: ... and some so, some so" {
	drive D3-told-both
}

@test "contract D3: who joins later sees only what comes later" {
	drive D3-joins-later
}

@test "contract D3: a module is not asked for events that no consumer asks for" {
	drive D3-not-asked-unasked
}

@test "contract D3: a waiter's own consumer finalises and initialises at once" {
	drive D3-own-finalise
}

@test "contract D3 C2: the last finalise while threads poll" {
	drive D3-last-finalise
}

# A sanitizer costs more than that itself.
# bats test_tags=not-sanitized
@test "contract D3: idle waiting costs under 0.5 % of a processor" {
	drive D3-idle
	echo "$output"
}

@test "contract D3: exit with a waiter parked" {
	drive D3-exit
}

@test "contract D3: a waiter that is cancelled" {
	drive D3-cancelled
}

@test "contract D3: what a module without wait support, or a wrong argument, is answered" {
	drive D3-other-answers
}

@test "contract D3 F1: a child waits for itself" {
	drive D3-child
}

@test "contract D3: a consumer alone is told what happened between two lives" {
	drive D3-alone-and-again
}

@test "contract D3 C4: who has finalised is told nothing, who borrows only what comes" {
	drive D3-not-allowed
}

@test "contract D3: a waiter that is cancelled while it asks the module" {
	drive D3-cancelled-in-the-module
}

@test "contract D3: a hundred threads wait" {
	drive D3-many
}
