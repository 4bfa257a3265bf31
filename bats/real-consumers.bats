#!/usr/bin/env bats
# Real consumers on real modules: NSS and GnuTLS in one process, plugins that
# know nothing of each other, threads racing in C_Initialize, calls at exit.

load helper
load servers

setup() {
	need_token
}

teardown() {
	stop_servers
}

# ---- NSS and GnuTLS on SoftHSM

# meet FIRST LEAVES [OPTIONS]: every step of nss-gnutls must go well.
meet() {
	local first=$1 leaves=$2

	shift 2
	run with_shim "$PROGRAMS/nss-gnutls" --first "$first" --leaves "$leaves" "$@"
	assert_success
	refute_line --partial FAILED
	case $leaves in
	nss)
		assert_line "gnutls: sign with the existing key: ok"
		assert_line "gnutls: sign with the key found anew: ok"
		;;
	gnutls)
		assert_line "nss: sign with the existing key: ok"
		assert_line "nss: sign with the key found anew: ok"
		;;
	esac
}

@test "contract C1 C2 C4: NSS first, NSS leaves first" {
	meet nss nss
}

@test "contract C1 C2 C4: NSS first, GnuTLS leaves first" {
	meet nss gnutls
}

@test "contract C1 C2 C4: GnuTLS first, NSS leaves first" {
	meet gnutls nss
}

@test "contract C1 C2 C4: GnuTLS first, GnuTLS leaves first" {
	meet gnutls gnutls
}

@test "contract C1 C2 C4: NSS first with NSS_INIT_PK11RELOAD, NSS leaves first" {
	meet nss nss --reload
}

@test "contract C1 C2 C4: NSS first with NSS_INIT_PK11RELOAD, GnuTLS leaves first" {
	meet nss gnutls --reload
}

@test "contract C1 C2 C4: GnuTLS first, NSS with NSS_INIT_PK11RELOAD, NSS leaves first" {
	meet gnutls nss --reload
}

@test "contract C1 C2 C4: GnuTLS first, NSS with NSS_INIT_PK11RELOAD, GnuTLS leaves first" {
	meet gnutls gnutls --reload
}

@test "contract C1 C2 C4: the same with an NSS database" {
	local first leaves

	for first in nss gnutls; do
		for leaves in nss gnutls; do
			meet "$first" "$leaves" --db "$BATS_TEST_TMPDIR/$first-$leaves"
		done
	done
}

# ---- Two plugins on SoftHSM

@test "contract C1 C4 D1: the first plugin finalises and is unloaded, the second signs on" {
	run with_shim "$PROGRAMS/two-plugins" --leaves a
	assert_success
	refute_line --partial FAILED
	assert_line "plugin b: sign with the existing session: ok"
}

@test "contract C1 C4 D1: the second plugin finalises and is unloaded, the first signs on" {
	run with_shim "$PROGRAMS/two-plugins" --leaves b
	assert_success
	refute_line --partial FAILED
	assert_line "plugin a: sign with the existing session: ok"
}

@test "contract C1: strict plugins, which take nothing but CKR_OK from C_Initialize" {
	local leaves

	for leaves in a b; do
		run with_shim "$PROGRAMS/two-plugins" --strict --leaves $leaves
		assert_success
		refute_line --partial FAILED
	done
}

# ---- Three consumers on SoftHSM, each with a thread and 50 sessions

@test "contract D1: C_CloseAllSessions and the last C_Finalize take no other consumer's sessions" {
	run with_shim "$PROGRAMS/crowds" --rounds 12
	assert_success
	assert_output "12 rounds: ok"
}

# ---- Four threads at once

# race RUNS OPTIONS: every thread of every run is answered CKR_OK. Each counts the slots, and other
# tests start and end pcscd meanwhile: no reader is seen here, unless $readers is set.
race() {
	local runs=$1

	shift
	[ -n "${readers:-}" ] || local -x PCSCLITE_CSOCK_NAME=$BATS_TEST_TMPDIR/no-pcscd
	LIMIT=300 run with_shim "$PROGRAMS/race" --threads 4 --runs "$runs" "$@"
	assert_success
	assert_line "$runs runs: $runs ok, 0 wrong, 0 crashed, 0 hung"
}

softoken_parameters="configdir='' certPrefix='' keyPrefix='' secmod='' flags=readOnly,noCertDB,noModDB,forceOpen,optimizeSpace"

@test "contract C2: four threads initialise SoftHSM at once, 200 runs" {
	race 200 "$SOFTHSM2_MODULE"
}

@test "contract C2 C8: the same with C_Initialize(NULL)" {
	race 200 --args null "$SOFTHSM2_MODULE"
}

@test "contract C2 C8: four threads initialise NSS's softoken at once, 200 runs" {
	race 200 --reserved "$softoken_parameters" "$(find_module libsoftokn3.so)"
}

# race_opensc RUNS: with readers OpenSC does more in C_Initialize. Root can have virtual ones.
race_opensc() {
	local module

	module=$(find_module opensc-pkcs11.so)
	race "$1" "$module"
	if start_readers; then
		readers=virtual race "$1" "$module"
	fi
}

# Without the shim two of three such runs crash, so that thirty tell.
@test "contract C2: four threads initialise OpenSC at once, 30 runs, also with readers" {
	race_opensc 30
}

# Left to make check-all. make check has thirty of them.
# bats test_tags=all
@test "contract C2: four threads initialise OpenSC at once, 200 runs, also with readers" {
	race_opensc 200
}

@test "contract C2: four threads initialise p11-kit-proxy at once, 50 runs" {
	race 50 "$(find_module p11-kit-proxy.so)"
}

@test "contract C2: sixteen threads initialise SoftHSM at once, 50 runs" {
	run with_shim "$PROGRAMS/race" --threads 16 --runs 50 "$SOFTHSM2_MODULE"
	assert_success
	assert_line "50 runs: 50 ok, 0 wrong, 0 crashed, 0 hung"
}

# ---- Calls while the process exits

# late WHEN MODULE: the process lives to its end and exits 0.
late() {
	run with_shim "$PROGRAMS/exit-call" --when "$1" --module "$2"
	assert_success
	assert_line "exit-call: initialise, with a session: ok"
}

# Once a module that can destroy itself is retired.
retired() {
	assert_line "C_GetSlotList: CKR_CRYPTOKI_NOT_INITIALIZED"
	assert_line "C_Finalize: CKR_OK"
}

@test "contract C10: SoftHSM called from an atexit handler older than its load" {
	late atexit-before-load "$SOFTHSM2_MODULE"
	retired
}

@test "contract C10: SoftHSM called from an ELF destructor" {
	late destructor "$SOFTHSM2_MODULE"
	retired
}

@test "contract C10: SoftHSM finalised and unloaded at exit, with callbacks, as pki does" {
	late pki-like "$SOFTHSM2_MODULE"
	retired
}

@test "contract C10: what comes before the module's own destructors still reaches it" {
	late atexit-after-init "$SOFTHSM2_MODULE"
	assert_line "C_GetSlotList: CKR_OK"
	assert_line "C_Finalize: CKR_OK"
}

@test "contract C10: p11-kit-proxy over SoftHSM called at exit" {
	local proxy when

	proxy=$(find_module p11-kit-proxy.so)
	for when in atexit-before-load destructor pki-like atexit-after-init; do
		late $when "$proxy"
		assert_line "C_Finalize: CKR_OK"
	done
}

@test "contract C10: strongSwan's pki, which finalises in its atexit handler, signs and exits" {
	use_strongswan
	printf '%s\n' "$TOKEN_PIN" >"$BATS_TEST_TMPDIR/pin"
	run with_shim pki --self --type rsa --keyid 01 --dn CN=x --digest sha256 --outform pem \
		<"$BATS_TEST_TMPDIR/pin"
	assert_success
	assert_output --partial "BEGIN CERTIFICATE"
}
