#!/usr/bin/env bats
# Every function of every list, on real modules and the mock: the program
# every-function (tests/programs/) puts recorders in place of the functions in
# a module's own lists and calls them all as a consumer does.

load helper

# every MODULE [OPTION...]: by way of the shim everything is as expected, and there are the lists that
# there are without it.
every() {
	local lists

	module=$1
	run without_shim "$PROGRAMS/every-function" "$module"
	assert_success
	assert_line "${module##*/}: not through the shim"
	lists=$(tail -n +2 <<<"$output")
	shift
	run with_shim "$PROGRAMS/every-function" "$@" "$module"
	assert_success
	assert_output "${module##*/}: through the shim
$lists"
}

# has LINE...: these are among the lists of the module.
has() {
	local line

	for line in "$@"; do
		assert_line "${module##*/} $line"
	done
}

opensc() {
	every "$(find_module opensc-pkcs11.so)" "$@"
	has "C_GetFunctionList 2.20: 68 functions" "PKCS 11 3.0: 92 functions" "PKCS 11 2.20: 68 functions"
}

softoken() {
	every "$(find_module libsoftokn3.so)" "$@"
	has "C_GetFunctionList 2.40: 68 functions" "PKCS 11 3.0: 92 functions" "PKCS 11 2.40: 68 functions" \
		"Vendor NSS Module Interface 1.0: the module's own" "Vendor NSS FIPS Interface 1.0: the module's own"
}

# All but the one newer than 3.2.
mock() {
	MOCK_OPTIONS=interfaces=47 every "$BUILD/mock/mock.so" "$@"
	has "C_GetFunctionList 2.40: 68 functions" "PKCS 11 2.40: 68 functions" "PKCS 11 3.0: 92 functions" \
		"PKCS 11 3.1: 92 functions" "PKCS 11 3.2: 104 functions" "Vendor Mock 1.0: the module's own"
}

@test "contract B2 B3: every function of OpenSC's 2.20 and 3.0 lists reaches its own, arguments intact" {
	opensc
}

# OpenSC's lists hold the functions that it exports, but for one of the 2.20 list: those of
# 2.20 and 3.0, and since 0.27 of 3.2.
@test "contract B2 B3: in OpenSC's lists each function stands where calls.def has it" {
	opensc
	assert_line --regexp '^opensc-pkcs11\.so: [12][0-9][0-9] entries are the exported function of that name$'
}

@test "contract B2 B3: every function of softoken's lists reaches its own, its vendor's lists are untouched" {
	softoken
}

@test "contract B2: every function of SoftHSM's list reaches its own" {
	need_token
	every "$SOFTHSM2_MODULE"
	has "C_GetFunctionList 2.40: 68 functions"
}

@test "contract B2 B3: every function of the mock's 2.40, 3.0, 3.1 and 3.2 lists reaches its own" {
	mock
}

@test "contract B3: every function of a list newer than 3.2, offered as 3.2, reaches its own" {
	MOCK_OPTIONS=interfaces=16 run with_shim "$PROGRAMS/every-function" "$BUILD/mock/mock.so"
	assert_success
	assert_output "mock.so: through the shim
mock.so C_GetFunctionList 2.40: 68 functions
mock.so PKCS 11 3.2: 104 functions"
}

# Then no call takes the gate's fast path.
@test "contract B2 B3 C8: the same where one call at a time is let in" {
	export P11SHIM_SERIALIZE=yes
	opensc
	softoken
	mock
}

@test "contract B2 B3 H4: the same where the shim only observes" {
	export P11SHIM_MODE=observe
	opensc --observe
	softoken --observe
	mock --observe
}

@test "contract H4: and those of the module itself where the shim is switched off" {
	for module in "$(find_module opensc-pkcs11.so)" "$(find_module libsoftokn3.so)" "$BUILD/mock/mock.so"; do
		P11SHIM_DISABLE=1 run with_shim "$PROGRAMS/every-function" "$module"
		assert_success
		assert_line "${module##*/}: not through the shim"
	done
}
