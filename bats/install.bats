#!/usr/bin/env bats
# make install, uninstall and clean; and what is installed besides the command: p11shim-info
# and the completion. The packages have a file of their own: package.bats.
#
# All this is done in a copy of the checkout, $TREE, to which what is built already was
# brought; nothing is compiled there.

load helper
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
}

setup() {
	HERE=$(realpath "$BATS_TEST_TMPDIR")
	cd "$HERE" || return
	export LC_ALL=C
	unset PREFIX LIBDIR MANDIR DESTDIR DATADIR
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
	[ -e stage/usr/share/bash-completion/completions/p11shim ]
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
		assert_output --partial "nothing was built there: $directory"
	done
	[ -e data/precious ] && [ -e "$TREE/Makefile" ]
	mkdir -p built/shim/config
	in_tree B="$HERE/built" clean
	in_tree B="$HERE/built" clean # is gone
	[ ! -e built ]
}
