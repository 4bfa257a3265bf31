#!/usr/bin/env bats
# Completion of p11shim's command line: the table that is asked by bash, zsh and fish, and each
# of these with it.
#
# Single quotes hold programs for other shells:
# shellcheck disable=SC2016

load helper

setup_file() {
	export TREE=$BATS_FILE_TMPDIR/tree
	command_tree "$TREE"
}

setup() {
	HERE=$(realpath "$BATS_TEST_TMPDIR")
	mkdir "$HERE/files" "$HERE/home"
	cd "$HERE/files" || return
	touch log 'a trace'
	export HOME=$HERE/home PATH=$TREE/scripts:$PATH
	unset XDG_CONFIG_HOME XDG_DATA_HOME
}

# asked WORD...: what p11shim answers, candidates without what they are, directives behind a slash.
asked() {
	timeout 60 p11shim complete -- "$@" | sed -e 's,^\t,/,' -e 's/\t.*//' | tr '\n' '|'
}

@test "contract J1: completion: the table has every command and option that --help tells, and no other" {
	local command

	diff <(p11shim help | sed -n 's/^[ U].*p11shim \([a-z]*\) .*/\1/p' | sort -u) \
		<(asked '' | tr '|' '\n' | grep -v '^--' | sort)
	for command in run check list config report; do
		diff <(p11shim $command --help | grep -oE '^  --[a-z-]+|^Usage.*' | grep -oE -e '--[a-z][a-z-]*' | sort -u | grep -v -e '--help') \
			<(asked $command - | tr '|' '\n' | grep -vx -e '--' -e '--help' | grep . | sort)
	done
}

@test "contract J1: completion: what may follow" {
	mkdir -p "$HOME/.config/pkcs11/modules" "$HOME/.local/share/applications"
	echo "module: $HERE/libmine-p11.so" >"$HOME/.config/pkcs11/modules/mine.module"
	printf 'module: %s\n' "/gone/libmine"$'\033'"x.so" >"$HOME/.config/pkcs11/modules/odd.module"
	touch "$HOME/.local/share/applications/org.mine.Mail.desktop"
	mkdir -p "$HOME/.local/share/applications/kde" "$HOME/.config/systemd/user" "$HERE/units"
	touch "$HOME/.local/share/applications/kde/org.mine.desktop" "$HOME/.config/systemd/user/mine-u.service" "$HERE/units/mine-s.service" \
		"$HERE/units/mine-"$'\e]0;x\a.service' "$HERE/units/mine-a.service"$'\nmine-b.service' "$HERE/units/mine-"$'a\tb.service'
	export SYSTEMD_UNIT_PATH=$HERE/units
	ln -s "$TREE/build/libp11shim.so" "$HERE/libp11-kit.so.0.9"
	echo "module: $HERE/libp11-kit.so.0.9" >"$HOME/.config/pkcs11/modules/kit.module"
	while IFS='|' read -r words expected; do
		# shellcheck disable=SC2086 # words
		run asked $words
		assert_equal "$words: $output" "$words: ${expected//!/|}"
	done <<-'TABLE'
		ch|check!
		run --tr|--trace!--trace-level!
		run --log s|stderr!syslog!/files!
		run --log=s|/prefix --log=!stderr!syslog!/files!
		run --log-level c|calls!
		run --set at|/nospace!at-exit=!
		run --set fork=s|/prefix fork=!strict!
		run --set=fork=s|/prefix --set=!/prefix --set=fork=!strict!
		run --set x*=|
		run --config x|/files!
		run --set fork=strict --observe -- certuti|/program 6!
		run --log x certutil -x lo|/program 4!
		run -- --log|/program 3!
		check org.mi|org.mine.Mail.desktop!/program 2!
		check kde-|kde-org.mine.desktop!/program 2!
		check mine-|mine-s.service!mine-u.service!/program 2!
		config libp11-k|
		list --s|--seconds!
		list --seconds 3|
		config libmine|libmine-p11.so!
		config /x|/files!
		config -- libmine|libmine-p11.so!
		report --html x|/files!
		report a -|--json!--html!--no-symbols!--help!
		report a x|/files!
		help sett|settings!
		no-such x|
	TABLE
}

# ---- bash

# complete_words WORDS: what the last may become, each followed by a bar.
complete_words() {
	PATH=$TREE/scripts:$PATH timeout -k 5 60 bash -c '
		. "$0/scripts/command/p11shim-completion.bash"
		COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
		_p11shim
		printf "%s|" "${COMPREPLY[@]}"' "$TREE" "$@" </dev/null
}

@test "contract J1: completion in bash: commands, options, settings, programs and their arguments" {
	while IFS='|' read -r words expected; do
		# shellcheck disable=SC2086 # words
		run complete_words p11shim $words
		assert_equal "$words: $output" "$words: ${expected//!/|}"
	done <<-'TABLE'
		ch|check!
		run --tr|--trace!--trace-level!
		run --log s|stderr!syslog!
		run --log = sy|syslog!
		run --set at|at-exit=!
		run --set fork = s|strict!
		run --set = fork = s|strict!
		run --trace a|a trace!
		run --set fork = strict --observe -- certuti|certutil!
		run certutil lo|log!
		report --ht|--html!
		help set|settings!
	TABLE
	run complete_words p11shim ''
	assert_output 'run|check|list|config|report|help|--version|--help|'
	run complete_words p11shim run --log-level ''
	assert_output 'life|calls|'
}

@test "contract J1: completion of --set: what is no key is no pattern either" {
	# not among the patterns: a key that there is
	run complete_words p11shim run --set fork = s
	assert_output 'strict|'
	for key in a/b 'x*' '.*' '[' '\(' fork/ ''; do
		run complete_words p11shim run --set "$key" = ''
		assert_output '|'
	done
}

@test "contract J1: completion: words from files are words, and executed by nobody" {
	# the name of a module, as a .module file has it
	run bash -c '
		. "$0/scripts/command/p11shim-completion.bash"
		_p11shim_words "" "\$(touch $PWD/executed) * \`touch $PWD/executed\` one.so
			two.so"
		printf "%s|" "${COMPREPLY[@]}"
		COMPREPLY=()
		_p11shim_words "t*" "two.so"
		printf "%s|" "${COMPREPLY[@]}"' "$TREE"
	assert_output "\$(touch|$PWD/executed)|*|\`touch|$PWD/executed\`|one.so|two.so||"
	[ ! -e executed ]
}

# ---- fish and zsh

@test "contract J1: completion in fish" {
	need_program fish
	# offered COMMAND LINE
	offered() {
		timeout 60 fish --no-config -c 'source $argv[1]; complete -C $argv[2]' \
			"$TREE/scripts/command/p11shim-completion.fish" "$1" | sed 's/\t.*//' | tr '\n' '|'
	}
	while IFS='|' read -r line expected; do
		run offered "$line"
		assert_equal "$line: $output" "$line: ${expected//!/|}"
	done <<-'TABLE'
		p11shim run --tr|--trace!--trace-level!
		p11shim run --log=sy|--log=syslog!
		p11shim run --set fork=s|fork=strict!
		p11shim run --set=at|--set=at-exit=!
		p11shim report a|a trace!
		p11shim run --log-level |calls!life!
		p11shim help sett|settings!
		p11shim run --observe -- printen|printenv!
	TABLE
	run offered 'p11shim run cat lo'
	assert_output --partial 'log|'
	run offered "p11shim run --trace=lo"
	assert_output --partial '--trace=log|'
}

# Left to make check-all. make check has the words from the one source, and bash.
# bats test_tags=all
@test "contract J1: completion in zsh" {
	need_program zsh
	cp "$TREE/scripts/command/p11shim-completion.zsh" ../_p11shim
	cat >../inner <<-'ZSH'
		PS1= fpath=($HERE $fpath)
		autoload -Uz compinit
		compinit -u -D
		finish() {
			print -r -- "$BUFFER" >$HERE/line
			mv $HERE/line $HERE/answer
			BUFFER=
		}
		zle -N finish
		bindkey '^X' finish
		: >$HERE/ready
	ZSH
	cat >../outer <<-'ZSH'
		zmodload zsh/zpty zsh/zselect
		await() {
			for i in {1..3000}; do
				[[ ! -e $1 ]] || return 0
				zselect -t 1
				while zpty -rt inner chunk; do :; done
			done
			return 1
		}
		zpty -b inner zsh -f -i
		zpty -w inner "source $HERE/inner"
		await $HERE/ready || exit 1
		while IFS= read -r line; do
			rm -f $HERE/answer
			zpty -wn inner $line$'\t\x18'
			await $HERE/answer || exit 1
			print -r -- "$line: $(<$HERE/answer)|"
		done
	ZSH
	export HERE
	cat >../lines <<-'LINES'
		p11shim run --obs
		p11shim run --log=sy
		p11shim run --set fork=s
		p11shim run --set=at
		p11shim report a
		p11shim run --trace=lo
		p11shim run --observe -- printen
		p11shim run cat lo
		p11shim help sett
	LINES
	run timeout 120 zsh -f ../outer <../lines
	assert_success
	diff - <(printf '%s\n' "$output") <<-'LINES'
		p11shim run --obs: p11shim run --observe |
		p11shim run --log=sy: p11shim run --log=syslog |
		p11shim run --set fork=s: p11shim run --set fork=strict |
		p11shim run --set=at: p11shim run --set=at-exit=|
		p11shim report a: p11shim report a\ trace |
		p11shim run --trace=lo: p11shim run --trace=log |
		p11shim run --observe -- printen: p11shim run --observe -- printenv |
		p11shim run cat lo: p11shim run cat log |
		p11shim help sett: p11shim help settings |
	LINES
}
