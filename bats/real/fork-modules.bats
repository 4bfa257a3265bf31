#!/usr/bin/env bats
# What a forked child has of real modules, and that its parent never notices.
#
# Each module is set up in a place of its own; where that takes a private view
# of the file system (root, unshare), or a server that is not installed, the
# test is skipped and says so. Rows of all modules and cases, without the
# library and with it, are collected in $BUILD/real/fork-table.tsv, which
# scripts/check-real prints as a table.

# shellcheck disable=SC2030,SC2031 # each test, with its settings, is a shell of its own

load ../helper
load ../servers

bats_require_minimum_version 1.5.0

setup_file() {
	mkdir -p "$BUILD/real"
	: >"$BUILD/real/fork-table.tsv"
	: >"$BUILD/real/storms.txt"
}

setup() {
	need_token
	prefix=()
}

teardown() {
	stop_servers
}

# ---- Without and with

# fork_case with|without NAME CASE...: rows of consumer-fork, also to the table.
# What the module itself prints goes to a file. The library is preloaded into
# the consumer alone, not into what $prefix names.
fork_case() {
	local which=$1 name=$2 preload=()

	shift 2
	[ "$which" = without ] || preload=(LD_PRELOAD="$SHIM")
	timeout -k 5 "${LIMIT:-120}" "${prefix[@]}" env "${preload[@]}" \
		"$BUILD/fork/consumer-fork" --name "$name" --module "$module" "$@" \
		2>>"$BATS_TEST_TMPDIR/module-says" | sed "s/^/$which\t/" | tee -a "$BUILD/real/fork-table.tsv"
}

# row CASE CHILD [PARENT]: in $output, of the case run with the library.
row() {
	assert_line "$(printf 'with\t%s\t%s\t%s\t%s' "$name" "$1" "$2" "${3:-ok}")"
}

# everything_works NAME INHERITED: all cases with the library; what the parent's
# own session answers in the child.
everything_works() {
	local name=$1 case

	run fork_case without "$name" all
	refute_output ""
	run fork_case with "$name" all
	for case in goes-on initialises daemon daemon-initialises exits finalises execs; do
		row "$case" ok
	done
	row inherits "$2"
	if [ "$2" = "$stale" ]; then
		stale_numbers "$name"
	fi
}

stale_numbers() {
	run fork_case with "$1" stale
	name=$1
	row stale ok
}

stale='C_GetSessionInfo: CKR_SESSION_HANDLE_INVALID'

@test "contract F2 F3 F6: SoftHSM, whose state comes along" {
	module=$SOFTHSM2_MODULE
	everything_works softhsm ok
}

@test "contract F2 F3 F4 F6: SoftHSM with library.reset_on_fork" {
	cp "$SOFTHSM2_CONF" "$BATS_TEST_TMPDIR/softhsm2.conf"
	echo "library.reset_on_fork = true" >>"$BATS_TEST_TMPDIR/softhsm2.conf"
	export SOFTHSM2_CONF=$BATS_TEST_TMPDIR/softhsm2.conf
	module=$SOFTHSM2_MODULE
	everything_works softhsm-reset-on-fork "$stale"
}

@test "contract F2 F3 F4 F6: the mock that must be initialised in a child" {
	export TOKEN_LABEL=mock-0 TOKEN_PIN=1234
	module=$BUILD/mock/mock.so
	MOCK_OPTIONS=lenient=1,reset_on_fork=1 fork_case without mock all
	MOCK_OPTIONS=reset_on_fork=1,restart=1 run fork_case with mock all
	name=mock
	for case in goes-on initialises daemon daemon-initialises exits finalises execs; do
		row "$case" ok
	done
	row inherits "$stale"
}

# ---- What one can choose

@test "contract F2 F4: SoftHSM with P11SHIM_FORK=reset is as if it had been initialised there" {
	module=$SOFTHSM2_MODULE
	export P11SHIM_FORK=reset
	run fork_case with softhsm,reset all
	name=softhsm,reset
	for case in goes-on initialises daemon daemon-initialises exits finalises execs; do
		row "$case" ok
	done
	row inherits "$stale"
	stale_numbers softhsm,reset
}

@test "contract F2: SoftHSM with P11SHIM_FORK=strict waits for the child's own C_Initialize" {
	local none=CKR_CRYPTOKI_NOT_INITIALIZED

	module=$SOFTHSM2_MODULE
	export P11SHIM_FORK=strict
	run fork_case with softhsm,strict all
	name=softhsm,strict
	row goes-on "C_GetSlotList: $none"
	row daemon "C_GetSlotList: $none"
	row inherits "C_GetSessionInfo: $none"
	for case in initialises daemon-initialises exits finalises execs; do
		row "$case" ok
	done
}

@test "contract F2: modules with P11SHIM_FORK=off are in a child as they are without the library" {
	local none=CKR_CRYPTOKI_NOT_INITIALIZED

	module=$SOFTHSM2_MODULE
	export P11SHIM_FORK=off
	run fork_case with softhsm,off goes-on daemon inherits exits execs
	name=softhsm,off
	for case in goes-on daemon inherits exits execs; do
		row "$case" ok
	done
	need_module p11-kit-proxy.so
	p11_kit_over_softhsm
	run fork_case with p11-kit-proxy,off goes-on
	name=p11-kit-proxy,off
	row goes-on "C_GetSlotList: $none"
}

# ---- More modules

# The system's own list of modules may be anything: root gets a private one,
# others have settings of their own that are read.
p11_kit_over_softhsm() {
	local modules=$BATS_TEST_TMPDIR/xdg/pkcs11/modules

	mkdir -p "$modules"
	printf 'module: %s\n' "$SOFTHSM2_MODULE" >"$modules/softhsm.module"
	if [ "$(id -u)" -ne 0 ]; then
		echo 'user-config: only' >"$BATS_TEST_TMPDIR/xdg/pkcs11/pkcs11.conf"
		export XDG_CONFIG_HOME=$BATS_TEST_TMPDIR/xdg
	elif unshare --mount true 2>/dev/null && [ -d /usr/share/p11-kit/modules ]; then
		prefix=(unshare --mount sh -c "mount --bind '$modules' /usr/share/p11-kit/modules && exec \"\$@\"" sh)
	fi
}

@test "contract F2 F3 F4 F6: p11-kit-proxy over SoftHSM" {
	need_module p11-kit-proxy.so
	p11_kit_over_softhsm
	everything_works p11-kit-proxy "$stale"
}

@test "contract F2 F3 F4 F6: p11-kit-client to a p11-kit server over SoftHSM" {
	need_module p11-kit-client.so
	serve_softhsm
	everything_works p11-kit-client "$stale"
}

@test "contract F2 F3 F6: OpenSC, without and with (empty) readers" {
	need_module opensc-pkcs11.so
	unset TOKEN_LABEL TOKEN_PIN
	everything_works opensc ok
	if start_readers; then
		everything_works opensc-readers ok
	fi
}

@test "contract F2 F3 F4 F6: OpenSC with a card" {
	need_module opensc-pkcs11.so
	start_readers || skip "no virtual readers here: ${readers_missing:?}"
	start_card
	export TOKEN_LABEL=card TOKEN_PIN=123456 TOKEN_KEY="PIV AUTH key"
	everything_works opensc-card "$stale"
}

# A slot daemon of our own, with its own settings, tokens, sockets and shared
# memory, none of which can be set: in a name space of its own.
opencryptoki() {
	local d=$BATS_TEST_TMPDIR/opencryptoki library

	need_program pkcsslotd pkcsconf unshare nsenter pkcs11-tool
	need_module libopencryptoki.so
	[ "$(id -u)" -eq 0 ] || skip "openCryptoki's directories can be replaced by root only"
	unshare --mount --ipc true 2>/dev/null || skip "no name space of our own for openCryptoki"
	mkdir -p "$d/etc" "$d/var/swtok/TOK_OBJ" "$d/lock/swtok"
	for library in libpkcs11_sw.so PKCS11_SW.so; do
		printf 'version opencryptoki-3.1\nslot 3\n{\nstdll = %s\n}\n' "$library" >"$d/etc/opencryptoki.conf"
		[ ! -e "$(dirname "$module")/../opencryptoki/stdll/$library" ] || break
	done
	chgrp -R pkcs11 "$d/var" "$d/lock" 2>/dev/null || skip "no group pkcs11"
	chmod -R 770 "$d/var" "$d/lock"
	# shellcheck disable=SC2016 # for the inner shell
	serve unshare --mount --ipc sh -ec '
		mount --bind "$1/etc" /etc/opencryptoki
		mount --bind "$1/var" /var/lib/opencryptoki
		mount -t tmpfs tmpfs /run
		mkdir -p /run/lock/opencryptoki
		mount --bind "$1/lock" /run/lock/opencryptoki
		pkcsslotd
		trap "kill \$(cat /run/pkcsslotd.pid)" EXIT
		trap "exit 0" TERM
		: >"$1/up"
		while :; do sleep 1 & wait $!; done' sh "$d"
	eventually [ -e "$d/up" ]
	prefix=(nsenter --target "${servers[-1]}" --mount --ipc)
	eventually "${prefix[@]}" pkcsconf -t
	printf '87654321\nocktok\n' | "${prefix[@]}" pkcsconf -c 3 -I
	"${prefix[@]}" pkcsconf -c 3 -P -S 87654321 -n 12345678
	"${prefix[@]}" pkcsconf -c 3 -u -S 12345678 -n 1234567
	export TOKEN_LABEL=ocktok TOKEN_PIN=1234567
	"${prefix[@]}" pkcs11-tool --module "$module" --login --pin 1234567 --token-label ocktok \
		--keypairgen --key-type rsa:2048 --label key1 --id 01 --usage-sign
}

@test "contract F2 F3 F4 F6: openCryptoki's soft token" {
	opencryptoki
	everything_works opencryptoki "$stale"
}

gnome_keyring() {
	local d=$BATS_TEST_TMPDIR/keyring

	need_program gnome-keyring-daemon dbus-daemon
	need_module gnome-keyring-pkcs11.so
	unset TOKEN_LABEL TOKEN_PIN DISPLAY
	mkdir -p "$d/home"
	chmod 700 "$d"
	export HOME=$d/home XDG_DATA_HOME=$d/home XDG_RUNTIME_DIR=$d GNOME_KEYRING_CONTROL=$d/control
	serve dbus-daemon --session --nofork --nopidfile --address="unix:path=$d/bus"
	eventually [ -S "$d/bus" ]
	export DBUS_SESSION_BUS_ADDRESS=unix:path=$d/bus
	# shellcheck disable=SC2016 # for the inner shell
	serve sh -c 'printf x | exec gnome-keyring-daemon --foreground --unlock --components=pkcs11 \
		--control-directory="$GNOME_KEYRING_CONTROL"'
	eventually [ -S "$d/control/pkcs11" ]
}

@test "contract F3 F6: gnome-keyring, whose parent survives a child that finalises" {
	gnome_keyring
	everything_works gnome-keyring "$stale"
}

# ---- A TPM that is a program, with and without its resource manager

tpm() {
	local d=$BATS_TEST_TMPDIR/tpm port direct

	need_program swtpm tpm2-abrmd tpm2_ptool tpm2_dictionarylockout dbus-daemon
	need_module libtpm2_pkcs11.so
	mkdir -p "$d/state" "$d/store"
	# below those that outgoing connections are given
	for ((port = 20000 + RANDOM % 12000; ; port += 2)); do
		(: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null || (: <"/dev/tcp/127.0.0.1/$((port + 1))") 2>/dev/null || break
	done
	serve swtpm socket --tpm2 --tpmstate "dir=$d/state" --flags not-need-init,startup-clear \
		--server "type=tcp,port=$port,bindaddr=127.0.0.1" --ctrl "type=tcp,port=$((port + 1)),bindaddr=127.0.0.1"
	direct=swtpm:host=127.0.0.1,port=$port
	serve dbus-daemon --session --nofork --nopidfile --address="unix:path=$d/bus"
	eventually [ -S "$d/bus" ]
	export DBUS_SESSION_BUS_ADDRESS=unix:path=$d/bus TSS2_LOG=all+none TPM2_PKCS11_STORE=$d/store
	export TPM2_PKCS11_TCTI=tabrmd:bus_type=session TPM2TOOLS_TCTI=tabrmd:bus_type=session
	eventually listens_on "$port"
	serve tpm2-abrmd --session --allow-root --tcti="$direct"
	abrmd=${servers[-1]}
	# Wrong answers count as wrong passwords: no lock-out.
	eventually tpm2_dictionarylockout --setup-parameters --max-tries=30000 --recovery-time=1 --lockout-recovery-time=1
	tpm2_ptool init --path "$d/store"
	tpm2_ptool addtoken --pid 1 --sopin 12345678 --userpin "$TOKEN_PIN" --label "$TOKEN_LABEL" --path "$d/store"
	tpm2_ptool addkey --algorithm rsa2048 --label "$TOKEN_LABEL" --key-label key1 --userpin "$TOKEN_PIN" --path "$d/store"
	if [ "$1" = direct ]; then
		kill "$abrmd"
		wait "$abrmd" || true
		export TPM2_PKCS11_TCTI=$direct TPM2TOOLS_TCTI=$direct
	fi
}

# It listens; no connection is wasted on it.
listens_on() {
	grep -qi "$(printf ':%04X 00000000:0000 0A' "$1")" /proc/net/tcp
}

# As a child's C_Finalize leaves the TPM without it (today): each case starts anew.
tpm_cases() {
	local name=$1 which case

	for which in without with; do
		for case in goes-on initialises daemon inherits exits finalises execs; do
			if [ "$TPM2TOOLS_TCTI" != tabrmd:bus_type=session ]; then
				timeout 10 tpm2_flushcontext --transient-object || true
				timeout 10 tpm2_flushcontext --loaded-session || true
			fi
			TOKEN_PATIENCE=5 fork_case $which "$name" $case || true
		done
	done
}

tpm_parent_survives() {
	run tpm_cases "$1"
	name=$1
	row exits ok
	row execs ok
	row finalises ok
}

@test "contract F3 F6: tpm2-pkcs11 with its resource manager: a child that finalises" {
	tpm managed
	tpm_parent_survives tpm2-abrmd
}

@test "contract F3 F6: tpm2-pkcs11 straight to the TPM: a child that finalises" {
	tpm direct
	tpm_parent_survives tpm2-swtpm
}

# ---- The module sees no call at all

# pkcs11-spy numbers the calls that it gets, in the parent and, from the same
# number on, in a child: a number that comes twice was a call in the child.
calls_in_child() {
	sed -n 's/^\([0-9]*\): C_.*/\1/p' "$1" | sort | uniq -d | wc -l
}

@test "contract F3: a child that exits, finalises or executes something calls nothing: counted by pkcs11-spy" {
	local case

	need_module pkcs11-spy.so
	export PKCS11SPY=$SOFTHSM2_MODULE
	name=pkcs11-spy
	for case in exits finalises execs goes-on; do
		PKCS11SPY_OUTPUT=$BATS_TEST_TMPDIR/without-$case run fork_case without pkcs11-spy $case
		PKCS11SPY_OUTPUT=$BATS_TEST_TMPDIR/with-$case run fork_case with pkcs11-spy $case
		row $case ok
	done
	# That the count counts: a child that works, and one that finalises without the library.
	[ "$(calls_in_child "$BATS_TEST_TMPDIR/with-goes-on")" -gt 5 ]
	[ "$(calls_in_child "$BATS_TEST_TMPDIR/without-finalises")" -eq 1 ]
	for case in exits finalises execs; do
		assert_equal "$(calls_in_child "$BATS_TEST_TMPDIR/with-$case")" 0
	done
}

# A wrapper has the fork policy of what it wraps: with SoftHSM below, what was
# opened before the fork serves in the child, as it does without the library.
@test "contract F2: pkcs11-spy over SoftHSM, whose state comes along" {
	need_module pkcs11-spy.so
	export PKCS11SPY=$SOFTHSM2_MODULE PKCS11SPY_OUTPUT=/dev/null
	everything_works pkcs11-spy ok
}

# traced with|without NAME CASE: the system calls that a child makes from its
# beginning to its end, or to its exec. Memory, locks and signals do not count:
# what does is whatever opens, sends, receives or closes.
harmless='futex|madvise|mmap|munmap|mprotect|brk|getpid|gettid|rt_sig[a-z]*|clock_gettime'
traced() {
	local which=$1 name=$2 case=$3 log=$BATS_TEST_TMPDIR/strace of_child preload=()

	[ "$which" = without ] || preload=(-E LD_PRELOAD="$SHIM")
	rm -f "$log".*
	timeout -k 5 60 "${prefix[@]}" strace -ff -s 64 -o "$log" "${preload[@]}" "$BUILD/fork/consumer-fork" \
		--mark --name "$name" --module "$module" "$case" >/dev/null 2>&1
	of_child=$(grep -l 'write(2, "child begins' "$log".*)
	[ -n "$of_child" ] || return 1
	sed -n '/write(2, "child begins/,/write(2, "child ends\|^execve(/p' "$of_child" |
		grep -vE "^(write\(2, \"child|execve\(\"/bin/true|($harmless)\()" || true
}

silent_children() {
	local name=$1 case

	for case in exits finalises execs; do
		run traced with "$name" $case
		assert_success
		assert_output ""
	done
}

@test "contract F3: such a child says nothing to gnome-keyring's daemon (strace)" {
	need_program strace
	gnome_keyring
	silent_children gnome-keyring
	run traced without gnome-keyring finalises
	assert_output --regexp "(write|send[a-z]*|recv[a-z]*)\("
}

@test "contract F3: such a child says nothing to openCryptoki's slot daemon (strace)" {
	need_program strace
	opencryptoki
	silent_children opencryptoki
}

# ---- Keys that NSS and GnuTLS hold

keys_of_before() {
	run with_shim "$BUILD/fork/nss-gnutls-fork" "$@"
	assert_success
	refute_line --partial FAILED
	assert_line "child: gnutls: sign with the key of before the fork: ok"
	assert_line "child: nss: sign with the key of before the fork: ok"
	assert_line "parent: gnutls: sign with the key of before the fork: ok"
	assert_line "parent: nss: sign with the key of before the fork: ok"
}

@test "contract F2: keys that NSS and GnuTLS got before the fork sign in the child, SoftHSM" {
	keys_of_before nss
	keys_of_before gnutls
}

@test "contract F2: and without the library, each alone" {
	run without_shim "$BUILD/fork/nss-gnutls-fork" nss alone
	assert_success
	run without_shim "$BUILD/fork/nss-gnutls-fork" gnutls alone
	assert_success
}

# ---- Storms: SoftHSM, 2,000 forks each

# A token that no other test uses: a child that is ended while SoftHSM writes (it
# does at each login) can leave the token damaged for later tests.
own_token() {
	rm -rf "$BATS_TEST_TMPDIR/tokens"
	cp -a "$TOKEN_DIR/tokens" "$BATS_TEST_TMPDIR/tokens"
	sed "s|^directories.tokendir.*|directories.tokendir = $BATS_TEST_TMPDIR/tokens|" \
		"$TOKEN_DIR/softhsm2.conf" >"$BATS_TEST_TMPDIR/softhsm2.conf"
	export SOFTHSM2_CONF=$BATS_TEST_TMPDIR/softhsm2.conf
}

# storm OPTIONS: without the library for the record, with it to be judged. What
# dies inside SoftHSM, OpenSSL or malloc does so without it too.
storm() {
	local forks=${P11SHIM_TEST_FORKS:-2000}

	own_token
	{
		echo "== $* (without)"
		LIMIT=600 without_shim "$BUILD/fork/storm" --forks "$forks" "$@" --patience 1 --module "$SOFTHSM2_MODULE" 2>/dev/null || true
		echo "== $* (with)"
	} >>"$BUILD/real/storms.txt"
	own_token
	LIMIT=600 run --separate-stderr with_shim "$BUILD/fork/storm" --forks "$forks" "$@" --patience 1 --module "$SOFTHSM2_MODULE"
	echo "$output" | tee -a "$BUILD/real/storms.txt"
	assert_line --regexp "^$forks forks: [0-9]+ ok, [0-9]+ wrong, [0-9]+ crashed \(0 in the shim\), [0-9]+ hung \(0 in the shim\)"
	refute_line --partial "parent:"
}

all_well() {
	assert_success
	assert_line --partial " 0 wrong, 0 crashed (0 in the shim), 0 hung"
}

@test "contract F1: SoftHSM, fork, also from a thread" {
	storm --how fork
	all_well
	storm --how thread
	all_well
}

@test "contract F1: SoftHSM, clone behind the back of libc" {
	storm --how clone
	all_well
}

@test "contract F1: SoftHSM, vfork and posix_spawn while other threads sign" {
	storm --how vfork --while call
	all_well
	storm --how spawn --while call
	all_well
}

@test "contract F1: SoftHSM, fork while another thread is inside C_Initialize" {
	storm --while initialise
}

@test "contract F1: SoftHSM, fork while another thread is inside C_Finalize" {
	storm --while finalise
}

@test "contract F1: SoftHSM, fork while other threads find keys and sign" {
	storm --while call
}

# ---- The same storms on the mock, where nothing but the library can be at fault

mock_storm() {
	export TOKEN_LABEL=mock-0 TOKEN_PIN=1234 MOCK_OPTIONS=reset_on_fork=1,restart=1
	LIMIT=600 run with_shim "$BUILD/fork/storm" --forks "${P11SHIM_TEST_FORKS:-2000}" "$@" --module "$BUILD/mock/mock.so"
	{
		echo "== mock $* (with)"
		echo "$output"
	} | tee -a "$BUILD/real/storms.txt"
	all_well
}

@test "contract F1: the mock, fork while other threads are inside C_Initialize, C_Finalize, any call" {
	mock_storm --while initialise
	mock_storm --while finalise
	mock_storm --while call
}

@test "contract F1: the mock, clone behind the back of libc, alone and while other threads call" {
	mock_storm --how clone
	mock_storm --how clone --while call
}

@test "contract F1: the mock, vfork and posix_spawn while other threads are inside C_Initialize" {
	mock_storm --how vfork --while initialise
	mock_storm --how spawn --while initialise
}
