#!/usr/bin/env bats
# bats file_tags=all
# check-systems where no other release can be made, and when it is ended: with a debootstrap
# of our own, and no network.

load helper

setup() {
	[ "$(id -u)" -eq 0 ] || skip "only root can enter another system"
	unshare --mount --pid --fork --mount-proc true 2>/dev/null || skip "no namespaces can be had here"
	release=nowhere-$$
	export DEBIAN_MIRROR=http://127.0.0.1:9/debian
	mkdir "$BATS_TEST_TMPDIR/bin"
	PATH=$BATS_TEST_TMPDIR/bin:$PATH
}

teardown() {
	pkill -KILL -f "^sleep 60.0*$$\$" || true
	rm -rf "$BUILD/systems/$release"*
}

# debootstrap COMMANDS: ours is called with OPTIONS RELEASE DIRECTORY MIRROR.
debootstrap_is() {
	printf '#!/bin/sh\n%s\n' "$1" >"$BATS_TEST_TMPDIR/bin/debootstrap"
	chmod +x "$BATS_TEST_TMPDIR/bin/debootstrap"
}

@test "check-systems: a release that cannot be made is said, and counts as failed" {
	# shellcheck disable=SC2016 # for the script
	debootstrap_is 'for last; do :; done; echo "E: no such mirror: $last"; exit 1'
	run timeout -k 5 300 "$ROOT/scripts/check-systems" "$BUILD" "$release"
	assert_failure
	assert_line "$release: debootstrap failed, with $DEBIAN_MIRROR; see $BUILD/systems/$release.log:"
	assert_line "    E: no such mirror: $DEBIAN_MIRROR"
	assert_line '0 passed, 1 failed, 0 skipped'
	[ ! -e "$BUILD/systems/$release" ]
}

sleeps() {
	pgrep -f "^sleep 60.0*$$\$" >/dev/null
}

@test "check-systems: however it is ended, no process and no mount is left" {
	# shellcheck disable=SC2016 # for the script
	debootstrap_is "mount -t tmpfs none $BUILD/systems/$release.new && setsid sleep 60.000$$ & sleep 60.0$$"
	for signal in TERM INT HUP KILL; do
		env --default-signal=INT,HUP timeout -k 5 300 "$ROOT/scripts/check-systems" "$BUILD" "$release" >"$BATS_TEST_TMPDIR/said" 2>&1 3>&- </dev/null &
		for _ in $(seq 600); do
			! sleeps || break
			sleep 0.1
		done
		sleeps
		kill -$signal "$(pgrep -P $!)"
		wait $! || true
		for _ in $(seq 50); do
			sleeps || break
			sleep 0.1
		done
		run sleeps
		assert_failure
		run grep -F "$release" /proc/self/mountinfo
		assert_failure
	done
}
