#!/usr/bin/env bats
# The standard's names of numbers (shim/standard/names.def, shim/standard/returns.def with the
# numbers in shim/standard/pkcs11.h): compared, one by one, with the headers of others.
#
# Needs nothing of the library itself; its own look-ups: tests/unit/standard/test-names.c.

load helper

setup() {
	cd "$BATS_TEST_TMPDIR" || return
	CC=${CC:-cc}
}

# NSS had numbers of its own for these before version 3.2 took up the names.
TRUST=(CKA_TRUST_SERVER_AUTH CKA_TRUST_CLIENT_AUTH CKA_TRUST_CODE_SIGNING
	CKA_TRUST_EMAIL_PROTECTION CKA_TRUST_TIME_STAMPING)

# compare HEADERS FLAGS [NAME...]: our names with those of HEADERS, excepting those NAMEs.
compare() {
	local header flags=$2
	for header in $1; do
		echo "#include <$header>"
	done >theirs-all.h
	shift 2
	# shellcheck disable=SC2086 # several flags
	"$CC" $flags -E theirs-all.h >/dev/null 2>&1 || skip "not here: $(cat theirs-all.h)"
	sed -n -E \
		-e 's/^(MECHANISM|ATTRIBUTE|CLASS|KEY_TYPE|USER)\((CK._[A-Z0-9_]+), (0x[0-9a-f]+).*/\2 \3/p' \
		-e 's/^FLAG\([A-Za-z_]+, (CKF_[A-Z0-9_]+), (0x[0-9a-f]+)\)$/\1 \2/p' \
		-e 's/^#define (CK[A-Z]_[A-Z0-9_]+) ([0-9a-fx]+)UL$/\1 \2/p' \
		"$ROOT/shim/standard/names.def" "$ROOT/shim/standard/pkcs11.h" |
		sed 's/\(.*\) \(.*\)/#ifdef \1\nCHECK(\1, \2)\n#endif/' >ours.h
	# shellcheck disable=SC2086
	"$CC" $flags -E -dM theirs-all.h | sed -n -E 's/^#define (CK[MAOKU]_[A-Z0-9_]+) .*/KNOWN(\1)/p' >theirs.h
	# shellcheck disable=SC2086
	run "$CC" $flags -DHEADER='"theirs-all.h"' -I. -I"$ROOT/shim" -o compare "$ROOT/tests/names/header.c"
	assert_success
	run ./compare "$@"
	assert_success
	# all but what is newer than the header: 3.0 alone has 440 mechanisms
	[ "${lines[-1]% compared}" -ge 500 ]
}

@test "contract I2: every name of ours has NSS's number for it, and none of NSS's is missing" {
	compare pkcs11t.h "$(pkg-config --cflags nss 2>/dev/null || echo '-I/usr/include/nss -I/usr/include/nspr')" \
		"${TRUST[@]}"
}

# p11-kit has wrong numbers for five return values of 3.0 (0x1c0 for 0x1b5 and so on).
@test "contract I2: every name of ours has p11-kit's number for it, and none of p11-kit's is missing" {
	compare 'p11-kit/pkcs11.h p11-kit/pkcs11x.h' \
		"$(pkg-config --cflags p11-kit-1 2>/dev/null || echo -I/usr/include/p11-kit-1)" "${TRUST[@]}" \
		CKR_EXCEEDED_MAX_ITERATIONS CKR_FIPS_SELF_TEST_FAILED CKR_LIBRARY_LOAD_FAILED \
		CKR_PIN_TOO_WEAK CKR_PUBLIC_KEY_INVALID
}

@test "contract I2: the table of names has no pointers, for which every start would pay" {
	run "$CC" -std=gnu11 -O2 -fPIC -c -o names.o -I"$ROOT/shim" "$ROOT/shim/standard/names.c"
	assert_success
	run readelf -SW names.o
	assert_success
	assert_output --partial ' .rodata '
	refute_output --partial ' .data.rel'
	refute_output --partial ' .rela.rodata'
	refute_output --partial ' .rela.data'
}
