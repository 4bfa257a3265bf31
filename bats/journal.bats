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
