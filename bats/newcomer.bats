#!/usr/bin/env bats
# bats file_tags=all
# check-newcomer where no system can be made, and when it is ended: with a debootstrap of our
# own, and no network. What it says of a system takes hours, and is tried by running it.
# shellcheck disable=SC2016,SC2030,SC2031 # for the scripts that are written here; each test has a shell of its own

bats_require_minimum_version 1.5.0
load helper

setup() {
	need_mounts "enter another system"
	unshare --mount --pid --fork --net --ipc --uts true 2>/dev/null || skip "no namespaces can be had here"
	need_program ip flock setpriv git
	git -C "$ROOT" rev-parse HEAD >/dev/null 2>&1 || skip "what is tried is what is committed, and here is no git"
	export T=$BATS_TEST_TMPDIR DEBIAN_MIRROR=http://127.0.0.1:9/debian NEWCOMER_ROOM=1
	top=$T/place/newcomer
	mkdir "$T/bin"
	PATH=$T/bin:$PATH
	cd "$T" || return 1
	# a number that no other process sleeps for
	nap=900.00$$
}

teardown() {
	local process

	for process in $(pgrep -f "^sleep $nap\$"); do
		kill -KILL "$process" || true
	done
}

# debootstrap_is COMMANDS: ours is called with OPTIONS RELEASE DIRECTORY MIRROR.
debootstrap_is() {
	printf '#!/bin/sh\n%s\n' "$1" >"$T/bin/debootstrap"
	chmod +x "$T/bin/debootstrap"
}

newcomer() {
	timeout -k 5 120 "$ROOT/scripts/check-newcomer" "$T/place" "$@" 3>&-
}

sleeps() {
	pgrep -f "^sleep $nap\$" >/dev/null
}

# until_it COMMAND: for half a minute at the most
until_it() {
	for _ in $(seq 300); do
		! "$@" || return 0
		sleep 0.1
	done
	return 1
}

@test "check-newcomer: a system that cannot be made is said, is no success, and is tried again" {
	debootstrap_is 'echo once >>"$T/tried"; for last; do :; done; echo "E: no such mirror: $last"; exit 1'
	for times in 1 2; do
		run newcomer bookworm trixie/user
		assert_failure 1
		assert_line 'bookworm/blank     not tried'
		assert_line "    it cannot be made: E: no such mirror: $DEBIAN_MIRROR"
		assert_line '0 passed, 0 failed, 7 skipped'
		# once for each release
		assert_equal "$(wc -l <"$T/tried")" $((2 * times))
		[ ! -e "$top/bookworm/bare.new" ]
	done
}

@test "check-newcomer: what has passed for this commit is kept; what has failed, or was another commit's, is tried again" {
	debootstrap_is 'exit 1'
	commit=$(git -C "$ROOT" rev-parse HEAD)
	mkdir -p "$top/sid"
	printf '%s\n' "$commit" passed >"$top/sid/root.result"
	printf '%s\n' "$commit" failed 'newcomer: demo 2 3 no mirror' >"$top/sid/user.result"
	printf '%s\n' 0123456789 passed >"$top/sid/home.result"
	run newcomer sid/root sid/user sid/home
	assert_failure 1
	assert_line 'sid/root           passed'
	assert_line 'sid/user           not tried'
	assert_line 'sid/home           not tried'
	assert_line '1 passed, 0 failed, 2 skipped'
	run newcomer sid/root
	assert_success
	assert_line '1 passed, 0 failed, 0 skipped'
}

@test "check-newcomer: what is lacking here is named, and to try nothing is no success" {
	debootstrap_is 'exit 1'
	mkdir few
	for name in bash dirname id sed debootstrap setpriv flock git; do
		ln -s "$(type -P "$name")" few/
	done
	run env PATH="$PWD/few" "$ROOT/scripts/check-newcomer" "$T/place" sid
	assert_failure 1
	assert_output '0 passed, 0 failed, 6 skipped: not installed: ip'
	[ ! -e place ]
}

@test "check-newcomer: a full disk is said, and counts as no failure" {
	debootstrap_is 'exit 1'
	NEWCOMER_ROOM=999999999999 run newcomer sid/user
	assert_failure 1
	assert_line "    less than 999999999999 MB are free in $top"
	assert_line '0 passed, 0 failed, 1 skipped'
}

@test "check-newcomer: CDPATH and umask lead nowhere else" {
	debootstrap_is 'exit 1'
	mkdir -p decoy/scripts
	umask 077
	cd "$ROOT"
	CDPATH=$T/decoy run timeout -k 5 120 scripts/check-newcomer "$T/place" sid/user 3>&-
	assert_line '0 passed, 0 failed, 1 skipped'
	assert_equal "$(stat -c %a "$top/source.bundle")" 644
}

@test "check-newcomer: debootstrap has a limit" {
	debootstrap_is "exec sleep $nap"
	NEWCOMER_LIMIT=1 run newcomer sid/user
	assert_failure 1
	assert_line '0 passed, 0 failed, 1 skipped'
	run ! sleeps
}

@test "check-newcomer: however it is ended, no process and no mount is left, and nothing of the machine is removed" {
	mkdir precious
	touch precious/file
	debootstrap_is "mkdir -p bare.new/dev && mount --bind $T/precious bare.new/dev && setsid sleep $nap & sleep $nap"
	for signal in TERM INT HUP KILL; do
		env --default-signal=INT,HUP "$ROOT/scripts/check-newcomer" "$T/place" sid/user >said 2>&1 3>&- </dev/null &
		until_it sleeps
		run grep -F "$T" /proc/self/mountinfo
		assert_failure
		kill -$signal $!
		wait $! || true
		until_it eval '! sleeps'
		run grep -F "$T" /proc/self/mountinfo
		assert_failure
		[ -e precious/file ]
		[ $signal = KILL ] || grep -q '^check-newcomer: interrupted' said
		[ $signal = KILL ] || [ ! -e "$top/sid/bare.new" ]
	done
	# and the next run goes on
	debootstrap_is 'exit 1'
	run newcomer sid/user
	assert_line '0 passed, 0 failed, 1 skipped'
	[ -e precious/file ]
}

@test "check-newcomer: one at a time in a build directory; the second waits, and says so" {
	debootstrap_is "echo once >>$T/tried; exec sleep $nap"
	"$ROOT/scripts/check-newcomer" "$T/place" sid/user >said 2>&1 3>&- </dev/null &
	first=$!
	until_it sleeps
	timeout -k 5 60 "$ROOT/scripts/check-newcomer" "$T/place" sid/user >second 2>&1 3>&- </dev/null &
	second=$!
	until_it grep -q waiting second
	assert_equal "$(wc -l <tried)" 1
	debootstrap_is "echo once >>$T/tried; exit 1"
	kill $first
	wait $first || true
	wait $second || true
	run cat second
	assert_line "check-newcomer: another run uses $top; waiting until it ends"
	assert_line '0 passed, 0 failed, 1 skipped'
	assert_equal "$(wc -l <tried)" 2
}

@test "check-newcomer: a build directory with a colon, a comma and a blank in its name" {
	debootstrap_is 'mkdir bare.new && cd bare.new && mkdir -p proc sys dev usr etc/dpkg/dpkg.cfg.d etc/apt/apt.conf.d'
	run timeout -k 5 120 "$ROOT/scripts/check-newcomer" "$T/a:b,c d" sid/user 3>&-
	assert_failure 1
	# all is mounted, but there is no shell in there
	assert_output --partial "scripts/setup failed in it"
	assert_output --partial "env: "
	[ -e "$T/a:b,c d/newcomer/sid/bare" ]
	[ ! -e "$T/a:b,c d/newcomer/sid/ready" ]
}
