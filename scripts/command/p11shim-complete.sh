# shellcheck shell=sh
# p11shim-complete.sh: what the words of a command line of p11shim may go on as. Part of p11shim,
# read by it for
#
#	p11shim complete -- WORD...
#
# which the completions for bash, zsh and fish ask: the words behind p11shim, the last as far as it
# has come. So there is one table, below, and the shells have only what is theirs. Prints, on lines,
#
#	CANDIDATE<tab>WHAT IT IS      the last word, or the rest of it behind its =
#	<tab>prefix TEXT              which part of the last word that is to stand behind
#	<tab>files                    names of files will do, too
#	<tab>program N                the Nth word is a program: it, and what follows, as without us
#	<tab>nospace                  a candidate is not yet the whole word
#
# From p11shim and its other parts come tab, settings_text and others (SC2154).
# shellcheck disable=SC2154

# COMMAND OPTION VALUE TEXT, each line. OPTION - is the command itself, its VALUE what it is about.
completion_table() {
	cat <<-'TABLE'
		run     -             program  run a program with the library
		run     --log         where    write events and findings, a line each
		run     --log-level   level    life, or calls: log every call too
		run     --trace       file     write a trace of this run
		run     --trace-level level    calls, or life: leave the calls out
		run     --observe     -        change no answer, only record
		run     --debug       -        record what a crash report needs
		run     --config      file     read this file of settings too
		run     --set         setting  any setting, for all modules
		run     --help        -        show the help text
		run     --            -        end of options, the program follows
		check   -             started  say whether the library can be preloaded
		check   --json        -        write one JSON document
		check   --help        -        show the help text
		list    -             -        show the PKCS #11 modules of this machine
		list    --init        -        let each module initialise first
		list    --seconds     number   how long each module may take
		list    --json        -        write one JSON document
		list    --help        -        show the help text
		config  -             module   show the settings, and where each comes from
		config  --json        -        write one JSON document
		config  --help        -        show the help text
		report  -             trace    tell from a trace what went wrong
		report  --json        -        write one JSON document
		report  --html        file     write a page with a timeline
		report  --no-symbols  -        do not look up functions and lines
		report  --help        -        show the help text
		help    -             command  show help, or more about a command
		-       --version     -        show the version
		-       --help        -        show the help text
	TABLE
}

# offer WORD [TEXT]: if the last word begins so.
offer() {
	case $1 in
	"$last"*) printf '%s\t%s\n' "$1" "${2-}" ;;
	esac
}

directive() {
	printf '\t%s\n' "$*"
}

# offer_lines: of standard input. What is more than one word is told as it is.
offer_lines() {
	while IFS= read -r line; do
		[ -z "$line" ] || offer "$line"
	done
}

offer_commands() {
	completion_table | while read -r command_ option value text; do
		[ "$option" != - ] || offer "$command_" "$text"
	done
}

# offer_options COMMAND
offer_options() {
	completion_table | while read -r command_ option value text; do
		[ "$command_" != "$1" ] || [ "$option" = - ] || offer "$option" "$text"
	done
}

# value_of_option COMMAND OPTION: what it takes: a word of the table, empty if there is none such.
value_of_option() {
	completion_table | while read -r command_ option value text; do
		[ "$command_ $option" != "$1 $2" ] || printf '%s' "$value"
	done
}

# KEY=, then the values, as the built-in file tells them. Words that stand for something are not
# offered: PATH, globs, any text.
offer_setting() {
	case $last in
	*=*)
		key=${last%%=*}
		case $key in
		'' | *[!a-z-]* | -*) return ;;
		esac
		directive prefix "$before$key="
		last=${last#*=}
		settings_text | sed -n "s/^  $key  *//p" | sed -e 's/   *.*//' -e 's/PATH//' -e 's/globs//' -e 's/any text//' |
			tr '|' '\n' | tr -d ' ' | offer_lines
		;;
	*)
		directive nospace
		settings_text | sed -n 's/^  \([a-z][a-z-]*\)  .*/\1=/p' | offer_lines
		;;
	esac
}

# What systemd and desktops start, by the names of their files.
offer_started() {
	starter_names | begun=$last awk 'index($0, ENVIRON["begun"]) == 1' | plain_text 10 | grep -v '?' | offer_lines
}

# offer_value KIND
offer_value() {
	case $1 in
	where)
		for word in stderr syslog none; do
			offer "$word"
		done
		directive files
		;;
	level)
		offer life
		offer calls
		;;
	file | trace) directive files ;;
	setting) offer_setting ;;
	module)
		case $last in
		*/*) directive files ;;
		*) module_names | plain_text 10 | grep -v -e '[?\\]' -e '^libp11-kit\.so\.' | offer_lines ;; # none with what a terminal obeys
		esac
		;;
	command)
		offer_commands
		offer settings 'show all keys of settings'
		;;
	esac
}

# offer_operand COMMAND: what it is about.
offer_operand() {
	kind=$(value_of_option "$1" -)
	case $kind in
	program) directive program "$at" ;;
	started)
		[ -z "$last" ] || offer_started
		directive program "$at"
		;;
	*) offer_value "$kind" ;;
	esac
}

# walk WORD...: over those behind the command, but the last. Sets at, how many words stand before
# what is looked at; kind, what the last one is: a value of the table, or `operand`; and plain_only, not
# empty behind --.
walk() {
	at=2 kind=operand plain_only=''
	while [ $# -gt 1 ]; do
		case $1 in
		--)
			plain_only=yes
			at=$((at + 1))
			return
			;;
		-*)
			value=$(value_of_option "$about" "$1")
			if [ "${value:--}" != - ] && [ $# -eq 2 ]; then
				kind=$value
				return
			elif [ "${value:--}" != - ]; then
				at=$((at + 1))
				shift
			fi
			;;
		*)
			case $(value_of_option "$about" -) in
			program | started) return ;; # it stands here
			esac
			;;
		esac
		at=$((at + 1))
		shift
	done
}

# complete_words WORD...: a word of an option and its value, by a =, is one.
complete_words() {
	[ "${1-}" != -- ] || shift
	[ $# -gt 0 ] || set -- ''
	before='' all=$# about=$1
	for last; do :; done
	if [ $# -eq 1 ]; then
		offer_commands
		offer_options -
		return
	fi
	shift
	walk "$@"
	if [ "$kind" != operand ]; then
		offer_value "$kind"
		return
	fi
	if [ "$at" -eq "$all" ] && [ -z "$plain_only" ]; then
		case $last in
		--*=*)
			kind=$(value_of_option "$about" "${last%%=*}")
			before=${last%%=*}=
			last=${last#*=}
			directive prefix "$before"
			offer_value "$kind"
			return
			;;
		-*)
			offer_options "$about"
			return
			;;
		esac
		case $(value_of_option "$about" -) in
		program | started | trace) ;;
		*) offer_options "$about" ;;
		esac
	fi
	offer_operand "$about"
}
