#!/usr/bin/env bats
# `p11shim check`: that it executes nothing of what it looks at, and is right about it.
# What it says of ordinary programs is in wrapper.bats.
#
# Single quotes hold programs for other shells; each test has its own PATH; stderr is run's:
# shellcheck disable=SC2016,SC2030,SC2031,SC2154

load helper
bats_require_minimum_version 1.5.0

# $TREE is a copy of a checkout, as in wrapper.bats; $PLACE one that is installed.
setup_file() {
	export MADE=$BATS_FILE_TMPDIR/made TREE=$BATS_FILE_TMPDIR/tree PLACE=$BATS_FILE_TMPDIR/place
	mkdir -p "$MADE" "$TREE/shim" "$TREE/build" "$PLACE/bin" "$PLACE/lib/p11shim" "$PLACE/share/p11shim"
	cp -r "$ROOT/scripts" "$ROOT/config" "$ROOT/Makefile" "$TREE"
	cp "$ROOT/shim/libp11shim.map" "$TREE/shim"
	cp "$SHIM" "$TREE/build/libp11shim.so"
	cp "$BUILD/p11shim-info" "$TREE/build"
	cp "$ROOT/scripts/p11shim" "$PLACE/bin"
	cp -r "$ROOT"/scripts/p11shim-*.sh "$ROOT/config" "$PLACE/share/p11shim"
	cp "$SHIM" "$PLACE/lib/libp11shim.so"
	gcc -o "$MADE/specimen" "$ROOT/tests/wrapper/specimen.c"
	gcc -shared -fPIC -o "$MADE/audit.so" "$ROOT/tests/wrapper/audit.c"
	chmod a+rx "$BATS_RUN_TMPDIR" "$BATS_FILE_TMPDIR/.." "$BATS_FILE_TMPDIR"
}

setup() {
	P11SHIM=$TREE/scripts/p11shim
	HERE=$(realpath "$BATS_TEST_TMPDIR")
	cd "$HERE" || return
	export MARK=$HERE/was-executed HOME=$HERE/home LC_ALL=C
	unset XDG_RUNTIME_DIR
}

p11shim() {
	timeout -k 5 60 "$P11SHIM" "$@"
}

# script NAME LINE: one that says its name when it runs.
script() {
	printf '#!%s\necho "$0"\n' "$2" >"$1"
	chmod +x "$1"
}

# patch FILE OFFSET BYTES, in octal: '\377\1'
patch() {
	# shellcheck disable=SC2059 # a format
	printf "$3" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

# Where the program header of a type begins: header FILE TYPE
header() {
	readelf -hlW "$1" | awk -v type="$2" '
		/Start of program headers/ { at = $5 }
		/Size of program headers/ { each = $5 }
		/^  [A-Z_]+ +0x/ { if ($1 == type) print at + each * n; n++ }'
}

# ---- Nothing is executed

@test "contract J1: check: an auditor that the program names is not executed" {
	for tag in audit depaudit; do
		gcc -o $tag "$ROOT/tests/wrapper/specimen.c" "-Wl,--$tag,$MADE/audit.so"
		run p11shim check ./$tag
		assert_success
		[ ! -e was-executed ]
		assert_line --regexp "^beware  audit: $HERE/$tag names .*not asked"
		assert_line "p11shim run ./$tag: may work"
	done
	run p11shim run ./audit
	assert_output "$TREE/build/libp11shim.so"
}

@test "contract J1: check: an auditor that cannot be ruled out, in a damaged dynamic section, is not executed" {
	gcc -o audit "$ROOT/tests/wrapper/specimen.c" "-Wl,--audit,$MADE/audit.so"
	# the dynamic linker goes by its address (16 bytes on), whatever is said of the offset (8)
	patch audit $(($(header audit DYNAMIC) + 8)) '\0\0\0\0'
	run p11shim check ./audit
	assert_success
	[ ! -e was-executed ]
	assert_line 'p11shim run ./audit: may work'
}

@test "contract J1: check: what the caller tells the dynamic linker does not reach it when it is asked" {
	LD_AUDIT=$MADE/audit.so run p11shim check "$MADE/specimen"
	assert_success
	[ ! -e was-executed ]
	assert_line --regexp '^beware  audit: LD_AUDIT is set'
	assert_line --regexp '^good    loads: '
	gcc -shared -fPIC -o libmodule.so -x c - <<<'int C_GetFunctionList(void **list) { return !list; }'
	gcc -o linked "$ROOT/tests/wrapper/linked.c" -Wl,-rpath,"$HERE" -L. -lmodule
	LD_DEBUG_OUTPUT=$HERE/debug LD_PROFILE=libmodule.so LD_PROFILE_OUTPUT=$HERE run p11shim check ./linked
	assert_failure 1
	assert_line --regexp '^cannot  linked: '
	run ls
	assert_output $'libmodule.so\nlinked'
}

@test "contract J1: check: a dynamic linker is the system's own by where its name leads" {
	cp "$MADE/specimen" evil
	for path in "/lib/../..$HERE/evil" /usr/lib/../bin/env; do
		gcc -o climbs "$ROOT/tests/wrapper/specimen.c" -Wl,--dynamic-linker="$path"
		run p11shim check ./climbs
		assert_success
		[ ! -e was-executed ]
		assert_line --regexp '^beware  interpreter: .*which was not asked'
		assert_line 'p11shim run ./climbs: may work'
	done
	gcc -fsanitize=address -o sanitized "$ROOT/tests/wrapper/specimen.c" -Wl,--dynamic-linker="$HERE/evil"
	run p11shim check ./sanitized
	[ ! -e was-executed ]
	assert_line --regexp "^beware  sanitizer: .*LD_PRELOAD='libasan.so[.0-9]* $TREE"
}

# ---- Scripts

@test "contract J1: check: #!/usr/bin/env that takes LD_PRELOAD away" {
	for line in '-S -i sh' '-iS sh' '-S - sh' '-S -u LD_PRELOAD sh' '-S -uLD_PRELOAD sh' '-S -viuHOME sh' \
		'-S --unset=LD_PRELOAD sh' '-S --unset LD_PRELOAD sh' '-S --ignore-environment sh' \
		'-S A=b LD_PRELOAD= sh' '-S env -i sh' '-S /usr/bin/env LD_PRELOAD=/nowhere.so sh' \
		'--split-string=-i sh' '-vS-i sh'; do
		script without "/usr/bin/env $line"
		run p11shim check ./without
		assert_failure 1
		assert_line --regexp '^cannot  environment: .*/without .*LD_PRELOAD.*; instead: .*p11shim run .*sh '
	done
	run --separate-stderr p11shim run ./without
	assert_output ./without
	[[ $stderr == *LD_PRELOAD*nevertheless* ]]
	# what is told instead works
	run p11shim run sh ./without
	assert_output ./without
}

@test "contract J1: check: #!/usr/bin/env whose rest is one word, and what env splits itself" {
	for line in 'sh -e' '-u HOME sh' 'A=b sh' '-i' ''; do
		script one "/usr/bin/env $line"
		run p11shim check ./one
		assert_failure 1
		assert_line --regexp '^cannot  (interpreter|environment): '
	done
	script one '/usr/bin/env sh -e'
	run p11shim check ./one
	assert_line --regexp '^cannot  interpreter: .*one word.*; instead: .*env -S sh -e'
	for line in sh 'sh ' '-S sh -e' '-Ssh' '-vS -u HOME A=b sh -e' '-S -uHOME -C / sh' '--split-string=sh' '-S env -u HOME env sh -e'; do
		script several "/usr/bin/env $line"
		run p11shim check ./several
		assert_success
		assert_line --regexp '^program ./several -> /.*/sh$'
		assert_line 'p11shim run ./several: works'
	done
	mkdir bin
	ln -s /bin/sh bin/only-here
	script path "/usr/bin/env -S PATH=$HERE/bin only-here"
	run p11shim check ./path
	assert_line "program ./path -> $HERE/bin/only-here"
}

@test "contract J1: check: #!/usr/bin/env from which the interpreter cannot be told; run preloads nevertheless" {
	export SHELL_HERE=/bin/sh
	gcc -o printing "$ROOT/tests/wrapper/specimen.c"
	export PATH=$HERE:$PATH
	for line in '-S "printing"' "-S 'printing' 3" '-S print\cing' '-S ${SHELL_HERE}' '-S --no-such-option printing'; do
		script quotes "/usr/bin/env $line"
		run p11shim check ./quotes
		assert_success
		assert_line --regexp '^beware  interpreter: .*cannot be told'
		assert_line 'p11shim run ./quotes: may work'
	done
	script quotes '/usr/bin/env -S "printing"'
	run --separate-stderr p11shim run ./quotes
	assert_output "$TREE/build/libp11shim.so"
	assert_equal "$stderr" ''
}

@test "contract J1: check: as many scripts, one led to by another, as the kernel follows" {
	ln -s /bin/sh 0
	for level in 1 2 3 4 5 6 7; do
		script $level "$HERE/$((level - 1))"
		for way in check run; do
			run p11shim $way ./$level
			if [ $level -le 5 ]; then
				assert_success
			else
				assert_failure
			fi
		done
	done
	run p11shim check ./6
	assert_failure 1
	assert_line --regexp '^cannot  interpreter: .*kernel'
	# the kernel counts anew for what env executes, but not without end
	script anew "/usr/bin/env $HERE/5"
	script endless "/usr/bin/env $HERE/endless"
	run p11shim check ./anew
	assert_success
	run p11shim check ./endless
	assert_failure 1
}

@test "contract J1: check: a #! line with a carriage return is told to have one" {
	for line in /bin/sh '/usr/bin/env sh' '/usr/bin/env -S sh'; do
		script returns "$line"$'\r'
		run p11shim check ./returns
		assert_failure 1
		assert_line --regexp '^cannot  interpreter: .*carriage return.*; instead: '
		refute_output --partial $'\r'
	done
}

# ---- Privileges

@test "contract J1: check: under no_new_privs the bits for set-uid and set-gid mean nothing" {
	[ "$(id -u)" -eq 0 ] || skip "only root can make a program of another user"
	cp "$MADE/specimen" set-ids
	chown 12345:12345 set-ids
	chmod ug+s,a+rx set-ids
	chmod a+rx .
	run p11shim check ./set-ids
	assert_failure 1
	run setpriv --no-new-privs timeout 60 "$P11SHIM" check ./set-ids
	assert_success
	assert_line --regexp '^beware  set-uid: .*no_new_privs'
	assert_line --regexp '^beware  set-gid: .*no_new_privs'
	run --separate-stderr setpriv --no-new-privs timeout 60 "$P11SHIM" run ./set-ids
	assert_output "$TREE/build/libp11shim.so"
	assert_equal "$stderr" ''
}

# ---- Settings

@test "contract J1, H4: check: a shim that is switched off is told to be" {
	P11SHIM_DISABLE=1 run p11shim check "$MADE/specimen"
	assert_success
	assert_line --regexp '^beware  disable: .*P11SHIM_DISABLE'
	printf '[*]\ndisable = 1\n' >settings.conf
	P11SHIM_CONFIG=$HERE/settings.conf run p11shim check "$MADE/specimen"
	assert_line --regexp "^beware  disable: .*$HERE/settings.conf:2"
	run p11shim check "$MADE/specimen"
	refute_line --partial disable
}

@test "contract J1, H1: check: a module that is left alone is told to be" {
	mkdir -p home/.pki/nssdb
	gcc -shared -fPIC -o card.so -x c /dev/null
	cp card.so other.so
	printf 'library=%s/card.so\n\nlibrary=%s/other.so\n' "$HERE" "$HERE" >home/.pki/nssdb/pkcs11.txt
	printf '[card.so]\nexclude = yes\n' >settings.conf
	gcc -o user "$ROOT/tests/wrapper/specimen.c" -Wl,--no-as-needed "$(find_module libnss3.so)"
	P11SHIM_CONFIG=$HERE/settings.conf run p11shim check ./user
	assert_success
	assert_line "module  card.so: $HERE/card.so, through NSS: $HOME/.pki/nssdb/pkcs11.txt; left alone: exclude = yes ($HERE/settings.conf:2)"
	assert_line "module  other.so: $HERE/other.so, through NSS: $HOME/.pki/nssdb/pkcs11.txt"
}

# ---- Word sizes

@test "contract J2: check: without a source directory nobody is told to run make there" {
	need_compiler gcc -m32
	gcc -m32 -o small "$ROOT/tests/wrapper/specimen.c"
	run "$PLACE/bin/p11shim" check ./small
	assert_failure 1
	assert_line --regexp '^cannot  machine: .*; instead: install libp11shim for i386 \(Debian: the package libp11shim:i386\)'
	run p11shim check ./small
	assert_line --regexp '^cannot  machine: .*; instead: make ARCH=i386'
}

@test "contract J2: check: libraries that one LD_PRELOAD does not name are told of" {
	need_compiler gcc -m32
	gcc -m32 -o small "$ROOT/tests/wrapper/specimen.c"
	cp -r "$PLACE" apart
	mkdir apart/lib/no-linux-gnu
	gcc -m32 -shared -o apart/lib/no-linux-gnu/libp11shim.so "$ROOT/tests/wrapper/stand-in.c"
	for program in ./small "$MADE/specimen"; do
		run apart/bin/p11shim check "$program"
		assert_success
		assert_line --regexp "^beware  word-size: .*$HERE/apart/lib/no-linux-gnu/libp11shim.so.*; instead: "
	done
	# as the distribution has them
	[ "$(uname -m)" = x86_64 ] || skip "not on this machine"
	for linker in /lib64/ld-linux-x86-64.so.2:lib /lib/ld-linux.so.2:lib/no-linux-gnu; do
		own=$("${linker%:*}" --list-diagnostics | sed -n 's/^dl_dst_lib="\(.*\)"/\1/p')
		mkdir -p "apart/$own"
		mv "apart/${linker#*:}/libp11shim.so" "apart/$own" 2>/dev/null || [ "$own" = "${linker#*:}" ]
	done
	run apart/bin/p11shim check ./small
	assert_success
	refute_line --partial word-size
}

# ---- Files that are not what they say

@test "contract J1: check: control characters of a file do not reach the terminal" {
	local terminal=$'\e]0;title\a\xc2\x9b31m'
	gcc -o colours "$ROOT/tests/wrapper/specimen.c" -Wl,--dynamic-linker="/lib/$terminal"
	script coloured "/bin/$terminal"
	cp "$MADE/specimen" "s$terminal"
	script chained "$HERE/s$terminal"
	for program in colours coloured chained; do
		for command in check run; do
			output=$(p11shim $command ./$program 2>&1) || true
			refute_output --regexp $'[\e\a]|\xc2\x9b'
		done
	done
	run p11shim check ./colours
	assert_line --partial '/lib/?]0;title??31m'
	# but what people write is left as it is
	script umlaut /bin/schön
	run p11shim check ./umlaut
	assert_line --partial /bin/schön
}

@test "contract J1: check: a name of a dynamic linker that the kernel would not read is not read" {
	cp "$MADE/specimen" long
	truncate -s 9M long
	patch long $(($(header long INTERP) + 32)) '\0\0\200'
	run p11shim check ./long
	assert_success
	[ ${#output} -lt 2000 ]
	assert_line --regexp '^beware  unknown: '
	assert_line 'p11shim run ./long: may work'
}

@test "contract J1: check: what is damaged, or a library, is not said to be static" {
	for size in 64 100 600; do
		head -c "$size" "$MADE/specimen" >damaged
		chmod +x damaged
		run p11shim check ./damaged
		assert_success
		assert_line --regexp '^beware  unknown: '
		refute_line --partial static
		assert_line 'p11shim run ./damaged: may work'
	done
	# cut behind the name of its dynamic linker
	head -c 1000 "$MADE/specimen" >damaged
	run p11shim check ./damaged
	refute_line --partial static
	refute_line --regexp ': works$'
	gcc -shared -fPIC -Wl,-soname,library.so -o library.so -x c - <<<'int nothing;'
	run p11shim check ./library.so
	assert_success
	assert_line --regexp '^beware  unknown: .*library.so is a shared library'
	assert_line 'p11shim run ./library.so: may work'
	# of another machine, whose libp11shim.so is here
	need_compiler gcc -m32
	mkdir -p "$TREE/build/i386"
	gcc -m32 -shared -o "$TREE/build/i386/libp11shim.so" "$ROOT/tests/wrapper/stand-in.c"
	gcc -m32 -shared -Wl,-soname,small.so -o small.so -x c - <<<'int nothing;'
	run p11shim check ./small.so
	rm -r "$TREE/build/i386"
	refute_line --partial static
	assert_line --regexp '^beware  unknown: '
}
