# shellcheck shell=bash
# What every bats file here shares: `load helper` at its top.
#
#   ROOT           the checkout
#   BUILD          where things are built (default $ROOT/build)
#   SHIM           the library under test (default $BUILD/libp11shim.so)
#   PROGRAMS       the sample programs of tests/programs
#   with_shim      run a command with the library preloaded, at most 120 s
#   without_shim   the same command without it
#   drive DRIVER CASE   one case of a driver of the mock (tests/mock/drivers), with the library
#   need_token     a throw-away SoftHSM token of this file's own, in TOKEN_DIR, and point at it:
#                  SOFTHSM2_CONF, SOFTHSM2_MODULE, TOKEN_PIN, TOKEN_LABEL
#   command_tree DIRECTORY   what p11shim needs of a checkout: the scripts, beside the library under test
#   find_module    print the path of an installed PKCS#11 module, by file name
#   use_strongswan settings for strongSwan's pki, with that token
#   crashed        was the last `run` ended by a signal (or by our time-out)?
#
# What cannot be tried everywhere is skipped, and says why. WHAT goes on after "only root can":
#
#   need_root WHAT       where the tests do not run as root
#   need_mounts WHAT     where they may not mount: not root, or in a container that forbids it
#   need_other_user WHAT where they may not become user 65534, with setpriv
#   need_program NAME... where one of these is not installed
#   need_module NAME     where that module is not installed; $module is its path
#   need_compiler  skip where this compiler makes no program
#   need_aarch64_compiler   the same for aarch64; $compiler is its name
#   not_emulated   skip what an emulator of another processor cannot do
#
# For programs of another architecture or system scripts/check-arch and
# scripts/check-systems set
#
#   SYSROOT        where its modules are, and the name of
#   ARCHITECTURE   (elsewhere this machine's own)
#   EMULATOR       what runs such programs, up to the option for a variable
#                  (qemu-aarch64 -E, chroot DIRECTORY env); not set where nothing need

# ---- Nothing of the caller's own settings may decide a test

# Once for each file, before its setup_file: what that exports, its tests are to see.
# shellcheck source=bats/environment.bash
. "$(dirname "${BASH_SOURCE[0]}")/environment.bash"
# (Newer versions of bats read this file in a program of their own as well, to learn what tests there
# are, which is told things by variables of any name.)
if [ "${0##*/}" != bats-gather-tests ] && [ "${P11SHIM_TEST_CLEAN:-}" != "${BATS_RUN_TMPDIR:=}" ]; then
	clean_environment
	export P11SHIM_TEST_CLEAN=$BATS_RUN_TMPDIR
fi
# a whole run of all may have settings (make check-recorded)
if [ -n "${P11SHIM_TEST_SETTINGS:-}" ]; then
	P11SHIM_CONFIG=$P11SHIM_TEST_SETTINGS
	# root heeds no file of another user, who may own the checkout
	if [ "$(id -u)" -eq 0 ] && [ -n "$BATS_RUN_TMPDIR" ]; then
		P11SHIM_CONFIG=$BATS_RUN_TMPDIR/settings.conf
		[ -e "$P11SHIM_CONFIG" ] || install -m 644 "$P11SHIM_TEST_SETTINGS" "$P11SHIM_CONFIG"
	fi
	export P11SHIM_CONFIG
fi
umask 022
if [ -n "${BATS_FILE_TMPDIR:-}" ]; then
	# what programs leave there goes away with all else
	export HOME=$BATS_FILE_TMPDIR/home TMPDIR=$BATS_FILE_TMPDIR/tmp
	mkdir -p "$HOME" "$TMPDIR"
	# other users come through, where a test opens a directory to them
	chmod a+x "$BATS_RUN_TMPDIR"
	chmod a+rx "$BATS_RUN_TMPDIR/file" "$BATS_FILE_TMPDIR"
	[ -z "${BATS_TEST_TMPDIR:-}" ] || chmod a+rx "$BATS_RUN_TMPDIR/test" "$BATS_TEST_TMPDIR"
fi
export XDG_CONFIG_HOME=$HOME/no-such-config
ulimit -S -c 0
exec </dev/null

# ---- Where things are

# odd PATH: LD_PRELOAD cannot name it, or words of a shell, or SoftHSM's settings.
odd() {
	case $1 in
	*[[:space:]:=\;\$\&\|\<\>\(\)\{\}\[\]\*\?\!\'\"\`\\\#]*) ;;
	*) return 1 ;;
	esac
}

# usable VARIABLE: of a directory. An odd one gets another name for the time of the tests.
usable() {
	local link=${BATS_FILE_TMPDIR:-}/places/$1

	odd "${!1}" || return 0
	mkdir -p "${link%/*}"
	[ -L "$link" ] || ln -s "${!1}" "$link"
	printf -v "$1" %s "$link"
}

if odd "$BATS_RUN_TMPDIR"; then
	echo "TMPDIR: the tests cannot do with such a name; call bats with another, or scripts/check: $BATS_RUN_TMPDIR" >&2
	return 1
fi

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
usable ROOT
BUILD=${BUILD:-$ROOT/build}
case $BUILD in
/*) ;;
*) BUILD=$ROOT/$BUILD ;;
esac
usable BUILD
SHIM=${SHIM:-$BUILD/libp11shim.so}
SHIM_PLACE=${SHIM%/*}
usable SHIM_PLACE
SHIM=$SHIM_PLACE/${SHIM##*/}
PROGRAMS=$BUILD/programs
TOKEN_DIR=${BATS_FILE_TMPDIR:-$BUILD}/token
ARCHITECTURE=${ARCHITECTURE:-$(uname -m)}
export ROOT BUILD SHIM PROGRAMS TOKEN_DIR ARCHITECTURE

bats_load_library bats-support
bats_load_library bats-assert

# with_shim COMMAND [ARGUMENTS]: LIMIT seconds (default 120), then the time-out
# ends it with 124. `timeout` stands outside, so that only the command itself
# has the library.
with_shim() {
	# A library that is not there would only be a warning of ld.so's.
	[ -e "$SHIM" ] || {
		echo "no library: $SHIM" >&2
		return 99
	}
	# shellcheck disable=SC2086 # several words, or none
	timeout -k 5 "${LIMIT:-120}" ${EMULATOR:-env} LD_PRELOAD="$SHIM" "$@"
}

without_shim() {
	# shellcheck disable=SC2086 # as above
	timeout -k 5 "${LIMIT:-120}" ${EMULATOR:+$EMULATOR LD_PRELOAD=} "$@"
}

# drive DRIVER CASE: it succeeds; it has the test's directory for its files.
drive() {
	run with_shim "$BUILD/mock/drivers/$1" "$2" "$BATS_TEST_TMPDIR"
	assert_success
}

# One is made in the build directory, and copied: files that run at the same time share none.
need_token() {
	local settings

	if [ ! -e "$TOKEN_DIR" ]; then
		"$ROOT/scripts/token" "$BUILD/token" >/dev/null || return 1
		cp -a "$BUILD/token" "$TOKEN_DIR" || return 1
	fi
	settings=$("$ROOT/scripts/token" "$TOKEN_DIR") || return 1
	eval "$settings"
	if [ -n "${SYSROOT:-}" ]; then
		SOFTHSM2_MODULE=$(find_module libsofthsm2.so)
		export SOFTHSM2_MODULE
	fi
}

# command_tree DIRECTORY
command_tree() {
	mkdir -p "$1/shim/entrance" "$1/build"
	cp -r "$ROOT/scripts" "$ROOT/config" "$ROOT/Makefile" "$1"
	cp "$ROOT/shim/entrance/libp11shim.map" "$1/shim/entrance"
	cp "$SHIM" "$1/build/libp11shim.so"
	cp "$BUILD/p11shim-info" "$1/build"
}

# find_module NAME: opensc-pkcs11.so, libsoftokn3.so, p11-kit-proxy.so ...
find_module() {
	local name=$1 directory

	for directory in \
		/usr/lib/"$ARCHITECTURE"-linux-gnu /usr/lib/"$ARCHITECTURE"-linux-gnu/nss \
		/usr/lib/"$ARCHITECTURE"-linux-gnu/pkcs11 /usr/lib/softhsm \
		/usr/lib64 /usr/lib64/pkcs11 /usr/lib /usr/lib/pkcs11; do
		directory=${SYSROOT:-}$directory
		if [ -e "$directory/$name" ]; then
			echo "$directory/$name"
			return 0
		fi
	done
	echo "find_module: no $name on this system" >&2
	return 1
}

# 124 and 137: our time-out; 128 + n: ended by signal n.
crashed() {
	[ "${status:?}" -eq 124 ] || [ "$status" -ge 128 ]
}

# need_root WHAT
need_root() {
	[ "$(id -u)" -eq 0 ] || skip "only root can $1"
}

# need_mounts WHAT: in a name space of its own, which goes away with the command in it.
need_mounts() {
	need_root "$1"
	# shellcheck disable=SC2016 # for the shell there
	unshare --mount --propagation private sh -c 'mount -t tmpfs none "$1"' - "$BATS_TEST_TMPDIR" 2>/dev/null ||
		skip "only root can $1, and here not even root may mount"
}

# need_other_user WHAT
need_other_user() {
	need_root "$1"
	need_program setpriv
	setpriv --reuid=65534 --regid=65534 --clear-groups true 2>/dev/null ||
		skip "only root can $1, and here not even root may become user 65534"
}

# need_program NAME...
need_program() {
	local name

	for name in "$@"; do
		command -v "$name" >/dev/null || skip "not installed: $name"
	done
}

# need_module NAME
# shellcheck disable=SC2034 # for who asks
need_module() {
	module=$(find_module "$1" 2>/dev/null) || skip "not installed: $1"
}

# need_compiler COMMAND [OPTIONS]
need_compiler() {
	"$@" -o "$BATS_TEST_TMPDIR/try" -x c - <<<'int main(void) { return 0; }' 2>/dev/null ||
		skip "no compiler for this kind of program: $*"
}

# Debian's may have its version in its name.
need_aarch64_compiler() {
	compiler=$(compgen -c aarch64-linux-gnu-gcc | grep -xE -m 1 '[a-z0-9-]*-gcc(-[0-9]+)?') ||
		skip "no compiler for aarch64"
	need_compiler "$compiler"
}

not_emulated() {
	case ${EMULATOR:-} in
	qemu-*) skip "$1" ;;
	esac
}

# strongSwan's pki finds the token from here on.
use_strongswan() {
	export STRONGSWAN_CONF=$BATS_TEST_TMPDIR/strongswan.conf
	cat >"$STRONGSWAN_CONF" <<-EOT
		pki {
			load = random x509 pem pkcs1 pkcs8 pubkey pkcs11 nonce sha1 sha2 gmp
			plugins {
				pkcs11 {
					modules {
						softhsm {
							path = $SOFTHSM2_MODULE
						}
					}
				}
			}
		}
	EOT
}
