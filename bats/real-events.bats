#!/usr/bin/env bats
# Slot events with real consumers, readers and modules.

# shellcheck disable=SC2030,SC2031 # each test, with its settings, is a shell of its own

load helper
load servers

setup() {
	need_token
}

teardown() {
	[ -z "${watch_pid:-}" ] || kill -9 "$watch_pid" || true
	stop_servers
}

# ---- NSS waits and is called off while another consumer stays

@test "contract D3: NSS calls off a wait on the mock, 100 times" {
	export MOCK_OPTIONS=wait_works=1,block_wait=1
	run with_shim "$PROGRAMS/nss-wait" --times 100 "$BUILD/mock/mock.so"
	assert_success
	assert_line --partial "100 of 100 called off"
}

@test "contract D3: which hangs where the two are only counted: the mock" {
	export MOCK_OPTIONS=wait_works=1,block_wait=1,lenient=1
	run without_shim "$PROGRAMS/nss-wait" --alone "$BUILD/mock/mock.so"
	assert_success
	run without_shim "$PROGRAMS/nss-wait" --counting "$BUILD/mock/mock.so"
	assert_failure 3
	assert_line "0 of 1 called off, then one hung"
}

need_readers() {
	module=$(find_module opensc-pkcs11.so)
	start_readers || skip "no virtual readers here: ${readers_missing:?}"
}

@test "contract D3: NSS calls off a wait on OpenSC with readers, 30 times" {
	need_readers
	run without_shim "$PROGRAMS/nss-wait" --alone --times 3 "$module"
	assert_success
	run without_shim "$PROGRAMS/nss-wait" --counting "$module"
	assert_failure 3
	run with_shim "$PROGRAMS/nss-wait" --times 30 "$module"
	assert_success
	assert_line --partial "30 of 30 called off"
}

# ---- A card comes and goes

# watch: event-watch in the background, writing to $seen.
watch() {
	seen=$BATS_TEST_TMPDIR/seen
	LD_PRELOAD=$SHIM "$PROGRAMS/event-watch" "$module" >>"$seen" 3>&- &
	watch_pid=$!
	eventually grep -q '^ready' "$seen"
}

stop_watching() {
	kill "$watch_pid"
	wait "$watch_pid"
	watch_pid=
}

# How often each has been told, since the line `-- CHANGE` that is last in $seen.
told() {
	awk '/^--/ { delete n } { n[$1]++ } END { print n["a-blocks"] + 0, n["a-polls"] + 0, n["b-blocks"] + 0 }' "$seen"
}

all_told() {
	local a b c

	read -r a b c < <(told)
	[ "$a" -gt 0 ] && [ "$a" -eq "$b" ] && [ "$b" -eq "$c" ]
}

@test "contract D3: a card taken out and put in is seen by all three waiters of two consumers" {
	local change

	need_readers
	start_card
	watch
	for change in remove_card insert_card remove_card insert_card; do
		echo "-- $change" >>"$seen"
		$change
		eventually all_told
		sleep 0.6 # nothing comes after it
		all_told
	done
	stop_watching
	cat "$seen"
	[ "$(grep -c 'ends: CKR_CRYPTOKI_NOT_INITIALIZED' "$seen")" -ge 2 ]
}

# ---- Modules as they are alone

# alike MODULE [OPTIONS]
alike() {
	local module alone

	module=$(find_module "$1") || return 0
	shift
	alone=$(without_shim "$PROGRAMS/wait-answers" "$@" "$module" 2>/dev/null)
	[ -n "$alone" ]
	echo "$module: $alone"
	run --separate-stderr with_shim "$PROGRAMS/wait-answers" "$@" "$module"
	assert_equal "$output" "$alone"
}

@test "contract D3: modules without wait support answer as they do alone" {
	bats_require_minimum_version 1.5.0
	alike libsofthsm2.so
	alike p11-kit-proxy.so
	alike p11-kit-trust.so
	alike p11-kit-client.so
	alike libnssckbi.so
	PKCS11SPY=$SOFTHSM2_MODULE PKCS11SPY_OUTPUT=/dev/null alike pkcs11-spy.so
}
