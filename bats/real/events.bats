#!/usr/bin/env bats
# What waiting for slot events costs where asking costs most: OpenSC, which talks
# to pcscd and to each reader.

load ../helper
load ../servers

setup() {
	module=$(find_module opensc-pkcs11.so)
	start_readers || skip "no virtual readers here: ${readers_missing:?}"
	start_card
}

teardown() {
	[ -z "${watch_pid:-}" ] || kill -9 "$watch_pid" || true
	stop_servers
}

@test "contract D3: three threads that wait for OpenSC's readers take under 0.5 % of a processor" {
	LD_PRELOAD=$SHIM "$PROGRAMS/event-watch" --only-block "$module" >"$BATS_TEST_TMPDIR/seen" 3>&- &
	watch_pid=$!
	sleep 20
	kill "$watch_pid"
	wait "$watch_pid"
	watch_pid=
	grep '^idle' "$BATS_TEST_TMPDIR/seen"
	sed -n 's/^idle: \([0-9.]*\) .*/\1/p' "$BATS_TEST_TMPDIR/seen" | awk '{ exit !($1 < 0.5) }'
}
