#!/usr/bin/env bats
# make install, uninstall and clean; and what is installed besides the command: p11shim-info.
# The packages and the completion have files of their own: package.bats, completion.bats.
#
# All this is done in a copy of the checkout, $TREE, to which what is built already was
# brought; nothing is compiled there.
#
# Programs for other shells; each test has its own variables:
# shellcheck disable=SC2016,SC2030,SC2031

load helper
load servers
bats_require_minimum_version 1.5.0

setup_file() {
	export TREE=$BATS_FILE_TMPDIR/tree
	mkdir -p "$TREE/build/shim/config" "$TREE/build/i386" "$TREE/tests/unit"
	cp -r "$ROOT/scripts" "$ROOT/config" "$ROOT/docs" "$ROOT/shim" "$ROOT/Makefile" "$TREE"
	cp "$ROOT/tests/unit/unit.mk" "$TREE/tests/unit"
	cp "$SHIM" "$TREE/build/libp11shim.so"
	cp "$BUILD/p11shim-info" "$TREE/build"
	echo 'i386: the library' >"$TREE/build/i386/libp11shim.so"
	echo 'i386: p11shim-info' >"$TREE/build/i386/p11shim-info"
	export MODULE=$BATS_FILE_TMPDIR/module.so
	write_module | gcc -shared -fPIC -I"$ROOT/shim" -o "$MODULE" -x c -
}

# A module that does as HOW says: daemon starts one, hang never returns from C_Initialize.
# Who lives by it is noted in the file PIDS. Its description is TEXT.
write_module() {
	cat <<-'C'
		#define _GNU_SOURCE
		#include <stdio.h>
		#include <stdlib.h>
		#include <string.h>
		#include <unistd.h>
		#include "standard/pkcs11.h"

		static int told(const char *what)
		{
			return getenv("HOW") && strstr(getenv("HOW"), what);
		}

		static void note(void)
		{
			FILE *file = fopen(getenv("PIDS"), "ae");
			fprintf(file, "%d\n", (int)getpid());
			fclose(file);
		}

		static CK_RV initialize(void *nothing)
		{
			int ready[2];
			char byte;
			if (told("daemon") && pipe(ready) == 0 && fork() == 0) {
				setsid();
				if (fork() != 0)
					_exit(0);
				note();
				(void)!write(ready[1], "", 1);
				for (;;)
					pause();
			}
			if (told("daemon"))
				(void)!read(ready[0], &byte, 1);
			for (note(); told("hang");)
				pause();
			return CKR_OK;
		}

		static CK_RV finalize(void *nothing)
		{
			return CKR_OK;
		}

		static CK_RV get_info(CK_INFO *info)
		{
			const char *text = getenv("TEXT");
			memset(info, 0, sizeof *info);
			memset(info->libraryDescription, ' ', 32);
			if (text)
				memcpy(info->libraryDescription, text, strnlen(text, 32));
			return CKR_OK;
		}

		static struct {
			CK_VERSION version;
			CK_RV (*functions[4])();
		} list = {{2, 40}, {(CK_RV (*)())initialize, (CK_RV (*)())finalize, (CK_RV (*)())get_info}};

		CK_RV C_GetFunctionList(void **to)
		{
			*to = &list;
			return CKR_OK;
		}
	C
}

setup() {
	HERE=$(realpath "$BATS_TEST_TMPDIR")
	cd "$HERE" || return
	export LC_ALL=C
	unset PREFIX LIBDIR MANDIR DESTDIR DATADIR
}

teardown() {
	local pid

	while read -r pid; do
		kill -9 "$pid" 2>/dev/null || true
	done < <(cat pids 2>/dev/null)
}

# in_tree ARGUMENTS: make, with what is built taken for new, and nothing of the system touched.
in_tree() {
	env -u MAKEFLAGS -u MAKELEVEL timeout -k 5 60 make -C "$TREE" --no-print-directory -s LDCONFIG=true \
		-o build/libp11shim.so -o build/p11shim-info \
		-o build/i386/libp11shim.so -o build/i386/p11shim-info "$@"
}

# ---- Install and uninstall

@test "contract J2: uninstall removes what install brought, by name, and leaves what others have beside it" {
	in_tree PREFIX="$HERE/usr" install
	[ -x usr/bin/p11shim ] && [ -e usr/share/p11shim/report/page.html ]
	touch usr/share/p11shim/config/mine usr/share/theirs
	in_tree PREFIX="$HERE/usr" uninstall
	run bash -c "find usr -type f | sort"
	assert_output $'usr/share/p11shim/config/mine\nusr/share/theirs'
	run find usr -name 'p11shim*' -type d
	assert_output usr/share/p11shim
	rm usr/share/p11shim/config/mine
	in_tree PREFIX="$HERE/usr" uninstall
	[ ! -e usr/share/p11shim ]
}

@test "contract J2: install writes nothing into the build directory, so that who may only read it can install" {
	# the first notes which compiler there is
	in_tree PREFIX="$HERE/usr" install
	find "$TREE/build" -exec stat -c '%n %i %y' {} + | sort >before
	in_tree DESTDIR="$HERE/stage" PREFIX=/usr install
	find "$TREE/build" -exec stat -c '%n %i %y' {} + | sort | diff before -
	[ ! -e "$TREE/build/docs" ] && [ ! -e "$TREE/build/libp11shim.spdx.json" ]
	run find stage ! -type d ! -perm 755 ! -perm 644
	assert_output ''
	run find stage -name '*.new'
	assert_output ''
	if command -v scdoc >/dev/null; then
		in_tree man
		for page in "$TREE"/build/docs/*; do
			cmp "$page" "stage/usr/share/man/man${page##*.}/${page##*/}"
		done
		rm -r "$TREE/build/docs"
		# a page that cannot be made is not installed, and not passed over
		mkdir bin
		printf '#!/bin/sh\necho half\nexit 1\n' >bin/scdoc
		chmod +x bin/scdoc
		PATH=$HERE/bin:$PATH run in_tree DESTDIR="$HERE/other" PREFIX=/usr install-man
		assert_failure 2
		run find other -type f
		assert_output ''
	fi
	need_other_user "install as one who may only read"
	mkdir -m 777 theirs
	chmod -R a+rX "$TREE"
	run setpriv --reuid=65534 --regid=65534 --clear-groups env -u MAKEFLAGS -u MAKELEVEL HOME=/nonexistent timeout -k 5 60 \
		make -C "$TREE" --no-print-directory -s -o build/libp11shim.so -o build/p11shim-info DESTDIR="$HERE/theirs" PREFIX=/usr install
	assert_success
	[ -x theirs/usr/bin/p11shim ] && [ -e theirs/usr/share/doc/libp11shim/libp11shim.spdx.json ]
}

@test "contract J2: DATADIR is the directory for all, and not taken from the environment" {
	mkdir data
	touch data/precious
	in_tree PREFIX="$HERE/usr" DATADIR="$HERE/data" uninstall
	[ -e data/precious ]
	DATADIR=$HERE/data in_tree PREFIX="$HERE/usr" install
	assert_equal "$(ls data)" precious
	DATADIR=$HERE/data in_tree PREFIX="$HERE/usr" uninstall
	[ -e data/precious ]
	in_tree DESTDIR="$HERE/stage" PREFIX=/usr DATADIR=/usr/share install
	run stage/usr/bin/p11shim help settings
	assert_success
	cmp "$TREE/scripts/command/p11shim-completion.bash" stage/usr/share/bash-completion/completions/p11shim
	cmp "$TREE/scripts/command/p11shim-completion.zsh" stage/usr/share/zsh/site-functions/_p11shim
	cmp "$TREE/scripts/command/p11shim-completion.fish" stage/usr/share/fish/vendor_completions.d/p11shim.fish
	in_tree DESTDIR="$HERE/stage" PREFIX=/usr DATADIR=/usr/share uninstall
	run find stage -type f
	assert_output ''
}

@test "contract J2: ARCH: the library of another architecture is installed beside this one's, and goes alone" {
	[ "$(uname -m)" = x86_64 ] || skip "not on this machine"
	in_tree PREFIX="$HERE/usr" install
	find usr -type f -exec cksum {} + | sort >own
	in_tree PREFIX="$HERE/usr" ARCH=i386 install
	cmp "$TREE/build/i386/libp11shim.so" usr/lib/i386-linux-gnu/libp11shim.so
	cmp "$TREE/build/i386/p11shim-info" usr/lib/i386-linux-gnu/p11shim/p11shim-info
	find usr -path usr/lib/i386-linux-gnu -prune -o -type f -exec cksum {} + | sort | diff own -
	in_tree PREFIX="$HERE/usr" ARCH=i386 uninstall
	find usr -type f -exec cksum {} + | sort | diff own -
	in_tree DESTDIR="$HERE/stage" PREFIX=/usr LIBDIR=/usr/lib32 ARCH=i386 install
	run bash -c 'find stage -type f | sort'
	assert_output $'stage/usr/lib32/libp11shim.so\nstage/usr/lib32/p11shim/p11shim-info'
}

@test "contract J2: clean removes a build directory and nothing else" {
	mkdir data
	touch data/precious
	B=$HERE/data in_tree clean -n >commands
	run grep -F "$HERE" commands
	assert_output ''
	grep -qx 'rm -rf build' commands
	for directory in "$HERE/data" "$TREE"; do
		run in_tree B="$directory" clean
		assert_failure
		assert_output --regexp "(not removed, .*|B: the source is there, .*)$directory"
	done
	[ -e data/precious ] && [ -e "$TREE/Makefile" ]
	in_tree B="$HERE/built" "$HERE/built/shim/config/p11shim.conf"
	in_tree B="$HERE/built" clean
	in_tree B="$HERE/built" clean # is gone
	[ ! -e built ]
}

@test "contract J2: clean leaves what was there before something was built, and a directory around the source" {
	mkdir home empty locked
	touch home/thesis locked/.in-use
	for name in home empty locked; do
		in_tree B="$HERE/$name" "$HERE/$name/shim/config/p11shim.conf"
		[ -e "$name/shim/config/p11shim.conf" ]
	done
	run in_tree B="$HERE/home" clean
	assert_failure 2
	assert_line "not removed, since it was not made for what is built here; rm -r does it: $HERE/home"
	refute_output --partial operator
	[ -e home/thesis ]
	in_tree B="$HERE/empty" clean
	[ ! -e empty ]
	cp -r "$TREE" locked/source
	run make -C locked/source B="$HERE/locked" clean
	assert_failure 2
	[ -e locked/source/Makefile ]
	mv locked/source .
	in_tree B="$HERE/locked" clean
	[ ! -e locked ]
	# what is only shown makes nothing
	in_tree -n B="$HERE/shown" all >/dev/null
	run in_tree -q B="$HERE/shown" all
	in_tree B="$HERE/shown" uninstall-man
	[ ! -e shown ]
}

@test "contract J2: nothing is built among the source, nor where an option may stand" {
	ln -s "$TREE/docs" link
	for wrong in . ./ shim ./tests/unit docs/new scripts bats config packaging .git "$TREE" "$TREE/shim" \
		"$HERE/link/new" -x --help; do
		for goal in all clean; do
			run in_tree B="$wrong" $goal
			assert_failure 2
			assert_line --regexp 'Makefile:[0-9]+: \*\*\* B: '
		done
	done
	for wrong in DESTDIR PREFIX LIBDIR; do
		run in_tree DESTDIR="$HERE/stage" $wrong=-x install
		assert_failure 2
		assert_line --regexp "Makefile:[0-9]+: \*\*\* $wrong: "
	done
	for wrong in ../shim . 'i386 aarch64' '' %; do
		run in_tree ARCH="$wrong" clean
		assert_failure 2
		assert_line --regexp 'Makefile:[0-9]+: \*\*\* ARCH: '
	done
	[ -e "$TREE/shim/settings/match.c" ] && [ -d "$TREE/docs" ] && [ ! -e "$TREE/docs/new" ]
}

@test "build: clean and another goal at once: first it is removed, then made" {
	made=$HERE/b/shim/config/p11shim.conf
	in_tree B="$HERE/b" "$made"
	in_tree -j4 B="$HERE/b" clean "$made"
	[ -e "$made" ]
	in_tree B="$HERE/b" clean
	[ ! -e b ]
}

@test "contract J2: a directory that make or the shell would misread is refused before anything is done" {
	mkdir my
	for wrong in PREFIX="$HERE/my apps" DESTDIR="$HERE/my apps" LIBDIR="$HERE/a&b" MANDIR="$HERE/it's" BINDIR="$HERE/a;b" \
		DATADIR="$HERE/(a)" COMPLETIONDIR="$HERE/a|b" PREFIX="$HERE/a\\b" PREFIX="$HERE/*" PREFIX="$HERE/"'a$$b' \
		PREFIX="$HERE/a#b" LIBDIR="$HERE/a " PREFIX='~/apps' B="$HERE/my build" B= 'B= '; do
		for goal in install uninstall clean; do
			[ $goal != clean ] || [[ $wrong = B=* ]] || continue
			run in_tree DESTDIR="$HERE/stage" PREFIX=/usr "$wrong" $goal
			assert_failure 2
			assert_line --regexp "Makefile:[0-9]+: \*\*\* ${wrong%%=*}: "
			run find . -mindepth 1
			assert_output ./my
		done
	done
	# these mean nothing to either
	in_tree DESTDIR="$HERE/ü_1.0~git+a@b,c=d%e:f" PREFIX=/usr install
	[ -x "ü_1.0~git+a@b,c=d%e:f/usr/bin/p11shim" ]
	in_tree DESTDIR="$HERE/ü_1.0~git+a@b,c=d%e:f" PREFIX=/usr uninstall
	run find . -type f
	assert_output ''
}

# ---- p11shim-info

# info ARGUMENTS: of the module
info() {
	"$BUILD/p11shim-info" --info "$@" "$MODULE"
}

noted() {
	[ "$(wc -l <pids)" -eq "$1" ]
}

# Of those that were noted, none lives; zombies may wait for the process that has inherited them.
none_lives() {
	local pid

	while read -r pid; do
		! grep -qs '^State:[[:blank:]]*[^ZX]' "/proc/$pid/status" || return
	done <pids
}

@test "contract J1: list: when p11shim-info is ended by a signal, so is the module's process and its daemon" {
	export PIDS=$HERE/pids HOW='daemon hang'
	for signal in TERM INT HUP; do
		rm -f pids
		# in the background of a script INT would be ignored
		env --default-signal=INT "$BUILD/p11shim-info" --info --init "$MODULE" 3>&- &
		eventually noted 2
		kill -$signal $!
		status=0
		wait $! || status=$?
		assert_equal "$status" $((128 + $(kill -l $signal)))
		none_lives
	done
	# and by one that cannot be noticed
	rm pids
	HOW=hang "$BUILD/p11shim-info" --info --init "$MODULE" 3>&- &
	eventually noted 1
	kill -KILL $!
	eventually none_lives
}

@test "contract J1: list: what a module starts does not outlive its answer, not as a daemon; a child of the caller's does" {
	export PIDS=$HERE/pids HOW=daemon
	run info --init
	assert_success
	noted 2
	none_lives
	run bash -c 'sleep 20 3>&- >/dev/null 2>&1 & echo $! >pids; exec "$@"' - "$BUILD/p11shim-info" --info "$MODULE"
	assert_success
	kill "$(cat pids)"
}

@test "contract J1: list: of what a module says valid UTF-8 is shown, and no control, of eight bits neither" {
	while IFS='|' read -r text expected; do
		TEXT=$(printf %b "$text")
		export TEXT
		run info
		assert_success
		assert_line $'description\t'"$expected"
	done <<-'TABLE'
		Schlüssel für 卡片 🔑|Schlüssel für 卡片 🔑
		a\033[31m\177b|a?[31m?b
		a\302\23331mb|a??31mb
		a\23331m\377\303b|a?31m??b
		a\300\200\340\201\201\355\240\200b|a????????b
		a\342\200\256b\342\200\250c|a???b???c
		a\364\220\200\200\370b|a?????b
		1234567890123456789012345678901ü|1234567890123456789012345678901?
	TABLE
}

@test "contract J1: p11shim-info fails if what it tells cannot be written" {
	[ -e /dev/full ] || skip "there is no /dev/full"
	run bash -c '"$@" >/dev/full' - "$BUILD/p11shim-info" --info "$MODULE"
	assert_failure 1
	assert_output --partial 'cannot write'
	run bash -c '"$@" >/dev/full' - "$BUILD/p11shim-info" --config
	assert_failure 1
}
