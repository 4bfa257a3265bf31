#!/usr/bin/env bats
# The Debian packages: built from a commit, looked at, and installed into a root that is
# thrown away. They are made of what is committed, and so is what is tested here. Left to make
# check-all, since debhelper and lintian take their time: make check proves that `make install` puts
# the same files in their places, and that they work there (install.bats).
# bats file_tags=all

load helper

TOOLS='git dpkg-buildpackage dh scdoc lintian'

setup_file() {
	local tool
	for tool in $TOOLS; do
		command -v "$tool" >/dev/null || return 0 # setup() says so
	done
	# A clone with rubbish in it, which is to stay out of the packages.
	export CLONE=$BATS_FILE_TMPDIR/clone
	printf '[safe]\n\tdirectory = *\n' >"$BATS_FILE_TMPDIR/gitconfig" # the checkout may be another user's
	GIT_CONFIG_GLOBAL=$BATS_FILE_TMPDIR/gitconfig git clone -q "file://$ROOT" "$CLONE"
	echo 'rubbish' | tee -a "$CLONE/config/p11shim.conf" "$CLONE/docs/rubbish.1.scd" >/dev/null
	# As a make calls it that was given settings.
	B=elsewhere VERSION=9 MAKEFLAGS=-n OPT=-O0 timeout -k 5 300 \
		"$CLONE/scripts/deb" "$CLONE/build" >"$BATS_FILE_TMPDIR/output" 2>"$BATS_FILE_TMPDIR/errors" ||
		{ cat "$BATS_FILE_TMPDIR/output" "$BATS_FILE_TMPDIR/errors" && return 1; }
	DEBS=$(grep '\.deb$' "$BATS_FILE_TMPDIR/output")
	export DEBS
}

setup() {
	# shellcheck disable=SC2086 # words
	need_program $TOOLS
	cd "$BATS_TEST_TMPDIR" || return
}

# package NAME: its file
package() {
	local file
	file=$CLONE/build/deb/$1_$(field libp11shim Version)_$(dpkg --print-architecture).deb
	[ -e "$file" ] && echo "$file"
}

field() {
	dpkg-deb -f "$(grep "/$1_" <<<"$DEBS")" "$2"
}

@test "make deb: lintian has nothing to say, from errors down to pedantry" {
	run grep -v '\.deb$' "$BATS_FILE_TMPDIR/output"
	assert_output ''
	package libp11shim
	package p11shim
	# the tags that are overridden are still there to be
	run lintian --show-overrides --tags shared-library-lacks-version,unused-override "$(package libp11shim)"
	assert_output --partial 'O: libp11shim: shared-library-lacks-version'
	refute_output --partial unused-override
}

@test "make deb: nothing of the checkout gets in, and nothing is written but below build/" {
	run git -C "$CLONE" status --porcelain --ignored
	assert_output ' M config/p11shim.conf
?? docs/rubbish.1.scd
!! build/'
	for name in libp11shim p11shim; do
		dpkg-deb -x "$(package $name)" root
		run bash -c 'dpkg-deb -c "$1" | grep -v " root/root "' - "$(package $name)"
		assert_output ''
	done
	run grep -rlE "rubbish|$CLONE|$BATS_FILE_TMPDIR" root
	assert_output ''
	cat >expected <<-LIST
		usr/lib/$(dpkg-architecture -q DEB_HOST_MULTIARCH)/libp11shim.so
		usr/share/doc/libp11shim/changelog.gz
		usr/share/doc/libp11shim/copyright
		usr/share/doc/libp11shim/examples/apache/envvars
		usr/share/doc/libp11shim/examples/modules.conf
		usr/share/doc/libp11shim/examples/nginx/p11shim.conf
		usr/share/doc/libp11shim/examples/openssl-provider.cnf
		usr/share/doc/libp11shim/examples/openssl.cnf
		usr/share/doc/libp11shim/examples/p11shim.conf
		usr/share/doc/libp11shim/examples/pem-of-uri
		usr/share/doc/libp11shim/examples/systemd/p11shim.conf
		usr/share/doc/libp11shim/libp11shim.spdx.json
		usr/share/lintian/overrides/libp11shim
		usr/share/man/man5/p11shim-trace.5.gz
		usr/share/man/man5/p11shim.conf.5.gz
		usr/share/man/man7/libp11shim.7.gz
	LIST
	diff expected <(dpkg-deb --fsys-tarfile "$(package libp11shim)" | tar -t | sed 's|^\./||; /\/$/d; /^$/d' | sort)
	git -C "$CLONE" show HEAD:config/p11shim.conf | cmp - root/usr/share/doc/libp11shim/examples/p11shim.conf
}

@test "make deb: the version is the Makefile's, and says which commit, if that is no release" {
	version=$(sed -n 's/^VERSION = //p' "$CLONE/Makefile")
	[ -n "$version" ]
	commit=$(git -C "$CLONE" rev-parse --short HEAD)
	for name in libp11shim p11shim; do
		case $version in
		*~git) [[ $(field $name Version) =~ ^"$version"[0-9]{14}\."$commit"$ ]] ;;
		*) assert_equal "$(field $name Version)" "$version" ;;
		esac
	done
	dpkg-deb -x "$(package libp11shim)" root
	zgrep -qF "libp11shim $version" root/usr/share/man/man7/libp11shim.7.gz
	run dpkg-deb -f "$(package p11shim)" Depends
	assert_output --partial "libp11shim (= $(field libp11shim Version))"
}

@test "make deb: the library is the one that make builds" {
	dpkg-deb -x "$(package libp11shim)" root
	library=$(find root -name libp11shim.so)
	readelf -d "$library" | grep -q 'SONAME.*\[libp11shim.so\]'
	run bash -c 'readelf -d "$1" | grep -E "BIND_NOW|TEXTREL|RUNPATH|RPATH"' - "$library"
	assert_output ''
	diff <(nm -D --defined-only "$library" | cut -d ' ' -f 2-) <(nm -D --defined-only "$SHIM" | cut -d ' ' -f 2-)
	dpkg-deb -x "$(package libp11shim-dbgsym)" debug
	readelf --debug-dump=info "$(find debug -name '*.debug' | head -n 1)" >info 2>/dev/null
	grep -q 'DW_AT_producer.*GNU C' info
	run grep -F "$CLONE" info # built anywhere, the same
	assert_output ''
	run bash -c 'grep "DW_AT_producer.*GNU C" info | grep -v -e " -O2 "'
	assert_output ''
	run dpkg-deb -f "$(package libp11shim)" Multi-Arch
	assert_output same
}

# What is done in the root: install, use, purge. Its output is the test's.
write_visit() {
	cat >visit <<-'VISIT'
		set -eu
		export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
		traces() {
			find /etc /usr /var /root -xdev -name '*p11shim*' -not -path '/usr/src/*' -not -path "$BUILD/*" 2>/dev/null |
				sort
			dpkg-query -W -f '${Package} ${db:Status-Abbrev}\n' 'libp11shim*' 'p11shim*' 2>/dev/null |
				grep -v ' un' || true
			ldconfig -p | grep p11shim || true
		}
		purge() {
			timeout 120 dpkg --purge p11shim libp11shim >"$PWD/purged" 2>&1
		}
		traces >before
		trap purge EXIT
		timeout 120 dpkg -i "$@" >installed 2>&1 || { cat installed; exit 1; }
		dpkg -V libp11shim p11shim
		LD_PRELOAD=libp11shim.so P11SHIM_LOG=$PWD/log timeout 60 p11tool --list-tokens >tokens 2>complaints
		echo "preload:" $(grep -e ld.so -e p11shim complaints)
		echo "token: $(sed -n 's/^.*Label: //p' tokens | grep -xF "$TOKEN_LABEL")"
		echo "seen: $(grep -o 'module=libsofthsm2.so C_Initialize CKR_OK' log | sort -u)"
		p11shim --version
		timeout 60 p11shim check p11tool | grep -o '^good' | sort -u
		timeout 60 p11shim run --trace trace p11tool --list-tokens >tokens-by-run 2>/dev/null
		cmp tokens tokens-by-run
		timeout 60 p11shim report trace | grep -o 'libsofthsm2.so' | sort -u
		timeout 60 p11shim list | grep -o '^libsofthsm2.so: .*'
		for page in 'libp11shim 7' 'p11shim 1' 'p11shim.conf 5' 'p11shim-trace 5'; do
			set -- $page
			echo "page: $(man -P cat -l "$(man -w "$2" "$1")" | col -b | grep -E -c '^(SEE ALSO|NAME)$') $page"
		done
		purge
		trap - EXIT
		traces >after
		diff before after && echo clean
	VISIT
}

# In a copy of this machine's root that is thrown away; status 99: that cannot be had here, and
# the machine itself is left alone.
in_a_copy() {
	cat >copy <<-'COPY'
		mkdir layer && mount -t tmpfs layer layer && mkdir layer/upper layer/work layer/root &&
			mount -t overlay root -o lowerdir=/,upperdir=layer/upper,workdir=layer/work layer/root || exit 99
		for directory in /proc /dev "$BUILD" "$CLONE" "$PWD"; do
			mkdir -p "layer/root$directory" && mount --rbind "$directory" "layer/root$directory" || exit 99
		done
		chroot layer/root dpkg --version >/dev/null 2>&1 || exit 99
		exec chroot layer/root sh -c 'cd "$1" && shift && exec sh visit "$@"' - "$PWD" "$@"
	COPY
	unshare -m sh copy "$@"
}

@test "the packages can be installed, LD_PRELOAD=libp11shim.so works, man finds the pages, and purge leaves nothing" {
	need_mounts "install packages, in a copy of this machine's root"
	need_token
	export TOKEN_LABEL SOFTHSM2_CONF
	write_visit
	run in_a_copy "$(package libp11shim)" "$(package p11shim)"
	[ "$status" -ne 99 ] || skip "a copy of this machine's root, to install packages in, cannot be had here"
	assert_success
	assert_output "preload:
token: $TOKEN_LABEL
seen: module=libsofthsm2.so C_Initialize CKR_OK
p11shim $("$CLONE/scripts/version" "$(sed -n 's/^VERSION = //p' "$CLONE/Makefile")" | sed 's/+dirty$//')
good
libsofthsm2.so
libsofthsm2.so: SoftHSM v2
page: 2 libp11shim 7
page: 2 p11shim 1
page: 2 p11shim.conf 5
page: 2 p11shim-trace 5
clean"
}
