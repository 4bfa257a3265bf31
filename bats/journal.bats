#!/usr/bin/env bats
# The log: what it says, what it never says, and what happens when it cannot be written.

load helper

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
	run grep -E "77665544|(pin|PIN)[^_]|=$TOKEN_PIN( |$)" "$P11SHIM_LOG"
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

@test "a log that cannot be written harms nobody: full disk, directory, no such path, pipe, closed stderr" {
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
	[ "$(id -u)" -eq 0 ] || skip "only root can change user"
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

@test "syslog: one message an event, and a fork among threads that log hangs nobody" {
	[ ! -e /dev/log ] || skip "a syslog daemon runs here already"
	[ "$(id -u)" -eq 0 ] || skip "only root can make /dev/log"
	/usr/bin/python3 -c '
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind("/dev/log")
print("ready", flush=True)
s.settimeout(30)
while True:
    print(s.recv(2000).decode(), flush=True)' >"$BATS_TEST_TMPDIR/messages" &
	daemon=$!
	for _ in $(seq 100); do
		grep -q ready "$BATS_TEST_TMPDIR/messages" && break
		sleep 0.1
	done
	P11SHIM_LOG=syslog run with_shim pkcs11-tool --module "$SOFTHSM2_MODULE" -L
	kill "$daemon"
	rm -f /dev/log
	assert_success
	grep -q '^<14>p11shim\[[0-9]*\]: 20.* C_Initialize CKR_OK' "$BATS_TEST_TMPDIR/messages"
}
