#!/usr/bin/env bats
# The floors of the library (docs/design.md): one way down, no circle, headers that are complete.

load helper

setup() {
	cd "$BATS_TEST_TMPDIR"
}

# A house of two floors' worth of files: plant FLOOR/NAME 'C SOURCE', with its object.
plant() {
	mkdir -p "small/${1%/*}" "build/shim/${1%/*}"
	printf '%s\n' "$2" >"small/$1.c"
	"${CC:-cc}" -Ismall -c -o "build/shim/$1.o" "small/$1.c"
}

floors() {
	run timeout 120 "$ROOT/scripts/check-floors" build small
}

@test "floors: no object takes a symbol from above, none are in a circle, each header is complete" {
	run timeout 120 "$ROOT/scripts/check-floors" "$BUILD"
	assert_output ''
	assert_success
}

@test "floors: a call upwards is told with both files and the symbol, on every floor" {
	local from to

	for from in base:standard base:entrance standard:host settings:host host:core core:call core:record \
		call:entrance record:entrance standard:settings settings:standard call:record record:call; do
		to=${from#*:} from=${from%:*}
		rm -rf small build
		plant "$to/upper" 'int upper(void); int upper(void) { return 1; }'
		plant "$from/lower" 'int upper(void); int lower(void); int lower(void) { return upper(); }'
		floors
		assert_failure 1
		assert_output "$from/lower.o takes upper from $to/upper.o, which is no floor below"
	done
}

@test "floors: a call downwards is none, nor one within a floor" {
	plant base/text 'int text(void); int text(void) { return 1; }'
	plant core/view 'int text(void); int view(void); int view(void) { return text(); }'
	plant core/life 'int view(void); int life(void); int life(void) { return view(); }'
	floors
	assert_output ''
	assert_success
}

@test "floors: an #include from above, a circle, an incomplete header, an unknown floor" {
	plant core/view 'int life(void); int view(void); int view(void) { return life(); }'
	mkdir -p small/record small/cellar
	echo '#include "base/no.h"' >small/cellar/a.c
	echo 'struct half { whole_t it; };' >small/record/log.h
	plant core/life 'int view(void); int life(void); int life(void) { return view(); }'
	sed -i '1i #include "record/log.h"' small/core/life.c
	floors
	assert_failure 1
	assert_line 'core/life.c includes record/log.h, which is no floor below'
	assert_line 'no such floor: cellar/a.c'
	assert_line '    core/view.o takes life from core/life.o'
	assert_line '    core/life.o takes view from core/view.o'
	assert_line 'record/log.h is not complete in itself:'
}

@test "floors: what only glibc has is asked for in host/ and record/stack.c" {
	plant host/linker 'void *dlvsym(void *, char *, char *); void *f(void); void *f(void) { return dlvsym(0, 0, 0); }'
	plant record/stack 'int backtrace(void **, int); int g(void); int g(void) { return backtrace(0, 0); }'
	floors
	assert_output ''
	plant core/view 'void *dlvsym(void *, char *, char *); void *h(void); void *h(void) { return dlvsym(0, 0, 0); }'
	plant entrance/door '#include <dlfcn.h>
int i(int flags); int i(int flags) { return flags & 8; } // RTLD_DEEPBIND'
	plant record/crash 'int backtrace(void **, int); int j(void); int j(void) { return backtrace(0, 0); }'
	sed -i 's/ & 8/ \& RTLD_DEEPBIND/' small/entrance/door.c
	floors
	assert_failure 1
	assert_line 'core/view.o takes dlvsym, which only glibc has'
	assert_line 'record/crash.o takes backtrace, which only glibc has'
	assert_line --regexp '^entrance/door.c:2:.*RTLD_DEEPBIND.*\(only glibc has that\)$'
}
