# shellcheck shell=sh
# p11shim-named.sh: a unit, or a .desktop file, that is named to check instead of a program. Part of
# p11shim, read by it; what such files say is in p11shim-starters.sh.
#
# From p11shim and its other parts come newline, field, info and others (SC2154); what it sets they
# read (SC2034).
# shellcheck disable=SC2154,SC2034

# named_starter NAME: is that a unit, or a .desktop file, by its name or its path? Sets named, its
# files (itself, then what is dropped in there).
named_starter() {
	named=''
	case $1 in
	*.service | *.desktop) ;;
	*) return 1 ;;
	esac
	case $1 in
	*/*)
		[ -f "$1" ] && grep -q -e '^[[:blank:]]*\[Service\]' -e '^[[:blank:]]*\[Desktop Entry\]' -- "$1" || return 1
		named=$(absolute "$1")
		named=$named$newline$(printf '%s\n' "$named.d"/*.conf)
		;;
	*)
		find_program "$1" 2>/dev/null && return 1
		template=$1
		case $1 in
		*@?*.service) template=${1%%@*}@.service ;;
		esac
		all=$(starter_files)
		for name in "$1" "$template"; do
			named=$(printf '%s\n' "$all" | name=$name awk '
				{
					file = id = $0
					sub(/.*\//, "", file)
					sub(/.*\/applications\//, "", id)
					gsub(/\//, "-", id)
				}
				file == ENVIRON["name"] || id == ENVIRON["name"] || /\.conf$/')
			case $newline$named$newline in
			*"/$name$newline"*) return ;;
			*.desktop"$newline"*) return ;; # by its directory, too
			esac
		done
		return 1
		;;
	esac
}

# Names of all of them, but those that are more than a line.
starter_names() {
	directories=$(starter_directories)
	[ -n "$directories" ] || return 0
	(
		set -f
		IFS=$newline
		# shellcheck disable=SC2086 # a line each
		find -L $directories -maxdepth 2 '(' -name '*.wants' -o -name '*.requires' -o -name '*.d' ')' -prune -o \
			'(' -name '*.service' -o -name '*.desktop' ')' ! -path "*$newline*" -print 2>/dev/null
	) | awk '
		{
			sub(/.*\/applications\//, "") ? gsub(/\//, "-") : sub(/.*\//, "")
			if (!seen[$0]++)
				print
		}' | sort
}

# find_starter_or_program NAME: as find_program; but what is called as units are is said to be none.
find_starter_or_program() {
	case $1 in
	*/*) ;;
	*?.service | *?.socket | *?.timer | *?.path | *?.target | *?.desktop)
		find_program "$1" 2>/dev/null && return
		near=$(find_info && starter_names | "$info" --nearest "$1")
		[ -n "$near" ] || near=$(starter_names | grep -xF -e "${1%.*}.service")
		case $1 in
		*.desktop) what='.desktop file' ;;
		*.service) what=unit ;;
		*) what='unit that starts programs' ;;
		esac
		say "no such $what: $1${near:+; did you mean $near?}"
		return 127
		;;
	esac
	find_program "$1"
}

# from_starter NAME: sets starter, the name, records, what it says, and started, the program.
from_starter() {
	starter=$1
	to_preload='' # not known yet
	asked_unit=${1##*/}
	records=$(starter_records "$named")
	IFS=$field read -r kind name file_ line key started value preload_ where mind activated way lost doubt files shell user <<-RECORD
		$(printf '%s\n' "$records" | sed 1q)
	RECORD
	case $started in
	'') misused "check: $1 starts nothing" ;;
	*"$unknown"*) misused "check: only systemd knows what $1 starts: $value" ;;
	esac
	[ "$kind" = desktop ] || search=$system_search
	if [ -n "$shell" ] && [ -z "$doubt" ]; then
		find_quietly "$started" # which may be a function of the shell's, or its own
		if [ -z "$found" ]; then
			no_program=$started started=$shell doubt="p11shim cannot tell from that line what ${shell##*/} -c starts"
		fi
	fi
	[ -z "$doubt" ] || finding unsure script "$doubt"
}
