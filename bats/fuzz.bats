#!/usr/bin/env bats
# The fuzz targets build, and bear the inputs that are kept; `make fuzz` looks for more.

# Left to make check-all, since clang makes them anew: make check proves the rooms that they feed by
# unit tests (test-settings, test-text, test-describe).
# bats file_tags=all

bats_require_minimum_version 1.5.0
load helper

@test "contract H3 I2 I3: the inputs kept for the fuzzers: settings, variables, text, calls" {
	need_program clang # which the fuzz targets are made with
	env -u MAKEFLAGS -u MAKELEVEL make -s -C "$ROOT" B="$BUILD" fuzz-programs
	FUZZ_SECONDS=0 run -0 "$ROOT/scripts/fuzz" "$BUILD"
	assert_line "4 passed, 0 failed, 0 skipped"
}
