#!/usr/bin/env bats
# Services: the examples of docs/examples as they stand there, what systemd's hardening and
# raised privileges make of the library, nginx and Apache with a key in a token.
# shellcheck disable=SC2030,SC2031 # each test, with its settings, is a shell of its own

load helper
load servers
load web

setup_file() {
	[ -e "$BUILD/trace/steps" ] || make -s -C "$ROOT" "B=$BUILD" trace
}

setup() {
	HERE=$BATS_TEST_TMPDIR
	cd "$HERE" || return
	ulimit -c 0
}

teardown() {
	stop_web_server
}

# ---- systemd

@test "contract I2: the drop-in is one that systemd takes, as it is and with everything in it chosen" {
	need_program systemd-analyze
	printf '[Unit]\nDescription=signer\n[Service]\nExecStart=/bin/true\n' >signer.service
	mkdir signer.service.d
	# What systemd says of them, and not of the machine's own units, which it reads too.
	verify() {
		run bash -c 'timeout 60 systemd-analyze verify --man=no ./signer.service 2>&1 | grep -e signer -e p11shim'
	}
	cp "$EXAMPLES/systemd/p11shim.conf" signer.service.d/
	verify
	assert_output ''
	uncommented "$EXAMPLES/systemd/p11shim.conf" >signer.service.d/p11shim.conf
	[ "$(grep -c '^[A-Z]' signer.service.d/p11shim.conf)" -gt "$(grep -c '^[A-Z]' "$EXAMPLES/systemd/p11shim.conf")" ]
	verify
	assert_output ''
	# It does look there.
	sed -i 's/^LogsDirectory=/LogDirectory=/' signer.service.d/p11shim.conf
	verify
	assert_output --partial "p11shim.conf:"
}

@test "contract I2: the drop-in's own variables, and no others: the log is where it says" {
	# As it is: in the journal, by syslog (see the end).
	assignments "$EXAMPLES/systemd/p11shim.conf" >as-is
	assert_equal "$(cat as-is)" "LD_PRELOAD=libp11shim.so"$'\n'"P11SHIM_LOG=syslog"
	# All of it chosen, in the order of the file: the later of two wins, as with systemd.
	uncommented "$EXAMPLES/systemd/p11shim.conf" | grep -v P11SHIM_MODE >chosen.conf
	mkdir -p "$(assignments chosen.conf | sed -n 's|^P11SHIM_LOG=\(/.*\)/log$|\1|p')"
	assignments chosen.conf | sed "s|libp11shim.so|$SHIM|" >chosen
	# shellcheck disable=SC2046 # an assignment a line, without blanks
	run timeout -k 5 60 env -i $(cat chosen) "$BUILD/trace/steps" "$BUILD/mock/mock.so" init abort
	assert_equal "$status" 134
	grep -q ' C_Initialize CKR_OK$' logs/p11shim/signer/log
	grep -q '^==p11shim== SIGABRT' logs/p11shim/signer/log
	grep -q '"name":"C_Initialize"' logs/p11shim/signer/trace

	run timeout -k 5 70 "$ROOT/tests/trace/syslog.py" messages \
		env -i LD_PRELOAD="$SHIM" "$(sed 1d as-is)" "$BUILD/trace/steps" "$BUILD/mock/mock.so" init finalise
	[ "$status" -ne 125 ] || skip "all but syslog: no /dev of its own can be had here"
	assert_success
	grep -q '^<14>p11shim\[.* consumer=steps module=mock.so C_Initialize CKR_OK$' messages
}

# confined COMMAND: as systemd confines a service; see there.
confined() {
	need_program systemd-analyze
	run timeout -k 5 60 "$ROOT/tests/services/confined.py" "$@"
	[ "$status" -ne 125 ] || skip "no filter of system calls can be had here"
}

@test "contract I2 I3 I5: a log, a trace and the report of a crash under systemd's hardening" {
	confined chroot / true
	assert_equal "$status" 159 # it does confine
	confined python3 -c 'import mmap; mmap.mmap(-1, 4096, prot=7)'
	assert_output --partial PermissionError
	steps=("$BUILD/trace/steps" "$BUILD/mock/mock.so"
		init init call 5 threads 3 5 tree 3 2 finalise finalise finalise abort)
	for groups in '' '--deny @privileged --deny @resources --deny @ipc'; do
		rm -f log trace
		# shellcheck disable=SC2086 # words
		confined $groups env LD_PRELOAD="$SHIM" P11SHIM_LOG="$HERE/log" P11SHIM_LOG_LEVEL=calls \
			P11SHIM_TRACE="$HERE/trace" P11SHIM_ON_CRASH=1 "${steps[@]}"
		assert_equal "$status" 134
		assert_line 'finalise: CKR_CRYPTOKI_NOT_INITIALIZED'
		grep -q ' fork child of a process' log
		grep -q 'finding double-finalise: ' log
		grep -q 'stack: ' log
		grep -q '^==p11shim== SIGABRT' log
		grep -q '"cat":"crash"' trace
	done
}

@test "contract C8: parameters of C_Initialize under a filter of system calls without @ipc" {
	cat >parameters.c <<-'C'
		#include <dlfcn.h>
		#include <stdio.h>
		int main(int count, char **arguments)
		{
			struct { void *functions[4]; unsigned long flags; const char *parameters; } given =
				{{0}, 2, "configdir='/nowhere'"};
			unsigned long (*initialise)(void *) = (unsigned long (*)(void *))
				dlsym(dlopen(arguments[count - 1], RTLD_NOW), "C_Initialize");
			return printf("%#lx\n", initialise(&given)) < 0;
		}
	C
	cc -o parameters parameters.c -ldl
	confined --deny @ipc ./parameters "$BUILD/mock/mock-same.so"
	assert_success
	expected=$output
	confined --deny @ipc env LD_PRELOAD="$SHIM" ./parameters "$BUILD/mock/mock-same.so"
	assert_success
	assert_output "$expected"
}

# ---- Raised privileges

# in_own_root: the script on standard input, in a root directory where the library is
# installed so that the linker gives it to privileged programs too, with
#
#   programs             makes /test/set-uid, /test/set-gid, /test/capable and /test/ordinary
#   try WHICH VARIABLES  one of them initialises twice, and aborts: as a user who may set what
#                        he likes and own nothing. Says what came of it
in_own_root() {
	need_mounts "make a program of another user, in a root directory of its own"
	need_program setcap
	{
		cat <<-'SCRIPT'
			set -u
			export LC_ALL=C
			umask 022
			ulimit -c 0
			mkdir -m 777 /test/files
			programs() {
				for which in set-uid set-gid capable ordinary; do
					cp "$BUILD/trace/steps" /test/$which
				done
				cp "$BUILD/mock/mock.so" /test/
				chmod u+s /test/set-uid
				chgrp 12345 /test/set-gid
				chmod g+s /test/set-gid
				setcap cap_net_raw+ep /test/capable || exit 124
			}
			nobody() {
				setpriv --reuid=65534 --regid=65534 --clear-groups env -i LD_PRELOAD=libp11shim.so "$@"
			}
			try() {
				which=$1
				shift
				nobody "$@" /test/$which /test/mock.so init init abort 2>&1 |
					sed -e '/^mock: /d' -e '/: line [0-9]*: .* Aborted /d' -e "s/^/$which: /"
				for file in /test/files/*; do
					[ ! -e "$file" ] || echo "$which: left ${file##*/}, of $(stat -c %u:%g:%a "$file")"
				done
			}
		SCRIPT
		cat
	} >script
	run timeout -k 5 60 "$ROOT/tests/services/own-root" "$SHIM" bash "$HERE/script"
	[ "$status" -ne 125 ] || skip "no root directory of its own can be had here"
	[ "$status" -ne 124 ] || skip "no file capabilities can be had here"
}

@test "contract H2: with raised privileges nothing of the user's counts: variables, files, handlers" {
	in_own_root <<-'SCRIPT'
		programs
		mkdir -p /test/home/.config/p11shim
		printf '[*]\nlog = /test/files/log\ntrace = /test/files/trace\non-crash = 1\n' >/test/home/.config/p11shim/p11shim.conf
		for which in ordinary set-uid set-gid capable; do
			n=0
			for wish in P11SHIM_LOG=/test/files/log P11SHIM_LOG=stderr P11SHIM_TRACE=/test/files/trace P11SHIM_ON_CRASH=1 \
				P11SHIM_CONFIG=/test/home/.config/p11shim/p11shim.conf XDG_CONFIG_HOME=/test/home/.config HOME=/test/home \
				P11SHIM_ALREADY=report P11SHIM_DISABLE=1 P11SHIM_MODE=observe; do
				if [ "$(try $which $wish)" = "$which: init: CKR_OK
		$which: init: CKR_OK" ]; then
					n=$((n + 1))
				elif [ $which != ordinary ]; then
					try $which $wish
				fi
				rm -f /test/files/*
			done
			echo "$which: $n of 10 wishes without effect"
		done
	SCRIPT
	assert_output "ordinary: 0 of 10 wishes without effect
set-uid: 10 of 10 wishes without effect
set-gid: 10 of 10 wishes without effect
capable: 10 of 10 wishes without effect"
}

@test "contract H2: with raised privileges the file in /etc counts" {
	in_own_root <<-'SCRIPT'
		programs
		mkdir /etc/p11shim
		printf '[*]\nlog = /test/files/log\ntrace = /test/files/trace\non-crash = 1\n[mock.so]\nalready = report\n' >/etc/p11shim/p11shim.conf
		for which in ordinary set-uid set-gid capable; do
			try $which P11SHIM_TRACE=/test/files/of-the-user P11SHIM_ALREADY=hide
			grep -o -e ' C_Initialize CKR_[A-Z_]*$' -e '^==p11shim== SIGABRT' /test/files/log | sort -u
			rm -f /test/files/*
		done
	SCRIPT
	log=" C_Initialize CKR_OK
==p11shim== SIGABRT"
	assert_output "ordinary: init: CKR_OK
ordinary: init: CKR_OK
ordinary: left log, of 65534:65534:600
ordinary: left of-the-user, of 65534:65534:600
$log
set-uid: init: CKR_OK
set-uid: init: CKR_CRYPTOKI_ALREADY_INITIALIZED
set-uid: left log, of 0:65534:600
set-uid: left trace, of 0:65534:600
 C_Initialize CKR_CRYPTOKI_ALREADY_INITIALIZED
$log
set-gid: init: CKR_OK
set-gid: init: CKR_CRYPTOKI_ALREADY_INITIALIZED
set-gid: left log, of 65534:12345:600
set-gid: left trace, of 65534:12345:600
 C_Initialize CKR_CRYPTOKI_ALREADY_INITIALIZED
$log
capable: init: CKR_OK
capable: init: CKR_CRYPTOKI_ALREADY_INITIALIZED
capable: left log, of 65534:65534:600
capable: left trace, of 65534:65534:600
 C_Initialize CKR_CRYPTOKI_ALREADY_INITIALIZED
$log"
}

@test "contract J1: what the drop-in says of the dynamic linker: set-id bits, file capabilities and what goes with them" {
	in_own_root <<-'SCRIPT'
		programs
		# As packages and `make install` leave it.
		chmod 755 /lib/libp11shim.so
		# How often C_Initialize can be called: without the library the module minds the second.
		as() {
			program=$1
			shift
			setpriv --reuid=65534 --regid=65534 --clear-groups "$@" env -i LD_PRELOAD=libp11shim.so \
				"$program" /test/mock.so init init 2>/dev/null | grep -c 'init: CKR_OK'
		}
		for which in ordinary set-uid set-gid capable; do
			echo "$which: $(as /test/$which) $(as /test/$which --no-new-privs)"
		done
		echo "ambient: $(as /test/ordinary --inh-caps=+net_raw --ambient-caps=+net_raw)"
	SCRIPT
	assert_line 'ordinary: 2 2'
	assert_line 'set-uid: 1 2'
	assert_line 'set-gid: 1 2'
	assert_line 'capable: 1 1'
	assert_line 'ambient: 2'
}

# ---- Servers, by OpenSSL's engine (by its provider: provider.bats)

use_engine() {
	need_servers_token
	[ -n "$(find /usr/lib /usr/lib64 -path '*engines-*' -name pkcs11.so 2>/dev/null)" ] ||
		skip "OpenSSL's engine pkcs11 is not installed"
	cp "$EXAMPLES/openssl.cnf" .
	web_environment=(OPENSSL_CONF="$HERE/openssl.cnf" PKCS11_MODULE_PATH="$SOFTHSM2_MODULE")
}

@test "contract F2 I2: nginx as docs/examples says: -t, two workers that are not root, an upgrade in flight" {
	need_nginx
	use_engine
	nginx_serves "$(commented nginx/p11shim.conf 'ssl_certificate_key "engine:')"
}

@test "contract I2: nginx leaves to the program of an upgrade all that the drop-in proposes, and how to switch the shim off" {
	run sed -n 's/^env \([A-Z0-9_]*\);$/\1/p' "$EXAMPLES/nginx/p11shim.conf"
	for variable in $(sed -n 's/^#\{0,1\}Environment=\([A-Z0-9_]*\)=.*/\1/p' "$EXAMPLES/systemd/p11shim.conf" | sort -u) \
		P11SHIM_DISABLE P11SHIM_TRACE_LEVEL PKCS11_MODULE_PATH PKCS11_PROVIDER_MODULE; do
		assert_line "$variable"
	done
}

@test "contract F2 I2: Apache as docs/examples says, prefork and event: -t, a start, a graceful restart" {
	need_apache
	use_engine
	apache_serves "$(commented apache/envvars 'SSLCertificateKeyFile "pkcs11:[^"]*?pin-value=')"
}
