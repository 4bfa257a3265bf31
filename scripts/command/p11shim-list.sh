# shellcheck shell=sh
# p11shim-list.sh: the commands list and config: what modules are, and which settings hold for
# them; and what these and check tell as JSON. Part of p11shim, read by it.
#
# From p11shim and its other parts come info, tab, unpacked and others (SC2154).
# shellcheck disable=SC2154
#
# Settings are what the library says (p11shim-info --config); they are not read here. All that is
# shown is plain: what files, variables and modules say is text of others.

# split_setting LINE: sets key, value, which may be empty or have tabs in it, and source.
split_setting() {
	key=${1%%"$tab"*} value=${1#*"$tab"}
	source=${value##*"$tab"} value=${value%"$tab"*}
}

# tell_mistakes: what the library would complain of, as it says it, a line each.
tell_mistakes() {
	printf '%s\n' "$1" | while IFS= read -r line; do
		[ -z "$line" ] || say "ignored: ${line#p11shim: }"
	done
}

# members JSON NAME: of what p11shim-info --config --json says, the array of that name. A quote
# within a text has a backslash before it: what is looked for here is no text's.
members() {
	case $2 in
	settings)
		array=${1#'{"settings":'}
		printf '%s' "${array%%,'"mistakes":['*}"
		;;
	mistakes)
		array=${1#*'],"mistakes":'}
		printf '%s' "${array%'}'}"
		;;
	esac
}

# json_or_null TEXT
json_or_null() {
	if [ -n "$1" ]; then
		json_string "$1"
	else
		printf null
	fi
}

# json_array: the packed lines of standard input.
json_array() {
	comma='['
	while IFS= read -r line; do
		unpack "$line"
		printf '%s%s' "$comma" "$(json_string "$unpacked")"
		comma=,
	done
	[ "$comma" = , ] || printf '['
	printf ']'
}

# ---- list

list_options() {
	init='' json='' seconds=5
	while [ $# -gt 0 ]; do
		case $1 in
		--help | -h)
			tell "$(usage_list)"
			exit
			;;
		--init) init=--init ;;
		--json) json=yes ;;
		--seconds=*) seconds=${1#*=} ;;
		--seconds)
			[ $# -gt 1 ] || misused 'list: --seconds needs a number'
			seconds=$2
			shift
			;;
		*) misused "list: no such option: $1$(did_you_mean "$1" list) ($us list --help)" ;;
		esac
		shift
	done
	case $seconds in
	'' | *[!0-9]* | 0* | ??????*) misused "list: --seconds needs a number from 1 to 99999, not $seconds" ;;
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
		unpack "$path"
		real=$(readlink -f -- "$unpacked" && echo .) && real=${real%"$newline".} || real=$unpacked
		printf '%s\t%s\t%s\n' "$(pack "$real")" "$path" "$named"
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

# Settings of a module that do not hold for every one.
own_settings() {
	"$info" --config "$1" 2>/dev/null | grep -v -e "^product$tab" -e "${tab}built-in p11shim\\.conf:[0-9]*\$" |
		while IFS= read -r line; do
			split_setting "$line"
			printf '  setting   %s = %s (%s)\n' "$key" "$value" "$source"
		done
}

# ask_module FILE: sets what it says of itself, or what went wrong.
ask_module() {
	cryptoki='' manufacturer='' description='' version_='' silent='' initialise='' error=''
	answer=$("$info" --info ${init:+"$init"} --seconds "$seconds" "$1" </dev/null)
	status=$?
	while IFS=$tab read -r name text; do
		case $name in
		cryptoki) cryptoki=$text ;;
		manufacturer) manufacturer=$text ;;
		description) description=$text ;;
		version) version_=$text ;;
		silent) silent=$text ;;
		initialise) initialise=$text ;;
		error) error=$text ;;
		esac
	done <<-ANSWER
		$answer
	ANSWER
	if [ -z "$error$silent$version_" ]; then
		error='it killed the process that asked it'
		[ $status -gt 128 ] || error="p11shim-info gave no answer (it ended with $status)"
	fi
}

# What it says, on one line; and what went wrong.
what_it_says() {
	[ -z "$version_" ] || echo "  says      $description $version_, $manufacturer, Cryptoki $cryptoki"
	[ -z "$initialise" ] || echo "  says      $initialise to C_Initialize: it may need parameters"
	when="before it is initialised"
	[ -z "$init" ] || when="even with --init"
	[ -z "$silent" ] || echo "  says      Cryptoki $cryptoki, and no more $when ($silent)"
	[ -z "$error" ] || echo "  error     $error"
}

# show_module FILE, packed
show_module() {
	lines=$(printf '%s\n' "$modules" | wanted=$1 awk -F '\t' '$1 "" == ENVIRON["wanted"] ""')
	first=${lines#*"$tab"}
	first=${first%%"$tab"*}
	unpack "${first##*/}"
	called=$unpacked
	unpack "$1"
	file_=$unpacked product='' error='not there'
	[ ! -e "$file_" ] || error='no file'
	if [ -f "$file_" ]; then
		product=$(product_of "$called")
		error=''
		[ -z "$info" ] || ask_module "$file_"
	fi
	if [ -n "$json" ]; then
		json_module "$1"
	else
		text_module "$1"
	fi
}

# Names of the module's, and where it is named: of $lines, a packed line each.
other_names() {
	printf '%s\n' "$lines" | cut -f 2 | grep -vxF -e "$1" | sort -u
}

where_named() {
	printf '%s\n' "$lines" | cut -f 3 | grep . | sort -u
}

# each_plain WORD: the packed lines of standard input, behind it.
each_plain() {
	while IFS= read -r line; do
		unpack "$line"
		printf '  %-9s %s\n' "$1" "$(plain "$unpacked")"
	done
}

text_module() {
	printf '%s%s\n' "$(plain "$called")" "${product:+: $product}"
	if [ ! -f "$file_" ]; then
		printf '  error     %s\n' "$error"
	else
		printf '  file      %s\n' "$(plain "$file_")"
	fi
	other_names "$1" | each_plain name
	where_named | each_plain 'named in'
	[ ! -f "$file_" ] || [ -z "$info" ] || {
		what_it_says
		own_settings "$file_"
	}
}

json_module() {
	printf '{"name":%s,"product":%s,"file":%s,' "$(json_string "$called")" "$(json_or_null "$product")" \
		"$(json_string "$file_")"
	printf '"names":%s,"named_in":%s,' "$(other_names "$1" | json_array)" "$(where_named | json_array)"
	settings='[]'
	if [ -f "$file_" ] && [ -n "$info" ]; then
		settings=$(members "$(settings_told --json "$file_")" settings)
	else
		cryptoki='' manufacturer='' description='' version_='' silent='' initialise=''
	fi
	for member in cryptoki description version_ manufacturer silent initialise error; do
		eval "text=\$$member"
		printf '"%s":%s,' "${member%_}" "$(json_or_null "$text")"
	done
	printf '"settings":%s}' "${settings:-[]}"
}

# One after another is told, since each may take its time; but as JSON all at once.
command_list() {
	list_options "$@"
	find_library
	find_info || say 'p11shim-info is missing: the list shows names and files only'
	modules=$(all_modules)
	files=$(printf '%s\n' "$modules" | cut -f 1 | awk '$0 != "" && !seen[$0]++')
	if [ -n "$json" ]; then
		list_json
		return
	fi
	[ -z "$info" ] || tell_mistakes "$(settings_told 2>&1 >/dev/null)"
	[ -n "$modules" ] || say 'no modules found'
	printf '%s\n' "$files" | while IFS= read -r module; do
		[ -z "$module" ] || tell "$(show_module "$module")"
	done
}

list_json() {
	mistakes='[]'
	[ -z "$info" ] || mistakes=$(members "$(settings_told --json)" mistakes)
	comma=''
	all=$(printf '%s\n' "$files" | while IFS= read -r module; do
		[ -n "$module" ] || continue
		printf '%s%s' "$comma" "$(show_module "$module")"
		comma=,$newline
	done)
	tell "{\"modules\":[$all],\"mistakes\":$mistakes}"
}

# ---- config

# listed_as NAME: the path of a module that list shows by that name.
listed_as() {
	all_modules | while IFS=$tab read -r file_ path named; do
		unpack "$file_"
		file_=$unpacked
		unpack "$path"
		case $1 in
		"${unpacked##*/}" | "${file_##*/}") printf '%s\n' "$path" ;;
		esac
	done | sed 1q
}

# Names of all modules that list shows, a packed line each.
module_names() {
	all_modules | cut -f 1,2 | tr '\t' '\n' | sed 's,.*/,,' | sort -u
}

# nearest_of NAME: of the names on standard input; those count most that differ only in letters'
# case, lib before them and .so behind.
nearest_of() {
	names=$(cat)
	# shellcheck disable=SC2016 # a program for awk
	stem='function stem(name) { name = tolower(name); sub(/^lib/, "", name); sub(/\.so.*/, "", name); return name }'
	near=$(printf '%s\n' "$names" | asked=$1 awk "$stem"'
		BEGIN { wanted = stem(ENVIRON["asked"]) }
		stem($0) == wanted { print; exit }')
	[ -n "$near" ] || near=$(printf '%s\n' "$names" | "$info" --nearest "$1")
	[ -n "$near" ] || {
		near=$(printf '%s\n' "$names" | awk "$stem"'{ print stem($0) }' | "$info" --nearest "$(printf '%s\n' "$1" | awk "$stem"'{ print stem($0) }')")
		[ -z "$near" ] || near=$(printf '%s\n' "$names" | near=$near awk "$stem"'stem($0) == ENVIRON["near"] { print; exit }')
	}
	printf '%s' "$near"
}

# meant_by MODULE: which one may have been meant, by its name, or where it lies. First of those that
# are here; of the others that are known, unless it is one itself.
meant_by() {
	name=${1##*/}
	near=$(listed_as "$name")
	[ -n "$near" ] || near=$(module_names | nearest_of "$name")
	[ -n "$near$(product_of "$name")" ] ||
		near=$(known_names | cut -f 1 | grep -v '[][*?]' | nearest_of "$name")
	unpack "$near"
	[ "$unpacked" = "$1" ] || printf '%s' "$unpacked"
}

config_options() {
	json='' module=''
	while [ $# -gt 0 ]; do
		case $1 in
		--json) json=yes ;;
		--help | -h)
			usage_config
			exit
			;;
		--)
			shift
			break
			;;
		-?*) misused "config: no such option: $1$(did_you_mean "$1" config) ($us config --help; before a module of that name: --)" ;;
		*) break ;;
		esac
		shift
	done
	[ $# -le 1 ] || misused "config: name one module only ($us config --help)"
	module=${1-}
}

# find_module NAME: sets path, where it lies, if it does, and near, which one may have been meant.
find_module() {
	near=''
	case $1 in
	*/*) path=$(absolute "$1") ;;
	*)
		path=$(in_usual_place "$1")
		if [ -z "$path" ]; then
			unpack "$(listed_as "$1")"
			path=${unpacked:-$1}
		fi
		;;
	esac
	[ -f "$path" ] || near=$(meant_by "$1")
}

command_config() {
	config_options "$@"
	near=''
	find_library
	find_info || misused "no p11shim-info beside $library: run make, or install it again"
	set --
	[ -z "$module" ] || {
		find_module "$module"
		set -- "$path"
	}
	if [ -n "$json" ]; then
		config_json "$@"
		return
	fi
	if [ -n "$near" ]; then
		say "$(plain "not there: $1; did you mean $near? These settings would hold for $1:")"
	elif [ $# -eq 1 ] && [ ! -f "$1" ]; then
		say "$(plain "not there: $1; these settings would hold for it:")"
	fi
	tell_mistakes "$(settings_told "$@" 2>&1 >/dev/null)"
	settings=$(settings_told "$@" 2>/dev/null) || misused 'p11shim-info cannot tell the settings'
	printf '%s\n' "$settings" | while IFS= read -r line; do
		split_setting "$line"
		printf '%-12s = %-12s %s\n' "$key" "$value" "$source"
	done
}

# config_json [PATH]
config_json() {
	settings=$(settings_told --json "$@") || misused 'p11shim-info cannot tell the settings'
	about=null
	if [ $# -eq 1 ]; then
		there=false
		[ ! -f "$1" ] || there=true
		about="{\"name\":$(json_string "$module"),\"file\":$(json_string "$1"),\"there\":$there"
		about="$about,\"meant\":$(json_or_null "$near")}"
	fi
	printf '{"module":%s,%s\n' "$about" "${settings#'{'}"
}

# ---- check

command_check() {
	json='' asked='' count=0
	while [ $# -gt 0 ]; do
		case $1 in
		--json) json=yes ;;
		--help | -h)
			usage_check
			exit
			;;
		--)
			shift
			count=$((count + $#)) asked=${1-$asked}
			break
			;;
		-?*) misused "check: no such option: $1$(did_you_mean "$1" check) ($us check --help; before a program of that name: --)" ;;
		*) count=$((count + 1)) asked=$1 ;;
		esac
		shift
	done
	[ "$count" -gt 0 ] || misused "check: which program? ($us check --help)"
	[ "$count" -eq 1 ] || misused "check: name one program, without its arguments ($us check --help)"
	set -- "$asked"
	find_library
	if [ -n "$json" ]; then
		check_json "$1"
	else
		! find_info || tell_mistakes "$(settings_told 2>&1 >/dev/null)"
		check_program "$1"
	fi
}

# json_finding SURE LEVEL NAME WHY [INSTEAD]: on a line.
json_finding() {
	printf '{"level":"%s","name":%s,"text":%s,"instead":%s,"sure":%s}\n' "$2" "$(json_or_null "$3")" \
		"$(json_string "$4")" "$(json_or_null "${5-}")" "$1"
}

# check_json PROGRAM: the exit status is that of check.
check_json() {
	findings=$(check_program "$1")
	status=$?
	[ $status -le 1 ] || exit $status
	mistakes='[]'
	! find_info || mistakes=$(members "$(settings_told --json)" mistakes)
	works=true
	case $findings in
	*'"sure":false}'*) works=null ;; # a quote within a text has a backslash before it
	esac
	[ $status -eq 0 ] || works=false
	printf '{"program":%s,"works":%s,"findings":[%s],"mistakes":%s}\n' "$(json_string "$1")" $works \
		"$(printf '%s\n' "$findings" | sed '$!s/$/,/')" "$mistakes"
	exit $status
}
