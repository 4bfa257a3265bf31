#!/usr/bin/env bats
# p11shim list and what it asks modules with, p11shim-info: modules that do harm, names and
# answers that are not for a terminal, and what is told as JSON.
#
# Single quotes hold programs for other shells; each test has its own variables:
# shellcheck disable=SC2016,SC2030,SC2031

load helper
bats_require_minimum_version 1.5.0

setup_file() {
	export TREE=$BATS_FILE_TMPDIR/tree NASTY_MODULE=$BATS_FILE_TMPDIR/nasty.so
	mkdir -p "$TREE/shim" "$TREE/build"
	cp -r "$ROOT/scripts" "$ROOT/config" "$ROOT/Makefile" "$TREE"
	cp "$ROOT/shim/libp11shim.map" "$TREE/shim"
	cp "$SHIM" "$TREE/build/libp11shim.so"
	cp "$BUILD/p11shim-info" "$TREE/build"
	gcc -shared -fPIC -I"$ROOT/shim" -o "$NASTY_MODULE" "$ROOT/tests/wrapper/nasty.c"
	# whoever is another user finds it
	chmod a+rx "$BATS_RUN_TMPDIR" "$BATS_FILE_TMPDIR/.." "$BATS_FILE_TMPDIR"
}

setup() {
	HERE=$(realpath "$BATS_TEST_TMPDIR")
	cd "$HERE" || return
	export HOME=$HERE/home LC_ALL=C
	mkdir -p "$HOME/.config/pkcs11/modules"
	unset XDG_CONFIG_HOME XDG_RUNTIME_DIR
	as_user=()
}

p11shim() {
	timeout -k 5 120 "${as_user[@]}" "$TREE/scripts/p11shim" "$@"
}

# info HOW [OPTIONS]: what p11shim-info has to say of a module that does so. In a session of its
# own, so that nobody else is hit where it is not kept; who asks comes back with `asked`.
info() {
	run timeout -k 5 60 "${as_user[@]}" env NASTY="$1" setsid -w sh -c '"$@"; echo "asked $?"' - \
		"$TREE/build/p11shim-info" --info --init --seconds "${seconds:-3}" "${@:2}" "$NASTY_MODULE"
}

# As another user than root.
as_somebody() {
	[ "$(id -u)" -ne 0 ] || as_user=(setpriv --reuid=65533 --regid=65533 --clear-groups)
}

# As a container has it, say.
without_privileges() {
	as_user=(setpriv --bounding-set=-all --inh-caps=-all)
	"${as_user[@]}" true || skip "privileges cannot be dropped here"
}

answers_all() {
	local how

	for how in stop-parent kill-parent queue-parent thread-parent trace-parent limit-parent kill-all stop-all \
		kill-parents-group kill-ancestors stop-ancestors descriptors; do
		info "$how"
		assert_success
		assert_equal "$how: ${lines[*]}" \
			"$how: "$'cryptoki\t2.40 manufacturer\tNobody description\tNasty version\t1.2 asked 0'
	done
	info kill-group
	assert_line $'error\tcrashed when asked: Killed'
	assert_line 'asked 1'
}

@test "contract J1: list: a module that signals its parent, its ancestors, its group or everybody stops nobody: root" {
	[ "$(id -u)" -eq 0 ] || skip "this is about root"
	answers_all
}

@test "contract J1: list: a module that signals its parent, its ancestors, its group or everybody stops nobody: a user" {
	as_somebody
	answers_all
}

@test "contract J1: list: a module that signals its parent, its ancestors, its group or everybody stops nobody: root without privileges" {
	[ "$(id -u)" -eq 0 ] || skip "this is about root"
	without_privileges
	answers_all
}

# left: processes of this user (65533) that are left.
left() {
	pgrep -u 65533 || true
}

@test "contract J1: list: a module that uses up memory, processes, files or time is ended, and nothing of it is left" {
	as_somebody
	mkdir -m 777 full
	chmod a+rx .
	info memory # what was to be had, and no more: it goes on without
	assert_line 'asked 0'
	info forks
	assert_line --regexp $'^error\t(no answer within 3 seconds|started processes without end)$'
	info "disk $HERE/full/file"
	assert_line 'asked 0'
	[ "$(stat -c %s full/file)" -eq $((64 << 20)) ]
	info print
	assert_line $'error\tno answer within 3 seconds'
	refute_output --partial pollution
	[ "$(id -u)" -ne 0 ] || assert_equal "$(left)" ''
}

@test "contract J1: list: root's own processes without end are ended" {
	[ "$(id -u)" -eq 0 ] || skip "this is about root"
	info forks
	assert_line --regexp $'^error\t(no answer within 3 seconds|started processes without end)$'
	# all have its path among their arguments
	run pgrep -f "$NASTY_MODULE"
	assert_output ''
}

@test "contract J1: list --init: what a module said before it failed is told" {
	local known=$'cryptoki\t2.40\nmanufacturer\tNobody\ndescription\tNasty\nversion\t1.2\n'

	seconds=1
	info hang-at-end
	assert_output "$known"$'error\tC_Finalize: no answer within 1 seconds\nasked 1'
	info crash-at-end
	assert_output "$known"$'error\tC_Finalize: crashed when asked: Aborted\nasked 1'
	info parameters
	assert_output "$known"$'initialise\tCKR_ARGUMENTS_BAD\nasked 0'
}
