#!/usr/bin/env bats
# Slot events on the mock, whose wait really blocks: every consumer is told, and none
# is parked where only a real C_Finalize could wake it.

load helper

@test "contract D3: each of three waiting threads is told once, blocking" {
	drive events D3-told-blocking
}

@test "contract D3: ... asking again and again" {
	drive events D3-told-polling
}

@test "contract D3: ... and some so, some so" {
	drive events D3-told-both
}

@test "contract D3: who joins later sees only what comes later" {
	drive events D3-joins-later
}

@test "contract D3: a module is not asked for events that no consumer asks for" {
	drive events D3-not-asked-unasked
}

@test "contract D3: a waiter's own consumer finalises and initialises at once" {
	drive events D3-own-finalise
}

@test "contract D3 C2: the last finalise while threads poll" {
	drive events D3-last-finalise
}

# A sanitizer costs more than that itself.
# bats test_tags=not-sanitized
@test "contract D3: idle waiting costs under 0.5 % of a processor" {
	drive events D3-idle
	echo "$output"
}

@test "contract D3: exit with a waiter parked" {
	drive events D3-exit
}

@test "contract D3: a waiter that is cancelled" {
	drive events D3-cancelled
}

@test "contract D3: what a module without wait support, or a wrong argument, is answered" {
	drive events D3-other-answers
}

@test "contract D3 F1: a child waits for itself" {
	drive events D3-child
}

@test "contract D3: a consumer alone is told what happened between two lives" {
	drive events D3-alone-and-again
}

@test "contract D3 C4: who has finalised is told nothing, who borrows only what comes" {
	drive events D3-not-allowed
}

@test "contract D3: a waiter that is cancelled while it asks the module" {
	drive events D3-cancelled-in-the-module
}

@test "contract D3: a hundred threads wait" {
	drive events D3-many
}
