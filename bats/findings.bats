#!/usr/bin/env bats
# The findings: each mistake of contract I4, made by a sample program, is told of, with
# the stack of the act and of what led to it; clean programs yield none. And what is
# written when a process dies (I5).
#
# The programs are those of tests/findings: each makes its mistake in a function whose
# name says which.

load helper

setup() {
	need_token
	FINDINGS=$BUILD/findings
	FRAGILE=$FINDINGS/fragile.so
	MOCK=$BUILD/mock/mock.so
	TRACE=$BATS_TEST_TMPDIR/trace
	cd "$BATS_TEST_TMPDIR" || return 1 # cores go there
	ulimit -c 0
}

# ---- what was found

# see COMMAND: run it with a trace; FOUND is an array of its findings, in JSON.
see() {
	SEEN=("$@")
	rm -f "$TRACE"
	P11SHIM_TRACE=$TRACE run with_shim "$@"
	FOUND=$(jq -cRn '[inputs | select(. != "[") | rtrimstr(",") | fromjson | select(.cat == "finding")]' "$TRACE")
}

# found 'NAME CONSUMER MODULE CALL'...: these are the findings, in this order, and each
# came after what led to it. ACCOUNTS, by finding and stack, is what each stack is of,
# and its innermost frame.
found() {
	local expected=("$@" true) line found=()

	declare -gA ACCOUNTS=()
	while IFS='|' read -r line frame what; do
		if [ -z "$what" ]; then
			found+=("$line")
		else
			ACCOUNTS[$line]="$frame|$what"
		fi
	done < <(jq -r '
		(.[] | select(.args.more == null) | "\(.name) \(.args.consumer) \(.args.module) \(.args.call)"),
		([.[] | .ts as $told | .args.stacks | .[0].ts as $act |
			all(.[]; .ts > 0 and .ts <= $act and .ts <= $told and .pid > 0 and .tid > 0)] | all),
		(to_entries[] | .key as $finding | .value.args.stacks | to_entries[] |
			"\($finding) \(.key)|\(.value.stack[0])|\(.value.what)")' <<<"$FOUND")
	assert_equal "$(printf '%s\n' "${found[@]}")" "$(printf '%s\n' "${expected[@]}")"
}

# only NAME: the others do not count from here on.
only() {
	FOUND=$(jq -c "map(select(.name == \"$1\"))" <<<"$FOUND")
}

# resolve FRAME: its function, and the text of the line that it is in.
resolve() {
	local lines file number source tool=eu-addr2line

	command -v $tool >/dev/null || tool=addr2line
	mapfile -t lines < <($tool -f -e "${1%+*}" "${1##*+}")
	IFS=: read -r file number _ <<<"${lines[1]}"
	mapfile -t source <"$file"
	echo "${lines[0]}: ${source[${number%% *} - 1]}"
}

# account FINDING STACK WHAT FUNCTION TEXT: the stack (both count from 0) is that of WHAT,
# which was done by FUNCTION, in a line that says TEXT.
account() {
	local account=${ACCOUNTS["$1 $2"]}

	assert_equal "${account##*|}" "$3"
	run resolve "${account%|*}"
	assert_output --regexp "^$4: .*$5\("
}

fork_is() {
	export P11SHIM_FORK=$1
}

# logged: with a log and no trace, the same command has the same findings, a line each,
# and a line for each stack.
logged() {
	local expected

	expected=$(jq -r '.[] | .args |
		"\(.consumer) \(.module) finding \(.text)\(if .more then ", \(.more) times more" else "" end)",
		(.stacks[] | "\(.what) \(.stack[0])")' <<<"$FOUND")
	rm -f log
	P11SHIM_LOG=$PWD/log run with_shim "${SEEN[@]}"
	run sed -nE 's/.* consumer=([^ ]*) module=([^ ]*) finding [a-z-]*: (.*)/\1 \2 finding \3/p
		s/.* stack: (.*), thread [0-9]+\/[0-9]+(, [0-9.]+ ms before)?: (.*)/\1 \3/
		s/(\+0x[0-9a-f]+) .*/\1/
		/\+0x/p' log
	assert_output "$expected"
}

observe() {
	export P11SHIM_MODE=observe
}

# ---- C_Finalize too often

@test "contract I4: double finalise" {
	see "$FINDINGS/double-finalise" "$SOFTHSM2_MODULE"
	assert_success
	found 'double-finalise double-finalise libsofthsm2.so C_Finalize'
	account 0 0 'C_Finalize by double-finalise' tidy_up_twice C_Finalize
	account 0 1 'finalised earlier by double-finalise' tidy_up C_Finalize
	account 0 2 'initialised by double-finalise' start_up C_Initialize
	logged
}

# bats test_tags=core
@test "contract I4: double finalise, only observed" {
	observe
	see "$FINDINGS/double-finalise" "$SOFTHSM2_MODULE"
	assert_success
	found 'double-finalise double-finalise libsofthsm2.so C_Finalize'
	account 0 0 'C_Finalize by double-finalise' tidy_up_twice C_Finalize
	account 0 1 'finalised earlier by double-finalise' tidy_up C_Finalize
	account 0 2 'initialised by double-finalise' start_up C_Initialize
	logged
}

@test "contract I4: finalise by a library that never initialised" {
	see "$FINDINGS/double-finalise" "$SOFTHSM2_MODULE" guest
	assert_success
	found 'double-finalise guest.so libsofthsm2.so C_Finalize'
	account 0 0 'C_Finalize by guest.so' guest_finalises C_Finalize
	account 0 1 'initialised by double-finalise' start_up C_Initialize
	logged
}

# There it pulls the module from under the program, which is then the second.
@test "contract I4: finalise by a library that never initialised, only observed" {
	observe
	see "$FINDINGS/double-finalise" "$SOFTHSM2_MODULE" guest
	found 'double-finalise guest.so libsofthsm2.so C_Finalize' \
		'double-finalise double-finalise libsofthsm2.so C_Finalize'
	account 0 0 'C_Finalize by guest.so' guest_finalises C_Finalize
	account 0 1 'initialised by double-finalise' start_up C_Initialize
	account 1 0 'C_Finalize by double-finalise' tidy_up C_Finalize
	account 1 1 'finalised earlier by guest.so' guest_finalises C_Finalize
	account 1 2 'initialised by double-finalise' start_up C_Initialize
	logged
}

# told_once NAME: a thousand times the same is told of once, and then how often it came again.
told_once() {
	run jq -c '[.[] | [.name, .args.more, (.args.stacks | length)]]' <<<"$FOUND"
	assert_output "[[\"$1\",null,3],[\"$1\",999,0]]"
}

@test "contract I4: the same act a thousand times is told of once, and counted at exit" {
	for P11SHIM_MODE in normal observe; do
		export P11SHIM_MODE
		see "$FINDINGS/double-finalise" "$SOFTHSM2_MODULE" many
		told_once double-finalise
		logged
		see "$FINDINGS/use-after-finalise" "$SOFTHSM2_MODULE" many
		told_once use-after-finalise
		logged
	done
}

# 256 of 300 is what there is room for.
@test "contract I4: the same in more places than there is room to remember: the rest is counted" {
	see "$FINDINGS/double-finalise" "$SOFTHSM2_MODULE" places
	assert_success
	run jq -c '[(map(select(.args.more == null)) | length), (map(select(.args.more == 2)) | length), length]' <<<"$FOUND"
	assert_output '[256,256,512]'
	run jq -rRn 'inputs | select(. != "[") | rtrimstr(",") | fromjson | select(.cat == "life" and .name == "findings").args.detail' "$TRACE"
	assert_output --regexp '^132 '
}

@test "contract I4: NSS and GnuTLS, only observed: NSS finalises what p11-kit has finalised" {
	observe
	see "$PROGRAMS/nss-gnutls" --first gnutls --leaves gnutls --reload
	assert_failure
	run jq -r '.[] | select(.name == "double-finalise") | .args | .consumer, .text,
		(.stacks[] | "\(.what): \(.stack[0] | sub("\\+0x.*"; "") | sub(".*/"; ""))")' <<<"$FOUND"
	assert_output - <<-EOT
		libnss3.so
		libnss3.so finalised libsofthsm2.so, which libp11-kit.so.0 had finalised already
		C_Finalize by libnss3.so: libnss3.so
		finalised earlier by libp11-kit.so.0: libp11-kit.so.0
		initialised by libp11-kit.so.0: libp11-kit.so.0
	EOT
	# and between the two NSS used it
	run jq -r 'map(select(.name == "use-after-finalise"))[0].args.text' <<<"$FOUND"
	assert_output --partial 'after libp11-kit.so.0 had finalised libsofthsm2.so'
}

@test "contract I4: NSS and GnuTLS, only observed: NSS finalises what p11-kit has initialised" {
	observe
	see "$PROGRAMS/nss-gnutls" --first gnutls --leaves nss --reload
	assert_failure
	run jq -r '[.[] | select(.args.consumer == "libnss3.so") | .name, .args.text] | join(": ")' <<<"$FOUND"
	assert_output "double-finalise: libnss3.so finalised libsofthsm2.so, which libp11-kit.so.0 had initialised"
	# p11-kit, which does nothing wrong, finds it finalised: it uses it, and leaks nothing
	run jq -r '[.[] | select(.args.consumer == "libp11-kit.so.0") | .name] | unique | join(" ")' <<<"$FOUND"
	assert_output 'double-finalise use-after-finalise'
}

# ---- use without C_Initialize

@test "contract I4: use after finalise" {
	see "$FINDINGS/use-after-finalise" "$SOFTHSM2_MODULE"
	assert_success
	found 'use-after-finalise use-after-finalise libsofthsm2.so C_GetInfo'
	account 0 0 'the call by use-after-finalise' go_on_asking C_GetInfo
	account 0 1 'finalised by use-after-finalise' tidy_up C_Finalize
	account 0 2 'initialised by use-after-finalise' start_up C_Initialize
	logged
}

# bats test_tags=core
@test "contract I4: use after finalise, only observed" {
	observe
	see "$FINDINGS/use-after-finalise" "$SOFTHSM2_MODULE"
	assert_success
	found 'use-after-finalise use-after-finalise libsofthsm2.so C_GetInfo'
	account 0 0 'the call by use-after-finalise' go_on_asking C_GetInfo
	account 0 1 'finalised earlier by use-after-finalise' tidy_up C_Finalize
	account 0 2 'initialised by use-after-finalise' start_up C_Initialize
	logged
}

# The shim keeps the module alive for the program, so there is nothing to be told of.
@test "contract I4: use after another's finalise, only observed; and not otherwise" {
	see "$FINDINGS/use-after-finalise" "$SOFTHSM2_MODULE" guest
	assert_success
	found
	observe
	see "$FINDINGS/use-after-finalise" "$SOFTHSM2_MODULE" guest
	assert_success
	found 'use-after-finalise use-after-finalise libsofthsm2.so C_GetInfo' \
		'double-finalise use-after-finalise libsofthsm2.so C_Finalize'
	account 0 0 'the call by use-after-finalise' go_on_asking C_GetInfo
	account 0 1 'finalised earlier by guest.so' guest_finalises C_Finalize
	account 0 2 'initialised by guest.so' guest_initialises C_Initialize
	account 1 0 'C_Finalize by use-after-finalise' tidy_up C_Finalize
	account 1 1 'finalised earlier by guest.so' guest_finalises C_Finalize
	account 1 2 'initialised by guest.so' guest_initialises C_Initialize
	logged
}

@test "contract I4: use before initialise, also only observed" {
	for P11SHIM_MODE in normal observe; do
		export P11SHIM_MODE
		see "$FINDINGS/use-before-initialise" "$SOFTHSM2_MODULE"
		assert_success
		found 'use-before-initialise use-before-initialise libsofthsm2.so C_GetSlotList'
		account 0 0 'the call by use-before-initialise' ask_too_early C_GetSlotList
		assert_equal ${#ACCOUNTS[@]} 1
		logged
	done
}

# ---- what is left behind

@test "contract I4: initialise leaked at exit, also only observed" {
	for P11SHIM_MODE in normal observe; do
		export P11SHIM_MODE
		see "$FINDINGS/initialise-leaked" "$SOFTHSM2_MODULE"
		assert_success
		found 'initialise-leaked initialise-leaked libsofthsm2.so -'
		account 0 0 'initialised by initialise-leaked' start_and_forget C_Initialize
		assert_equal ${#ACCOUNTS[@]} 1
		logged
	done
}

@test "contract I4: nothing is leaked if an exit handler or a destructor finalises, or a child just ends" {
	for P11SHIM_MODE in normal observe; do
		export P11SHIM_MODE
		see "$FINDINGS/initialise-leaked" "$SOFTHSM2_MODULE" atexit
		assert_success
		found
		see "$FINDINGS/initialise-leaked" "$BUILD/mock/mock-immortal.so" destructor
		assert_success
		found
		see "$FINDINGS/initialise-leaked" "$SOFTHSM2_MODULE" child
		assert_success
		found
	done
}

# bats test_tags=core
@test "contract I4: sessions leaked, also only observed; none if they were closed" {
	for P11SHIM_MODE in normal observe; do
		export P11SHIM_MODE
		see "$FINDINGS/sessions-leaked" "$SOFTHSM2_MODULE"
		assert_success
		found 'sessions-leaked sessions-leaked libsofthsm2.so C_Finalize'
		account 0 0 'C_Finalize by sessions-leaked' leave_them_open C_Finalize
		account 0 1 'one of the sessions opened by sessions-leaked' open_and_forget C_OpenSession
		run jq -r '.[0].args.text' <<<"$FOUND"
		assert_output --regexp '[^0-9]3$'
		logged
		see "$FINDINGS/sessions-leaked" "$SOFTHSM2_MODULE" closed
		assert_success
		found
	done
}

# ---- dlclose

@test "contract I4: unload while initialised, and C_Finalize never comes; also only observed" {
	for P11SHIM_MODE in normal observe; do
		export P11SHIM_MODE
		see "$FINDINGS/unload-while-initialised" "$MOCK" never
		assert_success
		found 'initialise-leaked unload-while-initialised mock.so -' \
			'unload-while-initialised unload-while-initialised mock.so -'
		account 1 0 'dlclose of mock.so' unload_too_early dlclose
		account 1 1 'initialised by unload-while-initialised' start_up C_Initialize
		logged
	done
}

# bats test_tags=core
@test "contract I4: unload while initialised, and C_Finalize comes after it" {
	see "$FINDINGS/unload-while-initialised" "$MOCK" late
	assert_success
	found 'unload-while-initialised unload-while-initialised mock.so -'
	account 0 0 'dlclose of mock.so' unload_too_early dlclose
	account 0 1 'initialised by unload-while-initialised' start_up C_Initialize
	logged
}

# C_Finalize jumps to where nothing is any more: as without the library, but it is told why.
@test "contract I4: unload while initialised, only observed: told before the call that crashes" {
	without_shim "$FINDINGS/unload-while-initialised" "$MOCK" late || alone=$?
	observe
	see "$FINDINGS/unload-while-initialised" "$MOCK" late
	assert_equal "$status" "$alone"
	found 'unload-while-initialised unload-while-initialised mock.so -'
	account 0 0 'dlclose of mock.so' unload_too_early dlclose
	account 0 1 'initialised by unload-while-initialised' start_up C_Initialize
	logged
}

@test "contract I4: unload while initialised, only observed: told when the module is loaded again" {
	observe
	see "$FINDINGS/unload-while-initialised" "$MOCK" again
	assert_success
	found 'unload-while-initialised unload-while-initialised mock.so -'
	account 0 0 'dlclose of mock.so' unload_too_early dlclose
	account 0 1 'initialised by unload-while-initialised' start_up C_Initialize
	logged
}

@test "contract I4: to close what is still open elsewhere is no unload" {
	see "$FINDINGS/unload-while-initialised" "$MOCK" harmless
	assert_success
	found 'initialise-leaked unload-while-initialised mock.so -'
	account 0 0 'initialised by unload-while-initialised' start_up C_Initialize
	observe
	MOCK_OPTIONS=lenient=1 see "$FINDINGS/unload-while-initialised" "$MOCK" harmless
	assert_success
	found 'double-finalise guest.so mock.so C_Finalize' 'initialise-leaked unload-while-initialised mock.so -'
}

# ---- fork

inherited() {
	found "inherited-handle inherited-handle $1 C_GetSessionInfo"
	account 0 0 'the call by inherited-handle' use_in_child C_GetSessionInfo
	account 0 1 'session opened by inherited-handle' open_in_parent C_OpenSession
	account 0 2 'initialised in the parent by inherited-handle' start_in_parent C_Initialize
	logged
}

# bats test_tags=core
@test "contract I4: a session inherited by a child that has the module anew: SoftHSM, mock" {
	cp "$SOFTHSM2_CONF" softhsm2.conf
	echo "library.reset_on_fork = true" >>softhsm2.conf
	SOFTHSM2_CONF=$PWD/softhsm2.conf
	see "$FINDINGS/inherited-handle" "$SOFTHSM2_MODULE"
	assert_success
	inherited libsofthsm2.so
	unset TOKEN_LABEL
	export MOCK_OPTIONS=reset_on_fork=1
	see "$FINDINGS/inherited-handle" "$MOCK"
	assert_success
	inherited mock.so
}

@test "contract I4: a session inherited by a child, fork = reset and strict" {
	local fork

	for fork in reset strict; do
		fork_is $fork
		see "$FINDINGS/inherited-handle" "$SOFTHSM2_MODULE"
		assert_success
		inherited libsofthsm2.so
	done
}

# A module that carries its state over: what works only by luck is told of here alone.
@test "contract I4: a session inherited by a child, only observed" {
	see "$FINDINGS/inherited-handle" "$SOFTHSM2_MODULE"
	assert_success
	found
	observe
	see "$FINDINGS/inherited-handle" "$SOFTHSM2_MODULE"
	assert_success
	inherited libsofthsm2.so
}

@test "contract I4: no session of its parent's, no inherited handle" {
	local fork

	for fork in auto reset strict; do
		fork_is $fork
		see "$FINDINGS/inherited-handle" "$SOFTHSM2_MODULE" own
		assert_success
		found
		see "$FINDINGS/inherited-handle" "$SOFTHSM2_MODULE" sessionless
		only inherited-handle
		found
	done
	observe
	see "$FINDINGS/inherited-handle" "$SOFTHSM2_MODULE" own
	assert_success
	found
}

# bats test_tags=core
@test "contract I4: finalise in a child of what only the parent has initialised; also only observed" {
	for P11SHIM_MODE in normal observe; do
		export P11SHIM_MODE
		see "$FINDINGS/finalise-in-child" "$SOFTHSM2_MODULE"
		assert_success
		found 'finalise-in-child finalise-in-child libsofthsm2.so C_Finalize'
		account 0 0 'C_Finalize in the child by finalise-in-child' tidy_up_in_child C_Finalize
		account 0 1 'initialised in the parent by finalise-in-child' start_in_parent C_Initialize
		run jq '.[0] | .pid == .args.stacks[0].pid and .pid != .args.stacks[1].pid' <<<"$FOUND"
		assert_output true
		logged
		see "$FINDINGS/finalise-in-child" "$SOFTHSM2_MODULE" own
		assert_success
		found
	done
}

# ---- exit

at_exit() {
	found "call-at-exit call-at-exit $1 C_GetSlotList" "call-at-exit call-at-exit $1 C_Finalize"
	account 0 0 'the call by call-at-exit' ask_at_exit C_GetSlotList
	account 0 1 'initialised by call-at-exit' start_up C_Initialize
	account 1 0 'the call by call-at-exit' finalise_at_exit C_Finalize
	account 1 1 'initialised by call-at-exit' start_up C_Initialize
	logged
}

# bats test_tags=core
@test "contract I4: call at exit, after the module has retired; also only observed" {
	see "$FINDINGS/call-at-exit" "$SOFTHSM2_MODULE"
	assert_success
	at_exit libsofthsm2.so
	observe
	see "$FINDINGS/call-at-exit" "$MOCK"
	assert_success
	at_exit mock.so
}

# A SoftHSM that destroys itself at exit crashes then; what it died of stands there already.
# Debian's does not any more since 2.6.1-3.1, and is asked which of them it is.
@test "contract I4: call at exit, only observed: told before the call, which crashes or does not" {
	alone=0
	without_shim "$FINDINGS/call-at-exit" "$SOFTHSM2_MODULE" || alone=$?
	observe
	see "$FINDINGS/call-at-exit" "$SOFTHSM2_MODULE"
	assert_equal "$status" "$alone"
	if [ "$alone" -eq 0 ]; then
		at_exit libsofthsm2.so
	else
		found 'call-at-exit call-at-exit libsofthsm2.so C_GetSlotList'
		account 0 0 'the call by call-at-exit' ask_at_exit C_GetSlotList
		account 0 1 'initialised by call-at-exit' start_up C_Initialize
		logged
	fi
}

@test "contract I4: a call at exit before the module retires is none" {
	for P11SHIM_MODE in normal observe; do
		export P11SHIM_MODE
		see "$FINDINGS/call-at-exit" "$SOFTHSM2_MODULE" younger
		assert_success
		found
	done
}

# ---- others' logins and wishes

# bats test_tags=core
@test "contract I4: someone else's logout, also only observed; none if no other consumer needs the login" {
	for P11SHIM_MODE in normal observe; do
		export P11SHIM_MODE
		see "$FINDINGS/others-logout" "$SOFTHSM2_MODULE"
		assert_success
		only others-logout
		found 'others-logout guest.so libsofthsm2.so C_Logout'
		account 0 0 'C_Logout by guest.so' guest_logs_out C_Logout
		account 0 1 'logged in by others-logout' log_in C_Login
		see "$FINDINGS/others-logout" "$SOFTHSM2_MODULE" "done"
		assert_success
		only others-logout
		found
	done
	export P11SHIM_MODE=normal
	see "$FINDINGS/others-logout" "$SOFTHSM2_MODULE"
	logged
	P11SHIM_LOGOUT=held see "$FINDINGS/others-logout" "$SOFTHSM2_MODULE"
	assert_success
	found
}

# differ VARIANT TEXT: what the guest wishes, and the program had not wished before it.
differ() {
	see "$FINDINGS/incompatible-arguments" "$SOFTHSM2_MODULE" "$1"
	assert_success
	only incompatible-arguments
	found 'incompatible-arguments guest.so libsofthsm2.so C_Initialize'
	account 0 0 'C_Initialize by guest.so' guest_initialises C_Initialize
	account 0 1 'initialised by incompatible-arguments' start_up C_Initialize
	run jq -r '.[0].args.text' <<<"$FOUND"
	assert_output --partial "$2"
}

@test "contract I4 C8: incompatible arguments: pReserved, CANT_CREATE_OS_THREADS" {
	differ reserved pReserved
	logged
	differ threads threads
	logged
}

# bats test_tags=core
@test "contract I4 C8: incompatible arguments: pReserved, CANT_CREATE_OS_THREADS, locking, only observed" {
	observe
	differ reserved pReserved
	differ threads threads
	differ locking 'to lock'
}

# The module gets locking in any case.
@test "contract I4 C8: the same arguments are compatible, and so are wishes for locking" {
	see "$FINDINGS/incompatible-arguments" "$SOFTHSM2_MODULE" same
	assert_success
	found
	see "$FINDINGS/incompatible-arguments" "$SOFTHSM2_MODULE" locking
	assert_success
	found
	observe
	see "$FINDINGS/incompatible-arguments" "$SOFTHSM2_MODULE" same
	only incompatible-arguments
	found
}

@test "contract I4 C8: incompatible arguments: some of the mutex functions; also only observed" {
	for P11SHIM_MODE in normal observe; do
		export P11SHIM_MODE
		see "$FINDINGS/incompatible-arguments" "$SOFTHSM2_MODULE" callbacks
		assert_success
		found 'incompatible-arguments incompatible-arguments libsofthsm2.so C_Initialize'
		account 0 0 'C_Initialize by incompatible-arguments' start_up C_Initialize
		run resolve "$(jq -r '.[0].args.stacks[0].stack[1]' <<<"$FOUND")"
		assert_output --partial half_the_callbacks
		logged
	done
}

# ---- threads

in_flight() {
	found 'call-in-flight call-in-flight fragile.so C_Finalize'
	account 0 0 'C_Finalize by call-in-flight' finalise_too_early C_Finalize
	account 0 1 'C_GetInfo by call-in-flight' take_long C_GetInfo
	run jq '.[0].args.stacks | .[0].tid != .[1].tid' <<<"$FOUND"
	assert_output true
}

# bats test_tags=core
@test "contract I4: a call in flight during the last finalise, also only observed" {
	see "$FINDINGS/call-in-flight" "$FRAGILE"
	assert_success
	in_flight
	observe
	see "$FINDINGS/call-in-flight" "$FRAGILE"
	assert_success
	in_flight
}

# ---- clean programs

# clean COMMAND: it uses a module, with success, and nothing is found.
clean() {
	see "$@"
	assert_success
	grep -q '"name":"C_Initialize".*"rv":"CKR_OK"' "$TRACE"
	grep -q '"name":"C_Finalize".*"rv":"CKR_OK"' "$TRACE"
	found
}

# Real tools, with the mode that is set.
clean_tools() {
	local proxy database=sql:$PWD/nss

	export GNUTLS_PIN=$TOKEN_PIN
	proxy=$(find_module p11-kit-proxy.so)
	echo data >data
	echo "$TOKEN_PIN" >pin
	clean p11tool --list-all --provider "$SOFTHSM2_MODULE"
	clean p11tool --list-all --login --provider "$SOFTHSM2_MODULE" "pkcs11:token=$TOKEN_LABEL"
	clean p11tool --list-tokens --provider "$SOFTHSM2_MODULE"
	clean p11tool --list-mechanisms --provider "$SOFTHSM2_MODULE" "pkcs11:token=$TOKEN_LABEL"
	clean pkcs11-tool --module "$SOFTHSM2_MODULE" -L
	clean pkcs11-tool --module "$SOFTHSM2_MODULE" --login --pin "$TOKEN_PIN" --token-label "$TOKEN_LABEL" -O
	clean pkcs11-tool --module "$SOFTHSM2_MODULE" --login --pin "$TOKEN_PIN" --token-label "$TOKEN_LABEL" \
		--sign --mechanism SHA256-RSA-PKCS --input-file data --output-file signature
	# (with --login it gives up half-way on SoftHSM, and so leaves a session open)
	clean pkcs11-tool --module "$SOFTHSM2_MODULE" --token-label "$TOKEN_LABEL" --test
	clean pkcs11-tool --module "$proxy" -L
	clean ssh-keygen -D "$SOFTHSM2_MODULE"
	if [ ! -e nss ]; then
		mkdir nss
		certutil -N -d "$database" --empty-password
		modutil -dbdir "$database" -add softhsm -libfile "$SOFTHSM2_MODULE" -force
	fi
	clean modutil -dbdir "$database" -list
	clean certutil -L -d "$database" -h "$TOKEN_LABEL" -f pin
	clean certutil -K -d "$database" -h "$TOKEN_LABEL" -f pin
	cat >sign.py <<-'PY'
		import PyKCS11, os
		library = PyKCS11.PyKCS11Lib()
		library.load(os.environ["SOFTHSM2_MODULE"])
		label = os.environ["TOKEN_LABEL"]
		slot = [s for s in library.getSlotList(True) if library.getTokenInfo(s).label.strip() == label][0]
		session = library.openSession(slot)
		session.login(os.environ["TOKEN_PIN"])
		key = session.findObjects([(PyKCS11.CKA_CLASS, PyKCS11.CKO_PRIVATE_KEY)])[0]
		session.sign(key, b"data", PyKCS11.Mechanism(PyKCS11.CKM_SHA256_RSA_PKCS))
		session.logout()
		session.closeSession()
	PY
	clean /usr/bin/python3 sign.py
}

@test "contract I4: nothing is found in p11tool, pkcs11-tool, ssh-keygen, NSS's tools, PyKCS11" {
	clean_tools
}

# Left to make check-all. make check runs the same programs in the ordinary mode.
# bats test_tags=all
@test "contract I4: nothing is found in them if they are only observed" {
	observe
	clean_tools
}

@test "contract I4: nothing is found in NSS and GnuTLS that share a module, whichever comes and leaves first" {
	local first leaves

	for first in nss gnutls; do
		for leaves in nss gnutls; do
			clean "$PROGRAMS/nss-gnutls" --first "$first" --leaves "$leaves"
			clean "$PROGRAMS/nss-gnutls" --first "$first" --leaves "$leaves" --reload
		done
	done
}

@test "contract I4: nothing is found in threads that race" {
	clean "$PROGRAMS/race" --threads 4 --runs 5 "$SOFTHSM2_MODULE"
	clean "$PROGRAMS/race" --threads 4 --runs 5 "$MOCK"
}

@test "contract I4: three crowds of sessions: only those that are meant to be open at C_Finalize" {
	see "$PROGRAMS/crowds" --rounds 2
	assert_success
	run jq -r 'map(.name) | unique | .[]' <<<"$FOUND"
	assert_output sessions-leaked
}

# p11-kit-proxy counts by itself who has it initialised. (It is one module to each
# consumer, and gives all the same numbers of sessions, so not every one can be told of.)
@test "contract I4: two plugins: only the session that each leaves open" {
	local leaves other proxy

	proxy=$(find_module p11-kit-proxy.so)
	for leaves in a b; do
		[ $leaves = a ] && other=b || other=a
		see "$PROGRAMS/two-plugins" --leaves $leaves
		assert_success
		found "sessions-leaked plugin-$leaves.so libsofthsm2.so C_Finalize" \
			"sessions-leaked plugin-$other.so libsofthsm2.so C_Finalize"
	done
	P11SHIM_MODE=observe see "$PROGRAMS/two-plugins" --module "$proxy"
	assert_success
	run jq -r 'map(.name) | unique | .[]' <<<"$FOUND"
	assert_output sessions-leaked
}

# Whether there is one to miss (libp11 0.4.12: no, 0.4.13: yes), pkcs11-spy tells.
@test "contract I4: OpenSSL's engine: the C_Finalize that it does not make, and no other finding" {
	local signs=(openssl dgst -engine pkcs11 -keyform engine -sha256 -out signature
		-sign "pkcs11:token=$TOKEN_LABEL;object=key1;type=private;pin-value=$TOKEN_PIN" data)
	local spy

	spy=$(find_module pkcs11-spy.so)
	echo data >data
	PKCS11SPY=$SOFTHSM2_MODULE PKCS11SPY_OUTPUT=spied PKCS11_MODULE_PATH=$spy without_shim "${signs[@]}"
	grep -q ': C_Initialize' spied
	PKCS11_MODULE_PATH=$SOFTHSM2_MODULE see "${signs[@]}"
	assert_success
	if grep -q ': C_Finalize' spied; then
		found
	else
		found 'initialise-leaked pkcs11.so libsofthsm2.so -'
	fi
}

# ---- crashes

@test "contract I4: strongSwan's pki crashes at exit; observed it does too, and the culprit is told; with the shim not" {
	local alone=0

	use_strongswan
	printf '%s\n' "$TOKEN_PIN" >pin
	without_shim pki --pub --type priv --keyid 01 <pin >/dev/null || alone=$?
	P11SHIM_MODE=observe see pki --pub --type priv --keyid 01 <pin
	assert_equal "$status" "$alone"
	found 'call-at-exit libstrongswan-pkcs11.so libsofthsm2.so C_Finalize'
	run jq -r '.[].args.stacks | (.[] | "\(.what): \(.stack[0] | sub(".*/"; "") | sub("\\+.*"; ""))"),
		(.[0].stack | any(contains("/libstrongswan.so")))' <<<"$FOUND"
	assert_output - <<-EOT
		the call by libstrongswan-pkcs11.so: libstrongswan-pkcs11.so
		initialised by libstrongswan-pkcs11.so: libstrongswan-pkcs11.so
		true
	EOT
	see pki --pub --type priv --keyid 01 <pin
	assert_success
	found 'call-at-exit libstrongswan-pkcs11.so libsofthsm2.so C_Finalize'
}

# bats test_tags=core
@test "contract I4: a double finalise that crashes: told before it does; with the shim it does not" {
	local alone=0

	without_shim "$FINDINGS/double-finalise" "$FRAGILE" || alone=$?
	assert_equal "$alone" 139
	P11SHIM_MODE=observe see "$FINDINGS/double-finalise" "$FRAGILE"
	assert_equal "$status" 139
	found 'double-finalise double-finalise fragile.so C_Finalize'
	account 0 0 'C_Finalize by double-finalise' tidy_up_twice C_Finalize
	account 0 1 'finalised earlier by double-finalise' tidy_up C_Finalize
	see "$FINDINGS/double-finalise" "$FRAGILE"
	assert_success
	found 'double-finalise double-finalise fragile.so C_Finalize'
}

# outcome COMMAND: how it ended, after what it printed (its standard error goes to `errors`).
outcome() {
	# shellcheck disable=SC2016 # those are Perl's own
	timeout -k 5 60 perl -e 'system {$ARGV[0]} @ARGV;
		printf "signal %d, core %d, status %d\n", $? & 127, $? >> 7 & 1, $? >> 8' "$@" 2>errors
}

# Addresses in the program are others at each start; those below a megabyte are not.
shifted() {
	sed 's/address 0x.\{6,\}/address/' "$1"
}

# dies HOW [HANDLER]: it prints the same, and ends the same way, as without the library.
# Leaves what was written of it in `errors` and TRACE.
dies() {
	rm -f "$TRACE"
	outcome "$FINDINGS/crash" "$FRAGILE" "$@" >alone
	P11SHIM_TRACE=$TRACE outcome env LD_PRELOAD="$SHIM" P11SHIM_ON_CRASH=1 \
		"$FINDINGS/crash" "$FRAGILE" "$@" >with
	assert_equal "$(shifted with)" "$(shifted alone)"
	run cat with
}

# told SIGNAL FROM FUNCTION TEXT: the report is complete, the innermost frame that is the
# program's own was FUNCTION, in a line that says TEXT; and the trace has the same.
told() {
	local frame traced

	run cat errors
	assert_line --index 0 --regexp "^==p11shim== $1 in process [0-9]+, thread [0-9]+, $2"
	assert_line --index 1 '==p11shim== the last life-cycle events:'
	assert_line --regexp '^  20[0-9TZ:.-]+ pid=[0-9]+ tid=[0-9]+ consumer=crash module=fragile.so C_Initialize CKR_OK$'
	assert_line '==p11shim== calls that were running:'
	assert_line '==p11shim== the stack, as objects and offsets:'
	assert_line --regexp '^  #[0-9]+ .*/libc\.so\.6\+0x[0-9a-f]+$'
	frame=$(sed -nE 's|^  #[0-9]+ (.*/crash\+0x.*)|\1|p' errors | head -n 1)
	traced=$(jq -rRn 'first(inputs | select(. != "[") | rtrimstr(",") | fromjson | select(.cat == "crash")) |
		.name, first(.args.stack[] | select(contains("/crash+")))' "$TRACE")
	assert_equal "$traced" "$1"$'\n'"$frame"
	run resolve "$frame"
	assert_output --partial "$3: "
	assert_output --partial "$4"
}

@test "contract I5: a fault is told of: events, calls in flight, stack; then it ends as without, with a core" {
	ulimit -c unlimited || true
	dies fault
	assert_output --partial 'signal 11'
	told SIGSEGV 'address 0x1230$' fault FAULTY
	run jq -rRn 'inputs | select(. != "[") | rtrimstr(",") | fromjson | select(.cat == "crash").args.address' "$TRACE"
	assert_output 0x1230
	dies abort
	assert_output --partial 'signal 6'
	told SIGABRT 'sent by process [0-9]+$' main die
}

@test "contract I5: the same for abort, raise, an illegal instruction, a breakpoint, a forbidden system call" {
	dies raise
	assert_output --partial 'signal 11'
	told SIGSEGV 'sent by process' raise_it raise
	dies illegal
	told "SIG$(kill -l "$(sed -n 's/^signal \([0-9]*\),.*/\1/p' with)")" 'address 0x' illegal __builtin_trap
	dies breakpoint
	assert_output --partial "signal $(kill -l TRAP)"
	told SIGTRAP '' breakpoint '' # which is over: the next line
	dies forbidden
	assert_output --partial "signal $(kill -l SYS)"
	told SIGSYS '' forbidden SYS_getppid
}

@test "contract I5: a handler that the program had set before is called as without, with the same information" {
	for how in fault illegal breakpoint forbidden abort raise; do
		dies $how handler
		assert_output --partial 'own handler: signal'
		assert_output --partial 'status 7'
		assert_equal "$(cat errors)" '' # it was not in PKCS #11 that it happened, and may be no crash
	done
	dies fault handler
	assert_line 'own handler: signal 11, code 1, address 0x1230'
	dies abort handler
	assert_line --regexp '^own handler: signal 6, code -6, from itself$'
	P11SHIM_MODE=observe dies inside handler
	assert_line --partial 'own handler: signal 11, code '
	run cat errors
	assert_line --regexp '^  C_Finalize by crash in fragile.so, thread '
}

@test "contract I5: a handler that the program sets later has its place: nothing is written" {
	dies fault late-handler
	assert_line 'own handler: signal 11, code 1, address 0x1230'
	assert_equal "$(cat errors)" ''
}

@test "contract I5: what the program's own handler would have restarted is restarted" {
	dies read harmless
	assert_output --partial 'read: ok'
	assert_equal "$(cat errors)" ''
}

# killed [HANDLER]: by a signal from outside.
killed() {
	local waiting pid

	rm -f ready "$TRACE"
	P11SHIM_TRACE=$TRACE P11SHIM_ON_CRASH=1 with_shim "$FINDINGS/crash" "$FRAGILE" wait "$@" >ready 2>errors &
	waiting=$!
	for _ in $(seq 3000); do
		grep -q ready ready && break
		sleep 0.02
	done
	pid=$(sed -n 's/^ready //p' ready)
	kill -SEGV "$pid"
	status=0
	wait "$waiting" || status=$?
}

@test "contract I5: a signal from outside, and whom it is from" {
	killed
	assert_equal "$status" 139
	told SIGSEGV "sent by process $$\$" wait_for_it pause
	killed handler
	assert_equal "$status" 7
	grep -qx 'own handler: signal 11, code 0, from another' ready
}

# flying: the calls in flight, as they were written, and as they are in the trace.
flying() {
	sed -n '/calls that were running:/,/the stack/s/^  \([^,]*\), thread.*called from \(.*\)/\1\n\2/p' errors
	jq -rRn 'inputs | select(. != "[") | rtrimstr(",") | fromjson | select(.cat == "crash").args.in_flight[] |
		"\(.call) by \(.consumer) in \(.module)"' "$TRACE"
}

@test "contract I5: calls in flight, of another thread and of the one that crashes" {
	dies busy
	told SIGSEGV 'address 0x1230$' fault FAULTY
	run flying
	assert_line --index 0 'C_GetInfo by crash in fragile.so'
	assert_line --index 2 'C_GetInfo by crash in fragile.so'
	run resolve "${lines[1]}"
	assert_output --regexp '^be_busy: .*C_GetInfo'

	rm "$TRACE"
	P11SHIM_TRACE=$TRACE P11SHIM_MODE=observe P11SHIM_ON_CRASH=1 run outcome \
		env LD_PRELOAD="$SHIM" "$FINDINGS/double-finalise" "$FRAGILE"
	assert_output --partial 'signal 11'
	run flying
	assert_line --index 0 'C_Finalize by double-finalise in fragile.so'
	assert_line --index 2 'C_Finalize by double-finalise in fragile.so'
}

# The pipe is full in the middle of the report, until the second thread has crashed too.
@test "contract I5: a second thread that crashes at the same time does not cut it off" {
	local first

	mkfifo pipe
	exec 9<>pipe
	P11SHIM_TRACE=$TRACE P11SHIM_ON_CRASH=1 with_shim "$FINDINGS/crash" "$FRAGILE" two 2>pipe 9>&- &
	first=$!
	for _ in $(seq 3000); do
		[ ! -e second ] || break
		sleep 0.02
	done
	[ -e second ]
	exec 8<pipe 9>&-
	timeout 30 sed '/^$/d' <&8 >errors
	exec 8<&-
	status=0
	wait $first || status=$?
	assert_equal "$status" 139
	told SIGSEGV 'address 0x1230$' fault FAULTY
	[ "$(grep -c 'the stack, as objects' errors)" -eq 1 ]
}

@test "contract I5: 8192 bytes for signal handlers are enough, also when the stack is at its end" {
	dies small
	assert_output --partial 'signal 11'
	told SIGSEGV 'address 0x1230$' fault FAULTY
	dies overflow
	assert_output --partial 'signal 11'
	run cat errors
	assert_line --regexp '^  #40 .*/crash\+0x'
	grep -q '"cat":"crash"' "$TRACE"
}

@test "contract I5: with a log it is written there" {
	P11SHIM_LOG=$PWD/log P11SHIM_ON_CRASH=1 run outcome env LD_PRELOAD="$SHIM" "$FINDINGS/crash" "$FRAGILE" fault
	assert_output --partial 'signal 11'
	assert_equal "$(cat errors)" ''
	mv log errors
	run grep -c '^==p11shim== ' errors
	assert_output 4
	run cat errors
	assert_line --partial 'C_Initialize CKR_OK'
	assert_line --regexp '^  #0 .*/crash\+0x'
}

@test "contract I5: not asked for, no signal is touched, and nothing is written" {
	P11SHIM_TRACE=$TRACE run outcome env LD_PRELOAD="$SHIM" "$FINDINGS/crash" "$FRAGILE" fault
	assert_output 'signal 11, core 0, status 0'
	assert_equal "$(cat errors)" ''
	run grep -c '"cat":"crash"' "$TRACE"
	assert_output 0
}
