# shellcheck shell=sh
# p11shim-modules.sh: which PKCS #11 modules this machine has, and where they are named. Part of
# p11shim, read by it.
#
# From p11shim and its other parts come newline, config_files and others (SC2154).
# shellcheck disable=SC2154
#
# Modules are told of by lines, a tab between their parts. A path may have either in it: it is
# packed there, see pack.

tab=$(printf '\t')

# pack PATH: on one line, without tabs; unpack undoes that.
pack() {
	case $1 in
	*[\\"$tab$newline"]*) printf '%s\n' "$1" | sed -e 's/\\/\\\\/g' -e "s/$tab/\\\\t/g" -e '$!s/$/\\n/' | tr -d '\n' ;;
	*) printf '%s' "$1" ;;
	esac
}

# unpack PACKED: sets unpacked.
unpack() {
	case $1 in
	*\\*)
		unpacked=$(printf '%b.' "$1")
		unpacked=${unpacked%.}
		;;
	*) unpacked=$1 ;;
	esac
}

# named PATH WHERE: a line of it.
named() {
	printf '%s\t%s\n' "$(pack "$1")" "$(pack "$2")"
}

# ---- Where modules are named

# The names that are known, a glob and what it stands for on each line.
known_names() {
	awk '
		/^\[.*\]/ { name = substr($0, 2, index($0, "]") - 2) }
		/^product = / { print name "\t" substr($0, 11) }' "$config_files/modules.conf"
}

# Where modules usually lie, a directory on each line; p11-kit's own first.
module_directories() {
	for directory in /usr/lib/*-linux-gnu*/pkcs11 /usr/lib64/pkcs11 /usr/lib/pkcs11 \
		/usr/local/lib/pkcs11 /usr/local/lib64/pkcs11 \
		/usr/lib/*-linux-gnu* /usr/lib/*-linux-gnu*/softhsm /usr/lib/*-linux-gnu*/nss \
		/usr/lib /usr/lib/softhsm /usr/lib/nss /usr/lib64 /usr/lib64/softhsm /usr/lib64/nss \
		/usr/local/lib /usr/local/lib/softhsm /usr/local/lib64 /usr/local/lib64/softhsm \
		/usr/safenet/lunaclient/lib /opt/*/lib /opt/*/lib64 /opt/*/*/lib /opt/*/*/pkcs11; do
		[ ! -d "$directory" ] || printf '%s\n' "$directory"
	done
}

# in_usual_place NAME: its path, if it is there.
in_usual_place() {
	module_directories | while IFS= read -r directory; do
		[ ! -f "$directory/$1" ] || printf '%s\n' "$directory/$1"
	done | sed 1q
}

# value_of KEY FILE: of `KEY: VALUE` or `KEY = VALUE`, the last; lines may end as in DOS.
value_of() {
	[ ! -f "$2" ] || sed -n "s/^[[:blank:]]*$1[[:blank:]]*[:=][[:blank:]]*//p" "$2" 2>/dev/null |
		sed -e 's/[[:space:]]*$//' -e '$!d'
}

# Where the user's settings are, by the library's own rule.
user_settings() {
	case ${XDG_CONFIG_HOME-}:${HOME-} in
	/*) printf '%s' "$XDG_CONFIG_HOME" ;;
	*:/*) printf '%s' "$HOME/.config" ;;
	*) printf /nonexistent ;;
	esac
}

# p11-kit's .module files, a line PATH<tab>FILE for each: first the user's.
p11_kit_modules() {
	for file_ in "$(user_settings)"/pkcs11/modules/*.module \
		/etc/pkcs11/modules/*.module /usr/share/p11-kit/modules/*.module; do
		path=$(value_of module "$file_")
		case $path in
		'') continue ;;
		/*) ;;
		*)
			name=$path
			path=$(in_usual_place "$name")
			path=${path:-$name}
			;;
		esac
		named "$path" "$file_"
	done
}

# Those of NSS databases, likewise. pkcs11.txt is what modutil edits; modutil itself would
# load and initialise every module to list them.
nss_modules() {
	for file_ in "${HOME-}"/.pki/nssdb/pkcs11.txt /etc/pki/nssdb/pkcs11.txt \
		"${HOME-}"/.mozilla/firefox/*/pkcs11.txt "${HOME-}"/.thunderbird/*/pkcs11.txt; do
		[ ! -f "$file_" ] || sed -n -e 's/[[:space:]]*$//' -e 's/^library=\(..*\)/\1/p' "$file_" 2>/dev/null | while IFS= read -r path; do
			case $path in
			/*) ;;
			*) path=$(in_usual_place "$path" | grep . || printf '%s' "$path") ;;
			esac
			named "$path" "$file_"
		done
	done
}

# What OpenSSL's configuration and variables name. A value may refer to others, by a $: what it
# comes to only OpenSSL knows.
openssl_modules() {
	for file_ in "${OPENSSL_CONF:-/etc/ssl/openssl.cnf}" /etc/pki/tls/openssl.cnf; do
		for key in MODULE_PATH pkcs11-module-path; do
			path=$(value_of "$key" "$file_" | sed 's/[[:blank:]]*#.*//')
			case $path in
			'' | *\$*) ;;
			*) named "$path" "$file_" ;;
			esac
		done
	done
	for key in PKCS11_MODULE_PATH PKCS11_PROVIDER_MODULE; do
		eval "path=\${$key-}"
		[ -z "$path" ] || named "$path" "$key"
	done
}

# Modules that are known by name and lie where they usually do.
usual_modules() {
	names=$(known_names | cut -f 1 | grep -v '^libp11-kit\.so')
	module_directories | while IFS= read -r directory; do
		cd "$directory" || continue
		set +f
		IFS=$newline
		# shellcheck disable=SC2086 # globs
		for path in $names; do
			[ ! -f "$path" ] || named "$directory/$path" ''
		done
	done
}

# ---- For check

# Modules that a program would meet that has loaded $objects.
modules_met() {
	case $objects in
	*/libp11-kit.so*) p11_kit_modules | met "through p11-kit" ;;
	esac
	case $objects in
	*/libnss3.so*) nss_modules | met "through NSS" ;;
	esac
	case $objects in
	*/libcrypto.so*) openssl_modules | met "through OpenSSL" ;;
	esac
}

# met HOW: lines PATH<tab>FILE become PATH<tab>HOW: FILE.
met() {
	while IFS=$tab read -r path file_; do
		unpack "$file_"
		if [ -f "$unpacked" ] && ! meant_for "${file##*/}" "$unpacked"; then
			continue
		fi
		printf '%s\t%s\n' "$path" "$1: $file_"
	done
}

# meant_for PROGRAM FILE: what a .module file says of the programs that it is for.
meant_for() {
	only=$(value_of enable-in "$2") not=$(value_of disable-in "$2")
	case " $(printf '%s' "$only" | tr ',' ' ') " in
	'  ' | *" $1 "*) ;;
	*) return 1 ;;
	esac
	case " $(printf '%s' "$not" | tr ',' ' ') " in
	*" $1 "*) return 1 ;;
	esac
}
