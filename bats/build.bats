#!/usr/bin/env bats
# Building: whose flags count, what is printed, what is said where something is missing, that
# the same source gives the same bytes, what the version says, what is inside (the SBOM), and
# directories with odd names. Where something is compiled it is a copy of the checkout, or in
# a build directory of the test's own.
#
# Programs for other shells; each test has its own variables:
# shellcheck disable=SC2016,SC2030,SC2031

load helper
bats_require_minimum_version 1.5.0

PARTS=(Makefile LICENSE config docs packaging scripts shim tests)

setup() {
	HERE=$(realpath "$BATS_TEST_TMPDIR")
	cd "$HERE" || return
	export LC_ALL=C
	unset CC CFLAGS CPPFLAGS LDFLAGS OPT WERROR V INIH PREFIX LIBDIR MANDIR DESTDIR SOURCE_DATE_EPOCH
}

# copy DIRECTORY: the source, without a commit and without what was built.
copy() {
	local part

	mkdir -p "$1"
	for part in "${PARTS[@]}"; do
		cp -r "$ROOT/$part" "$1/"
	done
}

# make_in DIRECTORY ARGUMENTS
make_in() {
	local directory=$1

	shift
	env -u MAKEFLAGS -u MAKELEVEL timeout -k 5 "${LIMIT:-60}" make -C "$directory" --no-print-directory "$@"
}

# ---- Flags

# Every command that compiles or links, of all that there is.
commands() {
	make_in "$ROOT" -n B="$HERE/b" "$@" all tests fork bench-programs fuzz-programs |
		sed -e ':more' -e '/\\$/{N;s/\\\n//;b more' -e '}' |
		grep -E '(^|[ ;])(-[a-z]* )?(gcc|clang) ' | grep -v scripts/tools
}

@test "build: -Werror is for developers: everywhere with WERROR=1, nowhere without" {
	commands >plain
	[ "$(wc -l <plain)" -gt 100 ]
	run grep -c -e -Werror plain
	assert_output 0
	commands WERROR=1 >strict
	assert_equal "$(wc -l <strict)" "$(wc -l <plain)"
	# linking alone warns of nothing, and nothing is compiled from /dev/null
	run bash -c 'grep -v -e -Werror strict | grep -E "[.](c|S)( |$)" | grep -v -e "builtin[.]S" -e "held[.]c"'
	assert_output ''
	run grep -c -e -Werror strict
	[ "$output" -gt 90 ]
}

# others COMMANDS: without those of programs that are always made by another compiler
others() {
	grep -vE '(^|[ ;])(clang|gcc) .*(-fsanitize=)' "$1" | grep -v 'fuzz/builtin.o'
}

@test "build: CPPFLAGS, CFLAGS and LDFLAGS stand behind ours, given to make or in the environment" {
	commands CPPFLAGS=-DCPP CFLAGS='-O3 -DTHEIRS' LDFLAGS=-L/theirs EXTRA_CFLAGS=-DEXTRA EXTRA_LDFLAGS=-L/extra >given
	CPPFLAGS=-DCPP CFLAGS='-O3 -DTHEIRS' LDFLAGS=-L/theirs commands EXTRA_CFLAGS=-DEXTRA EXTRA_LDFLAGS=-L/extra |
		diff given -
	others given | grep -E '[.](c|S)( |$)' >compiled
	[ "$(wc -l <compiled)" -gt 90 ]
	run grep -v -e '-DCPP -O3 -DTHEIRS' compiled
	assert_output ''
	run grep -E -e '-DTHEIRS.* -(O2|Wall|Wextra)( |$)' <(grep -v -e /bench/ compiled)
	assert_output ''
	others given | grep -vE ' -c ' >linked
	run grep -v -e '-L/theirs' linked
	assert_output ''
	run grep -v -e '-L/extra' <(grep -v held.so linked)
	assert_output ''
}

# exports LIBRARY: exactly the four, from libc alone, found when they are first used
exports() {
	run nm -D --defined-only "$1"
	assert_equal "$(awk '{ print $2, $3 }' <<<"$output" | sort)" $'T dlclose\nT dlmopen\nT dlopen\nT dlsym'
	run bash -c 'readelf -dW "$1" | grep -E "BIND_NOW|NOW|TEXTREL|RPATH|RUNPATH|NEEDED"' - "$1"
	assert_line --regexp 'NEEDED.*\[libc.so.6\]'
	assert_equal "${#lines[@]}" 1
	readelf -dW "$1" | grep -q NODELETE
	run bash -c 'nm -D -u "$1" | grep -E " dl(sym|m?open|close)"' - "$1"
	assert_output ''
	# nothing is looked up before it is called
	run bash -c 'readelf -rW "$1" | grep GLOB_DAT | grep -v -w -e stderr -e environ' - "$1"
	assert_output ''
}

# works LIBRARY: two consumers share a module
works() {
	need_token
	SHIM=$1 run with_shim "$PROGRAMS/two-plugins" --leaves a
	assert_success
	assert_output --partial 'plugin b'
}

# bats test_tags=all
@test "contract A1: whatever flags a distribution has, the library exports its four functions, and works" {
	flags=(
		'-O2 -flto=auto -ffat-lto-objects -fexceptions -g -pipe -Wall -Werror=format-security -Wp,-U_FORTIFY_SOURCE,-D_FORTIFY_SOURCE=3 -fstack-protector-strong -m64 -fstack-clash-protection -fcf-protection|-Wl,-z,relro -Wl,--as-needed -Wl,-z,pack-relative-relocs -Wl,-z,now -Wl,--build-id=sha1'
		'-march=x86-64 -O3 -pipe -fno-plt -fcf-protection -fvisibility=default -fPIE -std=gnu17 -D_FILE_OFFSET_BITS=64|-pie -Wl,-O1,--sort-common,--as-needed,-z,relro,-z,now,-z,undefs,-z,execstack'
	)
	[ "$(uname -m)" = x86_64 ] || skip "these are the flags for x86-64"
	for pair in "${flags[@]}"; do
		rm -rf b
		CFLAGS=${pair%|*} LDFLAGS=${pair#*|} LIMIT=400 run make_in "$ROOT" -s -j2 B="$HERE/b" all
		assert_success
		assert_output ''
		exports "$HERE/b/libp11shim.so"
		works "$HERE/b/libp11shim.so"
		P11SHIM_FORK=strict run b/p11shim-info --config
		assert_line --regexp $'^fork\tstrict\t'
	done
}

@test "build: CC may come from the environment, EXTRA_CFLAGS of sanitizers leave fortify to others" {
	CC='gcc -DMINE' run make_in "$ROOT" -n B="$HERE/b" "$HERE/b/shim/base/text.o"
	assert_output --partial 'gcc -DMINE '
	commands | grep 'p11shim-info.new' >info
	grep -q -e '-D_FORTIFY_SOURCE=2' info
	for flags in -fsanitize=address -O0 -D_FORTIFY_SOURCE=3 -Wp,-D_FORTIFY_SOURCE=3; do
		run bash -c 'grep -e "p11shim-info.new" | grep -e "-D_FORTIFY_SOURCE=2"' <<<"$(commands EXTRA_CFLAGS=$flags)"
		assert_output ''
	done
}

@test "build: who chooses no compiler, also with make -R or an empty CC, has gcc" {
	for none in -R CC= 'CC= ' --no-print-directory; do
		for environment in '' gcc; do
			[ "$none$environment" != --no-print-directorygcc ] || continue
			CC=$environment run make_in "$ROOT" -n B="$HERE/b" "$none" "$HERE/b/shim/base/text.o"
			assert_success
			assert_line --regexp '(^| )gcc .*-c -o '
			refute_output --partial Illegal
		done
	done
	CC='' run make_in "$ROOT" -n B="$HERE/b" ARCH=i386 CC= "$HERE/b/shim/base/text.o"
	[ "$(uname -m)" != x86_64 ] || assert_line --regexp '(^| )gcc -m32 .*-c -o '
}

@test "build: TESTS and B are what they were given as: make expands no dollar in them" {
	printf 'include Makefile\nshow:\n\t@printf "%%s\\n" "$$TESTS"\nbelow:\n\t@$(MAKE) -f %s show\n' "$HERE/show.mk" >show.mk
	tests="wrapper:^a\$(shell touch $HERE/executed)\$b x\$ \$\$"
	for goal in show below; do
		run make_in "$ROOT" -s B="$HERE/b" -f "$HERE/show.mk" TESTS="$tests" $goal
		assert_output "$tests"
		TESTS=$tests run make_in "$ROOT" -s B="$HERE/b" -f "$HERE/show.mk" $goal
		assert_output "$tests"
	done
	run make_in "$ROOT" -n B="b\$(shell touch $HERE/executed)" all
	assert_failure 2
	run make_in "$ROOT" -n B="b\$(shell touch $HERE/executed)" clean
	assert_failure 2
	[ ! -e executed ]
}

@test "contract J1: p11shim-info is hardened: PIE, RELRO, bound at once, fortified, stack protector" {
	LIMIT=300 make_in "$ROOT" -s B="$HERE/b" "$HERE/b/p11shim-info"
	readelf -hW b/p11shim-info | grep -qE 'Type: +DYN'
	readelf -dW b/p11shim-info | grep -q 'FLAGS_1.*NOW.*PIE'
	readelf -lW b/p11shim-info | grep -q GNU_RELRO
	readelf -lW b/p11shim-info | grep GNU_STACK | grep -q ' RW '
	nm -D b/p11shim-info | grep -q '__[a-z]*_chk@'
	nm -D b/p11shim-info | grep -q '__stack_chk_fail@'
}

@test "build: check-real's programs are made" {
	LIMIT=200 run make_in "$ROOT" -s B="$HERE/b" fork
	assert_success
	[ -x b/fork/consumer-fork ] && [ -x b/fork/storm ]
}

# ---- What is printed

@test "build: a line for each file, with V=1 the command, with -s nothing" {
	run make_in "$ROOT" B="$HERE/b" "$HERE/b/shim/base/text.o" "$HERE/b/shim/settings/builtin.o"
	assert_success
	assert_output $'  CC      shim/base/text.c\n  CC      shim/settings/builtin.S'
	rm b/shim/base/text.o
	run make_in "$ROOT" -s B="$HERE/b" "$HERE/b/shim/base/text.o"
	assert_success
	assert_output ''
	rm b/shim/base/text.o
	run make_in "$ROOT" V=1 B="$HERE/b" "$HERE/b/shim/base/text.o"
	assert_success
	assert_output --regexp "gcc .* -c -o $HERE/b/shim/base/text.o shim/base/text.c"
	# and no command else prints itself
	run make_in "$ROOT" B="$HERE/b" VERSION=9 INIH_VERSION=5 DESTDIR="$HERE/stage" PREFIX=/usr install-sbom
	assert_output "  INSTALL $HERE/stage/usr/share/doc/libp11shim/libp11shim.spdx.json"
}

@test "build: what is missing is named, with the packages that bring it, before anything is compiled" {
	run make_in "$ROOT" -j4 B="$HERE/b" CC=no-such-compiler
	assert_failure 2
	assert_line --partial "no compiler 'no-such-compiler'"
	assert_line --regexp 'a C compiler +gcc +gcc +gcc$'
	[ "${#lines[@]}" -lt 8 ]
	# neither of the two headers
	mkdir include
	for header in /usr/include/*; do
		case ${header##*/} in
		ini.h | uthash.h) ;;
		*) ln -s "$header" include/ ;;
		esac
	done
	run make_in "$ROOT" -j4 B="$HERE/b" CPPFLAGS="-nostdinc -I$HERE/include -I/usr/include/$(gcc -dumpmachine) -I$(gcc -print-file-name=include)"
	assert_failure 2
	assert_line --regexp 'ini.h +libinih-dev +inih-devel +libinih$'
	assert_line --regexp 'uthash.h +uthash-dev +uthash-devel +uthash$'
	refute_line --partial stdio.h
	refute_line --partial libc6-dev
	[ "${#lines[@]}" -lt 8 ]
	run make_in "$ROOT" B="$HERE/b" INIH='-Wl,-Bstatic -linih-is-not-here -Wl,-Bdynamic'
	assert_failure 2
	assert_line --partial 'make INIH=/where/it/is/libinih.a'
	run make_in "$ROOT" B="$HERE/b" CFLAGS=-fno-such-flag
	assert_failure 2
	run find b -name '*.o'
	assert_output ''
	# and when it is there, it works
	make_in "$ROOT" -s B="$HERE/b" "$HERE/b/shim/base/text.o"
	[ -e b/shim/base/text.o ]
}

@test "build: a compiler that is there is told what it cannot do in its own words, not as missing headers" {
	run make_in "$ROOT" B="$HERE/b" CFLAGS=-fno-such-flag
	assert_failure 2
	assert_line --partial 'The compiler does not take these options: gcc '
	assert_line --regexp 'gcc: error: .*-fno-such-flag'
	refute_output --partial libc6-dev
	# these do no harm in the build
	for flags in -Werror=format-security '-Werror -Wformat=2 -Wmissing-declarations -Wunused'; do
		rm -rf b
		run make_in "$ROOT" -s B="$HERE/b" CFLAGS="$flags" "$HERE/b/shim/base/text.o" "$HERE/b/shim/settings/match.o"
		assert_success
		assert_output ''
	done
	# another C library, by its headers
	mkdir include
	touch include/stdio.h
	run make_in "$ROOT" B="$HERE/b" CPPFLAGS="-nostdinc -I$HERE/include"
	assert_failure 2
	assert_line "The compiler's C library is not glibc, and this library works with glibc only: gcc"
	[ "${#lines[@]}" -lt 4 ]
}

@test "build: for another processor it is that one's package that is missing" {
	[ "$(dpkg --print-architecture 2>/dev/null)" = amd64 ] || skip "not on this machine"
	# gcc, but for i386, where no such inih is
	printf '#!/bin/sh\nexec gcc -m32 -idirafter "/usr/include/$(gcc -dumpmachine)" -L%s "$@"\n' "$HERE" >for-i386
	chmod +x for-i386
	run make_in "$ROOT" B="$HERE/b" CC="$HERE/for-i386" INIH='-Wl,-Bstatic -linih-of-none -Wl,-Bdynamic'
	assert_failure 2
	assert_line --regexp 'libinih.a +libinih-dev:i386 '
	assert_line --partial 'make ARCH=i386'
	run make_in "$ROOT" B="$HERE/b" CC=gcc INIH='-Wl,-Bstatic -linih-of-none -Wl,-Bdynamic'
	assert_line --regexp 'libinih.a +libinih-dev '
	refute_line --partial 'make ARCH='
}

# ---- The same bytes

# bats test_tags=all
@test "build: the same source gives the same bytes, in any directory, by any user's settings" {
	copy one
	copy "a longer name, with blanks/Größe/two"
	(cd one && git init -q . && git -c user.name=a -c user.email=a@b commit -q --allow-empty -m x)
	cp -r one/.git "a longer name, with blanks/Größe/two/"
	(umask 022 && LIMIT=400 LC_ALL=C TZ=UTC make_in one -s -j2 VERSION=1 all sbom)
	(umask 077 && cd "a longer name, with blanks/Größe" && ln -s two link && cd link &&
		LC_ALL=C.UTF-8 TZ=Asia/Tokyo HOME=/nonexistent make -s -j1 VERSION=1 all sbom)
	for file in libp11shim.so p11shim-info libp11shim.spdx.json; do
		cmp "one/build/$file" "a longer name, with blanks/Größe/two/build/$file"
	done
	run grep -c -F "$HERE" one/build/libp11shim.so
	assert_output 0
}

# ---- Which version

# version DIRECTORY [ARGUMENTS]: what it says
version() {
	local directory=$1

	shift
	timeout 20 "$directory/scripts/version" 1.0~git "$@"
}

# a_checkout: of few files, with one commit, in checkout/
a_checkout() {
	mkdir -p checkout/packaging
	cp -r "$ROOT/scripts" "$ROOT/config" "$ROOT/shim" "$ROOT/Makefile" checkout/
	cp "$ROOT/packaging/commit" checkout/packaging/
	cp "$ROOT/.gitattributes" checkout/
	need_program git
	export GIT_CONFIG_GLOBAL=/dev/null GIT_AUTHOR_DATE='2026-11-29T23:30:00-0200' GIT_COMMITTER_DATE='2026-11-29T23:30:00-0200'
	git init -q checkout
	git -C checkout add .
	git -C checkout -c user.name=a -c user.email=a@b commit -q -m first
	commit=$(git -C checkout rev-parse HEAD | cut -c 1-7)
}

@test "build: the version says the commit: in a checkout, in what git exports; a plain copy has none" {
	a_checkout
	# by universal time, wherever it was made
	assert_equal "$(version checkout)" "1.0~git20261130.$commit"
	assert_equal "$(TZ=XXX5 version checkout)" "1.0~git20261130.$commit"
	assert_equal "$(checkout/scripts/version 1.0)" 1.0
	git -C checkout archive --prefix=exported/ HEAD | tar -x
	assert_equal "$(version exported)" "1.0~git20261130.$commit"
	cp -r checkout plain
	rm -rf plain/.git
	assert_equal "$(version plain)" 1.0~git
	# which another project has in its own repository
	mkdir -p other/vendored
	git init -q other
	(cd other && echo x >x && git add x && git -c user.name=a -c user.email=a@b commit -q -m other)
	cp -r plain other/vendored/p11shim
	assert_equal "$(version other/vendored/p11shim)" 1.0~git
	# and where a hook calls it
	assert_equal "$(GIT_DIR=$HERE/other/.git GIT_WORK_TREE=$HERE/other version checkout)" "1.0~git20261130.$commit"
	echo >>checkout/Makefile
	assert_equal "$(version checkout)" "1.0~git20261130.$commit+dirty"
	assert_equal "$(checkout/scripts/version 1.0)" 1.0+dirty
	git -C checkout checkout -q Makefile
	touch checkout/Makefile checkout/untracked
	assert_equal "$(version checkout)" "1.0~git20261130.$commit"
	run checkout/scripts/p11shim --version
	assert_output "p11shim 1.0~git20261130.$commit"
}

@test "build: the version is that of this source, whatever CDPATH has; and no script of the build is led astray" {
	a_checkout
	mkdir -p decoy/scripts
	cd checkout
	CDPATH=$HERE/decoy run scripts/version 1.0~git
	assert_output "1.0~git20261130.$commit"
	cd "$ROOT"
	for script in $(grep -lE '^[^#]*\bcd ' scripts/version scripts/check* .ci/run); do
		[ "$script" = scripts/check-newcomer ] || grep -qE "^(unset CDPATH|.*CDPATH='')" "$script" || echo "$script"
	done >"$HERE/without"
	run cat "$HERE/without"
	assert_output ''
}

@test "build: the version where git refuses the directory, is not there, or knows no commit; a worktree" {
	a_checkout
	git -C checkout worktree add -q ../tree 2>/dev/null
	assert_equal "$(version tree)" "1.0~git20261130.$commit"
	sum=$(cksum checkout/.git/index)
	if [ "$(id -u)" -eq 0 ]; then
		chown -R nobody checkout
		run git -C checkout rev-parse HEAD
		assert_failure # or this shows nothing
	fi
	touch checkout/Makefile
	assert_equal "$(version checkout)" "1.0~git20261130.$commit"
	assert_equal "$(cksum checkout/.git/index)" "$sum" # nothing is written there
	# without git: plain, but what is known already stays
	mkdir bin
	for tool in sh cat date dirname; do
		ln -s "$(command -v $tool)" bin/
	done
	assert_equal "$(PATH=$HERE/bin checkout/scripts/version 1.0~git)" 1.0~git
	version checkout file
	PATH=$HERE/bin checkout/scripts/version 1.0~git file
	assert_equal "$(cat file)" "1.0~git20261130.$commit"
	git init -q new
	cp -r checkout/scripts new/
	assert_equal "$(version new)" 1.0~git
}

@test "build: library, p11shim-info and the command tell the same version; it is asked for once" {
	a_checkout
	rm -rf checkout
	copy checkout
	cp "$ROOT/.gitattributes" checkout/
	git init -q checkout
	git -C checkout add .
	git -C checkout -c user.name=a -c user.email=a@b commit -q -m first
	# a git that counts
	mkdir bin
	printf '#!/bin/sh\necho x >>"%s/asked"\nexec "%s" "$@"\n' "$HERE" "$(command -v git)" >bin/git
	chmod +x bin/git
	PATH=$HERE/bin:$PATH LIMIT=100 make_in checkout -s B=build build/shim/entrance/version.o
	[ "$(wc -l <asked)" -le 4 ]
	expected=$(version checkout)
	[[ $expected == 1.0~git*.*([0-9a-f]) ]]
	strings checkout/build/shim/entrance/version.o | grep -xF "libp11shim $expected"
	# nothing is made anew while it is the same
	touch -d 2020-01-01 checkout/build/shim/version
	make_in checkout -s B=build build/shim/version
	assert_equal "$(date -r checkout/build/shim/version +%Y)" 2020
	# and of what is under test
	name=$("$BUILD/p11shim-info" --version)
	[[ $name == 'p11shim-info '* ]]
	run bash -c 'strings "$1" | grep "^libp11shim "' - "$BUILD/libp11shim.so"
	assert_output "libp11shim ${name#* }"
	readelf --string-dump=.note.libp11shim "$BUILD/libp11shim.so" | grep -qF "libp11shim ${name#* }"
	# where strip leaves it, and costs a process nothing
	strip -o stripped "$BUILD/libp11shim.so"
	strings stripped | grep -qxF "libp11shim ${name#* }"
}

@test "build: a VERSION that a shell would misread is refused" {
	for wrong in '1 0' '1;0' "1'0" '' '`x`'; do
		run make_in "$ROOT" -n B="$HERE/b" VERSION="$wrong" all
		assert_failure 2
		assert_output --partial 'VERSION: '
	done
}

# ---- What is inside

# Left to make check-all. It changes with a version of what is inside.
# bats test_tags=all
@test "build: the SBOM names what is inside with versions and licences, and is the same each time" {
	need_program jq
	make_in "$ROOT" -s B="$HERE/b" sbom
	jq -e '.spdxVersion == "SPDX-2.3" and .dataLicense == "CC0-1.0" and .SPDXID == "SPDXRef-DOCUMENT"
		and (.documentNamespace | test("^https://[^#]+$"))
		and (.creationInfo.created | test("^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$"))
		and (.creationInfo.creators | length > 0)
		and all(.packages[]; .SPDXID and .name and .downloadLocation and .licenseDeclared)' b/libp11shim.spdx.json
	version=$(cat b/shim/version)
	run jq -r '.packages[] | [.name, .versionInfo, .licenseConcluded] | join(" ")' b/libp11shim.spdx.json
	assert_line "libp11shim $version BSD-3-Clause"
	assert_line --regexp '^inih [0-9.]+ BSD-3-Clause$'
	assert_line "uthash $(sed -n 's/^#define UTHASH_VERSION //p' /usr/include/uthash.h) BSD-1-Clause"
	run jq -r '.relationships[] | [.spdxElementId, .relationshipType, .relatedSpdxElement] | join(" ")' b/libp11shim.spdx.json
	assert_line 'SPDXRef-DOCUMENT DESCRIBES SPDXRef-libp11shim'
	assert_line 'SPDXRef-libp11shim STATIC_LINK SPDXRef-inih'
	assert_line 'SPDXRef-libp11shim CONTAINS SPDXRef-uthash'
	cp b/libp11shim.spdx.json first
	TZ=Asia/Tokyo LC_ALL=C.UTF-8 make_in "$ROOT" -s B="$HERE/b" sbom
	cmp first b/libp11shim.spdx.json
	SOURCE_DATE_EPOCH=1700000000 make_in "$ROOT" -s B="$HERE/b" sbom
	jq -e '.creationInfo.created == "2023-11-14T22:13:20Z"' b/libp11shim.spdx.json
	for wrong in 999999999999 -1 1e9 'now - 1 day' 253402300800; do
		rm b/libp11shim.spdx.json
		SOURCE_DATE_EPOCH=$wrong run make_in "$ROOT" -s B="$HERE/b" sbom
		assert_failure 2
		assert_line "sbom: SOURCE_DATE_EPOCH is not a number of seconds since 1970, before the year 10000: $wrong"
		[ ! -e b/libp11shim.spdx.json ]
		touch b/libp11shim.spdx.json
	done
	SOURCE_DATE_EPOCH=253402300799 make_in "$ROOT" -s B="$HERE/b" sbom
	jq -e '.creationInfo.created == "9999-12-31T23:59:59Z"' b/libp11shim.spdx.json
	make_in "$ROOT" -s B="$HERE/b" INIH_VERSION="it's; touch $HERE/executed" sbom
	jq -e '.packages[] | select(.name == "inih").versionInfo | startswith("its; touch")' b/libp11shim.spdx.json
	[ ! -e executed ]
	# another inih than the package's
	make_in "$ROOT" -s B="$HERE/b" INIH='-L/usr/lib -linih' sbom
	jq -e '.packages[] | select(.name == "inih").versionInfo == "NOASSERTION"' b/libp11shim.spdx.json
	make_in "$ROOT" -s B="$HERE/b" DESTDIR="$HERE/stage" PREFIX=/usr install-sbom
	jq -e . stage/usr/share/doc/libp11shim/libp11shim.spdx.json >json
	make_in "$ROOT" -s B="$HERE/b" DESTDIR="$HERE/stage" PREFIX=/usr uninstall-sbom
	[ ! -e stage/usr/share/doc/libp11shim ]
}

# ---- Directories

@test "build: a build directory below the checkout may be given by its full name, wherever that lies" {
	# a file of another name would be an object
	odd="a b: c's \"d\" \$e %f,g=h #i (ü)"
	copy "$odd"
	mv "$odd" real
	ln -s real "$odd" # by a name that is not the directory's own, too
	mv real "real $odd"
	rm "$odd"
	ln -s "real $odd" "$odd"
	for name in "$odd" "real $odd"; do
		make_in "$name" -s B="$HERE/$name/build" build/shim/base/text.o build/shim/settings/builtin.o
		[ -e "$name/build/shim/base/text.o" ]
		make_in "$name" -s B="$HERE/$name/build" clean
		[ ! -e "$name/build" ]
	done
	run make_in "$ROOT" B="$HERE/a:b" all
	assert_failure 2
	assert_output --partial 'B: no blanks'
	[ ! -e "$HERE/a:b" ]
}

@test "build: a checkout whose name has a line break is refused before anything is done" {
	copy $'a\nb'
	for goal in all install clean demo; do
		run make_in $'a\nb' DESTDIR="$HERE/stage" $goal
		assert_failure 2
		assert_output --partial 'line break'
	done
	[ ! -e $'a\nb/build' ] && [ ! -e stage ]
}

# bats test_tags=all
@test "build: everything is made, installed and shown in a directory with blanks, colons and letters" {
	need_token
	goals='tests fork bench-programs' # in the second nothing is new but the colon
	for name in 'Größe mit Leer' 'a:b, c'; do
		copy "$name"
		# shellcheck disable=SC2086 # words
		LIMIT=1000 run make_in "$name" -s -j2 $goals
		assert_success
		assert_output ''
		goals='all programs doors'
		run make_in "$name" -s DESTDIR="$HERE/stage" PREFIX=/usr install
		assert_success
		[ -x stage/usr/bin/p11shim ] && [ -e stage/usr/lib/libp11shim.so ]
		# all is made: nothing that is of the machine is asked for
		TMPDIR="$HERE/$name" LIMIT=600 run timeout 600 "$name/scripts/demo" "$name/build" "$name/build/libp11shim.so"
		assert_success
		assert_line --partial 'none with it.'
		run find "$name" /tmp -maxdepth 1 -name 'p11shim-demo.*' -user "$(id -u)"
		assert_output ''
		LD_LIBRARY_PATH="$HERE/stage/usr/lib" run "$name/build/doors/quiet"
		assert_success
		rm -rf "$name" stage
	done
}
