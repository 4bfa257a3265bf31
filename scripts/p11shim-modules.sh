# shellcheck shell=sh
# p11shim-modules.sh: which PKCS #11 modules this machine has, what they are, and which
# settings hold for them. Part of p11shim, read by it.
#
# From p11shim and p11shim-programs.sh come library, root and others (SC2154).
# shellcheck disable=SC2154
#
# Settings are what the library says (p11shim-info --config); they are not read here.

tab=$(printf '\t')

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

# p11-kit's .module files, PATH<tab>FILE for each: first the user's.
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
		printf '%s\t%s\n' "$path" "$file_"
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
			printf '%s\t%s\n' "$path" "$file_"
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
			*) printf '%s\t%s\n' "$path" "$file_" ;;
			esac
		done
	done
	for key in PKCS11_MODULE_PATH PKCS11_PROVIDER_MODULE; do
		eval "path=\${$key-}"
		[ -z "$path" ] || printf '%s\t%s\n' "$path" "$key"
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
			[ ! -f "$path" ] || printf '%s\t\n' "$directory/$path"
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
		if [ -f "$file_" ] && ! meant_for "${file##*/}" "$file_"; then
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

# ---- list

list_options() {
	init='' seconds=5
	while [ $# -gt 0 ]; do
		case $1 in
		--init) init=--init ;;
		--seconds=*) seconds=${1#*=} ;;
		--seconds)
			[ $# -gt 1 ] || misused 'list: --seconds wants a number'
			seconds=$2
			shift
			;;
		*) misused "list: no such option: $1 ($us list --help)" ;;
		esac
		shift
	done
	case $seconds in
	'' | *[!0-9]* | 0) misused "list: --seconds wants a number above 0, not $seconds" ;;
	esac
}

# All of them, FILE<tab>NAME<tab>WHERE NAMED on each line: several names may lead to one file.
all_modules() {
	{
		p11_kit_modules
		nss_modules
		openssl_modules
		usual_modules
	} | while IFS=$tab read -r path named; do
		real=$(readlink -f -- "$path") || real=$path
		printf '%s\t%s\t%s\n' "$real" "$path" "$named"
	done
}

# product_of NAME: the later section counts, as for the library.
product_of() {
	known_names | while IFS=$tab read -r name product; do
		# shellcheck disable=SC2254 # a glob
		case $1 in
		$name) printf '%s\n' "$product" ;;
		esac
	done | sed '$!d'
}

# split_setting LINE: sets key, value, which may be empty or have tabs in it, and source.
split_setting() {
	key=${1%%"$tab"*} value=${1#*"$tab"}
	source=${value##*"$tab"} value=${value%"$tab"*}
}

# Settings of a module that do not hold for every one.
own_settings() {
	"$info" --config "$1" 2>/dev/null | grep -v -e "^product$tab" -e "${tab}built-in p11shim\\.conf" |
		while IFS= read -r line; do
			split_setting "$line"
			printf '  setting   %s = %s (%s)\n' "$key" "$value" "$source"
		done
}

# What it says of itself, on one line.
what_it_says() {
	answer=$("$info" --info ${init:+"$init"} --seconds "$seconds" "$1" </dev/null)
	cryptoki='' manufacturer='' description='' version_='' silent='' error=''
	while IFS=$tab read -r name text; do
		case $name in
		cryptoki) cryptoki=$text ;;
		manufacturer) manufacturer=$text ;;
		description) description=$text ;;
		version) version_=$text ;;
		silent) silent=$text ;;
		error) error=$text ;;
		esac
	done <<-ANSWER
		$answer
	ANSWER
	if [ -n "$error" ]; then
		echo "  error     $error"
	elif [ -n "$silent" ]; then
		echo "  says      Cryptoki $cryptoki, and no more before it is initialised ($silent${init:+; not then either})"
	else
		echo "  says      $description $version_, $manufacturer, Cryptoki $cryptoki"
	fi
}

show_module() {
	file_=$1
	names=$(printf '%s\n' "$modules" | sed -n "s|^$(printf '%s' "$1" | sed 's/[|.*[\\^$]/\\&/g')$tab||p")
	first=$(printf '%s\n' "$names" | sed 1q)
	first=${first%%"$tab"*}
	if [ ! -f "$file_" ]; then
		printf '%s\n  error     not there\n' "${first##*/}"
	else
		printf '%s%s\n' "${first##*/}" "$(product_of "${first##*/}" | sed 's/^/: /')"
		printf '  file      %s\n' "$file_"
	fi
	printf '%s\n' "$names" | cut -f 1 | grep -vxF -e "$file_" | sort -u | sed 's/^/  name      /'
	printf '%s\n' "$names" | cut -f 2 | grep . | sort -u | sed 's/^/  named in  /'
	[ ! -f "$file_" ] || [ -z "$info" ] || {
		what_it_says "$file_"
		own_settings "$file_"
	}
}

# One after another is told, since each may take its time.
command_list() {
	list_options "$@"
	find_library
	find_info || say 'no p11shim-info: names and files only'
	modules=$(all_modules)
	[ -n "$modules" ] || say 'no modules found'
	printf '%s\n' "$modules" | cut -f 1 | awk '$0 != "" && !seen[$0]++' | while IFS= read -r module; do
		tell "$(show_module "$module")"
	done
}

# ---- config

# listed_as NAME: the path of a module that list shows by that name.
listed_as() {
	all_modules | while IFS=$tab read -r file_ path named; do
		case $1 in
		"${path##*/}" | "${file_##*/}") printf '%s\n' "$path" ;;
		esac
	done | sed 1q
}

command_config() {
	case ${1-} in
	--) shift ;;
	-?*) misused "config: no such option: $1 ($us config --help; before a module of that name: --)" ;;
	esac
	[ $# -le 1 ] || misused "config: one module ($us config --help)"
	find_library
	find_info || misused "no p11shim-info beside $library: run make, or install it anew"
	if [ $# -eq 1 ]; then
		case $1 in
		*/*) set -- "$(absolute "$1")" ;;
		*)
			path=$(in_usual_place "$1")
			path=${path:-$(listed_as "$1")}
			set -- "${path:-$1}"
			;;
		esac
		[ -f "$1" ] || say "not there: $1; what would hold for it:"
	fi
	settings=$("$info" --config "$@") || misused 'p11shim-info cannot tell the settings'
	printf '%s\n' "$settings" | while IFS= read -r line; do
		split_setting "$line"
		printf '%-12s = %-12s %s\n' "$key" "$value" "$source"
	done
}
