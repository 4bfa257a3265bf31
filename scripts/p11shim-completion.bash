# shellcheck shell=bash
# p11shim-completion.bash: completes the command line of p11shim, for bash. Read by
# bash-completion when it is installed, or: . scripts/p11shim-completion.bash
#
# The keys of settings and their values are those that `p11shim help settings` tells.

# _p11shim_words WORD CANDIDATES: those that begin so, besides what there is. Not by compgen -W,
# which expands them, and some are read from files.
_p11shim_words() {
	local candidates candidate
	IFS=$' \t\n' read -r -d '' -a candidates <<<"$2"
	for candidate in "${candidates[@]}"; do
		[[ $candidate != "$1"* ]] || COMPREPLY+=("$candidate")
	done
}

# _p11shim_files WORD: names of files, blanks and all.
_p11shim_files() {
	mapfile -t COMPREPLY < <(compgen -f -- "$1")
	compopt -o filenames 2>/dev/null
}

# _p11shim_setting WORD: KEY=, then its values.
_p11shim_setting() {
	local key=${1%%=*} settings
	settings=$(p11shim help settings 2>/dev/null)
	if [[ $1 != *=* ]]; then
		_p11shim_words "$1" "$(sed -n 's/^  \([a-z][a-z-]*\)  .*/\1=/p' <<<"$settings")"
		compopt -o nospace 2>/dev/null
		return
	fi
	# what is no key would be a pattern
	[[ $key =~ ^[a-z][a-z-]*$ ]] || return 0
	# up to two blanks: words that stand for something (PATH, globs) are not offered
	_p11shim_words "${1#*=}" "$(sed -n "s/^  $key  *//p" <<<"$settings" | sed -e 's/   *.*//' -e 's/PATH//' \
		-e 's/globs//' -e 's/any text//' | tr '|' ' ')"
}

# _p11shim_program FIRST WORD: the program, which stands at FIRST of COMP_WORDS, and its
# arguments, as they are completed without us.
_p11shim_program() {
	if declare -F _command_offset >/dev/null; then
		_command_offset "$1"
	elif ((COMP_CWORD > $1)); then
		_p11shim_files "$2"
	else
		mapfile -t COMPREPLY < <(compgen -c -f -- "$2" | sort -u)
		compopt -o filenames 2>/dev/null
	fi
}

# _p11shim_value OPTION WORD: fails if the option takes none.
_p11shim_value() {
	case $1 in
	--log)
		_p11shim_files "$2"
		_p11shim_words "$2" 'stderr syslog none'
		;;
	--trace | --config | --html) _p11shim_files "$2" ;;
	--log-level | --trace-level) _p11shim_words "$2" 'life calls' ;;
	--set) _p11shim_setting "$2" ;;
	--seconds) COMPREPLY=() ;;
	*) return 1 ;;
	esac
}

# Words of run: its options, then the program's own.
_p11shim_run() {
	local i last=$((${#words[@]} - 1))
	for ((i = 2; i < last; i++)); do
		case ${words[i]} in
		--)
			_p11shim_program "${at[i + 1]}" "$word"
			return
			;;
		--log | --log-level | --trace | --trace-level | --config | --set)
			if ((i + 1 == last)); then
				_p11shim_value "${words[i]}" "$word"
				return
			fi
			i=$((i + 1))
			;;
		-*) ;;
		*)
			_p11shim_program "${at[i]}" "$word"
			return
			;;
		esac
	done
	case $word in
	--*=*) _p11shim_value "${word%%=*}" "${word#*=}" ;;
	-*) _p11shim_words "$word" '--log --log-level --trace --trace-level --observe --debug --config --set --help --' ;;
	*) _p11shim_program "${at[last]}" "$word" ;;
	esac
}

_p11shim() {
	# bash takes = for a word of its own; here `--log=x` is one again, and each knows
	# where it stands in COMP_WORDS
	local words=() at=() i piece word before
	COMPREPLY=()
	for ((i = 0; i <= COMP_CWORD; i++)); do
		piece=${COMP_WORDS[i]}
		if ((i > 0)) && [[ $piece = = || ${COMP_WORDS[i - 1]} = = ]]; then
			words[-1]+=$piece
		else
			words+=("$piece")
			at+=("$i")
		fi
	done
	word=${words[-1]}
	if ((${#words[@]} == 2)); then
		_p11shim_words "$word" 'run check list config report help --version --help'
		return
	fi
	before=${words[-2]}
	case ${words[1]} in
	run) _p11shim_run ;;
	check)
		case $word in
		-*) _p11shim_words "$word" --help ;;
		*) _p11shim_program 2 "$word" ;;
		esac
		;;
	list) _p11shim_value "$before" "$word" || _p11shim_words "$word" '--init --seconds --help' ;;
	config)
		_p11shim_words "$word" "--help $(sed -n 's/^module: *//p' /usr/share/p11-kit/modules/*.module 2>/dev/null)"
		[[ $word != */* ]] || _p11shim_files "$word"
		;;
	report)
		_p11shim_value "$before" "$word" || case $word in
		-*) _p11shim_words "$word" '--json --html --no-symbols --help' ;;
		*) _p11shim_files "$word" ;;
		esac
		;;
	help) _p11shim_words "$word" 'run check list config report settings' ;;
	esac
}

complete -F _p11shim p11shim
