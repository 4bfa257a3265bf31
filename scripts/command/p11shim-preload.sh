# shellcheck shell=sh
# p11shim-preload.sh: how LD_PRELOAD names the library. Part of p11shim, read by it.
#
# From it and its other parts come native, root, prefix, libdir, and preloaded, the caller's
# LD_PRELOAD (SC2154).
# shellcheck disable=SC2154

# everywhere LIBRARY: where those for this and another machine lie so that the dynamic linker
# of each finds its own by $LIB, that; a program may then start one for the other machine.
# Else the library itself.
everywhere() {
	[ "$native" = 2/62 ] && [ -z "$root" ] && [ -n "$(file_for 1/3 libp11shim.so)" ] && {
		lib64=$(own_lib /lib64/ld-linux-x86-64.so.2)
		lib32=$(own_lib /lib/ld-linux.so.2)
		for directory in "$prefix" "${libdir%/lib*}"; do
			case $directory/$lib64/$lib32 in
			*[[:space:]:\$]* | *//*) continue ;;
			esac
			if [ -f "$directory/$lib64/libp11shim.so" ] && [ -f "$directory/$lib32/libp11shim.so" ]; then
				printf "%s/\$LIB/libp11shim.so" "$directory"
				return
			fi
		done
	}
	speakable "$1"
}

# What a dynamic linker makes of $LIB.
own_lib() {
	[ ! -x "$1" ] || "$1" --list-diagnostics 2>/dev/null | sed -n 's/^dl_dst_lib="\(.*\)"$/\1/p'
}

# is_unspeakable PATH: LD_PRELOAD has no way to say a blank, a colon or a dollar.
is_unspeakable() {
	case $1 in
	*[[:space:]:\$]*) ;;
	*) return 1 ;;
	esac
}

# is_ours_alone DIRECTORY: can only we, and root, put something else in its place or in that
# of a directory above it? Sets real, its name without links of others, which alone is to be used.
# A directory of another user, which sudo -E or su may hand us in a variable, is not.
is_ours_alone() {
	case $1 in
	/*) ;;
	*) return 1 ;; # the program may change its directory
	esac
	real=$(readlink -f -- "$1") && [ -d "$real" ] && ! is_unspeakable "$real" || return 1
	user=$(id -u) walk=$real
	set -- /
	while [ -n "$walk" ]; do
		set -- "$@" "$walk"
		walk=${walk%/*}
	done
	# shellcheck disable=SC2012 # mode and owner; who owns / is root, whatever number that has here
	ls -ldn -- "$@" 2>/dev/null | awk -v user="$user" '
		NR == 1 { root = $3 }
		$3 != user && $3 != root && $3 != 0 { wrong = 1 }
		substr($1, 1, 1) != "d" { wrong = 1 }
		substr($1, 6, 1) substr($1, 9, 1) ~ /w/ && substr($1, 10, 1) !~ /[tT]/ { wrong = 1 }
		END { exit wrong || NR == 0 }'
}

# is_private DIRECTORY: ours, no link, and closed to others.
is_private() {
	# shellcheck disable=SC2012 # mode and owner
	case $(ls -ldn -- "$1" 2>/dev/null | tr -s ' ' | cut -d ' ' -f 1,3) in
	"drwx------"*" $(id -u)") ;;
	*) return 1 ;;
	esac
}

# new_directory: a new one that is ours alone.
new_directory() {
	for place in "${TMPDIR:-/tmp}" /tmp /var/tmp; do
		if is_ours_alone "$(absolute "$place")" && mktemp -d "$real/p11shim.XXXXXX" 2>/dev/null; then
			return
		fi
	done
	return 1
}

# own_directory: one that is ours alone and is found again the next time, if that can be had.
own_directory() {
	for place in "${XDG_RUNTIME_DIR:-.}" "${TMPDIR:-.}" /tmp /var/tmp; do
		if ! is_ours_alone "$place" || [ ! -w "$real" ]; then
			continue
		fi
		directory=$real/p11shim-$(id -u)
		[ "$place" != "${XDG_RUNTIME_DIR-}" ] || directory=$real/p11shim
		mkdir -m 700 "$directory" 2>/dev/null
		if is_private "$directory"; then
			printf '%s' "$directory"
			return
		fi
	done
	new_directory
}

# speakable LIBRARY: its name, or a symbolic link of a better one, in a directory of this user's
# alone. Fails where there is no such directory.
speakable() {
	if ! is_unspeakable "$1"; then
		printf '%s' "$1"
		return
	fi
	directory=$(own_directory) || return 1
	directory=$directory/$(printf '%s' "$1" | cksum | tr -d ' ')
	mkdir -p "$directory"
	if [ "$(readlink -- "$directory/libp11shim.so")" != "$1" ]; then
		ln -s "$1" "$directory/new-$$" && mv -f "$directory/new-$$" "$directory/libp11shim.so"
	fi
	printf '%s' "$directory/libp11shim.so"
}

is_sanitizer() {
	case ${1##*/} in
	libasan.so* | libtsan.so* | liblsan.so* | libhwasan.so* | libclang_rt.*san*) ;;
	*) return 1 ;;
	esac
}

# merged LIBRARY SANITIZER: LD_PRELOAD with the library in it once, first but for sanitizers'
# that stand first; SANITIZER, if it is not empty, is one that the program needs there.
merged() {
	first='' ours=$1 others='' needed=$2
	set -f
	IFS=' :'
	for entry in $preloaded; do
		if [ -z "$entry" ] || [ "${entry##*/}" = libp11shim.so ]; then
			continue
		elif is_sanitizer "$entry" && [ -z "$others" ]; then
			first=$first$entry:
			[ "${entry##*/}" != "${needed##*/}" ] || needed=''
		else
			others=$others:$entry
		fi
	done
	printf '%s' "${needed:+$needed:}$first$ours$others"
}
