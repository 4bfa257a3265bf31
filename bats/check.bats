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
	mkdir -p "$MADE" "$PLACE/bin" "$PLACE/lib/p11shim" "$PLACE/share/p11shim"
	command_tree "$TREE"
	cp "$ROOT/scripts/p11shim" "$PLACE/bin"
	cp -r "$ROOT"/scripts/command/p11shim-*.sh "$ROOT/config" "$PLACE/share/p11shim"
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
		assert_line --regexp "^beware  audit: $HERE/$tag names .*does not execute it"
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
		assert_line --regexp '^beware  interpreter: .*does not execute that'
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

# Left to make check-all. make check has #!/usr/bin/env with a program and no options.
# bats test_tags=all
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

@test "contract J1: check: #!/usr/bin/env that does not tell the interpreter; run preloads nevertheless" {
	export SHELL_HERE=/bin/sh
	gcc -o printing "$ROOT/tests/wrapper/specimen.c"
	export PATH=$HERE:$PATH
	for line in '-S "printing"' "-S 'printing' 3" '-S print\cing' '-S ${SHELL_HERE}' '-S --no-such-option printing'; do
		script quotes "/usr/bin/env $line"
		run p11shim check ./quotes
		assert_success
		assert_line --regexp '^beware  interpreter: p11shim cannot tell'
		assert_line 'p11shim run ./quotes: may work'
	done
	script quotes '/usr/bin/env -S "printing"'
	run --separate-stderr p11shim run ./quotes
	assert_output "$TREE/build/libp11shim.so"
	assert_equal "$stderr" ''
}

@test "contract J1: check: as many scripts, one led to by another, as the kernel follows" {
	ln -s /bin/sh 0
	for level in 1 2 3 4 5 6; do
		script $level "$HERE/$((level - 1))"
	done
	for way in check run; do
		run p11shim $way ./5
		assert_success
		run p11shim $way ./6
		assert_failure
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

# ---- Links

# beside DIRECTORY: a program there that needs a library of DIRECTORY/lib, by $ORIGIN.
beside() {
	mkdir -p "$1/lib"
	gcc -shared -fPIC -o "$1/lib/libneeded.so" -x c - <<<'int needed(void) { return 0; }'
	gcc -o "$1/program" -x c - -x none -L"$1/lib" -lneeded -Wl,-rpath,'$ORIGIN/lib' <<<'int needed(void); int main(void) { return needed(); }'
}

@test "contract J1: check: behind symbolic links the directory of the file itself is \$ORIGIN" {
	beside place/bin
	mkdir -p alternatives usr/bin 'with blank'
	ln -s "$HERE/place/bin/program" absolute
	ln -s place/bin/program relative
	ln -s "$HERE/place/bin/program" alternatives/tool
	ln -s ../../alternatives/tool usr/bin/tool
	ln -s place/bin directory
	ln -s ../usr/bin/tool 'with blank/the tool'
	for program in ./place/bin/program ./absolute ./relative usr/bin/tool directory/program 'with blank/the tool'; do
		"$program"
		run p11shim check "$program"
		assert_success
		assert_line --regexp '^good    loads: '
		run --separate-stderr p11shim run "$program"
		assert_success
		assert_equal "$stderr" ''
	done
	PATH=$HERE/usr/bin:$PATH run p11shim check tool
	assert_success
	# a script whose interpreter is behind one
	script interpreted "$HERE/usr/bin/tool"
	run p11shim check ./interpreted
	assert_success
	assert_line --regexp '^good    loads: '
	# but what is missing there is missing
	rm place/bin/lib/libneeded.so
	run p11shim check usr/bin/tool
	assert_failure 1
	assert_line --regexp '^cannot  loads: .*libneeded.so'
}

@test "contract J1: check: java and keytool, which lie behind two links" {
	need_program java
	for program in java keytool "$(command -v java)"; do
		run p11shim check "$program"
		assert_success
		assert_line --regexp '^good    loads: '
	done
	run p11shim run java -version
	assert_success
}

@test "contract J1: check: a link that bears the name of what clears the environment, to a file that does several things" {
	cp "$MADE/specimen" several
	ln -s several su
	run p11shim check ./su
	assert_failure 1
	assert_line --regexp '^cannot  environment: su '
	run p11shim check ./several
	assert_success
}

# ---- Privileges

@test "contract J1: check: under no_new_privs the bits for set-uid and set-gid mean nothing" {
	need_root "make a program of another user"
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
	assert_line "module  card.so: $HERE/card.so, through NSS: $HOME/.pki/nssdb/pkcs11.txt; the library leaves it alone: exclude = yes ($HERE/settings.conf:2)"
	assert_line "module  other.so: $HERE/other.so, through NSS: $HOME/.pki/nssdb/pkcs11.txt"
}

# ---- What starts it

# unit NAME LINE...: a unit of the system's, by SYSTEMD_UNIT_PATH; what begins with [ as it is.
unit() {
	export SYSTEMD_UNIT_PATH=$HERE/first/system:$HERE/second/system
	mkdir -p "$(dirname "$1")"
	printf '%s\n' '[Unit]' 'ExecStart=/not/this' '[Service]' "${@:2}" >"$1"
}

@test "contract J1: check: units that start the program are named, with file and line, and what to write" {
	library=$TREE/build/libp11shim.so
	unit second/system/plain.service 'User=nobody' "ExecStart=$MADE/specimen 3"
	unit second/system/prefix.service "ExecStartPre=-+$MADE/specimen" 'ExecStart=/bin/true'
	unit second/system/quoted.service "ExecStart=@\"$MADE/specimen\" name \\" '# in between' '   more'
	unit second/system/behind.service "ExecStart=/usr/bin/env A=b $MADE/specimen"
	unit second/system/shell.service "ExecStart=/bin/sh -c 'exec $MADE/specimen \"\$A\"'"
	unit second/system/other.service "ExecStart=/bin/true $MADE/specimen" "#ExecStart=$MADE/specimen" "ExecReload=$MADE/specimen"
	ln -s "$MADE/specimen" link
	unit second/system/linked.service "ExecStart=$HERE/link"
	ln -s plain.service second/system/alias.service
	ln -s /dev/null second/system/null.service
	mkfifo second/system/pipe.service
	mkdir second/system/multi-user.target.wants
	ln -s ../plain.service second/system/multi-user.target.wants/plain.service
	run p11shim check "$MADE/specimen"
	assert_success
	assert_line "start   plain.service: $HERE/second/system/plain.service:5 starts it without the library (ExecStart=); instead: write [Service] and, below that, Environment=LD_PRELOAD=$library into $HERE/second/system/plain.service.d/p11shim.conf (systemctl edit plain.service makes such a file); then systemctl daemon-reload, and restart it"
	assert_line --regexp '^start   prefix.service: .*/prefix.service:4 starts it .*\(ExecStartPre=\)'
	assert_line --regexp '^start   quoted.service: .*/quoted.service:4 '
	assert_line --regexp '^start   behind.service: '
	assert_line --regexp '^start   shell.service: '
	assert_line --regexp '^start   linked.service: '
	refute_line --partial other.service
	assert_equal "$(grep -c '^start ' <<<"$output")" 6
	assert_line --index -1 "p11shim run $MADE/specimen: works"
	# another program's are none of ours
	run p11shim check true
	refute_line --partial plain.service
	# nor does it help where nothing does
	gcc -static -o static "$ROOT/tests/wrapper/specimen.c"
	unit second/system/static.service "ExecStart=$HERE/static"
	run p11shim check ./static
	assert_failure 1
	refute_line --regexp '^start '
}

@test "contract J1: check: of units the first directory counts, and what is dropped in" {
	unit second/system/masked.service "ExecStart=$MADE/specimen"
	unit first/system/masked.service 'ExecStart=/bin/true'
	unit second/system/null.service "ExecStart=$MADE/specimen"
	ln -s /dev/null first/system/null.service
	unit second/system/reset.service "ExecStart=$MADE/specimen"
	unit first/system/reset.service.d/a.conf 'ExecStart=' 'ExecStart=/bin/true'
	unit second/system/changed.service 'ExecStart=/bin/true'
	unit second/system/changed.service.d/b.conf 'ExecStart=' "ExecStart=$MADE/specimen"
	unit second/system/back.service "ExecStart=$MADE/specimen"
	unit second/system/back.service.d/a.conf 'ExecStart=' 'ExecStart=/bin/true'
	: >first/system/back.service
	rm first/system/back.service
	mkdir -p first/system/back.service.d
	: >first/system/back.service.d/a.conf # which hides the other
	unit second/system/at@.service "ExecStart=$MADE/specimen %i"
	unit second/system/done.service "ExecStart=$MADE/specimen"
	unit first/system/done.service.d/p11shim.conf 'Environment=A=b "LD_PRELOAD=libp11shim.so"'
	run p11shim check "$MADE/specimen"
	assert_success
	for none in masked null reset; do
		refute_line --partial $none.service
	done
	assert_line --regexp "^start   changed.service: $HERE/second/system/changed.service.d/b.conf:5 "
	assert_line --regexp "^start   back.service: "
	assert_line --regexp "^start   at@.service: "
	assert_line "start   done.service: $HERE/second/system/done.service:4 starts it with the library already ($HERE/first/system/done.service.d/p11shim.conf:4)"
}

@test "contract J1: check: it heeds what else a unit says: LD_PRELOAD, what is hidden, another root" {
	library=$TREE/build/libp11shim.so
	unit second/system/fine.service "ExecStart=$MADE/specimen" NoNewPrivileges=yes MemoryDenyWriteExecute=yes ProtectHome=read-only \
		PrivateTmp=no ProtectSystem=strict
	unit second/system/taken.service "ExecStart=$MADE/specimen" 'Environment=LD_PRELOAD=/other.so'
	unit second/system/unset.service "ExecStart=$MADE/specimen" 'UnsetEnvironment=A LD_PRELOAD'
	unit second/system/hidden.service "ExecStart=$MADE/specimen" 'InaccessiblePaths=-/opt '"${TREE%/*}"
	unit second/system/root.service "ExecStart=$MADE/specimen" 'RootDirectory=/srv/root'
	unit second/system/log.service "ExecStart=$MADE/specimen" 'Environment=P11SHIM_LOG=/tmp/log' PrivateTmp=yes
	unit second/system/home.service "ExecStart=$MADE/specimen" 'Environment="P11SHIM_TRACE=/home/x/a trace"' ProtectHome=tmpfs
	run p11shim check "$MADE/specimen"
	assert_success
	assert_line --regexp '^start   fine.service: .*fine.service:4 starts it without the library \(ExecStart=\); instead: '
	assert_line --regexp "^start   taken.service: .*; instead: change LD_PRELOAD in $HERE/second/system/taken.service:5 into LD_PRELOAD=$library:/other.so; then"
	assert_line --regexp '^start   unset.service: .*UnsetEnvironment= \(.*unset.service:5\) takes LD_PRELOAD away'
	assert_line --regexp '^start   hidden.service: .*InaccessiblePaths=.* hides the library'
	assert_line --regexp '^start   root.service: .*RootDirectory=/srv/root .*another file system'
	assert_line --regexp '^start   log.service: .*P11SHIM_LOG=/tmp/log is hidden'
	assert_line --regexp '^start   home.service: .*P11SHIM_TRACE=/home/x/a trace is hidden'
	unit second/system/percent.service "ExecStart=$MADE/specimen" 'Environment=LD_PRELOAD=%h/lib/a.so'
	echo 'LD_PRELOAD="/x/libp11shim.so"' >variables
	unit second/system/file.service "ExecStart=$MADE/specimen" "EnvironmentFile=-$HERE/variables" Environment=LD_PRELOAD=/y.so
	unit second/system/files.service "ExecStart=$MADE/specimen" 'EnvironmentFile=/etc/default/%p'
	mkdir -m 700 closed
	cp -r "$PLACE" closed/place
	unit second/system/user.service "ExecStart=$MADE/specimen" User=nobody
	unit second/system/root.service "ExecStart=$MADE/specimen" User=root
	run closed/place/bin/p11shim check "$MADE/specimen"
	assert_line --regexp "^start   user.service: .*the user \(nobody\) cannot reach the library, since $HERE/closed is closed"
	refute_line --regexp '^start   root.service: .* may not get'
	unit second/system/a-b.service "ExecStart=$MADE/specimen"
	unit second/system/a-.service.d/x.conf 'Environment=LD_PRELOAD=libp11shim.so'
	unit second/system/ab.service "ExecStart=$MADE/specimen"
	unit second/system/without.service "ExecStart=$MADE/specimen" 'Environment=LD_PRELOAD=libp11shim.so' UnsetEnvironment=LD_PRELOAD
	unit second/system/strict.service "ExecStart=$MADE/specimen" 'Environment=P11SHIM_LOG=/var/log/x' ProtectSystem=strict
	unit second/system/dynamic.service "ExecStart=$MADE/specimen" 'Environment=P11SHIM_LOG=/tmp/x' DynamicUser=yes
	# by another name
	unit second/system/named.service "ExecStart=$MADE/specimen"
	ln -s named.service second/system/called.service
	unit first/system/called.service.d/x.conf 'Environment=LD_PRELOAD=libp11shim.so'
	for name in named.service called.service; do
		run p11shim check $name
		assert_line --regexp '^start   .* with the library already'
	done
	run p11shim check "$MADE/specimen"
	assert_line --regexp '^start   (named|called).service: .* with the library already'
	assert_line --regexp "^start   percent.service: .* into LD_PRELOAD=$library:%h/lib/a.so;"
	assert_line --regexp "^start   file.service: .* with the library already \($HERE/variables\)"
	assert_line --regexp '^start   files.service: .*does not read EnvironmentFile=/etc/default/%p,'
	assert_line --regexp '^start   a-b.service: .* with the library already'
	assert_line --regexp '^start   ab.service: .* without the library'
	assert_line --regexp '^start   without.service: .* without the library .* takes LD_PRELOAD away.*; instead: take LD_PRELOAD out of'
	assert_line --regexp '^start   strict.service: .*P11SHIM_LOG=/var/log/x cannot be written by it, unless'
	assert_line --regexp '^start   dynamic.service: .*P11SHIM_LOG=/tmp/x is hidden'
	case $TREE in
	/tmp/* | /var/tmp/*) assert_line --regexp '^start   dynamic.service: .*DynamicUser=yes \(.*\) hides the library' ;;
	esac
	case $TREE in
	/tmp/* | /var/tmp/*) assert_line --regexp '^start   log.service: .*PrivateTmp=yes \(.*log.service:6\) hides the library' ;;
	esac
}

@test "contract J1: check: .desktop files that start the program" {
	mkdir -p share/applications/sub home/.local/share/applications home/.config/autostart
	export XDG_DATA_DIRS=$HERE/share:/nonexistent
	entry() {
		printf '%s\n' '[Desktop Entry]' 'Type=Application' "${@:2}" >"$1"
	}
	entry share/applications/one.desktop "Exec=$MADE/specimen %U" '[Desktop Action new]' "Exec=$MADE/specimen --new" '[Other]' "Exec=$MADE/specimen"
	entry share/applications/sub/quoted.desktop "Exec=\"$MADE/specimen\" \"a b\""
	entry share/applications/env.desktop "Exec=env A=b $MADE/specimen"
	entry share/applications/lost.desktop "Exec=env -i A=b $MADE/specimen"
	entry share/applications/word.desktop "Exec=env LD_PRELOAD=/x/foo.so $MADE/specimen"
	entry share/applications/preloaded.desktop "Exec=env LD_PRELOAD=libp11shim.so nice -n 5 $MADE/specimen"
	entry share/applications/bus.desktop "Exec=$MADE/specimen" DBusActivatable=true
	entry share/applications/try.desktop "TryExec=$MADE/specimen" 'Exec=/usr/bin/wrapped'
	entry share/applications/over.desktop "Exec=$MADE/specimen"
	entry home/.local/share/applications/over.desktop 'Exec=/bin/true'
	entry share/applications/done.desktop "Exec=p11shim run --log stderr -- $MADE/specimen"
	entry share/applications/gone.desktop "Exec=$MADE/specimen" Hidden=true
	entry home/.local/share/applications/own.desktop "Exec=specimen"
	entry home/.config/autostart/auto.desktop "Exec=$MADE/specimen"
	export XDG_CONFIG_HOME=$HERE/home/.config PATH=$MADE:$PATH
	run p11shim check specimen
	assert_success
	assert_line "start   one.desktop: $HERE/share/applications/one.desktop:3 starts it without the library (Exec=); instead: change line 3 into Exec=$TREE/scripts/p11shim run -- $MADE/specimen %U (likewise line 5)"
	assert_line --regexp '^start   sub-quoted.desktop: .*run -- ".*/specimen" "a b"$'
	assert_line --regexp '^start   env.desktop: .*run -- env A=b .*/specimen$'
	assert_line --regexp "^start   lost.desktop: .*: env -i takes LD_PRELOAD away; instead: write .*p11shim run -- before $MADE/specimen in line 3"
	assert_line --regexp "^start   word.desktop: .*without the library .*; instead: write .*p11shim run -- before $MADE/specimen in line 3"
	assert_line --regexp '^start   preloaded.desktop: .* with the library already'
	assert_line --regexp '^start   bus.desktop: .*without this line.*dbus-1/services/bus.service'
	assert_line --regexp '^start   try.desktop: .*:4 .*run -- /usr/bin/wrapped$'
	assert_line "start   done.desktop: $HERE/share/applications/done.desktop:3 starts it with the library already"
	assert_line --regexp '^start   own.desktop: .*run -- specimen$'
	assert_line --regexp '^start   auto.desktop: '
	refute_line --partial over.desktop
	refute_line --partial gone.desktop
	assert_equal "$(grep -c '^start ' <<<"$output")" 11
	# what is told works
	line=$(sed -n 's/^start   env.desktop: .* into Exec=//p' <<<"$output")
	run sh -c "$line"
	assert_output "$TREE/build/libp11shim.so"
	# p11shim is enough, if PATH leads to it
	ln -s "$P11SHIM" p11shim
	PATH=$HERE:$PATH run p11shim check specimen
	assert_line --partial 'into Exec=p11shim run -- specimen'
}

@test "contract J1: check: a unit or a .desktop file instead of a program, by its name or path" {
	unit second/system/signer.service "ExecStartPre=/bin/true" "ExecStart=$MADE/specimen"
	unit second/system/at@.service "ExecStart=$MADE/specimen"
	unit second/system/nothing.service
	unit second/system/percent.service 'ExecStart=/opt/%i/bin'
	mkdir -p share/applications
	printf '[Desktop Entry]\nExec=specimen %%u\n' >share/applications/menu.desktop
	export XDG_DATA_DIRS=$HERE/share PATH=$MADE:$PATH
	for name in signer.service at@one.service "$HERE/second/system/signer.service" ./second/system/signer.service; do
		run p11shim check "$name"
		assert_success
		assert_line "program $name -> $MADE/specimen"
		assert_line --regexp '^good    loads: '
		assert_line --regexp '^start   (signer|at@).service: '
		assert_line --index -1 "p11shim run $MADE/specimen: works"
		assert_equal "$(grep -c '^start ' <<<"$output")" 1
	done
	for name in menu.desktop ./share/applications/menu.desktop; do
		run p11shim check "$name"
		assert_success
		assert_line "program $name -> $MADE/specimen"
	done
	mkdir share/applications/kde
	printf '[Desktop Entry]\nExec=specimen\n' >share/applications/kde/k.desktop
	run p11shim check kde-k.desktop
	assert_line "program kde-k.desktop -> $MADE/specimen"
	assert_line --regexp '^start   kde-k.desktop: '
	run p11shim check singer.service
	assert_failure 2
	assert_output 'p11shim: no such unit: singer.service; did you mean signer.service?'
	run p11shim check signer.socket
	assert_output --partial 'did you mean signer.service?'
	for name in nothing.service percent.service no-such.service no-such.desktop; do
		run --separate-stderr p11shim check $name
		assert_failure 2
		assert_equal "$output" ''
		[[ $stderr == *$name* ]]
	done
	# a program of such a name is one
	cp "$MADE/specimen" prog.service
	PATH=$HERE:$PATH run p11shim check prog.service
	assert_success
	assert_line "program $HERE/prog.service"
	run p11shim check ./prog.service
	assert_line 'p11shim run ./prog.service: works'
	# other shells read them alike
	expected=$(p11shim check specimen)
	for shell in bash 'busybox sh' mksh 'zsh --emulate sh'; do
		command -v "${shell%% *}" >/dev/null || continue
		# shellcheck disable=SC2086 # words
		run timeout 60 $shell "$P11SHIM" check specimen
		assert_output "$expected"
	done
}

# units_of: of standard input, LINE|PART OF WHAT IS SAID: a unit for each, that has LINE for its
# ExecStart=; check of the program PROG finds them all.
units_of() {
	local number=0 line said saying=() otherwise='starts it without the library \(ExecStart=\); instead: write \[Service\]'
	while IFS='|' read -r line said; do
		number=$((number + 1))
		unit second/system/u$number.service Type=oneshot "ExecStart=${line//PROG/$MADE/specimen}"
		saying[number]=${said:-$otherwise}
	done
	run p11shim check "$MADE/specimen"
	for line in "${!saying[@]}"; do
		assert_line --regexp "^start   u$line.service: .*${saying[line]}"
	done
}

@test "contract J1: check: units whose line has env with options, other starters, or a shell" {
	units_of <<-TABLE
		/usr/bin/env -u FOO PROG|
		env --unset=FOO -C / A=b PROG|
		env -S "PROG x"|
		env -i A=b PROG|env -i takes LD_PRELOAD away; instead: write $P11SHIM run -- before .*specimen in
		env - PROG|takes LD_PRELOAD away
		env -uLD_PRELOAD PROG|takes LD_PRELOAD away
		env -i $P11SHIM run PROG|with the library already
		env LD_PRELOAD=libp11shim.so PROG|with the library already
		env LD_PRELOAD=/x/foo.so PROG|without .*; instead: change LD_PRELOAD in .*:5 into LD_PRELOAD=.*libp11shim.so:/x/foo.so
		nice -n 5 PROG|
		nice -n5 ionice -c 3 timeout -k 3 30 PROG|
		stdbuf -oL setpriv --reuid 5 --clear-groups PROG|
		start-stop-daemon --start --quiet --exec PROG -- -x|
		sh -c 'A=1 PROG'|
		sh -c 'LD_PRELOAD=libp11shim.so exec PROG'|with the library already
		sh -l -c 'cd / && umask 077; export X=1; exec PROG >/dev/null 2>&1'|
		sh -c 'PROG;true'|
		sh -c 'mkdir -p /x && exec PROG \$\$HOME'|
	TABLE
	while read -r line; do
		unit second/system/unsure.service "ExecStart=${line//PROG/$MADE/specimen}"
		run p11shim check unsure.service
		assert_success
		assert_line --regexp "^program unsure.service -> .*/${line%% *}\$"
		assert_line --regexp '^beware  script: p11shim cannot tell from that line what (env|nice|sh -c) starts'
		assert_line --regexp '^start   unsure.service: .*cannot tell from that line'
		assert_line --index -1 "p11shim run ${line%% *}: may work"
	done <<-'LINES'
		env --no-such PROG
		sh -c '${FOO} PROG'
		sh -c 'mkdir /x; PROG'
		sh -c 'no_such_function 3'
		sh -c 'exec `x`'
		env
		nice -n
	LINES
}

@test "contract J1: check: units whose line has percent signs, escapes, several commands, or a script" {
	for name in 'odd%name' sig 'a b'; do
		ln -s "$MADE/specimen" "$name"
	done
	script app.py /bin/sh
	units_of <<-TABLE
		$HERE/odd%%name
		$HERE/s\\x69g
		$HERE/s\\151g
		$HERE/a\\040b
		$HERE/a\\sb
		/bin/true ; PROG
	TABLE
	rm second/system/*
	unit second/system/line.service "ExecStart=/usr/bin/python3 -u $HERE/app.py"
	unit second/system/other.service "ExecStart=/bin/sh $HERE/app.py"
	run p11shim check ./app.py
	assert_line --regexp '^start   line.service: '
	assert_line --regexp '^start   other.service: '
	# where the instance is named it is known
	texts=("$HERE/%i" "$HERE/%I")
	[ ! -x /root ] || texts+=("%h/../${HERE#/}/%i") # %h of a unit of the system's
	for text in "${texts[@]}"; do
		unit second/system/g@.service "ExecStart=$text"
		run p11shim check g@sig.service
		assert_success
		assert_line --regexp '^start   g@.service: '
	done
	mkdir -p home/.config/systemd/user
	printf '[Service]\nExecStart=%%h/../sig\n' >home/.config/systemd/user/sig-me.service
	XDG_CONFIG_HOME=$HOME/.config run p11shim check sig-me.service
	assert_line "program sig-me.service -> $HOME/../sig"
	unit second/system/sig.service "ExecStart=$HERE/%p %%n"
	unit second/system/x-sig.service "ExecStart=$HERE/%j"
	for name in sig x-sig; do
		run p11shim check $name.service
		assert_line "program $name.service -> $HERE/sig"
	done
}

@test "contract J1: check: what units start a script, that env starts, is told of the script" {
	script behind '/usr/bin/env sh'
	unit second/system/shell.service 'ExecStart=/bin/sh -c true'
	unit second/system/behind.service "ExecStart=$HERE/behind"
	run p11shim check ./behind
	assert_line --regexp '^start   behind.service: '
	refute_line --partial shell.service
	# the PATH of its line is not that of others
	mkdir bin
	ln -s "$MADE/specimen" bin/only-here
	script path "/usr/bin/env -S PATH=$HERE/bin only-here"
	mkdir -p share/applications
	printf '[Desktop Entry]\nExec=path\n' >share/applications/path.desktop
	XDG_DATA_DIRS=$HERE/share PATH=$HERE:$PATH run p11shim check ./path
	assert_line --regexp '^start   path.desktop: '
}

@test "contract J1: check: many units take no time, and files too large or too many are left out" {
	unit second/system/last.service "ExecStart=$MADE/specimen"
	for number in {1..600}; do
		echo $'[Service]\nExecStart=/bin/true' >"second/system/u$number.service"
	done
	{
		echo '[Service]'
		head -c 400000 /dev/zero | tr '\0' '#'
		printf '\nExecStart=%s\n' "$MADE/specimen"
	} >second/system/huge.service
	run timeout 30 "$P11SHIM" check "$MADE/specimen"
	assert_success
	assert_line --regexp '^start   last.service: '
	refute_line --partial huge.service
}

# ---- Word sizes

@test "contract J2: check: without a source directory it does not say to run make there" {
	need_compiler gcc -m32
	gcc -m32 -o small "$ROOT/tests/wrapper/specimen.c"
	run "$PLACE/bin/p11shim" check ./small
	assert_failure 1
	assert_line --regexp '^cannot  machine: .*; instead: install libp11shim for i386 \(Debian: the package libp11shim:i386\)'
	run p11shim check ./small
	assert_line --regexp '^cannot  machine: .*; instead: run make ARCH=i386'
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

# is_plain: nothing in $output and $stderr that a terminal obeys, and all of it UTF-8.
is_plain() {
	printf '%s\n' "$output" "${stderr-}" >shown
	iconv -f UTF-8 -t UTF-8 shown >/dev/null
	! grep -qaP '[\x00-\x09\x0b-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80[\xa8-\xae]|\xe2\x81[\xa6-\xa9]' shown || return 1
}

@test "contract J1: check: names in files and variables, and what the dynamic linker says, come to a terminal as text" {
	local evil=$'Größe日本\e]0;title\a\xc2\x9b31m\x9b\xff\xe2\x80\xae\xe2\x81\xa6\xe2\x80\xa8\x7f'
	local shown='Größe日本?]0;title??31m??????'
	cp "$MADE/specimen" "p$evil"
	run --separate-stderr p11shim check "./p$evil"
	assert_success
	is_plain
	assert_line --index -1 "p11shim run ./p$shown: works"
	# a library that is not there, by its name, which the dynamic linker says
	gcc -shared -fPIC -Wl,-soname,"lib$evil.so" -o libgone.so -x c - <<<'int gone(void) { return 0; }'
	gcc -o needing -x c - -x none -L. -lgone <<<'int gone(void); int main(void) { return gone(); }'
	run --separate-stderr p11shim check ./needing
	assert_failure 1
	is_plain
	assert_line --regexp '^cannot  loads: .*Größe日本\?'
	# variables
	gcc -shared -fPIC -o "own$evil.so" -x c /dev/null
	gcc -shared -fPIC -o "audit$evil.so" -x c - <<<'unsigned la_version(unsigned version) { return version; }'
	LD_PRELOAD="$HERE/own$evil.so" LD_AUDIT="$HERE/audit$evil.so" run --separate-stderr p11shim check "$MADE/specimen"
	assert_success
	is_plain
	assert_line --regexp '^beware  preload: .*Größe日本\?'
	assert_line --regexp '^beware  audit: .*Größe日本\?'
	# .module files, NSS's and OpenSSL's, and settings
	mkdir -p "home/.config/pkcs11/modules" home/.pki/nssdb
	echo "module: /opt/p11$evil.so" >"home/.config/pkcs11/modules/a$evil.module"
	echo "library=/opt/nss$evil.so" >home/.pki/nssdb/pkcs11.txt
	printf '[a]\nMODULE_PATH = /opt/ssl%s.so\n' "$evil" >"openssl$evil.cnf"
	printf '[*]\nexclude = yes\n' >"settings$evil.conf"
	gcc -o user "$ROOT/tests/wrapper/specimen.c" -Wl,--no-as-needed "$(find_module libnss3.so)" -lp11-kit -lcrypto ||
		gcc -o user "$ROOT/tests/wrapper/specimen.c" -Wl,--no-as-needed "$(find_module libnss3.so)"
	XDG_CONFIG_HOME=$HERE/home/.config OPENSSL_CONF="$HERE/openssl$evil.cnf" P11SHIM_CONFIG="$HERE/settings$evil.conf" \
		run --separate-stderr p11shim check ./user
	assert_success
	is_plain
	assert_line --regexp '^module  nssGröße日本\?.*leaves it alone'
	# units and menus
	mkdir -p home/.config/systemd/user home/.local/share/applications
	printf '[Service]\nExecStart=%s %s\nEnvironment="LD_PRELOAD=/%s"\n' "$MADE/specimen" "$evil" "$evil" \
		>"home/.config/systemd/user/u$evil.service"
	printf '[Desktop Entry]\nExec=%s %s\n' "$MADE/specimen" "$evil" >"home/.local/share/applications/d$evil.desktop"
	XDG_CONFIG_HOME=$HERE/home/.config run --separate-stderr p11shim check "$MADE/specimen"
	assert_success
	is_plain
	assert_line --regexp '^start   uGröße日本\?.*\.service: '
	assert_line --regexp '^start   dGröße日本\?.*\.desktop: '
	run --separate-stderr p11shim check "home/.local/share/applications/d$evil.desktop"
	is_plain
	run --separate-stderr p11shim check "$evil"
	assert_failure 2
	is_plain
	run --separate-stderr p11shim check "$evil.service"
	is_plain
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
