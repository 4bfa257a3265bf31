#!/usr/bin/env bats
# The doors (contract A): no program can tell from dlsym, dlopen, dlmopen and
# dlclose that the shim is there, except for a consumer that asks a module for
# its function list.
#
# SHIM chooses the build of the library; DOORS is where tests/doors was built.
# The tests with the tag `core` are those that scripts/matrix-doors repeats for
# every compiler and optimisation.

load helper

DOORS=${DOORS:-$BUILD/doors}

setup_file() {
	[ -e "$DOORS/quiet" ] || make -s -C "$ROOT" "B=$BUILD" doors
}

# preload LIST COMMAND [ARGUMENTS]: the libraries of LIST, in that order;
# S stands for the shim, a name x for $DOORS/libdoor-x.so, /... for itself.
preload() {
	local name list=

	for name in $1; do
		case $name in
		S) name=$SHIM ;;
		/*) ;;
		*) name=$DOORS/libdoor-$name.so ;;
		esac
		list=$list${list:+:}$name
	done
	shift
	# shellcheck disable=SC2086 # several words, or none
	timeout -k 5 "${LIMIT:-120}" ${EMULATOR:-env} LD_PRELOAD="$list" "$@"
}

# same COMMAND [ARGUMENTS]: the same with and without the shim, to the byte,
# and a success; $output is what it prints.
same() {
	local without status_without

	without_shim "$@" >"$BATS_TEST_TMPDIR/out-without" 2>"$BATS_TEST_TMPDIR/err-without" &&
		status_without=0 || status_without=$?
	with_shim "$@" >"$BATS_TEST_TMPDIR/out-with" 2>"$BATS_TEST_TMPDIR/err-with" &&
		status=0 || status=$?
	diff "$BATS_TEST_TMPDIR/out-without" "$BATS_TEST_TMPDIR/out-with"
	diff "$BATS_TEST_TMPDIR/err-without" "$BATS_TEST_TMPDIR/err-with"
	assert_equal "$status" "$status_without"
	assert_equal "$status" 0
	run cat "$BATS_TEST_TMPDIR/out-with" "$BATS_TEST_TMPDIR/err-with"
}

# Before glibc 2.34 an object that uses threads, and so the library, brings libpthread; dlsym
# itself then allocates, with the shim or without.
not_with_libpthread() {
	! readelf --dynamic "$SHIM" | grep -q libpthread || skip 'dlsym itself allocates on that system'
}

# The library named without its directory, as `object_of` in the programs says.
shim_name() {
	basename "$SHIM"
}

# ---------------------------------------------------------------- A1: exports

# bats test_tags=core
@test "contract A1: exactly dlclose, dlmopen, dlopen and dlsym are exported, without a version" {
	run nm -D --defined-only "$SHIM"
	assert_success
	names=$(awk '{ print $2, $3 }' <<<"$output" | sort)
	assert_equal "$names" $'T dlclose\nT dlmopen\nT dlopen\nT dlsym'
	run readelf --version-info --wide "$SHIM"
	refute_output --partial 'Version definition section'
}

# bats test_tags=core
@test "contract A1: no TEXTREL, no executable stack, RELRO, NODELETE" {
	dynamic=$(readelf --dynamic --wide "$SHIM")
	segments=$(readelf --segments --wide "$SHIM")
	refute_regex "$dynamic" TEXTREL
	assert_regex "$dynamic" 'FLAGS_1.*NODELETE'
	refute_regex "$dynamic" 'FLAGS_1.*INITFIRST'
	refute_regex "$dynamic" '(RPATH|RUNPATH)'
	assert_regex "$segments" GNU_RELRO
	assert_regex "$(grep GNU_STACK <<<"$segments")" ' RW +0x'
	refute_regex "$segments" 'LOAD.* RWE '
	# No thread-local storage: it is scarce in a library that is loaded late.
	refute_regex "$segments" ' TLS '
}

@test "contract A1: nothing but libc.so.6 is needed" {
	run readelf --dynamic --wide "$SHIM"
	needed=$(sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' <<<"$output")
	assert_equal "$needed" libc.so.6
}

# bats test_tags=core
@test "contract A2: the shim never refers to its own dlsym, dlopen, dlmopen or dlclose by name" {
	# A reference by name would show as a relocation; it might reach another
	# interposer that is asking us at this very moment.
	run readelf --relocs --wide "$SHIM"
	assert_success
	refute_output --regexp ' (dlsym|dlopen|dlmopen|dlclose)([ @+]|$)'
	run nm -D --undefined-only "$SHIM"
	refute_output --regexp ' U (dlsym|dlopen|dlmopen|dlclose)(@|$)'
}

@test "contract A2: no object file of the shim has an undefined dlsym, dlopen, dlmopen or dlclose" {
	objects=()
	while IFS= read -r object; do
		objects+=("$object")
	done < <(find "$(dirname "$SHIM")/shim" -name '*.o' 2>/dev/null)
	[ "${#objects[@]}" -gt 0 ] || fail "no object files in $(dirname "$SHIM")/shim"
	run nm --undefined-only --print-file-name "${objects[@]}"
	assert_success
	refute_output --regexp ' U (dlsym|dlopen|dlmopen|dlclose)$'
}

@test "contract A2: the i386 assembly assembles" {
	run find "$ROOT/shim" -name '*i386*.S'
	assert_output
	for source in $output; do
		# The 32-bit packages may lack asm/ headers; the machine's own do.
		run gcc -m32 -Wall -Werror -idirafter "/usr/include/$(uname -m)-linux-gnu" -I"$ROOT/shim" \
			-c "$source" -o "$BATS_TEST_TMPDIR/i386.o"
		assert_success
		run readelf --file-header "$BATS_TEST_TMPDIR/i386.o"
		assert_output --partial 'Intel 80386'
		run nm "$BATS_TEST_TMPDIR/i386.o"
		case $source in
		*/door/*) assert_output --partial 'T dlsym' ;;
		esac
	done
}

@test "contract A2: the aarch64 assembly assembles" {
	need_aarch64_compiler
	run find "$ROOT/shim" -name '*aarch64*.S'
	assert_output
	for source in $output; do
		run $compiler -Wall -Werror -I"$ROOT/shim" -c "$source" \
			-o "$BATS_TEST_TMPDIR/aarch64.o"
		assert_success
		run readelf --file-header "$BATS_TEST_TMPDIR/aarch64.o"
		assert_output --partial AArch64
		run aarch64-linux-gnu-nm "$BATS_TEST_TMPDIR/aarch64.o"
		case $source in
		*/door/*) assert_output --partial 'T dlsym' ;;
		esac
	done
}

# --------------------------------------------- A2: the caller stays the caller

# bats test_tags=core
@test "contract A2: RTLD_NEXT from a second preload behind the shim" {
	DOOR_NEXT=value run preload 'S next-a' "$DOORS/next"
	assert_success
	assert_output 'value a=2 b=-1'
}

# bats test_tags=core
@test "contract A2: RTLD_NEXT from a second preload before the shim" {
	DOOR_NEXT=value run preload 'next-a S' "$DOORS/next"
	assert_success
	assert_output 'value a=2 b=-1'
}

# bats test_tags=core
@test "contract A2: RTLD_NEXT from preloads on both sides of the shim, and both behind, and both before" {
	for order in 'next-a S next-b' 'next-b S next-a' 'S next-a next-b' 'next-a next-b S'; do
		DOOR_NEXT=value run preload "$order" "$DOORS/next"
		assert_success
		assert_output 'value a=2 b=2'
	done
}

# bats test_tags=core
@test "contract A2: RTLD_DEFAULT and RTLD_NEXT from a plugin opened with RTLD_LOCAL find its own scope" {
	same "$DOORS/scope"
	assert_line 'RTLD_DEFAULT from the plugin: libdoor-scope-plugin.so'
	assert_line 'RTLD_NEXT from the plugin: libdoor-scope-deep.so'
}

# bats test_tags=core
@test "contract A2: dlopen and dlmopen follow the caller's RUNPATH, RPATH and \$ORIGIN, with the same errors" {
	same "$DOORS/runpath" "$DOORS/libdoor-finder-runpath.so" "$DOORS/libdoor-finder-rpath.so"
	assert_equal "$(grep -c ': found$' <<<"$output")" 6
	assert_line '  missing: libdoor-nowhere.so: cannot open shared object file: No such file or directory'
}

# bats test_tags=core
@test "contract A2: a library without a path of its own finds nothing, as without the shim" {
	without=$(without_shim "$DOORS/runpath" "$DOORS/libdoor-finder-nopath.so" || true)
	run with_shim "$DOORS/runpath" "$DOORS/libdoor-finder-nopath.so"
	assert_failure 1
	assert_output "$without"
	assert_line --partial 'bare name: libdoor-found.so: cannot open shared object file'
}

# bats test_tags=core
@test "contract A2: dlmopen, and a caller in another namespace stays there" {
	same "$DOORS/namespace"
	assert_line 'base: 0, other is new: 1'
}

# bats test_tags=core
@test "contract A1: a consumer bound to the first version of dlsym reaches the shim" {
	run nm -D "$DOORS/versions-old"
	assert_output --regexp 'dlsym@GLIBC_2\.(2\.5|0|17)'
	refute_output --regexp 'dl(sym|open|close)@GLIBC_2\.34'
	run with_shim "$DOORS/versions-old"
	assert_success
	assert_output "dlsym from $(shim_name)
C_GetFunctionList from $(shim_name)"
}

# bats test_tags=core
@test "contract A1: a consumer bound to dlsym@GLIBC_2.34 reaches the shim" {
	run nm -D "$DOORS/versions-new"
	[ -z "${SYSROOT:-}" ] || [[ $output = *dlsym@GLIBC_2.34* ]] || skip 'that system has no such version yet'
	assert_output --partial 'dlsym@GLIBC_2.34'
	refute_output --regexp 'dl(sym|open|close)@GLIBC_2\.(2\.5|0|17)'
	run with_shim "$DOORS/versions-new"
	assert_success
	assert_output "dlsym from $(shim_name)
C_GetFunctionList from $(shim_name)"
}

# ------------------------------------------------------------- A3: dlclose

# bats test_tags=core
@test "contract A3, C9: dlclose is real, for a module that was looked at or used as well" {
	same "$DOORS/unload"
	assert_equal "$(grep -c ': unloaded$' <<<"$output")" 8
}

# ------------------------------------------- A4: what is diverted and what not

# bats test_tags=core
@test "contract A4: a missing symbol is NULL with the same dlerror text, errno kept" {
	modules=("$DOORS/libdoor-module.so" "$DOORS/libdoor-other.so" "$DOORS/libdoor-notmodule.so" libm.so.6)
	for module in libsofthsm2.so opensc-pkcs11.so p11-kit-proxy.so; do
		modules+=("$(find_module "$module")")
	done
	same "$DOORS/missing" "${modules[@]}"
	for name in C_NoSuchThing C_GetInterface _C_GetFunctionList; do
		assert_line --regexp "^[^ ]*libsofthsm2.so \"$name\": NULL, errno .*, .*: undefined symbol: $name\$"
	done
	assert_line --regexp 'libsofthsm2.so "C_GetFunctionList": found, errno kept, no error'
	refute_line 'after a success: an error'
}

# bats test_tags=core
@test "contract A4: the standard's names of a module are diverted, its others are not" {
	run with_shim "$DOORS/answerer" "$DOORS/libdoor-other.so" \
		C_GetFunctionList C_GetInterface C_Initialize door_plain door_module_unloaded
	assert_success
	assert_output "C_GetFunctionList $(shim_name)
C_GetInterface $(shim_name)
C_Initialize $(shim_name)
door_plain libdoor-other.so
door_module_unloaded libdoor-other.so"
}

# bats test_tags=core
@test "contract A4: a symbol belongs to the object that defines it: dependencies, and libraries that are no modules" {
	same "$DOORS/owner"
	assert_line 'through the wrapper: module, one list'
	assert_line 'upper'\''s list: upper'
	assert_line 'interface through upper: other'
	assert_line 'not a module: C_Initialize answers 12345'
	assert_line 'half a module: C_Initialize from libdoor-half.so answers 12345'
}

# bats test_tags=core
@test "contract A4: a module's list found through a dependent's handle is diverted" {
	run with_shim "$DOORS/answerer" "$DOORS/libdoor-wrapper.so" C_GetFunctionList door_wrapper door_plain
	assert_success
	assert_output "C_GetFunctionList $(shim_name)
door_wrapper libdoor-wrapper.so
door_plain libdoor-module.so"
}

# bats test_tags=core
@test "contract A4: RTLD_DEFAULT and RTLD_NEXT are not diverted in a program linked to its module" {
	same "$DOORS/linked"
	assert_line 'linked to libdoor-module.so'
}

# --------------------------------------- A5: nothing on the way through

# bats test_tags=core
@test "contract A5: dlsym from inside malloc, the other preload before and behind" {
	not_with_libpthread
	for order in 'malloc-preload S' 'S malloc-preload'; do
		for program in quiet lookups constructor unload; do
			run without_shim "$DOORS/$program"
			expected=$output
			run preload "$order" "$DOORS/$program"
			assert_success
			assert_output "$expected"
		done
		[ -z "${SYSROOT:-}" ] || continue # the shell is this machine's
		run preload "$order" sh -c 'ls / | sort | wc -l >/dev/null && echo fine'
		assert_success
		assert_output fine
	done
}

# bats test_tags=core
@test "contract A5: a lookup that is not diverted allocates nothing, takes no lock, reads no environment, calls no dl*" {
	not_with_libpthread
	for order in 'watch-preload malloc-preload S' 'S watch-preload malloc-preload' \
		'malloc-preload S watch-preload'; do
		run preload "$order" "$DOORS/watch"
		assert_success
		assert_output 'allocations 0, calls 0'
	done
}

# bats test_tags=core
@test "contract A5: dlsym from constructors: of a dependency, of a plugin, of other preloads" {
	same "$DOORS/constructor"
	assert_output '8 of 8'
	same "$DOORS/constructor-plugin"
	assert_output '8 of 8'
	for order in 'early S' 'S early'; do
		run preload "$order" "$DOORS/constructor"
		assert_success
		assert_output '8 of 8'
		run preload "$order" "$DOORS/quiet"
		assert_success
		assert_output quiet
	done
}

# bats test_tags=core
@test "contract A5: another interposer of dlsym stays in the chain, before and behind" {
	run preload 'dlsym-preload S' "$DOORS/chain"
	assert_success
	assert_output "door_plain from libdoor-module.so, other interposer asked
C_GetFunctionList from $(shim_name), other interposer asked"
	run preload 'S dlsym-preload' "$DOORS/chain"
	assert_success
	assert_output "door_plain from libdoor-module.so, other interposer asked
C_GetFunctionList from $(shim_name), other interposer asked"
	run preload 'S' "$DOORS/chain"
	assert_success
	assert_line --index 0 'door_plain from libdoor-module.so, other interposer not asked'
}

# Left to make check-all. make check has the same doors with the C library's malloc.
# bats test_tags=all
@test "contract A5: jemalloc before and behind" {
	jemalloc=$(find_module libjemalloc.so.2)
	for order in "$jemalloc S" "S $jemalloc"; do
		for program in quiet lookups owner constructor unload forks; do
			run without_shim "$DOORS/$program"
			expected=$output
			run preload "$order" "$DOORS/$program"
			assert_success
			assert_output "$expected"
		done
		run preload "$order" /usr/bin/python3 -c 'import ctypes, json; print(json.dumps([1]))'
		assert_success
		assert_output '[1]'
	done
}

@test "contract A5: libfaketime before and behind, and the faketime command" {
	library=$(find_module faketime/libfaketime.so.1)
	for order in "$library S" "S $library"; do
		run preload "$order" env FAKETIME='2001-02-03 04:05:06' TZ=UTC date +%F
		assert_success
		assert_output 2001-02-03
		run preload "$order" env FAKETIME='2001-02-03 04:05:06' "$DOORS/lookups"
		assert_success
		assert_line 'module: module                          '
		assert_line good
	done
	TZ=UTC run with_shim faketime '2001-02-03 04:05:06' date +%F
	assert_success
	assert_output 2001-02-03
}

@test "contract A5: a program with gcc's address sanitizer, its library first" {
	asan=$(gcc -print-file-name=libasan.so)
	run preload "$asan S" "$DOORS/lookups-asan"
	assert_success
	assert_line good
	refute_output --partial Sanitizer
	run preload "$asan S" "$DOORS/lookups-asan" use-after-free
	assert_failure
	assert_output --partial heap-use-after-free
}

@test "contract A5: a program with clang's address sanitizer" {
	run with_shim "$DOORS/lookups-asan-clang"
	assert_success
	assert_line good
	refute_output --partial Sanitizer
	run with_shim "$DOORS/lookups-asan-clang" use-after-free
	assert_failure
	assert_output --partial heap-use-after-free
}

@test "contract A5: a program with the thread sanitizer" {
	run with_shim "$DOORS/lookups-tsan"
	assert_success
	assert_line good
	refute_output --partial ThreadSanitizer
	run with_shim "$DOORS/lookups-tsan" race
	assert_failure
	assert_output --partial 'data race'
}

@test "contract A5: a program under valgrind, no error and no leak" {
	# --trace-children=no, so that only the program itself has the library.
	run timeout -k 5 120 valgrind -q --error-exitcode=9 --leak-check=full --errors-for-leak-kinds=definite \
		--trace-children=no env true
	assert_success
	LD_PRELOAD=$SHIM run timeout -k 5 120 valgrind -q --error-exitcode=9 --leak-check=full \
		--errors-for-leak-kinds=definite "$DOORS/lookups"
	assert_success
	assert_line good
	refute_output --partial '=='
}

# bats test_tags=core
@test "contract A6: a plugin's constructor and other threads use one module at the same time" {
	LIMIT=180 run with_shim "$DOORS/locks"
	assert_success
	assert_output 'all threads came back'
}

# bats test_tags=core
@test "contract A6, F1: eight threads open, look up and close while the program forks 200 times" {
	LIMIT=180 run with_shim "$DOORS/forks"
	assert_success
	assert_output '200 forks, 0 bad'
}

# -------------------------------------------------- the first law: being mapped

# system_calls LIBRARY COMMAND: the system calls of a program with LIBRARY
# preloaded, in two parts: until the dynamic linker is done with its start-up
# (its last act is to unmap ld.so.cache) and after. Addresses and numbers that
# differ from run to run are masked: mapped addresses, process and thread ids,
# stack protector and robust list words, random bytes.
system_calls() {
	local library=$1

	shift
	strace -f -e 'signal=none' -o "$BATS_TEST_TMPDIR/strace" -E LD_PRELOAD="$library" "$@" \
		>/dev/null || return 1
	sed -E -e 's/^[0-9]+ +//' -e 's/0x[0-9a-f]+/ADDRESS/g' -e "s#$library#LIBRARY#g" \
		-e 's/(set_tid_address\(.*\) += )[0-9]+/\1PID/' -e 's/(getpid\(\) += )[0-9]+/\1PID/' \
		-e 's/getrandom\("[^"]*"/getrandom("RANDOM"/' \
		"$BATS_TEST_TMPDIR/strace"
}

@test "the first law: a program without PKCS#11 makes no system call more and opens no file" {
	for program in /bin/true "$DOORS/quiet" "$DOORS/scope"; do
		system_calls "$DOORS/libdoor-empty.so" "$program" >"$BATS_TEST_TMPDIR/empty"
		system_calls "$SHIM" "$program" >"$BATS_TEST_TMPDIR/shim"

		# After start-up: nothing differs at all.
		for which in empty shim; do
			awk 'after; /^munmap/ { after = 1 }' "$BATS_TEST_TMPDIR/$which" >"$BATS_TEST_TMPDIR/$which.after"
			# While being mapped: only the mapping itself, whose sizes differ.
			grep -vE '^(mmap|mprotect)\(' "$BATS_TEST_TMPDIR/$which" |
				sed -E -e 's/^(read|pread64)\(.*/\1/' -e 's/st_size=[0-9]+/st_size=SIZE/' \
					>"$BATS_TEST_TMPDIR/$which.other"
		done
		[ -s "$BATS_TEST_TMPDIR/shim.after" ]
		grep -q LIBRARY "$BATS_TEST_TMPDIR/shim"
		run diff "$BATS_TEST_TMPDIR/empty.after" "$BATS_TEST_TMPDIR/shim.after"
		assert_success
		run diff "$BATS_TEST_TMPDIR/empty.other" "$BATS_TEST_TMPDIR/shim.other"
		assert_success
	done
}

# ----------------------------------------------------- every build of the shim

# Six builds: left to make check-all. make check proves the same of the build at hand.
# bats test_tags=all
@test "doors hold for gcc and clang, -O0, -O2 and coverage (contract A2)" {
	[ -z "${P11SHIM_TEST_MATRIX:-}" ] || skip 'this is one of the matrix'
	run "$ROOT/scripts/matrix-doors"
	assert_success
	assert_equal "$(grep -c ': good$' <<<"$output")" 6
}
