#!/usr/bin/env bats
# The log: what it says, what it never says, and what happens when it cannot be written.
# shellcheck disable=SC2030,SC2031 # each test, with its settings, is a shell of its own

load helper
bats_require_minimum_version 1.5.0

setup_file() {
	[ -e "$BUILD/trace/steps" ] || make -s -C "$ROOT" "B=$BUILD" trace
}

setup() {
	need_token
	export P11SHIM_LOG=$BATS_TEST_TMPDIR/log
}

list_objects() {
	with_shim pkcs11-tool --module "$SOFTHSM2_MODULE" --login --pin "$TOKEN_PIN" \
		--token-label "$TOKEN_LABEL" -O
}

@test "contract I2: one line an event, with time, process, thread, consumer, module, call and result" {
	list_objects
	run cat "$P11SHIM_LOG"
	form='^20[0-9-]{8}T[0-9:.]{15}Z pid=[0-9]+ tid=[0-9]+ consumer=[^ ]+ module=[^ ]+ '
	for line in "${lines[@]}"; do
		[[ $line =~ $form ]]
	done
	assert_output --partial 'consumer=- module=libsofthsm2.so load /'
	assert_output --partial 'consumer=- module=libsofthsm2.so real C_Initialize CKR_OK'
	assert_output --partial 'consumer=pkcs11-tool module=libsofthsm2.so C_Initialize CKR_OK'
	assert_output --partial 'consumer=pkcs11-tool module=libsofthsm2.so C_Login CKR_OK session='
	assert_output --partial 'consumer=- module=libsofthsm2.so real C_Finalize CKR_OK'
	assert_output --partial 'consumer=pkcs11-tool module=libsofthsm2.so C_Finalize CKR_OK'
}

@test "contract I2: the PIN is not in the log, whatever was done with it" {
	run with_shim pkcs11-tool --module "$SOFTHSM2_MODULE" --login --pin 77665544 --token-label "$TOKEN_LABEL" -O
	assert_failure
	list_objects
	grep -q 'C_Login CKR_PIN_INCORRECT' "$P11SHIM_LOG"
	sed -E 's/ [pt]id=[0-9]+//g' "$P11SHIM_LOG" >"$BATS_TEST_TMPDIR/words" # a process may have any number
	run grep -E "77665544|(pin|PIN)[^_]|=$TOKEN_PIN( |$)" "$BATS_TEST_TMPDIR/words"
	assert_output ''
}

@test "contract I2: a fork is in the log, under the child's number" {
	run env LD_PRELOAD="$SHIM" timeout 60 /usr/bin/python3 -c '
import ctypes, os, sys
m = ctypes.CDLL(sys.argv[1])
m.C_Initialize(None)
n = ctypes.c_ulong()
pid = os.fork()
if pid == 0:
    os._exit(m.C_GetSlotList(0, None, ctypes.byref(n)) != 0)
sys.exit(os.waitpid(pid, 0)[1] != 0)' "$SOFTHSM2_MODULE"
	assert_success
	grep -q ' fork child of a process that uses PKCS #11' "$P11SHIM_LOG"
	[ "$(cut -d ' ' -f 2 "$P11SHIM_LOG" | sort -u | wc -l)" -eq 2 ]
}

@test "a log that cannot be written does no harm: full disk, directory, no such path, pipe, closed stderr" {
	list_objects >"$BATS_TEST_TMPDIR/expected" 2>&1
	mkfifo "$BATS_TEST_TMPDIR/fifo"
	for log in /dev/full "$BATS_TEST_TMPDIR" /nonexistent/log "$BATS_TEST_TMPDIR/fifo"; do
		P11SHIM_LOG=$log run list_objects
		assert_success
		assert_output - <"$BATS_TEST_TMPDIR/expected"
	done
	P11SHIM_LOG=stderr
	list_objects 2>&- >"$BATS_TEST_TMPDIR/output"
	cmp "$BATS_TEST_TMPDIR/output" "$BATS_TEST_TMPDIR/expected"
}

@test "a module's name cannot forge a line of the log" {
	cp "$(realpath "$SOFTHSM2_MODULE")" "$BATS_TEST_TMPDIR/two"$'\n'"lines.so"
	with_shim pkcs11-tool --module "$BATS_TEST_TMPDIR/two"$'\n'"lines.so" -L
	run grep -cv '^20' "$P11SHIM_LOG"
	assert_output 0
}

@test "the log survives a change of directory and of user, and of its file's name" {
	need_other_user "change user"
	cat >"$BATS_TEST_TMPDIR/moves.py" <<-'PY'
		import ctypes, os, sys
		module = ctypes.CDLL(sys.argv[1])
		module.C_Initialize(None); module.C_Finalize(None)
		os.chdir("/")
		os.rename(sys.argv[2], sys.argv[2] + ".1")
		module.C_Initialize(None); module.C_Finalize(None)
		os.setuid(65534)
		module.C_Initialize(None); module.C_Finalize(None)
	PY
	cd "$BATS_TEST_TMPDIR"
	P11SHIM_LOG=log with_shim /usr/bin/python3 moves.py "$BUILD/mock/mock-same.so" "$BATS_TEST_TMPDIR/log"
	[ "$(grep -c ' C_Initialize CKR_OK$' log.1)" -eq 2 ] # one of the consumer, one real
	[ "$(grep -c ' C_Initialize CKR_OK$' log)" -eq 4 ]
}

@test "the log goes into no other file: descriptors closed and used again" {
	cat >"$BATS_TEST_TMPDIR/closes.py" <<-'PY'
		import ctypes, os, sys
		module = ctypes.CDLL(sys.argv[1])
		module.C_Initialize(None)
		os.closerange(0, 300)
		files = [os.open(sys.argv[2] + str(i), os.O_RDWR | os.O_CREAT) for i in range(200)]
		module.C_Finalize(None)
		sys.exit(any(os.fstat(f).st_size for f in files))
	PY
	for P11SHIM_LOG in stderr "$BATS_TEST_TMPDIR/log"; do
		with_shim /usr/bin/python3 "$BATS_TEST_TMPDIR/closes.py" "$BUILD/mock/mock-same.so" "$BATS_TEST_TMPDIR/data"
	done
	grep -q 'C_Finalize CKR_OK' "$BATS_TEST_TMPDIR/log"
}

@test "no signal reaches the host for the log's sake: reader gone, size limit" {
	use='import ctypes, sys; print(ctypes.CDLL(sys.argv[1]).C_Initialize(None))'
	run bash -c 'ulimit -f 0; P11SHIM_LOG=$4 LD_PRELOAD=$1 timeout 60 /usr/bin/python3 -c "$2" "$3" | cat' - \
		"$SHIM" "$use" "$BUILD/doors/libdoor-module.so" "$BATS_TEST_TMPDIR/log"
	assert_success
	assert_output 0
	[ ! -s "$BATS_TEST_TMPDIR/log" ]
	run bash -c 'P11SHIM_LOG=stderr LD_PRELOAD=$1 timeout 60 /usr/bin/python3 -c "
import os, signal, time
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
reader, writer = os.pipe()
os.dup2(writer, 2)
os.close(reader)
$2" "$3"' - "$SHIM" "$use" "$BUILD/doors/libdoor-module.so"
	assert_success
	assert_output 0
}

# to_syslog [--deaf|--gone|--none] COMMAND: with a /dev/log of its own; its messages are in
# $BATS_TEST_TMPDIR/messages.
to_syslog() {
	local way=()

	case $1 in
	--*) way=("$1") && shift ;;
	esac
	need_mounts "have a /dev of its own"
	P11SHIM_LOG=syslog run timeout -k 5 70 "$ROOT/tests/trace/syslog.py" "${way[@]}" "$BATS_TEST_TMPDIR/messages" \
		env LD_PRELOAD="$SHIM" "$@"
	[ "$status" -ne 125 ] || skip "no /dev of its own can be had here"
}

@test "contract I2: syslog gets a message an event: life cycle and findings, every call if wished" {
	for level in life calls; do
		P11SHIM_LOG_LEVEL=$level to_syslog "$BUILD/trace/steps" "$BUILD/mock/mock.so" init call 5 finalise finalise exit 3
		assert_equal "$status" 3
		assert_line 'call: CKR_OK'
		run cat "$BATS_TEST_TMPDIR/messages"
		form='^<14>p11shim\[([0-9]+)\]: 20[0-9-]{8}T[0-9:.]{15}Z pid=([0-9]+) tid=[0-9]+ consumer=[^ ]+ module=[^ ]+ '
		for line in "${lines[@]}"; do
			[[ $line =~ $form ]]
			[ "${BASH_REMATCH[1]}" = "${BASH_REMATCH[2]}" ]
		done
		assert_line --partial ' module=mock.so load /'
		assert_line --regexp 'consumer=steps module=mock.so C_Initialize CKR_OK( us=|$)'
		assert_line --partial 'consumer=steps module=mock.so finding double-finalise: '
		assert_equal "$(grep -c ' C_GetInfo CKR_OK us=[0-9.]*$' "$BATS_TEST_TMPDIR/messages")" \
			"$([ $level = life ] && echo 0 || echo 5)"
	done
}

@test "contract I2: syslog without a daemon, with one that is gone, or one that does not read: nothing happens" {
	for way in --none --gone --deaf; do
		P11SHIM_LOG_LEVEL=calls to_syslog $way "$BUILD/trace/steps" "$BUILD/mock/mock.so" init call 3000 finalise
		assert_success
		assert_output "init: CKR_OK
call: CKR_OK
finalise: CKR_OK"
	done
}

@test "contract I2: syslog from many threads and processes at once: all of it, or what the socket takes" {
	P11SHIM_LOG_LEVEL=calls to_syslog "$BUILD/trace/steps" "$BUILD/mock/mock.so" init threads 4 50 tree 12 20 finalise
	assert_success
	assert_equal "$(grep -c '^worker' <<<"$output")" 4
	run grep -cvE '^<14>p11shim\[[0-9]+\]: 20[^ ]*Z pid=[0-9]+ tid=[0-9]+ consumer=[^ ]+ module=' "$BATS_TEST_TMPDIR/messages"
	assert_output 0
	grep -q ' fork child of a process' "$BATS_TEST_TMPDIR/messages"
	[ "$(grep -c ' C_GetInfo CKR_OK us=' "$BATS_TEST_TMPDIR/messages")" -gt 100 ]
}

@test "contract I2: log-level = calls: every call with its duration, handles, sizes and names of the standard" {
	echo "text to sign" >"$BATS_TEST_TMPDIR/data"
	P11SHIM_LOG_LEVEL=calls with_shim pkcs11-tool --module "$SOFTHSM2_MODULE" --login --pin "$TOKEN_PIN" \
		--token-label "$TOKEN_LABEL" --sign --mechanism SHA256-RSA-PKCS --id 01 \
		-i "$BATS_TEST_TMPDIR/data" -o /dev/null
	run cat "$P11SHIM_LOG"
	for line in \
		'C_OpenSession CKR_OK us=<t> slotID=<n> flags=CKF_SERIAL_SESSION pApplication=NULL Notify=NULL phSession=<n>' \
		'C_Login CKR_OK us=<t> hSession=<n> userType=CKU_USER pPin=hidden' \
		'C_FindObjectsInit CKR_OK us=<t> hSession=<n> pTemplate=\[CKA_CLASS=CKO_PRIVATE_KEY,CKA_ID\[1\]\] ulCount=2' \
		'C_SignInit CKR_OK us=<t> hSession=<n> pMechanism=CKM_SHA256_RSA_PKCS hKey=<n>' \
		'C_Finalize CKR_OK us=<t> pReserved=NULL'; do
		line=${line//<t>/[0-9]+\\.[0-9]{3\}}
		assert_line --regexp "^20.* consumer=pkcs11-tool module=libsofthsm2.so ${line//<n>/[0-9]+}\$"
	done
	assert_line --regexp ' C_Sign(Final)? CKR_OK us=.* pulSignatureLen=256$'
	# Of the calls that are life cycle too there is one line.
	assert_equal "$(grep -c 'consumer=pkcs11-tool .* C_Initialize ' "$P11SHIM_LOG")" 1
}

@test "contract I2: log-level = life, and unless it is said, leaves other calls out" {
	for P11SHIM_LOG_LEVEL in life ''; do
		rm -f "$P11SHIM_LOG"
		[ -n "$P11SHIM_LOG_LEVEL" ] || unset P11SHIM_LOG_LEVEL
		with_shim "$BUILD/trace/steps" "$BUILD/mock/mock.so" init call 5 finalise
		run -1 grep -E 'C_GetInfo|us=' "$P11SHIM_LOG"
		grep -q ' C_Initialize CKR_OK$' "$P11SHIM_LOG"
	done
}
