#!/usr/bin/env bats
# Other architectures: the library builds for them. The core tests there are make check-i386's and
# make check-aarch64's. Left to make check-all, since a library is built for each: make check proves that
# the assembly of both assembles (doors.bats).
# bats file_tags=all

bats_require_minimum_version 1.5.0
load helper

# built ARCH: the library for it, in $BUILD/ARCH; $built is its path.
built() {
	[ "$1" != "$(uname -m)" ] || skip "this machine is one"
	case $1 in
	i386) need_compiler gcc -m32 ;;
	aarch64) need_aarch64_compiler ;;
	esac
	"$ROOT/scripts/sysroot" "$1" "$BUILD/$1/sysroot" build || skip "no network, to fetch what Debian has for $1"
	built=$BUILD/$1/libp11shim.so
	env -u MAKEFLAGS -u MAKELEVEL make -s -C "$ROOT" ARCH="$1" B="$BUILD/$1" "$built"
}

exports_doors() {
	run -0 nm -D --defined-only "$built"
	assert_equal "$(awk '{ print $2, $3 }' <<<"$output" | sort)" $'T dlclose\nT dlmopen\nT dlopen\nT dlsym'
}

# What atomic operations of 64 bits would need is not there to be loaded on every system.
@test "contract A1: i386: nothing but libc.so.6 is needed, dlsym and its kin are exported" {
	built i386
	run -0 readelf --dynamic --wide "$built"
	assert_equal "$(sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' <<<"$output")" libc.so.6
	exports_doors
}

# The linker itself holds what the stack protector compares with, there.
@test "contract A1: aarch64: nothing but libc.so.6 is needed, dlsym and its kin are exported" {
	built aarch64
	run -0 readelf --dynamic --wide "$built"
	assert_equal "$(sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' <<<"$output" | grep -v '^ld-linux-aarch64.so.1$')" libc.so.6
	exports_doors
}
