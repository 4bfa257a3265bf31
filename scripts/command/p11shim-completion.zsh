#compdef p11shim
# p11shim-completion.zsh: completes the command line of p11shim, for zsh; installed as _p11shim in
# a directory of $fpath.
#
# What there is to offer p11shim itself tells: p11shim-complete.sh.

_p11shim() {
	local command=${(Q)words[1]} prefix= line at=
	local -a lines candidates described space
	local files=
	[[ $command = */* && -x $command ]] || command=p11shim
	lines=("${(@f)$($command complete -- "${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null)}")
	for line in "${lines[@]}"; do
		case $line in
		($'\tprefix '*) prefix=${line#$'\tprefix '} ;;
		($'\tnospace') space=(-S '') ;;
		($'\tfiles') files=yes ;;
		($'\tprogram '*) at=${line#$'\tprogram '} ;;
		('') ;;
		(*)
			candidates+=("${line%%$'\t'*}")
			described+=("${line%%$'\t'*}${${line#*$'\t'}:+  -- ${line#*$'\t'}}")
			;;
		esac
	done
	[[ -z $prefix ]] || compset -P "${(b)prefix}"
	(( ! $#candidates )) || compadd "${space[@]}" -l -d described -a candidates
	[[ -z $files ]] || _files
	if [[ -n $at ]]; then
		shift $at words
		(( CURRENT -= at ))
		_normal
	fi
}

_p11shim "$@"
