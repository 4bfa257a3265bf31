# shellcheck shell=bash
# p11shim-completion.bash: completes the command line of p11shim, for bash. Read by
# bash-completion when it is installed, or: . scripts/command/p11shim-completion.bash
#
# What there is to offer p11shim itself tells: p11shim-complete.sh.

# _p11shim_words WORD CANDIDATES: those that begin so, besides what there is. Not by compgen -W,
# which expands them, and some are read from files.
_p11shim_words() {
	local candidates candidate
	IFS=$' \t\n' read -r -d '' -a candidates <<<"$2"
	for candidate in "${candidates[@]}"; do
		[[ $candidate != "$1"* ]] || COMPREPLY+=("$candidate")
	done
}

# _p11shim_files WORD: names of files, blanks and all, besides what there is.
_p11shim_files() {
	local files
	mapfile -t files < <(compgen -f -- "$1")
	COMPREPLY+=("${files[@]}")
	compopt -o filenames 2>/dev/null
}

# _p11shim_program FIRST WORD: the program, which stands at FIRST of COMP_WORDS, and its
# arguments, as they are completed without us; besides what there is.
_p11shim_program() {
	local others=("${COMPREPLY[@]}") programs
	if declare -F _command_offset >/dev/null; then
		_command_offset "$1"
	elif ((COMP_CWORD > $1)); then
		_p11shim_files "$2"
		return
	else
		mapfile -t programs < <(compgen -c -f -- "$2" | sort -u)
		COMPREPLY+=("${programs[@]}")
		compopt -o filenames 2>/dev/null
		return
	fi
	COMPREPLY+=("${others[@]}")
}

_p11shim() {
	# bash takes = for a word of its own; here `--log=x` is one again, and each knows
	# where it stands in COMP_WORDS
	local words=() at=() i piece word line command
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
	command=${words[0]}
	[[ $command = */* && -x $command ]] || command=p11shim
	while IFS= read -r line; do
		case $line in
		$'\tprefix '*) word=${word#"${line#$'\tprefix '}"} ;;
		$'\tnospace') compopt -o nospace 2>/dev/null ;;
		$'\tfiles') _p11shim_files "$word" ;;
		$'\tprogram '*) _p11shim_program "${at[${line#$'\tprogram '}]}" "$word" ;;
		*) COMPREPLY+=("${line%%$'\t'*}") ;;
		esac
	done < <("$command" complete -- "${words[@]:1}" 2>/dev/null)
}

complete -F _p11shim p11shim
