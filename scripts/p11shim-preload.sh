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

# speakable LIBRARY: LD_PRELOAD has no way to say a blank, a colon or a dollar. Then a symbolic
# link of a better name, in a directory of this user's alone.
speakable() {
	case $1 in
	*[[:space:]:\$]*) ;;
	*)
		printf '%s' "$1"
		return
		;;
	esac
	directory=${XDG_RUNTIME_DIR:-/nonexistent}
	case $directory in
	*[[:space:]:\$]*) directory=/nonexistent ;;
	/*) ;;
	*) directory=/nonexistent ;; # the program may change its own
	esac
	if [ -d "$directory" ] && [ -w "$directory" ]; then
		directory=$directory/p11shim
	else
		directory=/tmp/p11shim-$(id -u)
	fi
	mkdir -m 700 "$directory" 2>/dev/null
	# shellcheck disable=SC2012 # mode and owner
	case $(ls -ldn -- "$directory" | tr -s ' ' | cut -d ' ' -f 1,3) in
	"drwx------"*" $(id -u)") ;;
	*) directory=$(mktemp -d /tmp/p11shim-XXXXXX) || exit 2 ;;
	esac
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
