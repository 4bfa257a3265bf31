# shellcheck shell=bash
# The environment of the tests, for every caller and in every place: nothing of the caller's own
# settings decides one. For bats/helper.bash and scripts/check.
#
#   clean_environment     unsets what the tests are not told something by, and sets what they
#                         have in common

# kept VARIABLE: is it one that the tests are told something by? bats, scripts/check and its
# kin, the sanitizers; where programs, headers and the network are; the time zone, which must
# not matter.
kept() {
	case $1 in
	BATS_* | PATH | TMPDIR | TZ | PWD | OLDPWD | SHLVL | _ | P11SHIM_TEST_* | CHECK_* | FUZZ_* | STRESS_*) ;;
	BUILD | SHIM | DOORS | SYSROOT | ARCHITECTURE | EMULATOR | MOCK_OPTIONS) ;;
	*SAN_OPTIONS | GCOV_*) ;;
	CPATH | C_INCLUDE_PATH | LIBRARY_PATH | PKG_CONFIG_PATH | PKG_CONFIG_LIBDIR) ;;
	http_proxy | https_proxy | HTTP_PROXY | HTTPS_PROXY) ;;
	LD_LIBRARY_PATH) [ -n "${SYSROOT:-}" ] ;; # that is scripts/check-arch's
	*) return 1 ;;
	esac
}

clean_environment() {
	local name

	while read -r _ _ name; do
		case $name in
		bats_*) ;;
		*) unset -f "$name" ;;
		esac
	done < <(declare -Fx)
	while read -r name; do
		kept "$name" || unset "$name" 2>/dev/null || true # some are bash's own
	done < <(compgen -e)
	export -n SHELLOPTS BASHOPTS
	# messages, sorting and letters are the same for everybody
	export LC_ALL=C.UTF-8
	[ "$(locale charmap 2>/dev/null)" = UTF-8 ] || LC_ALL=C
	export TERM=dumb
	# Python, and the one in gdb, leave nothing beside their modules
	export PYTHONDONTWRITEBYTECODE=1
	# what only root needs elsewhere lies there on Debian: nginx, chroot, setcap
	case :$PATH: in
	*:/usr/sbin:*) ;;
	*) PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin ;;
	esac
	# servers of the tests' own are not behind a proxy
	export no_proxy=127.0.0.1,localhost NO_PROXY=127.0.0.1,localhost
}
