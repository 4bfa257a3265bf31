#!/usr/bin/env bats
# The command p11shim: run, check, list, config, help, installed or not.
#
# What is tested is a copy of the scripts beside the library under test, as in a checkout:
# $TREE. Programs to look at are built once, in $MADE.
#
# Single quotes hold programs for other shells, $(list_tokens) words; each test has its own PATH:
# shellcheck disable=SC2016,SC2046,SC2030,SC2031

load helper
bats_require_minimum_version 1.5.0

setup_file() {
	export MADE=$BATS_FILE_TMPDIR/made TREE=$BATS_FILE_TMPDIR/tree
	mkdir -p "$MADE" "$TREE/build/i386"
	command_tree "$TREE"
	gcc -o "$MADE/specimen" "$ROOT/tests/wrapper/specimen.c"
	# what another user looks at lies here
	chmod a+rx "$BATS_RUN_TMPDIR" "$BATS_FILE_TMPDIR/.." "$BATS_FILE_TMPDIR"
}

setup() {
	need_token
	P11SHIM=$TREE/scripts/p11shim
	HERE=$(realpath "$BATS_TEST_TMPDIR")
	cd "$HERE" || return
	export MARK=$HERE/was-executed HOME=$HERE/home
	unset XDG_RUNTIME_DIR SSH_PKCS11_HELPER
	export LC_ALL=C
}

# p11shim ARGUMENTS: at most a minute. run_split also keeps standard error apart.
p11shim() {
	timeout -k 5 60 "$P11SHIM" "$@"
}

run_split() {
	run --separate-stderr "$@"
}

# as_nobody COMMAND: as a user whom LD_PRELOAD into privileged programs is denied.
as_nobody() {
	chmod a+rx "$HERE"
	setpriv --reuid=65534 --regid=65534 --clear-groups env HOME=/nonexistent XDG_CONFIG_HOME=/nonexistent "$@"
}

# use_module PATH: a .module file of the user's, the only one besides the system's.
use_module() {
	mkdir -p "$HOME/.config/pkcs11/modules"
	echo "module: $1" >"$HOME/.config/pkcs11/modules/$(basename "$1" .so).module"
	export XDG_CONFIG_HOME=$HOME/.config
}

list_tokens() {
	echo p11tool --provider "$SOFTHSM2_MODULE" --list-token-urls
}

# ---- run

@test "contract J1: run p11tool: the same output as without, and the library saw it" {
	run without_shim $(list_tokens)
	expected=$output
	run p11shim run --log log -- $(list_tokens)
	assert_success
	assert_equal "$output" "$expected"
	assert_output --partial token=demo
	grep -q 'consumer=libp11-kit.so.[0-9.]* module=libsofthsm2.so C_Initialize CKR_OK' log
}

@test "contract J1: run sh -c: the library is in the shell and in what it starts" {
	run p11shim run -- sh -c "grep -q libp11shim /proc/\$\$/maps && '$MADE/specimen'"
	assert_success
	assert_output "$TREE/build/libp11shim.so"
}

@test "contract J1: a program that changes directory and executes another: relative files stay where they were meant" {
	mkdir elsewhere
	printf '[*]\nlog-level = calls\n' >settings.conf
	run p11shim run --log log --trace trace --config settings.conf sh -c "cd elsewhere && exec $(list_tokens)"
	assert_success
	run ls elsewhere
	assert_output ''
	grep -q C_GetSlotList log
	grep -q '"name":"C_GetSlotList"' trace
	# those of the environment too
	rm log trace
	P11SHIM_LOG=log P11SHIM_TRACE=trace P11SHIM_CONFIG=settings.conf \
		run p11shim run sh -c "cd elsewhere && exec $(list_tokens)"
	assert_success
	run ls elsewhere
	assert_output ''
	grep -q C_GetSlotList log
	grep -q '"name":"C_GetSlotList"' trace
}

@test "contract J1: an LD_PRELOAD that is there is kept, behind the library; a sanitizer's stays first" {
	library=$TREE/build/libp11shim.so
	gcc -shared -o own.so -x c /dev/null
	gcc -shared -o other.so -x c /dev/null
	gcc -shared -o libasan.so.8 -x c /dev/null
	run env LD_PRELOAD="$HERE/own.so $HERE/other.so" timeout 60 "$P11SHIM" run printenv LD_PRELOAD
	assert_output "$library:$HERE/own.so:$HERE/other.so"
	run env LD_PRELOAD="$HERE/libasan.so.8:$HERE/own.so" timeout 60 "$P11SHIM" run printenv LD_PRELOAD
	assert_output "$HERE/libasan.so.8:$library:$HERE/own.so"
	run env LD_PRELOAD="$HERE/own.so:$HERE/libasan.so.8" timeout 60 "$P11SHIM" run printenv LD_PRELOAD
	assert_output "$library:$HERE/own.so:$HERE/libasan.so.8"
	run p11shim run printenv LD_PRELOAD
	assert_output "$library"
}

@test "contract J1: nothing but the program's way there is done with its LD_PRELOAD" {
	gcc -shared -fPIC -o own.so -x c - <<-'C'
		#define _GNU_SOURCE
		#include <errno.h>
		#include <stdio.h>
		#include <stdlib.h>
		__attribute__((constructor)) static void count(void)
		{
			FILE *file = fopen(getenv("COUNT"), "a");
			fprintf(file, "%s\n", program_invocation_short_name);
			fclose(file);
		}
	C
	COUNT=$HERE/count LD_PRELOAD=$HERE/own.so "$P11SHIM" run --set fork=auto ls >/dev/null
	run cat count
	assert_output $'sh\nenv\nls'
}

@test "contract J1: run inside run adds nothing; another copy of the library gives way" {
	run p11shim run "$P11SHIM" run "$P11SHIM" run printenv LD_PRELOAD
	assert_output "$TREE/build/libp11shim.so"
	cp "$SHIM" libp11shim.so
	run env LD_PRELOAD="$HERE/libp11shim.so" timeout 60 "$P11SHIM" run printenv LD_PRELOAD
	assert_output "$TREE/build/libp11shim.so"
}

@test "contract J1: exit status and signals are the program's own, and no process stays between" {
	run p11shim run "$MADE/specimen" 3
	assert_failure 3
	for signal in TERM KILL SEGV; do
		bash -c 'ulimit -c 0; exec "$@"' - "$P11SHIM" run sh -c "kill -$signal \$\$" &
		status=0
		wait $! || status=$?
		assert_equal "$status" $((128 + $(kill -l $signal)))
	done
	"$P11SHIM" run sh -c 'echo $$ >pid' &
	wait $!
	assert_equal "$(cat pid)" $!
	# ignored signals stay ignored
	run timeout 60 sh -c 'trap "" TERM; exec "$@"' - "$P11SHIM" run sh -c 'kill -TERM $$; echo alive'
	assert_output alive
}

@test "contract J1: standard input is the program's, to the last byte" {
	head -c 100000 /dev/urandom >data
	"$P11SHIM" run cat <data >copy
	cmp data copy
	# nothing is read ahead of a program that reads a line and leaves the rest
	printf 'one\ntwo\n' >lines
	{
		"$P11SHIM" run sh -c 'read -r line; echo "$line"' >first
		cat >rest
	} <lines
	assert_equal "$(cat first)" one
	assert_equal "$(cat rest)" two
}

@test "contract J1: arguments pass as they are: blanks, newlines, quotes, nothing, options, globs" {
	arguments=(' a  b ' $'line\nline\n' '' "it's" '"$HOME"' '*' --help -- \\ $'\t')
	printf '%s\0' "${arguments[@]}" >expected
	"$P11SHIM" run --observe -- /usr/bin/printf '%s\0' "${arguments[@]}" >actual
	cmp expected actual
	"$P11SHIM" run /usr/bin/printf '%s\0' "${arguments[@]}" >actual
	cmp expected actual
}

@test "contract J1: the environment is the program's own but for LD_PRELOAD, whatever its variables are called" {
	variables=("a.b=it's" $'lines.=one\n two\n' 'library=mine' 'program=mine' 'rest=mine' 'log=mine' 'search=mine'
		'directory=mine' 'empty=' 'LC_ALL=POSIX' 'CDPATH=/usr' 'IFS=x' 'BASH_FUNC_f%%=() { echo function; }' 'p11shim_plan=mine')
	env "${variables[@]}" env -0 | sort -z | grep -zv -e '^_=' >expected
	env "${variables[@]}" timeout 60 "$P11SHIM" run env -0 | sort -z | grep -zv -e '^_=' -e '^LD_PRELOAD=' >actual
	diff <(tr '\0' '\n' <expected) <(tr '\0' '\n' <actual)
	grep -zqx "a.b=it's" actual
}

@test "contract J1: what a shell thinks of its environment does not reach the program, whichever is sh" {
	variables=(PATH=/nowhere $'PS1=\001a\002' $'PS4=\\n%s\n' PPID=77 PWD=/ SHLVL=7 LINENO=3 SECONDS=0 RANDOM=1 UID=4 OPTIND=5
		BASH_VERSION=1 BASHOPTS=cmdhist SHELLOPTS=braceexpand version=mine libdir=/mine $'all=\x7f\x80\xff\''
		OPTARG=x OPTERR=0 IFS=0 PS2=b PS3=c ENV=/nonexistent BASH_ENV=/nonexistent POSIXLY_CORRECT=1 CDPATH=/usr MAIL=/x
		MAILPATH=/y MAILCHECK=3 FUNCNAME=f OLDPWD=/etc _=foo HISTSIZE=1 HISTFILE=/x LANG=xx LC_ALL=xx LC_CTYPE=de_DE.UTF-8
		KSH_VERSION=1 EUID=7 GID=3 EGID=9 USERNAME=root GROUPS=2 BASHPID=2 EPOCHSECONDS=1 EPOCHREALTIME=2 SRANDOM=3
		PIPESTATUS=1 DIRSTACK=1 COLUMNS=3 LINES=4 TMOUT=1 HISTCMD=1 TTYIDLE=1 ERRNO=3 PGRP=2 USER_ID=4 PATHSEP=x
		a.b=1 x-y=2 1=2 @=3 status=3 argv=4 path=/x prompt=x options=x ZDOTDIR=/nonexistent FPATH=/x NULLCMD=rm ARGV0=x
		command=x newline=x GLOBIGNORE=* EXECIGNORE=* TIMEFORMAT=x HOSTNAME=x A__z=x .sh.x=1 us=x search=x FOO=)
	missing=''
	for shell in dash bash 'bash --posix' 'busybox sh' mksh 'zsh --emulate sh'; do
		command -v "${shell%% *}" >/dev/null || {
			missing="$missing ${shell%% *}"
			continue
		}
		# shellcheck disable=SC2086 # words
		set -- $(command -v "${shell%% *}") ${shell#"${shell%% *}"}
		run env -i "$@" "$P11SHIM" run /usr/bin/env
		assert_output "LD_PRELOAD=$TREE/build/libp11shim.so"
		env -i "${variables[@]}" /usr/bin/env -0 | sort -z >expected
		env -i "${variables[@]}" "$@" "$P11SHIM" run /usr/bin/env -0 | sort -z | grep -zv '^LD_PRELOAD=' >actual
		diff <(od -c expected) <(od -c actual)
	done
	[ -z "$missing" ] || skip "all but what is not installed here:$missing"
}

@test "contract J1: a shell that has commands of its own by the names of others, or odd options, gives the same environment" {
	# as busybox may have applets that read the shell's own /proc/self/environ
	functions=('BASH_FUNC_od%%=() { cat /dev/null; }' 'BASH_FUNC_awk%%=() { :; }' 'BASH_FUNC_ls%%=() { echo none; }'
		'BASH_FUNC_sed%%=() { :; }' 'BASH_FUNC_env%%=() { echo own; }' 'BASH_FUNC_readlink%%=() { echo /nowhere; }')
	for name in eval exec exit set shift export . return; do
		functions+=("BASH_FUNC_$name%%=() { echo own $name; }")
	done
	for options in '' braceexpand:errexit:allexport:noglob:noclobber:pipefail; do
		variables=("${functions[@]}" a.b=1 OPTIND=5 PWD=/ ${options:+"SHELLOPTS=$options"} BASHOPTS=nocasematch:failglob:nullglob)
		env -i "${variables[@]}" /usr/bin/env -0 | sort -z >expected
		env -i "${variables[@]}" "$(command -v bash)" "$P11SHIM" run --set fork=auto --trace trace /usr/bin/env -0 | sort -z |
			grep -zv -e '^LD_PRELOAD=' -e '^P11SHIM_' >actual
		diff <(od -c expected) <(od -c actual)
	done
}

@test "contract J1: an environment that cannot be worked out is told of, and the program runs" {
	unshare -m true || skip "only root can hide /proc, od or awk"
	for hide in 'mount -t tmpfs none /proc' "mount --bind /dev/null $(readlink -f "$(command -v awk)")"; do
		run_split unshare -m sh -c "$hide"' && exec timeout 60 "$@"' - "$P11SHIM" run printenv LD_PRELOAD
		assert_success
		assert_equal "$output" "$TREE/build/libp11shim.so"
		[[ $stderr == *'may get other values'*'od and awk'* ]]
	done
	run_split unshare -m sh -c "mount --bind /dev/null $(command -v od)"' && exec timeout 60 "$@"' - "$P11SHIM" run true
	assert_failure 2
	[[ $stderr == *'od(1) is missing'* ]]
	run_split p11shim run true
	assert_equal "$stderr" ''
}

@test "contract J1: a program with = in its name, or one called -, has the same environment as others" {
	mkdir bin
	for program in a=b - -x; do
		cp "$(readlink -f "$(command -v env)")" "bin/$program"
	done
	printf 'echo "$0 $*"\n' >bin/c=d
	chmod +x bin/*
	for program in ./bin/a=b a=b ./bin/- - ./bin/-x -x; do
		run env -i PATH="$HERE/bin:/usr/bin:/bin" PWD=/ a.b=1 'A= ' timeout 60 "$P11SHIM" run -- "$program" X=Y
		assert_success
		assert_equal "$(sort <<<"$output")" "$(printf '%s\n' 'A= ' "LD_PRELOAD=$TREE/build/libp11shim.so" \
			"PATH=$HERE/bin:/usr/bin:/bin" PWD=/ X=Y a.b=1)"
	done
	run p11shim run bin/c=d 'e f' =
	assert_output 'bin/c=d e f ='
	run -127 p11shim run no=such
	run -127 p11shim run =
	run -127 p11shim run ''
	run -2 p11shim run -x
	assert_output --partial 'before a program of that name: --'
}

@test "contract J1: -- ends the options, and a program's own options are its own" {
	run p11shim run ls --help
	assert_output --partial 'Usage: ls'
	mkdir bin
	ln -s "$MADE/specimen" bin/--observe
	ln -s "$MADE/specimen" 'bin/a=b'
	PATH=$HERE/bin:$PATH run p11shim run -- --observe 4
	assert_failure 4
	assert_output "$TREE/build/libp11shim.so"
	PATH=$HERE/bin:$PATH run p11shim run a=b 5
	assert_failure 5
	assert_output "$TREE/build/libp11shim.so"
}

@test "contract J1: no such program is 127, one that cannot be executed 126, as with env" {
	echo text >text
	mkdir directory
	ln -s nowhere dangling
	for program in no-such-program ./no-such-program ./dangling ./text ./directory ''; do
		expected=0 actual=0
		env -- "$program" 2>/dev/null || expected=$?
		p11shim run "$program" >output 2>stderr || actual=$?
		assert_equal "$program $actual" "$program $expected"
		[ ! -s output ] && [ -s stderr ]
	done
	# a directory of PATH may hold a file of that name that is none
	mkdir one two
	echo text >one/tool
	printf '#!/bin/sh\necho found\n' >two/tool
	chmod +x two/tool
	PATH=$HERE/one:$HERE/two:$PATH run p11shim run tool
	assert_output found
}

@test "contract J1: a script without #! is run by a shell, with the library" {
	printf 'grep -c -m 1 libp11shim /proc/$$/maps\n' >script
	chmod +x script
	run p11shim run ./script
	assert_success
	assert_output 1
}

@test "contract H4: --observe changes no answer, --set and the other options have their effect" {
	run without_shim "$PROGRAMS/two-plugins"
	expected=$output expected_status=$status
	[ "$expected_status" -ne 0 ]
	run p11shim run --observe --log=log "$PROGRAMS/two-plugins"
	assert_equal "$output" "$expected"
	assert_equal "$status" "$expected_status"
	grep -q 'consumer=plugin-b.so module=libsofthsm2.so C_Initialize CKR_CRYPTOKI_ALREADY_INITIALIZED' log
	run p11shim run "$PROGRAMS/two-plugins"
	assert_success
	{
		rm log
		p11shim run --set exclude=yes --log log $(list_tokens)
		[ ! -e log ]
		p11shim run --set=log=log --set log-level=calls $(list_tokens)
		grep -q C_GetSlotList log
		rm log
		p11shim run --log log --log-level life $(list_tokens)
		grep -q C_Initialize log
		run ! grep C_GetSlotList log
		p11shim run --trace trace --trace-level=life $(list_tokens)
		grep -q '"name":"C_Initialize"' trace
		run ! grep C_GetSlotList trace
		# the last one counts, and an option counts more than a variable
		P11SHIM_LOG=$HERE/no p11shim run --log nor --log log --set log-level=calls --log-level life $(list_tokens)
	}
	[ ! -e no ] && [ ! -e nor ]
	run ! grep C_GetSlotList log
}

@test "contract J1: --trace FILE is of this run alone; a trace of the environment is added to" {
	echo old >trace
	p11shim run --trace trace $(list_tokens)
	run head -n 1 trace
	assert_output '['
	before=$(wc -l <trace)
	P11SHIM_TRACE=$HERE/trace p11shim run $(list_tokens)
	[ "$(wc -l <trace)" -gt "$before" ]
	# no program, no harm
	run -127 p11shim run --trace trace no-such-program
	[ -s trace ]
}

@test "contract J1: --debug says where the trace is, and keeps what was said otherwise" {
	run_split p11shim run --debug sh -c 'echo $$; exec "$@"' - env
	assert_success
	pid=${lines[0]}
	assert_line P11SHIM_ON_CRASH=1
	assert_line P11SHIM_LOG=stderr
	assert_line "P11SHIM_TRACE=$HERE/p11shim-$pid.trace"
	[[ $stderr == *"p11shim report '$HERE/p11shim-$pid.trace'"* ]]
	P11SHIM_LOG=none run_split p11shim run --debug --trace mine env
	assert_line P11SHIM_LOG=none
	assert_line "P11SHIM_TRACE=$HERE/mine"
	# what a file of settings says
	printf '[*]\nlog = %s/its.log\ntrace = %s/its.trace\n' "$HERE" "$HERE" >said.conf
	run_split p11shim run --debug --config said.conf env
	refute_line --regexp '^P11SHIM_(LOG|TRACE)='
	[[ $stderr == *"report '$HERE/its.trace'"* ]]
	run_split p11shim run --debug $(list_tokens)
	assert_success
	[[ $stderr == *'C_Initialize CKR_OK'* ]]
	run grep -c C_Initialize p11shim-*.trace
	assert_success
}

@test "contract J1: --debug speaks of a trace only where there may be one" {
	run_split p11shim run --debug true
	[[ $stderr == *'the trace will be in '*' report '* ]]
	[ "$(echo p11shim-*)" = 'p11shim-*' ] # nor is one made
	run_split p11shim run --debug "$P11SHIM" run --debug true
	assert_equal "$(grep -c 'the trace will be in' <<<"$stderr")" 1
	# nor in / where the current directory is gone
	mkdir gone
	run_split sh -c 'cd gone && rmdir ../gone && exec timeout 60 "$0" run --debug printenv P11SHIM_TRACE' "$P11SHIM"
	[[ $output == ?*/p11shim-*.trace ]]
	rmdir "${output%/*}"
	gcc -static -o static "$ROOT/tests/wrapper/specimen.c"
	run_split p11shim run --debug ./static
	[[ $stderr == *'statically linked'* && $stderr != *trace* ]]
	printf '[*]\nexclude = yes\n' >excluded.conf
	P11SHIM_TRACE=$HERE run_split p11shim run --debug true
	[[ $stderr == *ignored*P11SHIM_TRACE* && $stderr != *'the trace will be in'* ]]
	for setting in '--set disable=1' '--trace none' '--set exclude=yes' '--config excluded.conf'; do
		# shellcheck disable=SC2086 # words
		run_split p11shim run --debug $setting true
		[[ $stderr != *trace* ]]
	done
	run_split -127 p11shim run --debug no-such-program
	[[ $stderr != *trace* ]]
	[ "$(id -u)" -eq 0 ] || skip "all but a set-uid program: only root has one of another user"
	cp "$MADE/specimen" set-uid
	chmod u+s set-uid
	mkdir -m 1777 tmp
	run_split as_nobody env -u MARK TMPDIR="$HERE/tmp" timeout 60 "$P11SHIM" run --debug ./set-uid
	[[ $stderr == *set-uid* && $stderr != *trace* ]]
}

@test "contract J1: hints name the command as it was called, and what they tell can be typed" {
	mkdir 'a place' bin
	cp -r "$TREE" 'a place/tree'
	ln -s "$P11SHIM" bin/p11shim
	ln -s "$P11SHIM" bin/other
	# hint COMMAND...: what stands in the brackets behind a mistake
	hint() {
		run_split "$@" frobnicate
		assert_failure 2
		hint=$(sed -n 's/.*(\(.*\) shows all).*/\1/p' <<<"$stderr")
		run sh -c "$hint"
		assert_success
		assert_output --partial 'Usage: p11shim run'
	}
	hint "$P11SHIM"
	assert_equal "$hint" "$P11SHIM help"
	hint 'a place/tree/scripts/p11shim'
	assert_equal "$hint" "'a place/tree/scripts/p11shim' help"
	hint bin/other
	assert_equal "$hint" 'bin/other help'
	(
		PATH=$HERE/bin:$PATH
		hint p11shim
		assert_equal "$hint" 'p11shim help'
		hint "$TREE/scripts/p11shim"
		assert_equal "$hint" 'p11shim help'
	)
	# one of another installation is not ours
	printf '#!/bin/sh\n' >bin/p11shim-no
	mkdir elsewhere
	cp "$P11SHIM" elsewhere/p11shim
	PATH=$HERE/elsewhere:$PATH hint "$P11SHIM"
	assert_equal "$hint" "$P11SHIM help"
	run_split "$P11SHIM" run --debug $(list_tokens)
	line=$(sed -n 's/.*(to read it: \(.*\))$/\1/p' <<<"$stderr")
	run sh -c "$line"
	assert_success
	assert_output --partial p11tool
	run_split "$P11SHIM" report
	[[ $stderr == *"see $P11SHIM report --help"* ]]
	run_split "$P11SHIM" run
	[[ $stderr == *"($P11SHIM run --help)"* ]]
}

@test "contract J1: names in messages of run, and wrong arguments, come to a terminal as text" {
	local evil=$'Größe日本\e]0;title\a\xc2\x9b31m\x9b\xff\xe2\x80\xae\xe2\x81\xa6\xe2\x80\xa8\x7f'
	mkdir "d$evil"
	printf '[*]\nfork = %s\nmood%s = 1\n' "$evil" "$evil" >"s$evil"
	printf '[*]\nlog = /nonexistent%s/log\n' "$evil" >log.conf
	cp -r "$TREE" "t$evil"
	gcc -static -o "static$evil" "$ROOT/tests/wrapper/specimen.c"
	# told STATUS ARGUMENTS...: with which the command ends
	told() {
		run_split "-$1" p11shim "${@:2}"
		printf '%s\n' "$output" "$stderr" >shown
		iconv -f UTF-8 -t UTF-8 shown >/dev/null
		! LC_ALL=C grep -qaP '[\x00-\x09\x0b-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80[\xa8-\xae]|\xe2\x81[\xa6-\xa9]' shown || return 1
		grep -qF 'Größe日本?]0;title??31m??????' shown
	}
	told 127 run "no-such$evil"
	told 126 run "./d$evil"
	told 2 run "--$evil" true
	told 2 run --log "nowhere$evil/log" true
	told 2 run --log-level "$evil" true
	told 2 run --trace "d$evil" true
	told 2 run --config "no$evil" true
	told 2 run --set "$evil" true
	told 2 run --set "$evil=1" true
	told 2 run --set "fork=$evil" true
	told 0 run --config "s$evil" true
	told 0 run --config log.conf true
	told 0 run "./static$evil"
	told 2 "$evil"
	told 2 help "$evil"
	told 2 help run "$evil"
	told 2 --version "$evil"
	told 2 check "no-such$evil"
	told 2 check "$evil"
	P11SHIM_LOG="/nonexistent$evil/log" told 0 run true
	TMPDIR=$HERE told 0 run --debug --trace "new$evil" true
	P11SHIM="t$evil/scripts/p11shim" told 2 run
	P11SHIM="t$evil/scripts/p11shim" told 2 "$evil"
}

@test "contract J1: --debug follows no symbolic link that another user has laid for it" {
	mkdir -m 1777 shared
	mkdir own tmp
	echo precious >victim
	for place in shared own; do
		# no other process has our number while this shell becomes p11shim
		run timeout 60 bash -c 'cd "$1" && ln -s "$2" "p11shim-$$.trace" && TMPDIR=../tmp exec "$3" run --debug "${@:4}"' \
			- "$place" "$HERE/victim" "$P11SHIM" $(list_tokens)
		assert_equal "$(cat victim)" precious
	done
	run timeout 60 bash -c 'cd shared && TMPDIR=$1 exec "$2" run --debug printenv P11SHIM_TRACE' - "$HERE/tmp" "$P11SHIM"
	assert_success
	assert_line --regexp "^$HERE/tmp/p11shim\.[A-Za-z0-9]+/p11shim-[0-9]+\.trace\$"
	run stat -c %a "$HERE"/tmp/p11shim.*
	assert_line --index 0 700
}

@test "contract J1: files that cannot be written or read are told before the program starts, with 2" {
	chmod 755 "$HERE"
	mkdir closed
	touch closed/old
	chmod 755 closed
	chmod 644 closed/old
	for wrong in '--log nowhere/log' '--trace nowhere/trace' '--log .' '--trace=.' '--log ' '--trace=' \
		'--config nothing' '--config .' '--set log=nowhere/log' '--set trace=.'; do
		run_split p11shim run "${wrong%%[ =]*}" "${wrong#*[ =]}" "$MADE/specimen"
		assert_failure 2
		assert_equal "$output" ''
		[ -n "$stderr" ]
	done
	[ ! -e was-executed ]
	# nor can one file be both, wherever that is set
	echo '{}' >old
	ln -s old link
	printf '[*]\ntrace = %s\n' "$HERE/old" >settings
	for wrong in '--log new --trace ./new' '--log old --trace link' '--set log=old --set trace=old' '--log old --config settings'; do
		# shellcheck disable=SC2086 # words
		run_split p11shim run $wrong "$MADE/specimen"
		assert_failure 2
		[[ $stderr == *'--log and --trace need different files'* ]]
	done
	P11SHIM_LOG=old run_split p11shim run --trace old "$MADE/specimen"
	assert_failure 2
	assert_equal "$(cat old)" '{}'
	[ ! -e was-executed ]
	P11SHIM_LOG=old P11SHIM_TRACE=link run_split p11shim run "$MADE/specimen"
	assert_success
	[[ $stderr == *'the same file'* ]]
	run p11shim run --log /dev/null --trace /dev/null "$MADE/specimen"
	assert_success
	rm was-executed
	need_other_user "be a user who may not write there (all else was tried)"
	for wrong in '--log closed/old' '--trace closed/old' '--log closed/new' '--trace closed/new'; do
		# shellcheck disable=SC2086 # words
		run_split as_nobody timeout 60 "$P11SHIM" run $wrong "$MADE/specimen"
		assert_failure 2
		[[ $stderr == *'not allowed'* ]]
	done
	[ ! -e was-executed ]
}

# Left to make check-all. make check has the misuse of each subcommand where it is tested.
# bats test_tags=all
@test "contract J1: misuse is told on stderr, with where to look, and 2; help goes to standard output" {
	for wrong in '' 'frobnicate' 'run' 'run --frobnicate true' 'run --log' 'run --set true' 'run --set no-such=1 true' \
		'run --set fork= true' 'run --log-level loud true' 'run --observe=yes true' 'check' 'check a b' 'list x' \
		'check --foo' 'check a --bogus' 'list --seconds 0' 'list --seconds' 'config a b' 'config --bogus' 'help frobnicate' 'help list foo' \
		'--version x' '--help x'; do
		# shellcheck disable=SC2086 # words
		run_split p11shim $wrong
		assert_equal "$wrong: $status" "$wrong: 2"
		assert_equal "$output" ''
		[[ $stderr == 'p11shim: '* || $stderr == 'Usage: p11shim run'* ]]
	done
	# what may have been meant is told
	while IFS='|' read -r wrong text; do
		# shellcheck disable=SC2086 # words
		run_split p11shim $wrong
		assert_equal "$wrong: $status" "$wrong: 2"
		[[ $stderr == *"$text"* ]]
	done <<-'TABLE'
		rum|did you mean run?
		help chek|did you mean check?
		list --inti|did you mean --init?
		run --lo=x true|did you mean --log?
		run --observe=1 true|--observe takes no value
		check ls --jsn|did you mean --json?
	TABLE
	for command in check list config; do
		run_split p11shim $command --json --help
		assert_success
		[[ $output == *"Usage: p11shim $command"* ]]
	done
	for command in run check list config report; do
		run_split p11shim $command --help
		assert_success
		[[ $output == *"Usage: p11shim $command"* ]]
		assert_equal "$stderr" ''
		run_split p11shim help $command
		assert_success
		[[ $output == *"Usage: p11shim $command"* ]]
	done
	run_split p11shim help settings
	assert_success
	for key in fork at-exit log-level trace disable product; do
		assert_line --regexp "^  $key  "
	done
	# each of which can be set
	for key in $(sed -n 's/^  \([a-z][a-z-]*\)  .*/\1/p' <<<"$output"); do
		value=$(sed -n "/^$key = /s///p" "$ROOT/config/p11shim.conf")
		run p11shim run --set "$key=${value:-x}" true
		assert_success
		assert_output ''
	done
	run p11shim --version
	assert_output "p11shim $(sed -n 's/^VERSION *= *//p' "$ROOT/Makefile")"
}

@test "contract J1: what cannot be written to standard output is told, with 2" {
	for command in 'check true' list config help 'complete -- run --l' 'help settings' 'list --help' --help --version 'run --help'; do
		# shellcheck disable=SC2086 # words
		run_split eval "p11shim $command >/dev/full"
		assert_equal "$command: $status" "$command: 2"
		[[ $stderr == *'cannot write to standard output' ]]
	done
	# who reads no further needs no telling
	run_split eval 'p11shim list | read -r _'
	assert_equal "$stderr" ''
}

@test "contract J1: where preloading cannot work run says so, what to do instead, and runs the program" {
	gcc -static -o static "$ROOT/tests/wrapper/specimen.c"
	run_split p11shim run ./static 3
	assert_failure 3
	assert_equal "$output" none
	[[ $stderr == *'statically linked'*'instead: '* ]]
	run_split p11shim run "$MADE/specimen"
	assert_equal "$stderr" ''
}

@test "contract J1: a musl program, which that library would kill, runs without it" {
	need_compiler musl-gcc
	musl-gcc -o musl "$ROOT/tests/wrapper/specimen.c"
	run_split p11shim run ./musl 3
	assert_failure 3
	assert_equal "$output" none
	[[ $stderr == *musl*'instead: '* ]]
	run p11shim check ./musl
	assert_failure 1
	assert_line --partial 'cannot  musl:'
}

# ---- check

@test "contract J1: check: an ordinary program works, is not executed, nor are its libraries" {
	run p11shim check "$MADE/specimen"
	assert_success
	assert_line "good    loads: the dynamic linker of $MADE/specimen loads $TREE/build/libp11shim.so"
	assert_line "p11shim run $MADE/specimen: works"
	refute_output --partial cannot
	[ ! -e was-executed ]
	run p11shim check no-such-program
	assert_failure 2
}

@test "contract J1: check: what cannot be looked at is not said to work" {
	printf 'MZ\0\0' >foreign
	chmod +x foreign
	run p11shim check ./foreign
	assert_line --regexp '^beware  unknown: '
	assert_line 'p11shim run ./foreign: may work'
	# its own dynamic linker is not executed: it may be anything
	ln -s "$MADE/specimen" linker
	gcc -o own -Wl,--dynamic-linker="$HERE/linker" "$ROOT/tests/wrapper/specimen.c"
	run p11shim check ./own
	assert_line --regexp '^beware  interpreter: '
	[ ! -e was-executed ]
	need_other_user "have a program that another user cannot read (all else was tried)"
	cp "$MADE/specimen" closed
	chmod 711 closed
	run as_nobody timeout 60 "$P11SHIM" check ./closed
	assert_success
	assert_line --regexp '^beware  unreadable: '
	assert_line 'p11shim run ./closed: may work'
	run_split as_nobody env -u MARK timeout 60 "$P11SHIM" run ./closed
	assert_equal "$output" "$TREE/build/libp11shim.so"
	assert_equal "$stderr" ''
}

@test "contract J1: check: static" {
	for how in -static -static-pie; do
		gcc $how -o static "$ROOT/tests/wrapper/specimen.c"
		run p11shim check ./static
		assert_failure 1
		assert_line --regexp '^cannot  static: .*statically linked.*; instead: '
		assert_line 'p11shim run ./static: cannot work'
	done
	# a small one that is an AppImage to the kernel's eyes
	printf 'AI\2' | dd of=static bs=1 seek=8 conv=notrunc status=none
	run p11shim check ./static
	assert_line --partial -- --appimage-extract
	[ ! -e was-executed ]
}

@test "contract J1: check: set-uid and set-gid, and that they do not matter to whom they give nothing" {
	need_other_user "make a program of another user"
	cp "$MADE/specimen" set-uid
	chmod u+s set-uid
	run as_nobody timeout 60 "$P11SHIM" check ./set-uid
	assert_failure 1
	assert_line --regexp '^cannot  set-uid: .*; instead: '
	run_split as_nobody env -u MARK timeout 60 "$P11SHIM" run ./set-uid
	assert_success
	assert_equal "$output" none
	[[ $stderr == *set-uid*'instead: '* ]]
	run p11shim check ./set-uid
	assert_success
	assert_line --regexp '^beware  set-uid: '
	run p11shim run ./set-uid
	assert_output "$TREE/build/libp11shim.so"
	cp "$MADE/specimen" set-gid
	chgrp 12345 set-gid
	chmod g+s set-gid
	run p11shim check ./set-gid
	assert_failure 1
	assert_line --regexp '^cannot  set-gid: .*; instead: '
	run p11shim run ./set-gid
	assert_line none
	# without x for the group the bit means something else
	chmod g-x set-gid
	run p11shim check ./set-gid
	assert_success
}

@test "contract J1: check: ssh-agent drops the variable; what is told instead works" {
	[ -g "$(command -v ssh-agent)" ] || skip "ssh-agent is not set-gid here"
	run p11shim check ssh-agent
	assert_failure 1
	assert_line --regexp '^cannot  set-gid: .*drops it for ssh-pkcs11-helper.*SSH_PKCS11_HELPER=FILE'
	printf '#!/bin/sh\nexec "%s" run --log "%s/log" %s\n' "$P11SHIM" "$HERE" \
		"$(sed -n 's/.*exec [^ ]*p11shim run \(.*\)/\1/p' <<<"$output")" >helper
	printf '#!/bin/sh\necho "%s"\n' "$TOKEN_PIN" >askpass
	chmod +x helper askpass
	SSH_PKCS11_HELPER=$HERE/helper run env SSH_ASKPASS="$HERE/askpass" SSH_ASKPASS_REQUIRE=force timeout 60 \
		ssh-agent -P "$(realpath "$SOFTHSM2_MODULE")" ssh-add -s "$SOFTHSM2_MODULE"
	assert_success
	grep -q 'consumer=ssh-pkcs11-help[er]* module=libsofthsm2.so C_Initialize CKR_OK' log
}

@test "contract J1: check: file capabilities" {
	need_other_user "give capabilities to a program"
	need_program setcap
	cp "$MADE/specimen" capable
	setcap cap_net_raw+ep capable || skip "this file system has no capabilities for files, or root may not set them here"
	run as_nobody timeout 60 "$P11SHIM" check ./capable
	assert_failure 1
	assert_line --regexp '^cannot  capabilities: .*cap_net_raw.*; instead: '
	run_split as_nobody env -u MARK timeout 60 "$P11SHIM" run ./capable
	assert_success
	assert_equal "$output" none
	[[ $stderr == *capabilities*'instead: '* ]]
	run p11shim check ./capable
	assert_success
	assert_line --regexp '^beware  capabilities: '
	run p11shim run ./capable
	assert_output "$TREE/build/libp11shim.so"
}

@test "contract J2: a 32-bit program gets the library for it, or is told to have none" {
	need_compiler gcc -m32
	gcc -m32 -o small "$ROOT/tests/wrapper/specimen.c"
	run p11shim check ./small
	assert_failure 1
	assert_line --regexp '^cannot  machine: .*i386.*x86-64.*; instead: .*make ARCH=i386'
	run_split p11shim run ./small 3
	assert_failure 3
	assert_equal "$output" none
	[[ $stderr == *i386*'instead: '* ]]
	[[ $stderr != *ERROR* ]] # of ld.so's
	gcc -m32 -shared -o "$TREE/build/i386/libp11shim.so" "$ROOT/tests/wrapper/stand-in.c"
	run p11shim check ./small
	assert_success
	assert_line --partial "loads $TREE/build/i386/libp11shim.so"
	run_split p11shim run ./small
	assert_equal "$output" "$TREE/build/i386/libp11shim.so"
	assert_equal "$stderr" ''
	rm "$TREE/build/i386/libp11shim.so"
}

@test "contract J1: check: another machine's program" {
	[ "$(uname -m)" != aarch64 ] || skip "that is this machine"
	need_aarch64_compiler
	$compiler -o other "$ROOT/tests/wrapper/specimen.c"
	run p11shim check ./other
	assert_failure 1
	assert_line --regexp '^cannot  machine: .*aarch64.*; instead: .*make ARCH=aarch64'
	# of the other byte order, too: what od says of this machine's words does not matter
	cp other big
	printf '\2' | dd of=big bs=1 seek=5 conv=notrunc status=none
	printf '\0\26' | dd of=big bs=1 seek=18 conv=notrunc status=none
	run p11shim check ./big
	assert_failure 1
	assert_line --regexp '^cannot  machine: .*s390x'
}

@test "contract J1: check: a program with AddressSanitizer, whose library has to be first; run sees to it" {
	gcc -fsanitize=address -o sanitized "$ROOT/tests/wrapper/specimen.c"
	run env LD_PRELOAD="$SHIM" ./sanitized
	assert_failure # what this is all about
	run p11shim check ./sanitized
	assert_success
	assert_line --regexp "^beware  sanitizer: .*libasan.*LD_PRELOAD='/.*/libasan.so[.0-9]* $TREE/build/libp11shim.so'"
	run p11shim run ./sanitized 3
	assert_failure 3
	assert_output "$TREE/build/libp11shim.so"
	# said once if it is there already
	asan=$(ldd ./sanitized | sed -n 's/.*libasan.* => \(.*\) (.*/\1/p')
	LD_PRELOAD=$asan run timeout 60 "$P11SHIM" run ./sanitized
	assert_success
	gcc -fsanitize=address -o tell -x c - <<-'C'
		#include <stdio.h>
		#include <stdlib.h>
		int main(void) { return puts(getenv("LD_PRELOAD")) < 0; }
	C
	for there in '' "$asan"; do
		LD_PRELOAD=$there run timeout 60 "$P11SHIM" run ./tell
		assert_output "$asan:$TREE/build/libp11shim.so"
	done
}

@test "contract J1: check looks through scripts: sh, env python3, options, two levels" {
	gcc -static -o static "$ROOT/tests/wrapper/specimen.c"
	mkdir bin
	ln -s "$(command -v /usr/bin/python3 || command -v python3)" bin/python3
	printf '#!/bin/sh -e\necho done\n' >shell
	printf '#!/usr/bin/env python3\nprint("done")\n' >python
	printf '#!/usr/bin/env -S -u HOME LANG=C python3 -u\nprint("done")\n' >options
	printf '#!%s/shell\n' "$HERE" >two
	printf '#! %s/static 3\n' "$HERE" >static-script
	printf '#!%s/static-script\n' "$HERE" >static-two
	printf '#!%s/nowhere\n' "$HERE" >broken
	printf '#!%s/endless\n' "$HERE" >endless
	chmod +x shell python options two static-script static-two broken endless
	export PATH=$HERE/bin:$PATH
	run p11shim check ./shell
	assert_success
	assert_line 'program ./shell -> /bin/sh'
	assert_line --partial 'beware  script:'
	run p11shim check ./python
	assert_success
	assert_line "program ./python -> $HERE/bin/python3"
	run p11shim check ./options
	assert_line "program ./options -> $HERE/bin/python3"
	run p11shim check ./two
	assert_success
	assert_line "program ./two -> $HERE/shell -> /bin/sh"
	run p11shim check ./static-script
	assert_failure 1
	assert_line --regexp "^cannot  static: $HERE/static is"
	run p11shim check ./static-two
	assert_failure 1
	run p11shim check ./broken
	assert_failure 1
	assert_line --regexp '^cannot  interpreter: '
	run p11shim check ./endless
	assert_failure 1
	run_split p11shim run ./static-two
	assert_failure 3
	[[ $stderr == *'statically linked'* ]]
	run p11shim run ./options
	assert_output 'done'
}

@test "contract J1: check: a program that is linked straight to its module" {
	gcc -o linked "$ROOT/tests/wrapper/linked.c" -Wl,-rpath,"$(dirname "$(realpath "$SOFTHSM2_MODULE")")" \
		-L"$(dirname "$(realpath "$SOFTHSM2_MODULE")")" -l:libsofthsm2.so
	run p11shim check ./linked
	assert_failure 1
	assert_line --regexp "^cannot  linked: $HERE/linked calls C_GetFunctionList of .*/libsofthsm2.so directly.*; instead: "
	# a program that merely has a module among its libraries is not
	gcc -o innocent "$ROOT/tests/wrapper/specimen.c" -Wl,--no-as-needed -Wl,-rpath,"$(dirname "$(realpath "$SOFTHSM2_MODULE")")" \
		-L"$(dirname "$(realpath "$SOFTHSM2_MODULE")")" -l:libsofthsm2.so
	run p11shim check ./innocent
	assert_success
}

@test "contract J1: check: snap and flatpak, in front of the program and in scripts" {
	printf '#!/bin/sh\nif ! [ -x /snap/bin/browser ]; then\n\texit 1\nfi\nexec /snap/bin/browser "$@"\n' >browser
	printf '#!/bin/bash\nexec env A=b snap run browser\n' >second
	printf '#!/bin/sh\n/usr/bin/flatpak run --branch=stable org.example.Mail "$@"\n' >mail
	printf '#!/bin/sh\n# not: exec /snap/bin/browser\necho "see flatpak run"\n' >neither
	cp "$MADE/specimen" snap
	cp "$MADE/specimen" flatpak
	ln -s snap app
	chmod +x browser second mail neither
	for program in browser second snap app; do
		run p11shim check "./$program"
		assert_failure 1
		assert_line --regexp '^cannot  snap: .*; instead: '
	done
	for program in mail flatpak; do
		run p11shim check "./$program"
		assert_failure 1
		assert_line --regexp '^cannot  flatpak: .*; instead: .*flatpak run --filesystem='
	done
	run p11shim check ./neither
	assert_success
}

@test "contract J1: check: programs that clear the environment, an LD_PRELOAD that is taken, a library that does not load" {
	cp "$MADE/specimen" sudo
	run p11shim check ./sudo
	assert_failure 1
	assert_line --regexp '^cannot  environment: sudo .*; instead: .*sudo \.\.\. '"$P11SHIM run PROGRAM"
	gcc -shared -o own.so -x c /dev/null
	run env LD_PRELOAD="$HERE/own.so" timeout 60 "$P11SHIM" check "$MADE/specimen"
	assert_success
	assert_line --regexp "^beware  preload: LD_PRELOAD names other libraries already: $HERE/own.so"
	# one that is of the right kind and cannot be loaded, nor can what it needs be had
	gcc -shared -o "$HERE/libmissing.so" -x c /dev/null
	cp -r "$TREE" broken
	gcc -shared -o broken/build/libp11shim.so -Wl,--no-as-needed "$HERE/libmissing.so"
	rm libmissing.so
	run broken/scripts/p11shim check "$MADE/specimen"
	assert_failure 1
	assert_line --regexp '^cannot  loads: .*libmissing.so'
}

@test "contract J1: check tells which modules the program would meet" {
	use_module "$SOFTHSM2_MODULE"
	run p11shim check p11tool
	assert_success
	assert_line "module  libsofthsm2.so: $SOFTHSM2_MODULE, through p11-kit: $HOME/.config/pkcs11/modules/libsofthsm2.module"
	refute_line --partial gnome-keyring # enable-in: not for this one
	echo 'disable-in: other, p11tool' >>"$HOME/.config/pkcs11/modules/libsofthsm2.module"
	run p11shim check p11tool
	refute_line --partial "$HOME/.config/pkcs11"
	mkdir -p "$HOME/.pki/nssdb"
	printf 'library=\nname=NSS Internal\n\nlibrary=/opt/card.so\nname=Card\n' >"$HOME/.pki/nssdb/pkcs11.txt"
	run p11shim check certutil
	assert_success
	assert_line "module  card.so (not there): /opt/card.so (not there), through NSS: $HOME/.pki/nssdb/pkcs11.txt"
	printf '[pkcs11_section]\nMODULE_PATH = %s\n' "$SOFTHSM2_MODULE" >openssl.cnf
	OPENSSL_CONF=$HERE/openssl.cnf run p11shim check openssl
	assert_success
	assert_line "module  libsofthsm2.so: $SOFTHSM2_MODULE, through OpenSSL: $HERE/openssl.cnf"
	run p11shim check "$MADE/specimen"
	refute_line --partial module
}

# ---- list and config

@test "contract J1: list: name, file, where it is named, what it says of itself" {
	use_module "$SOFTHSM2_MODULE"
	run_split p11shim list
	assert_success
	assert_equal "$stderr" ''
	softhsm=$(sed -n "/^libsofthsm2.so: SoftHSM v2/,/^[^ ]/p" <<<"$output")
	[[ $softhsm == *"  file      $(realpath "$SOFTHSM2_MODULE")"* ]]
	[[ $softhsm == *"  named in  $HOME/.config/pkcs11/modules/libsofthsm2.module"* ]]
	[[ $softhsm == *"Cryptoki 2.40, and no more before it is initialised (CKR_CRYPTOKI_NOT_INITIALIZED)"* ]]
	assert_equal "$(grep -c '^libsofthsm2.so' <<<"$output")" 1
	run p11shim list --init
	assert_line --regexp '^  says      Implementation of PKCS11 2\.[0-9]+, SoftHSM, Cryptoki 2\.40$'
}

@test "contract J1: list survives modules that hang, crash, end the process, write about and leave children" {
	for how in NOTHING HANG CRASH LEAVE; do
		gcc -shared -fPIC -I"$ROOT/shim" -D$how -o "bad-$how.so" "$ROOT/tests/wrapper/module.c"
		use_module "$HERE/bad-$how.so"
	done
	use_module "$HERE/gone.so"
	mkdir -p "$HOME/.pki/nssdb"
	printf 'library=%s\nname=Bad\n' "$HERE/bad-NOTHING.so" >"$HOME/.pki/nssdb/pkcs11.txt"
	start=$SECONDS
	run_split p11shim list --seconds 1
	assert_success
	[ $((SECONDS - start)) -lt 20 ]
	assert_equal "$stderr" ''
	refute_output --partial pollution
	refute_output --partial $'\033'
	of() {
		sed -n "/^$1/,/^[^ ]/p" <<<"$output"
	}
	[[ $(of bad-NOTHING.so) == *'  says      evil?[2J 4.2, Nobody, Cryptoki 2.40'* ]]
	[[ $(of bad-NOTHING.so) == *"  named in  $HOME/.pki/nssdb/pkcs11.txt"* ]]
	[[ $(of bad-HANG.so) == *'  error     no answer within 1 seconds'* ]]
	[[ $(of bad-CRASH.so) == *'  error     crashed when asked: Segmentation fault'* ]]
	[[ $(of bad-LEAVE.so) == *'  error     ended the process when asked'* ]]
	[[ $(of gone.so) == *'  error     not there'* ]]
	run "$TREE/build/p11shim-info" --info "$HERE/bad-NOTHING.so"
	assert_equal "${lines[0]}" $'cryptoki\t2.40'
	assert_equal "${#lines[@]}" 4
	run pgrep -f "p11shim-info.*$HERE"
	assert_output ''
}

@test "contract J1: list: the files of others as they read them: lines ended as in DOS, comments, what is no file" {
	export XDG_CONFIG_HOME=elsewhere # not absolute, so not heeded
	mkdir -p "$HOME/.config/pkcs11/modules" elsewhere/pkcs11/modules "$HOME/.pki/nssdb"
	for module in dos nss soft never; do
		ln -s "$SOFTHSM2_MODULE" "m$module.so"
	done
	printf '# ours\r\nmodule: %s \r\n' "$HERE/mdos.so" >"$HOME/.config/pkcs11/modules/dos.module"
	mkfifo "$HOME/.config/pkcs11/modules/pipe.module"
	echo "module: $HERE/mnever.so" >elsewhere/pkcs11/modules/never.module
	printf 'library=%s\r\nname=Card\r\n' "$HERE/mnss.so" >"$HOME/.pki/nssdb/pkcs11.txt"
	printf '[a]\nMODULE_PATH = %s # the soft one\n[b]\npkcs11-module-path = $ENV::HOME/x.so\n' "$HERE/msoft.so" >openssl.cnf
	export OPENSSL_CONF=$HERE/openssl.cnf
	run timeout 20 "$P11SHIM" list
	assert_success
	for module in dos nss soft; do
		assert_line "  name      $HERE/m$module.so"
	done
	refute_output --partial never
	refute_output --partial ENV
	refute_output --partial 'not there'
	run timeout 20 "$P11SHIM" check p11tool
	assert_success
	assert_line --partial "module  mdos.so: $HERE/mdos.so, through p11-kit"
}

# Left to make check-all. make check runs both where there is room.
# bats test_tags=all
@test "contract J1: list needs no room in TMPDIR; report says that there is none" {
	need_mounts "make a full file system"
	mkdir full
	# nowhere COMMAND: with a TMPDIR that is full; the mount ends with it.
	nowhere() {
		unshare -m sh -c 'mount -t tmpfs -o size=8k none full && head -c 8192 /dev/zero >full/filler
			TMPDIR=$PWD/full exec timeout 60 "$@"' - "$P11SHIM" "$@"
	}
	run p11shim list
	expected=$output
	run nowhere list
	assert_success
	assert_output "$expected"
	p11shim run --trace trace $(list_tokens)
	for form in '' --json '--html page'; do
		# shellcheck disable=SC2086 # words
		run nowhere report $form trace
		assert_failure 1
		assert_output "p11shim report: no room for temporary files in $HERE/full (TMPDIR)"
	done
}

@test "contract H3: config and list show settings as the library has them, and where they come from" {
	mkdir -p "$HOME/.config/p11shim"
	printf '[*]\nlogout = held\n\n[libsofthsm2.so]\nat-exit = retire\n' >"$HOME/.config/p11shim/p11shim.conf"
	use_module "$SOFTHSM2_MODULE"
	from=$HOME/.config/p11shim/p11shim.conf
	P11SHIM_FORK=strict run p11shim config
	assert_success
	assert_line --regexp '^fork  *= strict  *P11SHIM_FORK$'
	assert_line --regexp "^logout  *= held  *$from:2\$"
	assert_line --regexp '^at-exit  *= auto  *built-in p11shim.conf:[0-9]+$'
	run p11shim config "$SOFTHSM2_MODULE"
	assert_line --regexp "^at-exit  *= retire  *$from:5\$"
	assert_line --regexp '^wait  *= forward  *built-in modules.conf:[0-9]+$'
	expected=$output
	run p11shim config libsofthsm2.so
	assert_output "$expected"
	# one that is known by a .module file alone
	ln -s "$SOFTHSM2_MODULE" mplain.so
	use_module "$HERE/mplain.so"
	run p11shim config mplain.so
	assert_output "$expected"
	run_split p11shim config no-such.so
	assert_success
	[[ $stderr == *'not there'* ]]
	assert_line --regexp '^at-exit  *= auto'
	run p11shim list
	softhsm=$(sed -n '/^libsofthsm2.so: /,/^[^ ]/p' <<<"$output")
	[[ $softhsm == *"  setting   at-exit = retire ($from:5)"* ]]
	[[ $softhsm == *'  setting   wait = forward (built-in modules.conf:'* ]]
	[[ $softhsm == *"  setting   logout = held ($from:2)"* ]]
	[[ $softhsm != *'setting   fork'* && $softhsm != *'setting   product'* ]]
}

@test "contract H3: run: a wrong value is told with 2, a mistake in a file is told and ignored" {
	run_split p11shim run --set fork=strikt "$MADE/specimen"
	assert_failure 2
	assert_equal "$output" ''
	[[ $stderr == *'--set: '*'strikt'* ]]
	printf '[*]\nfork = strict\nfork = strikt\nmood = good\n' >settings
	run_split p11shim run --config settings "$MADE/specimen"
	assert_success
	assert_equal "$output" "$TREE/build/libp11shim.so"
	[[ $stderr == *"$HERE/settings:3: "*strikt*"$HERE/settings:4: "*mood* ]]
}

@test "contract H3: run tells mistakes in whatever settings the program will have, and runs it" {
	mkdir -p "$HOME/.config/p11shim" closed
	export XDG_CONFIG_HOME=$HOME/.config
	from=$HOME/.config/p11shim/p11shim.conf
	# told TEXT VARIABLE=VALUE...
	told() {
		run_split env "${@:2}" timeout 60 "$P11SHIM" run "$MADE/specimen" 3
		assert_failure 3
		assert_equal "$output" "$TREE/build/libp11shim.so"
		[[ $stderr == "p11shim: ignored: $1"* ]]
	}
	told 'P11SHIM_FORK: not a value of fork (auto, ' P11SHIM_FORK=bogus
	told "$HERE/nosuch: cannot be read: No such file" P11SHIM_CONFIG=nosuch
	told 'P11SHIM_LOG: no such directory: /nonexistent/' P11SHIM_LOG=/nonexistent/x
	told "P11SHIM_TRACE: a directory, not a file: $HERE/closed" P11SHIM_TRACE=closed
	printf '[*]\nforks = yes\nlog = /nonexistent/x\n' >"$from"
	told "$from:2: no such setting: forks; did you mean fork?"$'\n'"p11shim: ignored: $from:3: no such directory: /nonexistent/" A=
	# an option that is right makes good what a file has wrong
	sed -i 2d "$from"
	run_split p11shim run --log log "$MADE/specimen"
	assert_equal "$stderr" ''
	need_other_user "have a file that another user cannot read (all else was tried)"
	chmod a+rx "$HERE" "$HOME" "$HOME/.config" "$HOME/.config/p11shim"
	chmod 600 "$from"
	run_split as_nobody env -u MARK XDG_CONFIG_HOME="$XDG_CONFIG_HOME" timeout 60 "$P11SHIM" run "$MADE/specimen" 3
	assert_failure 3
	assert_equal "$stderr" "p11shim: ignored: $from: cannot be read: Permission denied"
}

@test "contract H3: config and list show values with tabs in them" {
	use_module "$SOFTHSM2_MODULE"
	printf '[*]\ntrace = a\tb\n' >settings
	export P11SHIM_CONFIG=$HERE/settings
	run p11shim config
	assert_line --regexp "^trace  *= a"$'\t'"b  *$HERE/settings:2\$"
	run p11shim list
	assert_line "  setting   trace = a"$'\t'"b ($HERE/settings:2)"
}

# ---- Where it works

@test "contract J2: from a checkout without a library it says to run make" {
	cp -r "$TREE" new
	rm new/build/libp11shim.so
	run_split new/scripts/p11shim run "$MADE/specimen"
	assert_failure 2
	assert_equal "$output" ''
	[[ $stderr == *"run make in $HERE/new"* ]]
	[ ! -e was-executed ]
}

@test "contract J2: by a symbolic link, by a relative name, through PATH" {
	mkdir -p bin
	ln -s "$P11SHIM" bin/link
	ln -s bin/link second
	run ./second run "$MADE/specimen"
	assert_output "$TREE/build/libp11shim.so"
	PATH=$HERE/bin:$PATH run link run "$MADE/specimen"
	assert_output "$TREE/build/libp11shim.so"
	cd "$TREE/scripts"
	run sh p11shim run "$MADE/specimen"
	assert_output "$TREE/build/libp11shim.so"
}

@test "contract J2: from a path with blanks, which LD_PRELOAD cannot have in it" {
	cp -r "$TREE" "two words: \$LIB"
	cp "$MADE/specimen" 'a program'
	export XDG_RUNTIME_DIR=$HERE/runtime
	mkdir -m 700 runtime
	for _ in once twice; do
		run "two words: \$LIB/scripts/p11shim" run './a program'
		assert_success
		assert_output "$HERE/two words: \$LIB/build/libp11shim.so"
	done
	run "two words: \$LIB/scripts/p11shim" run printenv LD_PRELOAD
	assert_output --regexp "^$HERE/runtime/p11shim/[0-9]+/libp11shim.so\$"
	run "two words: \$LIB/scripts/p11shim" run "two words: \$LIB/scripts/p11shim" run printenv LD_PRELOAD
	assert_output --regexp "^$HERE/runtime/p11shim/[0-9]+/libp11shim.so\$"
	run "two words: \$LIB/scripts/p11shim" check './a program'
	assert_success
	# a directory there that others may write to is not trusted
	chmod 777 runtime/p11shim
	run "two words: \$LIB/scripts/p11shim" run printenv LD_PRELOAD
	refute_output --partial "$HERE/runtime"
	rm -r "$(dirname "$(dirname "$output")")"
	chmod 700 runtime/p11shim
	# nor is one that would be elsewhere after a change of directory
	XDG_RUNTIME_DIR=runtime run "two words: \$LIB/scripts/p11shim" run printenv LD_PRELOAD
	assert_output --regexp "^${TMPDIR:-/tmp}/p11shim-"
	rm -r "$(dirname "$(dirname "$output")")"
}

# Left to make check-all. make check makes such a link (above) where no one interferes.
# bats test_tags=all
@test "contract J2: a link for such a path lies in no directory that others might put something into" {
	cp -r "$TREE" 'two words'
	own=/tmp/p11shim-$(id -u)
	had=$([ ! -e "$own" ] || echo yes)
	# refused NAME=VALUE...: these lead nowhere
	refused() {
		run timeout 60 env -u TMPDIR "$@" 'two words/scripts/p11shim' run printenv LD_PRELOAD
		assert_success
		refute_output --partial "$HERE"
		assert_output --regexp '^(/var)?/tmp/p11shim'
		[ "$(readlink "$output")" = "$HERE/two words/build/libp11shim.so" ]
		run timeout 60 env -u TMPDIR "$@" 'two words/scripts/p11shim' run "$MADE/specimen"
		assert_output "$HERE/two words/build/libp11shim.so"
	}
	# ours, but open to others, itself or above it
	mkdir -m 777 open
	mkdir -m 770 group
	mkdir -m 700 open/below
	mkdir -m 1777 sticky
	mkdir -m 700 sticky/below private
	for directory in open group open/below; do
		refused XDG_RUNTIME_DIR="$HERE/$directory"
		refused TMPDIR="$HERE/$directory"
	done
	refused TMPDIR="$HERE/no-such" XDG_RUNTIME_DIR=relative
	# a link where ours would be
	mkdir -m 700 linked
	ln -s "$HERE/private" linked/p11shim
	ln -s "$HERE/private" "linked/p11shim-$(id -u)"
	refused XDG_RUNTIME_DIR="$HERE/linked"
	refused TMPDIR="$HERE/linked"
	# but these may be used, by their real names
	ln -s private link
	for directory in sticky/below private link; do
		run env XDG_RUNTIME_DIR="$HERE/$directory" timeout 60 'two words/scripts/p11shim' run printenv LD_PRELOAD
		assert_output --regexp "^$(readlink -f "$HERE/$directory")/p11shim/[0-9]+/libp11shim.so\$"
	done
	run env TMPDIR="$HERE/sticky" timeout 60 'two words/scripts/p11shim' run printenv LD_PRELOAD
	assert_output --regexp "^$HERE/sticky/p11shim-$(id -u)/[0-9]+/libp11shim.so\$"
	if [ "$(id -u)" -eq 0 ]; then
		# as with sudo -E or su: all of it another user's
		mkdir -m 700 theirs
		mkdir -m 700 theirs/below
		mkdir -m 700 theirs/ours theirs/ours/deep
		mkdir -m 1777 shared
		mkdir -m 700 shared/p11shim shared/p11shim-0
		chown 65534 theirs theirs/below shared/p11shim shared/p11shim-0
		ln -s "$HERE/private" theirs/link
		chown -h 65534 theirs/link
		for directory in theirs theirs/below theirs/ours theirs/ours/deep shared; do
			refused XDG_RUNTIME_DIR="$HERE/$directory"
			refused TMPDIR="$HERE/$directory"
		done
		# where that leads is ours, and their link no part of it
		run env XDG_RUNTIME_DIR="$HERE/theirs/link" timeout 60 'two words/scripts/p11shim' run printenv LD_PRELOAD
		refute_output --partial theirs
		# nor is a trace put there
		mkdir -m 1777 here
		run_split timeout 60 env -C here TMPDIR="$HERE/theirs" "$P11SHIM" run --debug printenv P11SHIM_TRACE
		assert_success
		refute_output --partial "$HERE"
		rmdir "${output%/*}"
	fi
	[ -n "$had" ] || rm -r "$own"
}

@test "contract J2: in a hostile environment" {
	printf '#!/bin/sh\nexit 9\n' >./sed
	chmod +x ./sed
	mkdir -p usr/scripts
	run env -i MARK="$MARK" "$P11SHIM" run "$MADE/specimen"
	assert_output "$TREE/build/libp11shim.so"
	run env -i PATH=/nowhere "$P11SHIM" run "$MADE/specimen"
	assert_output "$TREE/build/libp11shim.so"
	run env CDPATH="$HERE/usr" IFS=/ POSIXLY_CORRECT=1 LC_ALL=de_DE.UTF-8 GREP_OPTIONS=-v LD_AUDIT= library=/nowhere \
		root=/nowhere prefix=/nowhere here=/nowhere timeout 60 "$P11SHIM" run "$MADE/specimen"
	assert_output "$TREE/build/libp11shim.so"
	run timeout 60 "$P11SHIM" run "$MADE/specimen" 3 <&- 2>&-
	assert_failure 3
	# busybox and bash are sh, too
	for shell in bash 'bash --posix' 'busybox sh'; do
		command -v "${shell%% *}" >/dev/null || continue
		# shellcheck disable=SC2086 # words
		run $shell "$P11SHIM" run "$MADE/specimen" 3
		assert_failure 3
		assert_output "$TREE/build/libp11shim.so"
	done
}

install_there() {
	make -C "$ROOT" --no-print-directory -s B="$BUILD" "$@" install >"$HERE/make" 2>&1 || {
		cat "$HERE/make"
		return 1
	}
}

@test "contract J2: installed: LD_PRELOAD=libp11shim.so is enough, and p11shim works from there" {
	install_there DESTDIR="$HERE/stage" PREFIX=/usr
	# what is installed where it was made for is no business of what was moved
	install_there PREFIX="$HERE/first" LDCONFIG=true
	cp -r first second
	run second/bin/p11shim run printenv LD_PRELOAD
	assert_output "$HERE/second/lib/libp11shim.so"
	# moved as a whole: nothing may refer to where it was made
	mv stage/usr there
	cmp there/lib/libp11shim.so "$BUILD/libp11shim.so"
	mkdir etc
	ln -s "$HERE/there/bin/p11shim" etc/command
	{
		LD_LIBRARY_PATH=$HERE/there/lib LD_PRELOAD=libp11shim.so P11SHIM_LOG=$HERE/log run timeout 60 $(list_tokens)
		assert_success
		grep -q 'C_Initialize CKR_OK' log
		rm log
		run etc/command run --log log --trace trace $(list_tokens)
	}
	assert_success
	assert_output --partial token=demo
	grep -q 'C_Initialize CKR_OK' log
	run there/bin/p11shim run printenv LD_PRELOAD
	assert_output "$HERE/there/lib/libp11shim.so"
	run there/bin/p11shim check "$MADE/specimen"
	assert_success
	run there/bin/p11shim list
	assert_success
	assert_line --partial 'libsofthsm2.so: SoftHSM v2'
	run there/bin/p11shim --version
	assert_output "p11shim $(cat "$BUILD/shim/version")"
	run there/bin/p11shim help settings
	assert_line --regexp '^  fork  '
	run there/bin/p11shim report trace
	assert_success
	assert_output --partial p11tool
	run bash -c '. there/share/bash-completion/completions/p11shim && complete -p p11shim'
	assert_success
}

@test "contract J2: installed with LIBDIR elsewhere, and uninstalled without a trace" {
	install_there PREFIX="$HERE/usr" LIBDIR="$HERE/own/64" LDCONFIG=true
	run usr/bin/p11shim run "$MADE/specimen"
	assert_output "$HERE/own/64/libp11shim.so"
	# not one that has been left in PREFIX/lib, nor its helper, which would say nothing
	mkdir -p usr/lib/p11shim
	cp "$SHIM" usr/lib
	ln -s /bin/true usr/lib/p11shim/p11shim-info
	run usr/bin/p11shim run "$MADE/specimen"
	assert_output "$HERE/own/64/libp11shim.so"
	run usr/bin/p11shim config
	assert_line --regexp '^fork '
	rm -r usr/lib
	make -C "$ROOT" --no-print-directory -s B="$BUILD" PREFIX="$HERE/usr" LIBDIR="$HERE/own/64" LDCONFIG=true uninstall
	run find usr own ! -type d
	assert_output ''
}

@test "contract J2: installed for two word sizes, each program gets its own, whichever program starts it" {
	need_compiler gcc -m32
	gcc -m32 -o small "$ROOT/tests/wrapper/specimen.c"
	[ "$(uname -m)" = x86_64 ] || skip "not on this machine"
	lib64=$(/lib64/ld-linux-x86-64.so.2 --list-diagnostics | sed -n 's/^dl_dst_lib="\(.*\)"/\1/p')
	lib32=$(/lib/ld-linux.so.2 --list-diagnostics | sed -n 's/^dl_dst_lib="\(.*\)"/\1/p')
	install_there DESTDIR="$HERE/stage" PREFIX=/usr LIBDIR="/usr/$lib64"
	mv stage/usr there
	mkdir -p "there/$lib32"
	gcc -m32 -shared -o "there/$lib32/libp11shim.so" "$ROOT/tests/wrapper/stand-in.c"
	run there/bin/p11shim run sh -c "'$MADE/specimen' && ./small"
	assert_success
	assert_line --index 0 "$HERE/there/$lib64/libp11shim.so"
	assert_line --index 1 "$HERE/there/$lib32/libp11shim.so"
	assert_equal "${#lines[@]}" 2
	run there/bin/p11shim run ./small
	assert_output "$HERE/there/$lib32/libp11shim.so"
	# where the dynamic linkers would not find them so, each is named
	mkdir -p there/lib/i386-linux-gnu
	mv "there/$lib32/libp11shim.so" there/lib/i386-linux-gnu/
	run there/bin/p11shim run ./small
	assert_output "$HERE/there/lib/i386-linux-gnu/libp11shim.so"
	run there/bin/p11shim run "$MADE/specimen"
	assert_output "$HERE/there/$lib64/libp11shim.so"
}

# ---- The scripts

# Left to make check-all. It says nothing about what the scripts do.
# bats test_tags=all
@test "the scripts are what they say: shellcheck, executable, options as the manual page has them" {
	run shellcheck -x "$ROOT/scripts/command/p11shim" "$ROOT/scripts/command/p11shim-completion.bash" "$ROOT"/scripts/command/p11shim-*.sh
	assert_output ''
	[ -x "$ROOT/scripts/p11shim" ]
	run p11shim run --help
	for option in --log --log-level --trace --trace-level --observe --debug --config --set; do
		assert_line --regexp "^  $option "
		grep -qF -- "*$option*" "$ROOT/docs/p11shim.1.scd"
		grep -qF -- " $option" "$ROOT/scripts/command/p11shim-complete.sh"
	done
}
