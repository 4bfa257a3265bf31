# shellcheck shell=sh
# p11shim-run.sh: the options of `p11shim run`, and what can be told before the program starts.
# Part of p11shim, read by it, in the subshell that plans.
#
# From p11shim and its other parts come newline, tab, info and others (SC2154); what it sets they read (SC2034).
# test -ef is in every shell that may be sh, and in POSIX since 2024 (SC3013).
# shellcheck disable=SC2154,SC2034,SC3013

# absolute FILE
absolute() {
	case $1 in
	/*) printf '%s' "$1" ;;
	./*) printf '%s' "${PWD%/}/${1#./}" ;;
	*) printf '%s' "${PWD%/}/$1" ;;
	esac
}

# assign NAME VALUE: it will be in the program's environment; the last one wins.
assign() {
	assignments="$assignments $(quoted "$1=$2")"
}

# unwritable FILE: why, if it is. Nothing is made, since the program may be another user by
# the time it writes the first line.
unwritable() {
	directory=${1%/*}/
	if [ -d "$1" ]; then
		printf '%s' "a directory, not a file: $1"
	elif [ -e "$1" ]; then
		[ -w "$1" ] || printf '%s' "not allowed to write $1"
	elif [ ! -d "$directory" ]; then
		printf '%s' "no such directory: $directory"
	elif [ ! -w "$directory" ] || [ ! -x "$directory" ]; then
		printf '%s' "not allowed to make a file in $directory"
	fi
}

# destination OPTION WHERE: its absolute name, once it is known to be writable.
destination() {
	case $1=$2 in
	*=) misused "$1 needs a file" ;;
	--log=none | --log=stderr | --log=syslog | --trace=none) printf '%s' "$2" ;;
	*)
		where=$(absolute "$2")
		why=$(unwritable "$where")
		[ -z "$why" ] || misused "$1: $why"
		printf '%s' "$where"
		;;
	esac
}

# set_trace FILE: for this run alone.
set_trace() {
	trace=$(destination --trace "$1") || exit
	[ "$trace" = none ] || fresh=yes
}

# level OPTION VALUE: sets P11SHIM_<OPTION>.
level() {
	case $2 in
	life | calls) ;;
	*) misused "$1 must be life or calls, not $2" ;;
	esac
	set_key "${1#--}=$2"
}

# mistakes VARIABLE VALUE: what the library will complain of, if that is set.
mistakes() {
	find_info || return 0
	env -i "$1=$2" "$info" --config --raw 2>&1 >/dev/null | sed -n 's/^p11shim: //p' | grep -F -e "$1:" -e "$2:"
}

# set_key KEY=VALUE
set_key() {
	key=${1%%=*}
	case $1 in
	log=*)
		chosen=yes
		log=$(destination --log "${1#*=}") || exit
		;;
	trace=*)
		chosen=yes
		set_trace "${1#*=}"
		;;
	?*=?*)
		setting_keys | grep -qxF -e "$key" || {
			near=$(find_info && setting_keys | "$info" --nearest "$key")
			misused "--set: no such setting: $key${near:+; did you mean $near?} ($us help settings shows all)"
		}
		variable=P11SHIM_$(printf '%s' "$key" | tr 'a-z-' 'A-Z_')
		mistake=$(mistakes "$variable" "${1#*=}")
		[ -z "$mistake" ] || misused "--set: ${mistake#"$variable": }"
		assign "$variable" "${1#*=}"
		;;
	*) misused "--set needs KEY=VALUE, not $1 ($us help settings shows all keys)" ;;
	esac
}

set_config() {
	if [ ! -f "$1" ] || [ ! -r "$1" ]; then
		misused "--config: cannot be read: $1"
	fi
	config=$(absolute "$1")
}

# run_option NAME VALUE
run_option() {
	case $1 in
	--log | --trace) set_key "${1#--}=$2" ;;
	--log-level | --trace-level) level "$1" "$2" ;;
	--config) set_config "$2" ;;
	--set) set_key "$2" ;;
	*) no_such_option "$1" ;;
	esac
}

no_such_option() {
	case $1 in
	--observe | --debug | --help) misused "run: $1 takes no value ($us run --help)" ;;
	esac
	misused "run: no such option: $1$(did_you_mean "$1" run) ($us run --help; before a program of that name: --)"
}

# The options of `run`. Sets operands: how many arguments are left.
run_options() {
	log=${P11SHIM_LOG-} trace=${P11SHIM_TRACE-} config=${P11SHIM_CONFIG-} chosen='' fresh='' debug='' wish=run
	while [ $# -gt 0 ]; do
		case $1 in
		--)
			shift
			break
			;;
		--help | -h) wish=help ;;
		--observe) set_key mode=observe ;;
		--debug) debug=yes ;;
		--log | --log-level | --trace | --trace-level | --config | --set)
			[ $# -gt 1 ] || misused "run: $1 needs a value ($us run --help)"
			run_option "$1" "$2"
			shift
			;;
		--*=*) run_option "${1%%=*}" "${1#*=}" ;;
		-?*) no_such_option "$1" ;;
		*) break ;;
		esac
		shift
	done
	operands=$#
}

# foreseeable FILE: may another user have put something in its place?
foreseeable() {
	# shellcheck disable=SC2012 # mode and owner
	case $(ls -ldnL -- "${1%/*}/" | tr -s ' ' | cut -d ' ' -f 1,3) in
	????????w*) ;;
	*" 0" | *" $(id -u)") [ -L "$1" ] ;;
	esac
}

# Sets log_said and trace_said, what files of settings say of these.
say_where() {
	log_said='' trace_said=''
	find_info || return 0
	rest=$(
		[ -z "$config" ] || export P11SHIM_CONFIG="$config"
		"$info" --config --raw 2>/dev/null
	)$newline
	while [ -n "$rest" ]; do
		line=${rest%%"$newline"*} rest=${rest#*"$newline"}
		case $line in
		*"${tab}built-in "*) ;;
		"log$tab"* | "trace$tab"*)
			split_setting "$line"
			eval "${key}_said=\$value"
			;;
		esac
	done
}

# --debug: what may be needed afterwards.
set_debug() {
	assign P11SHIM_ON_CRASH 1
	say_where
	log=${log:-${log_said:-stderr}}
	[ -z "$log_said" ] || [ "$log" != "$log_said" ] || log=''
	if [ -z "$trace" ] && [ -z "$trace_said" ]; then
		file_=${PWD%/}/p11shim-$$.trace
		# a directory that is gone has no name
		if [ ! . -ef "${PWD%/}/" ] || [ ! -w "${PWD%/}/" ] || foreseeable "$file_"; then
			directory=$(new_directory) || misused "--debug: found no directory for the trace in which only you can write (TMPDIR, /tmp, /var/tmp): name a file with --trace"
			file_=$directory/${file_##*/}
		fi
		set_trace "$file_"
	fi
}

# Where --debug has the trace, if there can be one, and no other --debug has said so.
announce_trace() {
	trace=${trace:-$trace_said}
	[ -z "${P11SHIM_ON_CRASH-}" ] || [ "$trace" != "${P11SHIM_TRACE-}" ] || return 0
	[ "$trace" = none ] || [ -z "$preload" ] || [ "$verdict" -ne 0 ] || [ -n "$disabled$no_trace" ] ||
		say "if the program uses a PKCS #11 module, the trace will be in $trace (to read it: $us report $(quoted "$trace"))"
}

# place NAME WHERE: the program may change directory before it gets there.
place() {
	case $2 in
	'') ;;
	/* | none | stderr | syslog) assign "$1" "$2" ;;
	*) assign "$1" "$(absolute "$2")" ;;
	esac
}

# The settings that the program will have: what is wrong with them is said here, by the library's
# own reader, since there may be no log to say it in. What is said does not keep it from running. Sets
# disabled, not empty if the library will do nothing, and no_trace, if the trace cannot be written.
foretell() {
	disabled='' no_trace=''
	find_info || return 0
	log_file='' trace_file=''
	rest=$(
		[ -z "$assignments" ] || eval "export $assignments"
		settings_told --raw 2>&1
	)$newline
	while [ -n "$rest" ]; do
		line=${rest%%"$newline"*} rest=${rest#*"$newline"}
		case $line in
		'p11shim: '*) say "ignored: ${line#p11shim: }" ;;
		"disable${tab}1$tab"* | "exclude${tab}yes$tab"*) disabled=yes ;;
		"log$tab"/* | "trace$tab"/*)
			split_setting "$line"
			eval "${key}_file=\$value"
			why=$(unwritable "$value")
			[ -z "$why" ] || say "ignored: $source: $why"
			[ -z "$why" ] || [ "$key" != trace ] || no_trace=yes
			;;
		esac
	done
	if same_file "$log_file" "$trace_file"; then
		[ -z "$chosen" ] || misused "--log and --trace need different files, not both $trace_file"
		say "log and trace are the same file: $trace_file"
	fi
}

# same_file FILE FILE: is it, or would it be? A device or a pipe may well be.
same_file() {
	[ -n "$1" ] && [ -n "$2" ] && [ "$(readlink -f -- "$1")" = "$(readlink -f -- "$2")" ] &&
		{ [ -f "$1" ] || [ ! -e "$1" ]; }
}
