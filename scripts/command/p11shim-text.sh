# shellcheck shell=sh
# p11shim-text.sh: text of others (names of files, what files say, arguments) as it is shown to
# people. Part of p11shim, read by it.
#
# LC_ALL is C here. Bytes are looked at as numbers, so that it does not matter which shell, od
# and awk these are.

# plain TEXT [KEPT]: on one line, and nothing in it that a terminal obeys. A control character (of
# eight bits too), a line or paragraph separator, and what turns the direction of writing is shown
# as ?, and so is each byte that is no UTF-8. KEPT are control characters that may stay, by their
# numbers: 9 is a tab. This is the library's rule too: foreign() in shim/base/text.c.
plain() {
	case $1 in
	*[!\ -~]*)
		shown=$(printf '%s' "$1" | plain_text "${2-}")
		[ -n "$shown" ] || shown=$(printf '%s' "$1" | tr -c '\040-\176' '?') # no od, or awk
		printf '%s' "$shown"
		;;
	*) printf '%s' "$1" ;;
	esac
}

# plain_text [KEPT]: the same for standard input, whose lines stay lines with a KEPT of 10.
plain_text() {
	printf %b "$(od -A n -v -t u1 | awk -v kept="${1-}" '
		# How many bytes the UTF-8 character at i has; 0 if there is none.
		function length_at(i, first, size, k) {
			first = byte[i]
			size = first < 128 ? 1 : first < 194 ? 0 : first < 224 ? 2 : first < 240 ? 3 : first < 245 ? 4 : 0
			for (k = 1; k < size; k++)
				if (byte[i + k] < 128 || byte[i + k] > 191)
					return 0
			k = byte[i + 1]
			if (first == 224 && k < 160 || first == 237 && k > 159 || first == 240 && k < 144 || first == 244 && k > 143)
				return 0
			return size
		}
		function is_obeyed(i) {
			if (byte[i] < 32)
				return !(byte[i] in stays)
			return byte[i] == 127 || byte[i] == 194 && byte[i + 1] < 160 ||
				byte[i] == 226 && byte[i + 1] == 128 && (byte[i + 2] >= 168 && byte[i + 2] <= 174 || byte[i + 2] == 142 || byte[i + 2] == 143) ||
				byte[i] == 216 && byte[i + 1] == 156 ||
				byte[i] == 226 && byte[i + 1] == 129 && byte[i + 2] >= 166 && byte[i + 2] <= 169
		}
		BEGIN {
			ORS = ""
			n = split(kept, numbers)
			for (i = 1; i <= n; i++)
				stays[numbers[i] + 0]
			n = 0
		}
		{
			for (i = 1; i <= NF; i++)
				byte[++n] = $i + 0
		}
		END {
			for (i = 1; i <= n; i += size) {
				size = length_at(i)
				if (size == 0 || is_obeyed(i)) {
					print "?"
					size += size == 0
					continue
				}
				for (k = 0; k < size; k++)
					printf "\\0%03o", byte[i + k]
			}
		}')"
}

# quoted TEXT: for a shell to read.
quoted() {
	rest=$1 quoted=''
	while :; do
		case $rest in
		*\'*)
			quoted=$quoted${rest%%\'*}"'\\''"
			rest=${rest#*\'}
			;;
		*) break ;;
		esac
	done
	printf "'%s'" "$quoted$rest"
}

# quoted_if_need_be WORD: likewise, for people.
quoted_if_need_be() {
	case $1 in
	'' | *[!A-Za-z0-9_./+-]*) quoted "$1" ;;
	*) printf '%s' "$1" ;;
	esac
}

# json_string TEXT: the same as plain, as a string of JSON, with the quotes around it.
json_string() {
	case $1 in
	*[!\ -~]* | *[\\\"]*) printf '"%s"' "$(plain "$1" | sed 's/[\\"]/\\&/g')" ;;
	*) printf '"%s"' "$1" ;;
	esac
}
