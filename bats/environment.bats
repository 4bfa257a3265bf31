#!/usr/bin/env bats
# The tests themselves: scripts/check and bats/helper.bash come to the same verdict,
# however and wherever they are called. A file of tests like any other is called in odd environments.
#
# Single quotes hold programs for other shells:
# shellcheck disable=SC2016

bats_require_minimum_version 1.5.0
load helper

setup() {
	HERE=$BATS_TEST_TMPDIR
	cd "$HERE" || return
	mkdir home
	sample 'env -u P11SHIM_TEST_ALONE | sort | grep -v -e "^BATS_" -e "[ /]bats-run-" -e ^P11SHIM_TEST_CLEAN= -e ^TOKEN_DIR= -e ^SHLVL= >"$OUT/environment"'
}

# sample COMMAND: the one test of sample.bats. OUT is $HERE.
sample() {
	printf '%s\n' "load '$ROOT/bats/helper'" "OUT='$HERE'" '@test "sample" {' "$1" '}' >sample.bats
}

# called [VARIABLE=VALUE]... [COMMAND...]: by scripts/check, in an environment that has nothing else.
called() {
	env -i PATH=/usr/bin:/bin HOME="$HERE/home" CHECK_LOGS="$HERE/logs" \
		P11SHIM_TEST_ALONE="${P11SHIM_TEST_ALONE:-}" "$@" \
		timeout -k 5 120 "$ROOT/scripts/check" "${build:-$BUILD}" "${tests:-$HERE/sample.bats}"
}

passes() {
	run "$@"
	assert_success
	assert_line '1 passed, 0 failed, 0 skipped'
}

@test "tests: no variable of the caller's reaches them: locale, HOME, make's, git's, others' settings" {
	passes called
	mv environment expected
	grep -q '^PATH=.*:/usr/sbin:' expected
	mkdir other
	passes called LC_ALL=de_DE.UTF-8 LANGUAGE=de LC_COLLATE=tr_TR.UTF-8 HOME=/nonexistent XDG_RUNTIME_DIR=/run/user/0 \
		XDG_CONFIG_HOME="$HERE/other" P11SHIM_DISABLE=1 P11SHIM_LOG=stderr LD_LIBRARY_PATH=/nowhere MAKEFLAGS=-j GIT_DIR=/nowhere \
		GREP_OPTIONS=-v CDPATH=/usr:/ SOFTHSM2_CONF=/nowhere OPENSSL_CONF=/nowhere PKCS11_MODULE_PATH=/nowhere \
		DISPLAY=:7 BASH_ENV="$HERE/nowhere" ENV=/nowhere SHELL=/bin/false POSIXLY_CORRECT=1 ROOT=/ LIMIT=1 MASK=s/a/b/ CC=false \
		PERL5OPT=-Mnowhere PYTHONHOME=/nowhere JAVA_TOOL_OPTIONS=-x VALGRIND_OPTS=--tool=none 'BASH_FUNC_sort%%=() { echo no; }' \
		'lines=one
two'
	diff expected environment
	# without scripts/check, too
	run env -i PATH=/usr/bin:/bin LC_ALL=de_DE.UTF-8 HOME=/nonexistent MASK=s/a/b/ BUILD="$BUILD" GIT_DIR=/nowhere \
		timeout -k 5 60 bats sample.bats
	assert_success
	diff expected environment
}

@test "tests: nor does what else a process inherits: umask, limits, ignored signals, a closed standard input" {
	sample '[ "$(umask)" = 0022 ] && [ "$(ulimit -c)" = 0 ] && ! read -r _ && [ -e /dev/fd/0 ]
		ignored=0x$(sed -n "s/^SigIgn:[[:blank:]]*//p" /proc/self/status)
		[ "$((ignored & 0x1203))" = 0 ] # HUP, INT, USR1, PIPE'
	passes called bash -c 'umask 077; ulimit -c unlimited; trap "" HUP INT USR1 PIPE; "$@" <&-' -
	# without scripts/check, too
	sed -i '/ignored/d' sample.bats
	run bash -c 'umask 077; ulimit -c unlimited; BUILD=$0 timeout -k 5 60 bats sample.bats <&-' "$BUILD"
	assert_success
	run bash -c 'yes | BUILD=$0 timeout -k 5 60 bats sample.bats' "$BUILD"
	assert_success
}

# Left to make check-all. Each of them is a run of scripts/check in a run; make check keeps those about the caller.
# bats test_tags=all
@test "tests: a build directory that LD_PRELOAD cannot name is as good as another" {
	sample 'run with_shim grep -c libp11shim /proc/self/maps
		assert_success
		[[ $SHIM = */libp11shim.so && $SHIM != *[[:space:]:]* ]]'
	for name in 'Größe mit Leer' a:b "it's" 'a$b' '[a]*'; do
		ln -s "$BUILD" "$name"
		build=$HERE/$name passes called LC_ALL=POSIX
	done
}

# Left to make check-all. As above.
# bats test_tags=all
@test "tests: TMPDIR that has a blank, is relative, or cannot be written to is not used; another is" {
	sample 'echo "$BATS_TEST_TMPDIR" >"$OUT/place"'
	mkdir 'a b' good
	for wrong in "$HERE/a b" a /nonexistent ''; do
		passes called TMPDIR="$wrong"
		run cat place
		assert_output --regexp '^/tmp/check\.[^/]*/bats-run-'
	done
	passes called TMPDIR="$HERE/good"
	run cat place
	assert_output --partial "$HERE/good/check."
}

@test "tests: what is missing is skipped by its name; what root may not do here either, with that reason" {
	sample 'need_program sh no-such-program'
	run called
	assert_line '0 passed, 0 failed, 1 skipped'
	assert_line --regexp '^sample: skipped 1 sample .*# skip not installed: no-such-program$'
	sample 'need_mounts "try"'
	need_other_user "lose privileges"
	chmod 755 "$HERE"
	run called setpriv --bounding-set -sys_admin --inh-caps -sys_admin
	assert_line '0 passed, 0 failed, 1 skipped'
	assert_line --regexp '# skip only root can try, and here not even root may mount$'
}

@test "tests: CDPATH leads no script to a directory elsewhere" {
	mkdir -p decoy/place place
	CDPATH=$HERE/decoy run "$ROOT/scripts/alone" place sh -c 'echo "$P11SHIM_TEST_ALONE"'
	assert_success
	assert_line "$HERE/place"
	[ ! -e decoy/place/.in-use ]
	mkdir decoy/scripts
	cd "$ROOT"
	CDPATH=$HERE/decoy run timeout 60 scripts/check "$HERE/place" no-such-test </dev/null
	assert_failure 2
	assert_output --partial 'there is no test file no-such-test; there are: unit arch '
	mkdir "$HERE/bin"
	printf '#!/bin/sh\nexit 1\n' >"$HERE/bin/debootstrap"
	chmod +x "$HERE/bin/debootstrap"
	CDPATH=$HERE/decoy PATH=$HERE/bin:$PATH run timeout 60 scripts/check-compilers "$HERE/place" nowhere </dev/null
	assert_output --partial '0 passed, 0 failed, 1 skipped'
	refute_output --partial 'No such file'
}

@test "demo: nothing of the caller's settings reaches its programs, and what crashes leaves no file" {
	need_token
	mkdir -p build/programs
	ln -s "$TOKEN_DIR" build/token
	printf '#!/bin/sh\nenv >>environment; ulimit -c >>limit; exit 1\n' >program
	chmod +x program
	for name in nss-gnutls two-plugins race exit-call; do
		ln -s ../../program build/programs/
		mv build/programs/program build/programs/$name
	done
	run env -i PATH="$PATH" HOME=/nonexistent LC_ALL=de_DE.UTF-8 LANGUAGE=de P11SHIM_DISABLE=1 XDG_CONFIG_HOME="$HERE/home" \
		SOFTHSM2_CONF=/nowhere P11_KIT_STRICT=1 GREP_OPTIONS=-v CDPATH=/ bash -c 'ulimit -c unlimited; timeout -k 5 120 "$@"' - \
		"$ROOT/scripts/demo" build "$SHIM"
	assert_failure 1
	environment=$(find . -name environment)
	assert_equal "$(sed 's/=.*//' "$environment" | sort -u | grep -vx OLDPWD | tr '\n' ' ')" \
		'HOME LC_ALL LD_PRELOAD NO_COLOR PATH PWD SOFTHSM2_CONF SOFTHSM2_MODULE TMPDIR TOKEN_LABEL TOKEN_PIN '
	run grep -e '^SOFTHSM2_CONF=/nowhere' -e '^HOME=/nonexistent' -e de_DE "$environment"
	assert_output ''
	assert_equal "$(sort -u "$(find . -name limit)")" 0
}

# ended HOW: a run with a test that hangs is begun on a terminal of its own, and ended so.
ended() {
	printf '%s\n' "@test \"hangs\" { touch '$HERE/begun'; sleep 88.8; }" >"$HERE/hang.bats"
	rm -f begun
	mkdir -p "$HERE/temporary"
	env -i PATH=/usr/bin:/bin HOME="$HERE/home" TMPDIR="$HERE/temporary" CHECK_LOGS="$HERE/logs" P11SHIM_TEST_ALONE="${P11SHIM_TEST_ALONE:-}" \
		timeout -k 5 60 python3 - "$1" "$ROOT/scripts/check" "$BUILD" "$HERE/hang.bats" <<-'PY'
		import os, pty, signal, sys, time
		how, command = sys.argv[1], sys.argv[2:]
		pid, terminal = pty.fork()
		if pid == 0:
		    os.execv(command[0], command)
		while not os.path.exists("begun"):
		    time.sleep(0.05) # the time-out ends this
		if how == "interrupt":
		    os.write(terminal, b"\x03")
		elif how == "hang-up":
		    os.close(terminal)
		else:
		    os.kill(pid, signal.SIGTERM)
		status = os.waitpid(pid, 0)[1]
		sys.exit(0 if os.WIFSIGNALED(status) else 1)
	PY
}

@test "tests: a run that is interrupted, hung up or told to end leaves nothing running, and no file" {
	for how in interrupt hang-up end; do
		ended "$how"
		run pgrep -f 'sleep 88\.8'
		assert_output ''
		assert_equal "$(ls -A "$HERE/temporary")" ''
	done
}

@test "tests: what there is no test or no build for is said, and ends with 2" {
	run -2 "$ROOT/scripts/check" "$HERE/no-build"
	assert_output --partial "nothing was built in $HERE/no-build"
	run -2 "$ROOT/scripts/check" "$BUILD" nonesuch
	assert_output --partial 'there is no test file nonesuch'
	run -2 "$ROOT/scripts/check" "$BUILD" /nonexistent/names.bats
	assert_output --partial 'there is no test file'
	tests=$HERE/sample.bats:zzz run -2 called
	assert_output --partial 'no test in it has a name that matches zzz'
	run -2 "$ROOT/scripts/check" --help
	assert_output --partial 'BUILD_DIR [TEST...]'
}
