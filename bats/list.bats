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
	command_tree "$TREE"
	gcc -shared -fPIC -I"$ROOT/shim" -o "$NASTY_MODULE" "$ROOT/tests/wrapper/nasty.c"
	# another user can reach it
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

# Where a module that is not kept from it can hit none but this test: numbers of processes of its own.
need_apart() {
	apart=(unshare --pid --fork --kill-child --mount-proc)
	[ "$(id -u)" -eq 0 ] || apart=(unshare --user --map-current-user "${apart[@]:1}")
	timeout 20 "${apart[@]}" true 2>/dev/null ||
		skip "no process numbers of its own can be had here, and a mistake would hit everybody's processes"
}

# info HOW [OPTIONS]: what p11shim-info has to say of a module that does so. In a session of its own,
# `deep` shells further down than this; who asks comes back with `asked`.
info() {
	run timeout -k 5 60 ${apart[@]+"${apart[@]}"} "${as_user[@]}" env NASTY="$1" setsid -w \
		sh -c 'n=$1; shift; if [ "$n" -gt 1 ]; then sh -c "$0" "$0" $((n - 1)) "$@"; else "$@"; echo "asked $?"; fi' \
		'n=$1; shift; if [ "$n" -gt 1 ]; then sh -c "$0" "$0" $((n - 1)) "$@"; else "$@"; echo "asked $?"; fi' "${deep:-1}" \
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
	local how deep=1 seconds=30

	for how in stop-parent kill-parent queue-parent thread-parent trace-parent limit-parent kill-all stop-all \
		kill-parents-group kill-ancestors stop-ancestors descriptors; do
		info "$how"
		assert_success
		assert_equal "$how: ${lines[*]}" \
			"$how: "$'cryptoki\t2.40 manufacturer\tNobody description\tNasty version\t1.2 asked 0'
	done
	# more ancestors than p11shim-info counts
	for how in kill-ancestors stop-ancestors; do
		deep=40 info "$how"
		assert_success
		assert_line 'asked 0'
	done
	info kill-group
	assert_line $'error\tcrashed when asked: Killed'
	assert_line 'asked 1'
}

@test "contract J1: list: a module that signals its parent, its ancestors, its group or all processes stops no other process: root" {
	[ "$(id -u)" -eq 0 ] || skip "this is about root"
	need_apart
	answers_all
}

@test "contract J1: list: a module that signals its parent, its ancestors, its group or all processes stops no other process: a user" {
	need_apart
	as_somebody
	answers_all
}

@test "contract J1: list: a module that signals its parent, its ancestors, its group or all processes stops no other process: root without privileges" {
	[ "$(id -u)" -eq 0 ] || skip "this is about root"
	need_apart
	without_privileges
	answers_all
}

# left: processes of this user (65533) that are left.
left() {
	pgrep -u 65533 || true
}

@test "contract J1: list: a module that uses up memory, files or time is ended, and nothing of it is left" {
	as_somebody
	mkdir -m 777 full
	chmod a+rx .
	seconds=30
	info memory # what was to be had, and no more: it goes on without
	assert_line 'asked 0'
	info "disk $HERE/full/file"
	assert_line 'asked 0'
	[ "$(stat -c %s full/file)" -eq $((64 << 20)) ]
	seconds=3 info print
	assert_line $'error\tno answer within 3 seconds'
	refute_output --partial pollution
	[ "$(id -u)" -ne 0 ] || assert_equal "$(left)" ''
}

# The machine is busy with these, and a busy one has thousands of processes before they are ended: by
# hand only (TESTS="list:without.end"). That all which a module has started is ended with it is proved
# by install.bats for a few.
# bats test_tags=stress
@test "contract J1: list: a user's processes without end are ended" {
	as_somebody
	info forks
	assert_line --regexp $'^error\t(no answer within 3 seconds|started processes without end)$'
	[ "$(id -u)" -ne 0 ] || assert_equal "$(left)" ''
}

# bats test_tags=stress
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

	# only one of them is waited for to the end: the others have time, on a busy machine too
	seconds=5 info hang-at-end
	assert_output "$known"$'error\tC_Finalize: no answer within 5 seconds\nasked 1'
	seconds=30
	info crash-at-end
	assert_output "$known"$'error\tC_Finalize: crashed when asked: Aborted\nasked 1'
	info parameters
	assert_output "$known"$'initialise\tCKR_ARGUMENTS_BAD\nasked 0'
}

# ---- Text of others

# Names and files with what a terminal obeys, and what could forge a line.
odd_names() {
	esc=$'\033[31m'
	odd=$HERE/$'new\nline\ttab\\n'$esc.so
	cp "$NASTY_MODULE" "$odd"
	ln -s "$odd" link.so
	cp "$NASTY_MODULE" "$HERE/%s\\n\$(touch x) \"q\" 'ü' 卡.so"
	cd "$HOME/.config/pkcs11/modules" || return
	echo "module: $HERE/link.so" >$'a\n  says      evil\t\033[2J.module'
	printf '%s\n' "module: $HERE/%s\\n\$(touch x) \"q\" 'ü' 卡.so" >q.module
	printf 'module: /gone/\033[31m\302\2331m\377\342\200\256\342\200\250\342\200\217\330\234evil.so\n' >gone.module
	mkdir -p "$HOME/.pki/nssdb" "$HOME/.config/p11shim"
	printf 'library=/gone/nss\033]0;x\007.so\n' >"$HOME/.pki/nssdb/pkcs11.txt"
	printf '[*]\nfr\033[2Jok = 1\ntrace = a\033[31mb\342\200\250c\302\205d\xff\n' >"$HOME/.config/p11shim/p11shim.conf"
	cd "$HERE" || return
}

# nothing_obeyed TEXT
nothing_obeyed() {
	run bash -c 'LC_ALL=C grep -c -P "[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80[\xa8-\xae\x8e\x8f]|\xd8\x9c|\xe2\x81[\xa6-\xa9]|\xff|(?<![\xc2-\xf4\x80-\xbf])[\x80-\xbf]" <<<"$1"' - "$1"
	assert_output 0
}

@test "contract J1: list, config: no name, value or answer reaches a terminal as an order, or makes a line of its own" {
	odd_names
	export NASTY=none P11SHIM_LOG=$'x\nfork         = strict       built-in p11shim.conf:1'
	export OPENSSL_CONF=/nowhere PKCS11_MODULE_PATH=$'/gone/ssl\033c.so'
	run p11shim list --init
	assert_success
	nothing_obeyed "$output"
	run p11shim list --init
	assert_line "  file      $HERE/new?line?tab\\n?[31m.so"
	assert_line "  name      $HERE/link.so"
	assert_line "  named in  $HOME/.config/pkcs11/modules/a?  says      evil??[2J.module"
	assert_line "%s\\n\$(touch x) \"q\" 'ü' 卡.so"
	assert_line "  file      $HERE/%s\\n\$(touch x) \"q\" 'ü' 卡.so"
	assert_equal "$(grep -c '^  says      Nasty 1.2, Nobody, Cryptoki 2.40$' <<<"$output")" 2
	assert_line '?[31m?1m?????evil.so'
	assert_line 'nss?]0;x?.so'
	assert_line 'ssl?c.so'
	refute_line --partial '  says      evil'$'\t'
	for module in '' link.so $'gone\033[2J.so'; do
		run p11shim config ${module:+"$module"}
		assert_success
		nothing_obeyed "$output"
		run p11shim config ${module:+"$module"}
		assert_line --regexp '^trace  *= a\?\[31mb\?+c\?+d\? +'"$HOME"'/.config/p11shim/p11shim.conf:3$'
		assert_equal "$(grep -c '^fork ' <<<"$output")" 1
		assert_line --partial 'ignored: '"$HOME"'/.config/p11shim/p11shim.conf:2: no such setting: fr?[2Jok'
	done
	[ ! -e x ]
}

@test "contract J1: p11shim-info --config by hand: likewise, and its lines have three parts" {
	printf '[*]\ntrace = a\tb\033c\n' >$'set\tting\ns'
	P11SHIM_CONFIG=$HERE/$'set\tting\ns' P11SHIM_LOG=$'a\nfork\tstrict\tx' run env $'P11SHIM_FO\033RK=1' \
		"$TREE/build/p11shim-info" --config
	assert_line 'p11shim: P11SHIM_FO?RK: no such setting: fo?rk; did you mean fork?'
	assert_line $'trace\ta\tb?c\t'"$HERE/set?ting?s:2"
	assert_line $'log\ta?fork\tstrict\tx\tP11SHIM_LOG'
	nothing_obeyed "$output"
}

# ---- JSON

@test "contract J1: list --json, config --json: one document each, of the form that the manual tells, whatever is in it" {
	odd_names
	unset NASTY
	export P11SHIM_LOG=$'x\n"\\' P11SHIM_FROK=1
	run_split() {
		run --separate-stderr "$@"
	}
	run_split p11shim list --json --init
	assert_success
	assert_equal "${stderr?}" ''
	jq -e --slurp 'length == 1 and (.[0] | keys == ["mistakes", "modules"])' <<<"$output"
	jq -e '[.modules[] | keys] | unique == [["cryptoki", "description", "error", "file", "initialise", "manufacturer",
		"name", "named_in", "names", "product", "settings", "silent", "version"]]' <<<"$output"
	jq -e --arg name "%s\\n\$(touch x) \"q\" 'ü' 卡.so" '.modules[] | select(.name == $name) |
		.cryptoki == "2.40" and .description == "Nasty" and .version == "1.2" and .manufacturer == "Nobody" and
		.silent == null and .initialise == null and .error == null and .product == null and .names == [] and
		(.named_in | length) == 1 and (.settings | length) > 10' <<<"$output"
	jq -e '[.modules[] | select(.error == "not there" and .cryptoki == null and .settings == [])] | length == 2' <<<"$output"
	jq -e --arg home "$HOME" '.mistakes == [$home + "/.config/p11shim/p11shim.conf:2: no such setting: fr?[2Jok",
		"P11SHIM_FROK: no such setting: frok; did you mean fork?"]' <<<"$output"
	mistakes=$(jq .mistakes <<<"$output")
	for module in '' link.so libsofthsm22.so; do
		run_split p11shim config --json ${module:+"$module"}
		assert_success
		assert_equal "$stderr" ''
		jq -e --slurp 'length == 1 and (.[0] | keys == ["mistakes", "module", "settings"])' <<<"$output"
		assert_equal "$(jq .mistakes <<<"$output")" "$mistakes"
		jq -e '[.settings[] | keys] | unique == [["key", "line", "section", "source", "value"]]' <<<"$output"
		jq -e '.settings[] | select(.key == "log") | .value == "x?\"\\" and .line == null and .source == "P11SHIM_LOG"' <<<"$output"
		jq -e '.settings[] | select(.key == "trace") | .line == 3 and .section == "*"' <<<"$output"
	done
	jq -e '.module == {name: "libsofthsm22.so", file: "libsofthsm22.so", there: false, meant: "libsofthsm2.so"}' <<<"$output"
	run_split p11shim config --json
	jq -e '.module == null' <<<"$output"
	run_split p11shim config --json one two
	assert_failure 2
	assert_equal "$output" ''
	run p11shim list --json --seconds 0
	assert_failure 2
}

@test "contract J1: check --json: one document, of the form that the manual tells, and the status of check" {
	odd=$'a\n\033[31m"b\\.static'
	echo 'int main(void) { return 0; }' | gcc -static -o "$odd" -x c -
	printf '#!/bin/sh\ntrue\n' >script
	printf 'a\0b' >unknown
	chmod +x script unknown
	export P11SHIM_FROK=1 json=yes quickly=yes
	while read -r works status_ program; do
		[ "$program" != odd ] || program=./$odd
		run --separate-stderr p11shim check --json "$program"
		assert_equal "${status?}" "$status_"
		assert_equal "$stderr" ''
		jq -e --slurp 'length == 1 and (.[0] | keys == ["findings", "mistakes", "program", "works"])' <<<"$output"
		jq -e '[.findings[] | keys] | unique == [["instead", "level", "name", "sure", "text"]]' <<<"$output"
		jq -e ".works == $works" <<<"$output"
		jq -e '.mistakes == ["P11SHIM_FROK: no such setting: frok; did you mean fork?"]' <<<"$output"
		# the same as without
		diff <(jq -r '.findings[] | .level + " " + (if .name then .name + ": " else "" end) + .text +
			(if .instead then "; instead: " + .instead else "" end)' <<<"$output") \
			<(p11shim check "$program" | sed '$d' | sed 's/  */ /')
	done <<-'TABLE'
		true 0 /bin/true
		false 1 odd
		true 0 ./script
		null 0 ./unknown
	TABLE
	jq -e '.program == "./unknown"' <<<"$output"
	run --separate-stderr p11shim check --json no-such-program
	assert_failure 2
	assert_equal "$output" ''
	# a caller's variable of that name means nothing
	run p11shim check /bin/true
	refute_output --partial '{'
	run --separate-stderr p11shim run "./$odd"
	assert_success
	assert_equal "$output" ''
	[[ $stderr == *'statically linked'* && $stderr != *'{'* ]]
}

# ---- What may have been meant

@test "contract H3: config tells which module may have been meant, list and config which mistakes there are" {
	cp "$NASTY_MODULE" libmydevice-p11.so
	echo "module: $HERE/libmydevice-p11.so" >"$HOME/.config/pkcs11/modules/mine.module"
	export P11SHIM_FROK=1
	while read -r asked meant; do
		run p11shim config "$asked"
		assert_success
		assert_line "p11shim: not there: $asked; did you mean $meant? These settings would hold for $asked:"
		assert_line 'p11shim: ignored: P11SHIM_FROK: no such setting: frok; did you mean fork?'
	done <<-TABLE
		LIBMYDEVICE-P11.SO libmydevice-p11.so
		mydevcie-p11 libmydevice-p11.so
		/elsewhere/libmydevice-p11.so $HERE/libmydevice-p11.so
		libCryptoki2_46.so libCryptoki2_64.so
	TABLE
	for asked in nothing-like-it.so libcknfast.so; do
		run p11shim config "$asked"
		assert_line "p11shim: not there: $asked; these settings would hold for it:"
	done
	run p11shim config libmydevice-p11.so
	refute_output --partial 'not there'
	run p11shim list
	assert_line 'p11shim: ignored: P11SHIM_FROK: no such setting: frok; did you mean fork?'
	assert_equal "$(grep -c ignored: <<<"$output")" 1
	for command in run check; do
		run p11shim $command true
		assert_line 'p11shim: ignored: P11SHIM_FROK: no such setting: frok; did you mean fork?'
		assert_equal "$(grep -c ignored: <<<"$output")" 1
		# a name that many a shell does not pass on
		run env P11SHIM_AT-EXIT=x timeout 60 "$TREE/scripts/p11shim" $command true
		assert_line --partial 'ignored: P11SHIM_AT-EXIT: no such setting'
	done
	run p11shim run --set frok=strict true
	assert_failure 2
	assert_output --partial 'no such setting: frok; did you mean fork?'
}
