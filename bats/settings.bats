#!/usr/bin/env bats
# Settings as a whole process sees them.

load helper

setup() {
	need_token
}

@test "contract H2: under AT_SECURE the user's variables and files do not count" {
	need_root "make a set-gid program of another group"
	cp "$BUILD/unit/test-settings" "$BATS_TEST_TMPDIR/probe"
	mkdir -p "$BATS_TEST_TMPDIR/p11shim"
	printf '[*]\nfork = off\n' >"$BATS_TEST_TMPDIR/p11shim/p11shim.conf"
	export XDG_CONFIG_HOME=$BATS_TEST_TMPDIR P11SHIM_DISABLE=1 P11SHIM_LOG=$BATS_TEST_TMPDIR/log
	run "$BATS_TEST_TMPDIR/probe" probe
	assert_output 'fork=3 disabled=1 log=1'
	chgrp nogroup "$BATS_TEST_TMPDIR/probe"
	chmod g+s "$BATS_TEST_TMPDIR/probe"
	rm -f "$BATS_TEST_TMPDIR/log"
	run "$BATS_TEST_TMPDIR/probe" probe
	assert_output 'fork=0 disabled=0 log=0'
	[ ! -e "$BATS_TEST_TMPDIR/log" ]
}

# probed ENVIRONMENT...: which fork is set (3: off, as the file under test says), then what the
# journal says of a file that other users can write to, without the numbers.
probed() {
	: >"$BATS_TEST_TMPDIR/log"
	run env "$@" P11SHIM_LOG="$BATS_TEST_TMPDIR/log" "$BUILD/unit/test-settings" probe
	answer="${output%% *} $(sed -n 's/.* settings .*p11shim.conf: other users can write to it (\(.*\)owner .*/\1refused/p' "$BATS_TEST_TMPDIR/log")"
}

# In a directory that no other user can reach or change.
own_directory() {
	place=$(mktemp -d /tmp/p11shim-trust.XXXXXX) # of bats' own ones not all need be root's
	home=$place/home
	mkdir -p "$home/.config/p11shim" "$place/etc"
	printf '[*]\nfork = off\n' | tee "$home/.config/p11shim/p11shim.conf" >"$place/etc/p11shim.conf"
	chmod -R u=rwX,go=rX "$place"
}

teardown() {
	[ -z "${place:-}" ] || rm -rf "$place"
}

@test "contract H2: root takes settings only from files that no other user can write to" {
	[ "$(id -u)" -eq 0 ] || skip "this is about root"
	own_directory
	file=$home/.config/p11shim/p11shim.conf
	ours=(-u XDG_CONFIG_HOME HOME="$home")
	probed "${ours[@]}"
	assert_equal "$answer" 'fork=3 '
	# another user's, or a group's, or writable for all: the file, and each directory above it
	while read -r change target what; do
		case $change in
		own) chown 65534 "$target" ;;
		*) chmod "$change" "$target" ;;
		esac
		probed "${ours[@]}"
		assert_equal "$change $target: $answer" "$change $target: fork=0 ${what//_/ }refused"
		chown -R 0 "$place"
		chmod -R u=rwX,go=rX "$place"
		probed "${ours[@]}"
		assert_equal "$answer" 'fork=3 '
	done <<-TABLE
		own $file
		g+w $file
		o+w $file
		own $home/.config/p11shim a_directory_on_its_path:_
		g+w $home/.config/p11shim a_directory_on_its_path:_
		own $home/.config a_directory_on_its_path:_
		o+w $home a_directory_on_its_path:_
		own $home a_directory_on_its_path:_
		own $place a_directory_on_its_path:_
	TABLE
	# the same for XDG_CONFIG_HOME, and for a file that P11SHIM_CONFIG names
	chown 65534 "$home"
	probed XDG_CONFIG_HOME="$home/.config"
	assert_equal "$answer" 'fork=0 a directory on its path: refused'
	probed P11SHIM_CONFIG="$file"
	assert_equal "$answer" 'fork=0 a directory on its path: refused'
	probed P11SHIM_CONFIG="$place/etc/p11shim.conf"
	assert_equal "$answer" 'fork=3 '
	# another's way to a file of root's is his: by a link, by a hard one, by ..
	ln -s "$place/etc/p11shim.conf" "$home/p11shim.conf"
	ln "$place/etc/p11shim.conf" "$home/hard-p11shim.conf"
	ln -s "$place/etc" "$home/etc"
	for way in p11shim.conf hard-p11shim.conf etc/p11shim.conf ../home/p11shim.conf; do
		probed P11SHIM_CONFIG="$home/$way"
		assert_equal "$answer" 'fork=0 a directory on its path: refused'
	done
	# relative names, links of root's, directories where everybody may write his own
	cd "$home"
	probed P11SHIM_CONFIG=p11shim.conf
	assert_equal "$answer" 'fork=0 a directory on its path: refused'
	cd "$place/etc"
	probed P11SHIM_CONFIG=p11shim.conf
	assert_equal "$answer" 'fork=3 '
	probed P11SHIM_CONFIG=../etc/./p11shim.conf
	assert_equal "$answer" 'fork=3 '
	mkdir -m 1777 "$place/tmp"
	ln -s ../etc/p11shim.conf "$place/tmp/p11shim.conf"
	probed P11SHIM_CONFIG="$place/tmp/p11shim.conf"
	assert_equal "$answer" 'fork=3 '
	chown -h 65534 "$place/tmp/p11shim.conf"
	probed P11SHIM_CONFIG="$place/tmp/p11shim.conf"
	assert_equal "$answer" 'fork=0 a link on its path: refused'
}

@test "contract H2: a user takes settings from his own files and root's, not from another user's" {
	[ "$(id -u)" -eq 0 ] || skip "only root can make files of others"
	own_directory
	cp "$BUILD/unit/test-settings" "$place"
	mkdir -m 777 "$place/log"
	file=$home/.config/p11shim/p11shim.conf
	as_user() {
		install -m 666 /dev/null "$place/log/log"
		run setpriv --reuid 65533 --regid 65533 --clear-groups env -u XDG_CONFIG_HOME HOME="$home" \
			P11SHIM_LOG="$place/log/log" "$@" "$place/test-settings" probe
		answer="${output%% *} $(sed -n 's/.* settings .*: other users can write to it (\(.*\)owner .*/\1refused/p' "$place/log/log")"
	}
	as_user A=
	assert_equal "$answer" 'fork=3 '
	chown 65533 "$file"
	chmod 664 "$file" # his own group, as many distributions have it
	as_user A=
	assert_equal "$answer" 'fork=3 '
	chown 65534 "$file"
	as_user A=
	assert_equal "$answer" 'fork=0 refused'
	# one that was named is another matter: who names it vouches for it
	as_user P11SHIM_CONFIG="$file"
	assert_equal "$answer" 'fork=3 refused'
}

@test "contract H3: root is told by config, run and list which file was ignored, and why" {
	[ "$(id -u)" -eq 0 ] || skip "this is about root"
	own_directory
	file=$home/.config/p11shim/p11shim.conf
	chown 65534 "$file"
	export -n XDG_CONFIG_HOME
	told="p11shim: ignored: $file: other users can write to it (owner 65534, mode 0644)"
	for way in config 'config libsofthsm2.so' 'run true' 'list --seconds 9'; do
		# shellcheck disable=SC2086 # words
		run env -u XDG_CONFIG_HOME HOME="$home" timeout 60 "$ROOT/scripts/p11shim" $way
		assert_success
		assert_line "$told"
	done
	run env -u XDG_CONFIG_HOME HOME="$home" timeout 60 "$ROOT/scripts/p11shim" config
	assert_line --regexp '^fork  *= auto  *built-in'
}

@test "contract H1: an excluded module is left alone" {
	export P11SHIM_LOG=$BATS_TEST_TMPDIR/log
	with_shim pkcs11-tool --module "$SOFTHSM2_MODULE" -L
	grep -q 'module=libsofthsm2.so C_Initialize' "$P11SHIM_LOG"
	rm "$P11SHIM_LOG"
	P11SHIM_EXCLUDE=yes with_shim pkcs11-tool --module "$SOFTHSM2_MODULE" -L
	[ ! -e "$P11SHIM_LOG" ]
}

# (modules = known is in modules.bats.)
@test "contract H1: modules = patterns" {
	export P11SHIM_LOG=$BATS_TEST_TMPDIR/log
	P11SHIM_MODULES='libother*.so' with_shim pkcs11-tool --module "$SOFTHSM2_MODULE" -L
	[ ! -e "$P11SHIM_LOG" ]
	P11SHIM_MODULES='libother*.so libsoft*' with_shim pkcs11-tool --module "$SOFTHSM2_MODULE" -L
	grep -q C_Initialize "$P11SHIM_LOG"
}

@test "contract H4: mode = observe changes no answer and records who did what" {
	export P11SHIM_LOG=$BATS_TEST_TMPDIR/log
	run without_shim "$PROGRAMS/two-plugins"
	expected=$output expected_status=$status
	[ "$expected_status" -ne 0 ]
	P11SHIM_MODE=observe run with_shim "$PROGRAMS/two-plugins"
	assert_equal "$output" "$expected"
	assert_equal "$status" "$expected_status"
	grep -q 'consumer=plugin-a.so module=libsofthsm2.so C_Initialize CKR_OK' "$P11SHIM_LOG"
	grep -q 'consumer=plugin-b.so module=libsofthsm2.so C_Initialize CKR_CRYPTOKI_ALREADY_INITIALIZED' "$P11SHIM_LOG"
	grep -q 'consumer=plugin-a.so module=libsofthsm2.so C_Finalize CKR_OK' "$P11SHIM_LOG"
}

@test "contract A3: RTLD_DEEPBIND stays, unless deepbind = strip" {
	cat >"$BATS_TEST_TMPDIR/deep.c" <<-'C'
		#define _GNU_SOURCE
		#include <dlfcn.h>
		#include <stdio.h>
		int main(int n, char **argument)
		{
			void *plugin = dlopen(argument[1], RTLD_NOW | RTLD_DEEPBIND);
			int (*hello)(void) = (int (*)(void))dlsym(plugin, "hello");
			return n < 2 || !hello || hello();
		}
	C
	cat >"$BATS_TEST_TMPDIR/plugin.c" <<-'C'
		#include <dlfcn.h>
		#include <stdlib.h>
		int hello(void);
		int hello(void)
		{
			void *list, *module = dlopen(getenv("SOFTHSM2_MODULE"), RTLD_NOW);
			long (*get)(void **) = (long (*)(void **))dlsym(module, "C_GetFunctionList");
			return !get || get(&list) != 0;
		}
	C
	gcc -o "$BATS_TEST_TMPDIR/deep" "$BATS_TEST_TMPDIR/deep.c" -ldl
	gcc -shared -fPIC -o "$BATS_TEST_TMPDIR/plugin.so" "$BATS_TEST_TMPDIR/plugin.c" -ldl
	export SOFTHSM2_MODULE P11SHIM_LOG=$BATS_TEST_TMPDIR/log
	with_shim "$BATS_TEST_TMPDIR/deep" "$BATS_TEST_TMPDIR/plugin.so"
	[ ! -e "$P11SHIM_LOG" ]
	P11SHIM_DEEPBIND=strip with_shim "$BATS_TEST_TMPDIR/deep" "$BATS_TEST_TMPDIR/plugin.so"
	grep -q 'module=libsofthsm2.so load' "$P11SHIM_LOG"
}

@test "contract F2: fork = reset is a pristine module also for a child that finalises first" {
	cat >"$BATS_TEST_TMPDIR/reset.py" <<-'PY'
		import ctypes, os, sys
		U = ctypes.c_ulong
		m = ctypes.CDLL(sys.argv[1])
		pin = os.environ["TOKEN_PIN"].encode()
		def slot():
		    n = U(16); slots = (U * 16)()
		    assert m.C_GetSlotList(1, slots, ctypes.byref(n)) == 0
		    return slots[0]
		def login():
		    session = U()
		    assert m.C_OpenSession(U(slot()), U(4), None, None, ctypes.byref(session)) == 0
		    return m.C_Login(session, U(1), pin, U(len(pin)))
		assert m.C_Initialize(None) == 0 and login() == 0
		child = os.fork()
		if child == 0:
		    assert m.C_Finalize(None) == 0 and m.C_Initialize(None) == 0
		    print(hex(login()), flush=True)
		    os._exit(0)
		sys.exit(os.waitpid(child, 0)[1])
	PY
	P11SHIM_FORK=reset run with_shim /usr/bin/python3 "$BATS_TEST_TMPDIR/reset.py" "$SOFTHSM2_MODULE"
	assert_success
	assert_output 0x0
	P11SHIM_FORK=auto run with_shim /usr/bin/python3 "$BATS_TEST_TMPDIR/reset.py" "$SOFTHSM2_MODULE"
	assert_success
	assert_output 0x100 # carried over: logged in already
}
