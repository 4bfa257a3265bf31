#!/usr/bin/env bats
# PINs, keys and data are in no log, no trace and no crash report, and the library
# keeps no copy of them in memory: contract I2. tests/trace/secrets.c hands them out,
# each with one text in it, and wipes its own.

# shellcheck disable=SC2030,SC2031 # each test, with its settings, is a shell of its own
# shellcheck disable=SC2016 # for jq

load helper
bats_require_minimum_version 1.5.0

# In the secrets, and nowhere else: as text, as hexadecimal digits from either end, and as the
# number that its first eight or four bytes are on a little-endian machine.
MARK=mArKeR
FORMS_OF_IT="$MARK|6d41724b6552|52654b72416d|8011149907172933997|1265779053"

setup_file() {
	[ -e "$BUILD/trace/secrets" ] || make -s -C "$ROOT" "B=$BUILD" trace
}

setup() {
	export P11SHIM_TRACE=$BATS_TEST_TMPDIR/trace.json P11SHIM_LOG=$BATS_TEST_TMPDIR/log
	export P11SHIM_LOG_LEVEL=calls P11SHIM_ON_CRASH=1
}

# An empty token directory.
empty_token() {
	need_token
	mkdir -p "$BATS_TEST_TMPDIR/tokens"
	printf 'directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\n' \
		"$BATS_TEST_TMPDIR/tokens" >"$BATS_TEST_TMPDIR/softhsm2.conf"
	export SOFTHSM2_CONF=$BATS_TEST_TMPDIR/softhsm2.conf
}

# clean FILE...: there is something in each, and no secret.
clean() {
	local file

	for file in "$@"; do
		[ -s "$file" ]
		run -1 grep -aiE "$FORMS_OF_IT" "$file"
	done
}

# no_lengths: where a PIN is passed, its length (137) is told nowhere. What may be any number is
# left out: times, processes, threads, stacks.
no_lengths() {
	local functions='C_(InitToken|InitPIN|SetPIN|Login|LoginUser)'

	run -0 jq -Rnc --arg functions "^$functions$" 'input | inputs | rtrimstr(",") | fromjson
		| select(.name | test($functions)) | {name, cat} + .args | del(.stack, .ulUsernameLen)' "$P11SHIM_TRACE"
	assert_line --regexp '"name":"C_Login","cat":"call"'
	assert_line --regexp '"name":"C_Login","cat":"life"'
	assert_line --regexp '"name":"C_InitToken"'
	assert_line --regexp '"name":"C_InitPIN"'
	assert_line --regexp '"name":"C_SetPIN"'
	refute_output --partial Len
	refute_output --partial 137
	run -0 sed -nE "s/^ *20[^ ]*Z pid=[0-9]+ tid=[0-9]+ (.* $functions .*)/\1/p" "$P11SHIM_LOG"
	output=$(sed -E 's/ us=[0-9.]*//; s/ulUsernameLen=[0-9]*//' <<<"$output")
	assert_output --partial 'C_Login CKR_OK hSession='
	refute_output --partial Len
	refute_output --partial 137
}

# crashes COMMAND: as without the library, it dies of a memory fault.
crashes() {
	run with_shim "$BUILD/trace/secrets" --crash "$@"
	assert_equal "$status" 139
}

@test "contract I2 I5: no secret of a token's life, nor a PIN's length, in log, trace or crash report: SoftHSM" {
	empty_token
	crashes token "$SOFTHSM2_MODULE"
	for call in C_InitToken C_InitPIN C_SetPIN C_CreateObject C_Encrypt C_Decrypt C_Digest C_WrapKey C_SeedRandom C_GenerateRandom; do
		assert_line "$call: CKR_OK"
	done
	run -1 grep -aiE "$FORMS_OF_IT" <<<"$output"
	clean "$P11SHIM_LOG" "$P11SHIM_TRACE"
	grep -q '^==p11shim== SIGSEGV' "$P11SHIM_LOG"
	grep -q '"cat":"crash"' "$P11SHIM_TRACE"
	no_lengths
}

@test "contract I2 I5: no secret in log, trace or crash report, whatever the function, also where it only observes" {
	for module in "$BUILD/trace/answers.so" "$BUILD/mock/mock.so" observe; do
		if [ "$module" = observe ]; then
			export P11SHIM_MODE=observe
			module=$BUILD/trace/answers.so
		fi
		rm -f "$P11SHIM_LOG" "$P11SHIM_TRACE"
		crashes every "$module"
		clean "$P11SHIM_LOG" "$P11SHIM_TRACE"
		grep -q '^==p11shim== SIGSEGV' "$P11SHIM_LOG"
		grep -q '"name":"C_UnwrapKeyAuthenticated"' "$P11SHIM_TRACE"
	done
	rm -f "$P11SHIM_LOG" "$P11SHIM_TRACE"
	crashes every "$BUILD/trace/answers.so"
	no_lengths
}

@test "contract I2: what is in the crash report goes to standard error without a log, and holds no secret" {
	unset P11SHIM_LOG
	crashes every "$BUILD/trace/answers.so"
	assert_output --partial '==p11shim== SIGSEGV'
	assert_output --partial 'C_LoginUser CKR_OK'
	run -1 grep -aiE "$FORMS_OF_IT" <<<"$output"
	export P11SHIM_LOG=stderr
	crashes every "$BUILD/trace/answers.so"
	assert_output --partial 'C_LoginUser CKR_OK us='
	run -1 grep -aiE "$FORMS_OF_IT" <<<"$output"
}

# dump [OPTIONS] MODULE: the whole memory of the program when it has wiped its own copies, in core.alive,
# and after the crash report, in core.dead.
dump() {
	need_program gdb
	rm -f "$BATS_TEST_TMPDIR"/core.*
	run timeout -k 5 60 gdb -nx -batch -ex 'set pagination off' -ex 'set confirm off' \
		-ex 'set use-coredump-filter off' -ex 'set dump-excluded-mappings on' -ex 'set debuginfod enabled off' \
		-ex "set exec-wrapper env LD_PRELOAD=$SHIM" -ex 'break ready' -ex run \
		-ex "generate-core-file $BATS_TEST_TMPDIR/core.alive" -ex continue -ex continue \
		-ex "generate-core-file $BATS_TEST_TMPDIR/core.dead" -ex kill \
		--args "$BUILD/trace/secrets" --crash "$@" </dev/null
	[[ $output != *ptrace:\ Operation\ not\ permitted* ]] || skip "gdb may not trace processes here"
	[ -s "$BATS_TEST_TMPDIR/core.alive" ]
	[ -s "$BATS_TEST_TMPDIR/core.dead" ]
	# What the library remembers is in there too.
	run -0 grep -aq 'consumer=secrets module=.* C_LoginUser CKR_' "$BATS_TEST_TMPDIR/core.alive"
	run -0 grep -aq '==p11shim== SIGSEGV' "$P11SHIM_LOG"
}

@test "contract I2: no copy of a secret is left in memory, nor in a core dump" {
	for module in "$BUILD/trace/answers.so" "$BUILD/mock/mock.so" observe; do
		if [ "$module" = observe ]; then
			export P11SHIM_MODE=observe
			module=$BUILD/trace/answers.so
		fi
		dump every "$module"
		for core in "$BATS_TEST_TMPDIR"/core.{alive,dead}; do
			run -1 grep -ac "$MARK" "$core"
			assert_output 0
		done
	done
}

@test "a copy that is not wiped would be found" {
	dump --keep every "$BUILD/trace/answers.so"
	for core in "$BATS_TEST_TMPDIR"/core.{alive,dead}; do
		run -0 grep -aq "$MARK" "$core"
	done
}
