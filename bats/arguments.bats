#!/usr/bin/env bats
# The arguments of C_Initialize where consumers differ and modules refuse: on
# the mock, which knows what it was given (tests/mock/drivers/arguments.c; its
# simpler cases are in lifecycle.bats), and on real modules
# (tests/programs/arguments.c).
#
# Without the library all but the last fail, which says that it does no harm.

load helper
load servers

setup() {
	need_token
}

teardown() {
	stop_servers
}

# ---- The mock

@test "contract C8: what a module takes as it is given it takes: all forms, all sets of refusals" {
	drive arguments C8-all-refusals
}

@test "contract C8: a module that wants a string, which only the second consumer has" {
	drive arguments C8-only-one-has-the-string
}

@test "contract C8: a module that wants a string and cannot lock" {
	drive arguments C8-string-and-no-locking
}

@test "contract C8: a second consumer's arguments must be legal too" {
	drive arguments C8-malformed-second
}

@test "contract C8: a module that needs threads refuses a consumer that forbids them" {
	drive arguments C8-threads-are-needed
}

@test "contract C8: each first C_Initialize has its own arguments" {
	drive arguments C8-anew-each-time
}

@test "contract C8: OS locking refused with an answer of the module's own" {
	drive arguments C8-refused-otherwise
}

@test "contract C8: C_Initialize failed for another reason: not asked again" {
	drive arguments C8-failed-otherwise
}

# ---- No race in a module whose first consumer knows no threads

# load_of MODULE [OPTIONS]: every thread gets CKR_OK and right signatures only.
load_of() {
	run with_shim "$PROGRAMS/arguments" load "$@"
	assert_success
	refute_line --partial FAILED
	assert_line "all threads: right signatures: ok"
	refute_line "0 signatures"
}

@test "contract C8: first NULL, then a consumer that signs in four threads: SoftHSM" {
	load_of "$SOFTHSM2_MODULE"
}

@test "contract C8: the same with serialize = yes" {
	P11SHIM_SERIALIZE=yes load_of --seconds 1 "$SOFTHSM2_MODULE"
}

@test "contract C8: hammer on a module that cannot lock, and on SoftHSM with serialize = yes" {
	MOCK_OPTIONS=cannot_lock=1 run with_shim "$BUILD/stress/hammer" --seconds 1 --module "$BUILD/mock/mock.so"
	assert_success
	assert_line --partial "at most 1 threads inside"
	P11SHIM_SERIALIZE=yes run with_shim "$BUILD/stress/hammer" --seconds 1 --module "$SOFTHSM2_MODULE" \
		--pin "$TOKEN_PIN"
	assert_success
}

# ---- Mutex functions in a library that is unloaded

# unloaded MODULE: the plugin with callbacks alone, and as an alternative to OS
# locking; it finalises before it goes, or does not.
unloaded() {
	local plugin leaves

	for plugin in plugin-callbacks.so plugin-either.so; do
		for leaves in "" --finalises; do
			# shellcheck disable=SC2086 # none or one
			run with_shim "$PROGRAMS/arguments" unloaded --plugin $plugin $leaves "$1"
			assert_success
			refute_line --partial FAILED
			assert_line "$plugin: is gone from memory: ok"
			assert_line "plugin-b.so: sign: ok"
		done
	done
}

@test "contract C8: the first consumer's mutex functions are unloaded with it: SoftHSM" {
	unloaded "$SOFTHSM2_MODULE"
}

@test "contract C8: the same on the mock, also if it refuses OS locking" {
	TOKEN_LABEL=mock-0 unloaded "$BUILD/mock/mock.so"
	MOCK_OPTIONS=refuse_os_locking=1 TOKEN_LABEL=mock-0 unloaded "$BUILD/mock/mock.so"
}

# ---- Every form of arguments, on modules that refuse some, or take parameters

form_names=("NULL" "flags 0" "no threads" "OS locking" "OS locking, no threads" "callbacks"
	"callbacks or OS locking" "as NSS")

# with_string TOKEN MODULE STRING: all forms but NULL, which has no room for it.
with_string() {
	local form

	run with_shim "$PROGRAMS/arguments" forms --reserved "$3" "$2"
	for form in "${form_names[@]:1}"; do
		assert_line "$form: $1: ok"
	done
	refute_line --partial "a second consumer"
}

# all_forms MODULE...
all_forms() {
	local form

	run with_shim "$PROGRAMS/arguments" forms "$@"
	assert_success
	for form in "${form_names[@]}"; do
		assert_line --regexp "^$form: .*: ok$"
	done
}

@test "contract C8: every form of arguments: SoftHSM" {
	all_forms "$SOFTHSM2_MODULE"
}

@test "contract C8: every form of arguments: OpenSC" {
	need_module opensc-pkcs11.so
	all_forms "$module"
}

@test "contract C8: every form of arguments: NSS's module of root certificates" {
	need_module libnssckbi.so
	all_forms "$module"
}

@test "contract C8: every form of arguments, without and with paths in pReserved: p11-kit-trust" {
	need_module p11-kit-trust.so
	mkdir "$BATS_TEST_TMPDIR/anchors"
	all_forms "$module"
	with_string anchors "$module" "paths='$BATS_TEST_TMPDIR/anchors'"
	assert_success
}

@test "contract C8: every form of arguments with softoken's parameters; without them it refuses" {
	local parameters="certPrefix='' keyPrefix='' secmod='' cryptoTokenDescription='heard'"

	need_module libsoftokn3.so
	with_string heard "$module" "configdir='' $parameters flags=readOnly,noCertDB,noModDB,forceOpen,optimizeSpace"
	# (an NSS of 2025 goes on with NULL too, and some token)
	assert_line --regexp '^NULL: (C_Initialize: FAILED: CKR_ARGUMENTS_BAD|NSS .*: ok)$'
	refute_line --regexp '^NULL: .*heard'
	mkdir "$BATS_TEST_TMPDIR/db"
	with_string heard "$module" "configdir='sql:$BATS_TEST_TMPDIR/db' $parameters flags="
	[ -e "$BATS_TEST_TMPDIR/db/key4.db" ]
}

@test "contract C8: every form of arguments, without and with a string, and four threads: p11-kit-client" {
	need_module p11-kit-client.so
	serve_softhsm
	all_forms "$module"
	with_string "$TOKEN_LABEL" "$module" "some='string'"
	assert_success
	load_of --seconds 1 "$module"
	unloaded "$module"
}

# NSS's own structure, one pointer longer than the standard's, with its parameter
# string, its mutex functions and both flags.
@test "contract C8: NSS gives p11-kit-trust its parameters" {
	need_program modutil
	need_module p11-kit-trust.so
	mkdir "$BATS_TEST_TMPDIR/anchors" "$BATS_TEST_TMPDIR/db"
	run with_shim modutil -force -dbdir "sql:$BATS_TEST_TMPDIR/db" -create
	run with_shim modutil -force -dbdir "sql:$BATS_TEST_TMPDIR/db" -add trust -libfile "$module" \
		-string "paths='$BATS_TEST_TMPDIR/anchors'"
	assert_success
	run with_shim modutil -dbdir "sql:$BATS_TEST_TMPDIR/db" -list trust
	assert_success
	assert_line --regexp "^ *Token Name: anchors"
}
