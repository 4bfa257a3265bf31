# shellcheck shell=sh
# p11shim-starters.sh: what starts a program without anybody typing its name: systemd's units and
# the .desktop files of menus; and how they come to start it with the library. Part of p11shim,
# read by it.
#
# Files are read, nothing is asked of systemd. No more than 4,000 files, none above 256 kB.
#
# From p11shim and its other parts come newline, search, program, self and others (SC2154); what it
# sets they read (SC2034). test -ef is in every shell that may be sh, and in POSIX since 2024 (SC3013).
# shellcheck disable=SC2154,SC2034,SC3013

# Between what is printed of one; a blank, or a tab, may be in it.
field=$(printf '\037')

# ---- Which files

# Directories of units, first wins, then those of .desktop files; a line each.
starter_directories() {
	config=$(user_settings) data=${XDG_DATA_HOME:-${HOME:-/nonexistent}/.local/share}
	{
		printf '%s\n' "${SYSTEMD_UNIT_PATH-}" | tr ':' '\n'
		for directory in /etc/systemd /run/systemd /usr/local/lib/systemd /usr/lib/systemd /lib/systemd; do
			printf '%s\n' "$directory/system"
		done
		printf '%s\n' /run/systemd/generator /run/systemd/generator.late "$config/systemd/user" /etc/systemd/user \
			"${XDG_RUNTIME_DIR:-/nonexistent}/systemd/user" /run/systemd/user "$data/systemd/user" \
			/usr/local/lib/systemd/user /usr/lib/systemd/user
		printf '%s\n' "$data/applications"
		printf '%s\n' "${XDG_DATA_DIRS:-/usr/local/share:/usr/share}" | tr ':' '\n' | sed 's|$|/applications|'
		printf '%s\n' "$config/autostart" /etc/xdg/autostart
	} | while IFS= read -r directory; do
		case $directory in
		/lib/*) [ ! "$directory" -ef "/usr$directory" ] || continue ;;
		/*) ;;
		*) continue ;;
		esac
		[ ! -d "$directory" ] || printf '%s\n' "$directory"
	done
}

# All units, what is dropped in there, and .desktop files, in the order of these directories.
# One that leads to /dev/null hides others.
starter_files() {
	directories=$(starter_directories)
	[ -n "$directories" ] || return 0
	set -f
	IFS=$newline
	# shellcheck disable=SC2086 # a line each
	find -L $directories -maxdepth 2 '(' -name '*.wants' -o -name '*.requires' ')' -prune -o \
		'(' -name '*.service' -o -name '*.desktop' -o -path '*.service.d/*.conf' -o -path '*/service.d/*.conf' ')' \
		'(' -type f -size -512 -o -type c ')' -print 2>/dev/null | sed 4000q
}

# ---- What they say

# starter_records [FILES, a line each]: of each line that starts something, eleven fields:
#   KIND      unit, user (a unit of the user's) or desktop
#   NAME FILE LINE KEY   nginx.service, where it stands, and ExecStart or the like
#   PROGRAM   what is started, behind env, sh -c and p11shim run
#   VALUE     of the key, as it stands there
#   PRELOAD   what the library is preloaded by already, or, in a unit, the LD_PRELOAD that is there
#   WHERE     that is, FILE:LINE
#   MIND      what else there is to be minded, for people
#   ACTIVATED the name by which D-Bus may start it
starter_records() {
	files=$1
	set -f
	IFS=$newline
	set --
	for file_ in $files; do
		if [ -f "$file_" ] && [ -r "$file_" ] || [ "$file_" -ef /dev/null ]; then
			set -- "$@" "$file_"
		fi
	done
	[ $# -gt 0 ] || return 0
	p11shim_library=$to_preload awk '
		# Sets word[1...], and returns how many: as systemd splits a line, or a menu (desktop).
		function split_words(text, desktop, n, i, c, quote, open, now) {
			n = 0; open = 0; quote = ""; now = ""
			for (i = 1; i <= length(text) && i < 4096; i++) {
				c = substr(text, i, 1)
				if (c == "\\") {
					i++
					c = substr(text, i, 1)
					if (c == "x" && substr(text, i + 1, 2) == "20") {
						c = " "
						i += 2
					} else if (c == "s")
						c = " "
					now = now c
					open = 1
				} else if (quote != "") {
					if (c == quote)
						quote = ""
					else
						now = now c
				} else if (c == "\"" || c == "\047" && !desktop) {
					quote = c
					open = 1
				} else if (c == " " || c == "\t") {
					if (open)
						word[++n] = now
					now = ""
					open = 0
				} else {
					now = now c
					open = 1
				}
			}
			if (open)
				word[++n] = now
			return n
		}
		function base(path) {
			sub(/.*\//, "", path)
			return path
		}
		# What is started, behind those that start others. Sets ours if p11shim run does.
		function started(text, desktop, n, i, name) {
			ours = ""
			n = split_words(text, desktop)
			for (i = 1; i <= n; i++) {
				name = base(word[i])
				if (name ~ /^(exec|nice|setsid|nohup)$/ || i > 1 && word[i] ~ /^[A-Za-z_][A-Za-z_0-9]*=/)
					continue
				if (name == "env") {
					while (word[i + 1] ~ /^-[iv0]$/)
						i++
					continue
				}
				if (name ~ /^(ba|da|k|mk|z|)sh$/ && word[i + 1] ~ /^-[a-z]*c$/ && i + 2 <= n)
					return started(word[i + 2], 0)
				if (name == "p11shim" && word[i + 1] == "run") {
					ours = word[i]
					for (i += 2; i <= n && word[i] ~ /^-/ && word[i] != "--"; i++)
						if (word[i] ~ /^--(log|trace|log-level|trace-level|config|set)$/)
							i++
					i -= word[i] != "--"
					continue
				}
				gsub(/%%/, "%", word[i])
				return word[i]
			}
			return ""
		}
		function is_yes(value) {
			return tolower(value) ~ /^(1|y|yes|t|true|on)$/
		}
		# Is the path in one of these directories?
		function is_in(path, directories, names, n, i) {
			n = split(directories, names, " ")
			for (i = 1; i <= n; i++)
				if (index(path "/", names[i] "/") == 1)
					return 1
			return 0
		}
		function hide(directories, key, value, where) {
			if (is_in(library, directories))
				mind = mind "; " key "=" value " (" where ") hides the library from it: install it below /usr"
			hidden = hidden " " directories
		}
		function dropped(file, name, scope, i, parts, n) {
			n = split(file, parts, "/")
			i = parts[n - 1]
			sub(/\.d$/, "", i)
			return i
		}
		function kind_of(file) {
			return file ~ /\.desktop$/ ? "desktop" : file ~ /\/systemd\/user\// ? "user" : "unit"
		}
		# A line of a unit, in the order in which systemd takes them.
		function apply(f, i, n, k, key, value, where) {
			for (i = 1; i <= lines[f]; i++) {
				key = keys[f, i]
				value = values[f, i]
				where = f ":" numbers[f, i]
				if (key ~ /^Exec/) {
					if (value == "")
						execs[key] = 0
					else {
						n = ++execs[key]
						exec_value[key, n] = value
						exec_file[key, n] = f
						exec_line[key, n] = numbers[f, i]
					}
				} else if (key == "Environment") {
					if (value == "")
						preload = preload_where = ""
					n = split_words(value, 0)
					for (k = 1; k <= n; k++) {
						if (word[k] ~ /^LD_PRELOAD=/) {
							preload = substr(word[k], 12)
							preload_where = where
						} else if (word[k] ~ /^P11SHIM_(LOG|TRACE)=\//)
							record[substr(word[k], 1, index(word[k], "=") - 1)] = substr(word[k], index(word[k], "=") + 1)
					}
				} else if (key == "UnsetEnvironment" && value ~ /(^|[ \t])LD_PRELOAD($|[ \t=])/)
					mind = mind "; UnsetEnvironment= (" where ") takes LD_PRELOAD away from it"
				else if (key ~ /^Root(Directory|Image)$/ && value != "" && value != "/")
					mind = mind "; " key "=" value " (" where ") is another file system: the library has to be in there"
				else if (key == "ProtectHome" && (is_yes(value) || value == "tmpfs"))
					hide("/home /root /run/user", key, value, where)
				else if (key == "PrivateTmp" && (is_yes(value) || value == "disconnected"))
					hide("/tmp /var/tmp", key, value, where)
				else if (key == "InaccessiblePaths" || key == "TemporaryFileSystem") {
					n = split_words(value, 0)
					for (k = 1; k <= n; k++) {
						sub(/^[-+]+/, "", word[k])
						sub(/:.*/, "", word[k])
						hide(word[k], key, value, where)
					}
				}
			}
		}
		function print_record(kind, name, f, line, key, program, value, preload, where, mind, activated) {
			gsub(/\037/, "?", value)
			print kind, name, f, line, key, program, value, preload, where, mind, activated
		}
		# The unit of file f, with all that is dropped in for it.
		function unit(f, kind, name, template, i, n, k, j, chosen, order, part, list, program) {
			split("", execs)
			split("", record)
			split("", chosen)
			preload = preload_where = mind = hidden = ""
			template = name
			sub(/@[^@]*\.service$/, "@.service", template)
			n = 0
			for (i = 1; i <= drops; i++) {
				part = dropped(drop[i])
				if (kind_of(drop[i]) != kind || part != name && part != template && part != "service" || base(drop[i]) in chosen)
					continue
				chosen[base(drop[i])] = drop[i]
				for (k = ++n; k > 1 && base(order[k - 1]) > base(drop[i]); k--)
					order[k] = order[k - 1]
				order[k] = drop[i]
			}
			apply(f)
			for (i = 1; i <= n; i++)
				apply(order[i])
			for (i in record)
				if (is_in(record[i], hidden))
					mind = mind "; " i "=" record[i] " is hidden: the file is not where you look for it"
			n = split("ExecStart ExecStartPre ExecStartPost ExecCondition", list, " ")
			for (i = 1; i <= n; i++)
				for (k = 1; k <= execs[list[i]]; k++) {
					value = exec_value[list[i], k]
					j = value
					sub(/^[-@:+!|]+/, "", j)
					program = started(j, 0)
					print_record(kind, name, exec_file[list[i], k], exec_line[list[i], k], list[i], program, value,
						ours != "" ? "p11shim run" : preload, ours != "" ? exec_file[list[i], k] ":" exec_line[list[i], k] : preload_where,
						mind, "")
				}
		}
		function desktop(f, name, i, program, activated, try) {
			activated = try = ""
			for (i = 1; i <= lines[f]; i++) {
				if (keys[f, i] == "Hidden" && values[f, i] == "true")
					return
				if (keys[f, i] == "DBusActivatable" && values[f, i] == "true")
					activated = substr(name, 1, length(name) - 8)
				if (keys[f, i] == "TryExec")
					try = values[f, i]
			}
			for (i = 1; i <= lines[f]; i++)
				if (keys[f, i] == "Exec") {
					program = started(values[f, i], 1)
					print_record("desktop", name, f, numbers[f, i], "Exec", program, values[f, i],
						ours != "" ? "p11shim run" : "", f ":" numbers[f, i], "", activated)
					if (try != "" && try != program && ours == "")
						print_record("desktop", name, f, numbers[f, i], "Exec", try, values[f, i], "", "", "", activated)
				}
		}
		BEGIN {
			OFS = "\037"
			library = ENVIRON["p11shim_library"]
			sub(/^.*:/, "", library)
			for (i = 1; i < ARGC; i++)
				if (ARGV[i] ~ /\.conf$/)
					drop[++drops] = ARGV[i]
		}
		FNR == 1 { more = section = "" }
		FNR > 4000 { next }
		{
			sub(/\r$/, "")
			if (FILENAME !~ /\.desktop$/) {
				if (more != "" && /^[ \t]*[#;]/)
					next
				if (more == "")
					begun = FNR
				$0 = more $0
				more = ""
				if (/\\$/) {
					more = substr($0, 1, length($0) - 1) " "
					next
				}
			} else
				begun = FNR
			if (/^[ \t]*\[/) {
				section = $0
				next
			}
			if (section !~ /^[ \t]*\[(Service|Desktop (Entry|Action [^]]*))\]/)
				next
			at = index($0, "=")
			key = substr($0, 1, at - 1)
			gsub(/[ \t]/, "", key)
			if (key !~ /^(Exec|ExecStart|ExecStartPre|ExecStartPost|ExecCondition|TryExec|Hidden|DBusActivatable|Environment|UnsetEnvironment|RootDirectory|RootImage|ProtectHome|PrivateTmp|InaccessiblePaths|TemporaryFileSystem)$/)
				next
			value = substr($0, at + 1)
			sub(/^[ \t]+/, "", value)
			sub(/[ \t]+$/, "", value)
			n = ++lines[FILENAME]
			keys[FILENAME, n] = key
			values[FILENAME, n] = value
			numbers[FILENAME, n] = begun
		}
		END {
			for (i = 1; i < ARGC; i++) {
				f = ARGV[i]
				kind = kind_of(f)
				if (f ~ /\.conf$/ || (kind, base(f)) in seen)
					continue
				seen[kind, base(f)]
				if (kind == "desktop")
					desktop(f, base(f))
				else
					unit(f, kind, base(f))
			}
		}' "$@"
}

# ---- Which of them start the program

# is_started PROGRAM KIND: is that the file at $called? Of a file that does several things by the
# name that it is called by, only that name.
is_started() {
	case $1 in
	'' | *%*) return 1 ;;
	/*) found=$1 ;;
	*/*) return 1 ;;
	*)
		case $2 in
		desktop) find_quietly "$1" ;;
		*)
			found=$(
				search=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
				find_quietly "$1"
				printf '%s' "$found"
			)
			;;
		esac
		;;
	esac
	[ "$found" -ef "$called" ] || return 1
	case $called_file in
	busybox | toybox | coreutils | systemctl | udevadm | kmod | snap | flatpak) [ "${found##*/}" = "${called##*/}" ] ;;
	esac
}

# show_starters RECORDS: those that start $program, a line for each unit or .desktop file.
show_starters() {
	called=$(absolute "$program") told='' records=$1
	called_file=$(readlink -f -- "$called") || called_file=$called
	called_file=${called_file##*/}
	while IFS=$field read -r kind name file_ line key started value preload_ where mind activated; do
		is_started "$started" "$kind" || continue
		unit_file=$(readlink -f -- "$file_") || unit_file=$file_
		case $told in
		*"$newline$unit_file$newline"*) continue ;; # once more, or by another name
		esac
		told=$told$newline$unit_file$newline
		case $kind in
		desktop) show_desktop ;;
		*) show_unit ;;
		esac
	done <<-RECORDS
		$records
	RECORDS
}

# What a unit says, and what it would have to say.
show_unit() {
	case $preload_ in
	*libp11shim.so* | 'p11shim run')
		finding start "$name" "$file_:$line starts it with the library already ($where)$mind"
		return
		;;
	esac
	if is_unspeakable "${fitting:-$library}"; then
		finding start "$name" "$file_:$line starts it without the library ($key=), which LD_PRELOAD cannot name there" \
			'install the library in a directory without a blank, a colon or a dollar'
		return
	fi
	preloaded=$preload_
	value=$(merged "$to_preload" '' | sed -e 's/%/%%/g' -e "s/[\\\\\"']/\\\\&/g")
	case $kind:$file_ in
	user:*) directory=$(user_settings)/systemd/user systemctl='systemctl --user' ;;
	*:/etc/systemd/* | *:/run/* | *:/usr/* | *:/lib/*) directory=/etc/systemd/system systemctl=systemctl ;;
	*) directory=${file_%/*} systemctl=systemctl ;; # it was named by its path, or by SYSTEMD_UNIT_PATH
	esac
	directory=${directory%/*.service.d}
	instead="write [Service] and, below that, Environment=LD_PRELOAD=$value into $directory/$name.d/p11shim.conf ($systemctl edit $name makes such a file)"
	case ${preload_:+$where} in
	'') ;;
	/etc/* | "$directory"/*) instead="change LD_PRELOAD in $where into LD_PRELOAD=$value" ;;
	*) instead="$instead; what $where has in LD_PRELOAD is in that" ;;
	esac
	finding start "$name" "$file_:$line starts it without the library ($key=)$mind" \
		"$instead; then $systemctl daemon-reload, and restart it"
}

# other_lines: of the .desktop file, which start the same.
other_lines() {
	printf '%s\n' "$records" | file_=$file_ started=$started awk -F "$field" -v line="$line" '
		$3 == ENVIRON["file_"] && $6 == ENVIRON["started"] && $5 == "Exec" && $4 != line && !seen[$4]++ {
			printf "%s%s", n++ ? ", " : " (likewise line ", $4
		}
		END { if (n) printf ")" }'
}

# What a .desktop file says, and what it would have to say.
show_desktop() {
	by_bus=''
	[ -z "$activated" ] || by_bus="; this line may not be used, as D-Bus may start it (DBusActivatable=true): see Exec= in dbus-1/services/$activated.service"
	if [ -n "$preload_" ]; then
		finding start "$name" "$file_:$line starts it with the library already$by_bus"
		return
	fi
	case $us:$self in
	p11shim:*) command_=p11shim ;;
	*:*[!A-Za-z0-9_./+-]*) command_="\"$(printf '%s' "$self" | sed -e 's/[\\"`$]/\\\\&/g' -e 's/%/%%/g')\"" ;;
	*) command_=$self ;;
	esac
	instead="change line $line into Exec=$command_ run -- $value$(other_lines)"
	own=${XDG_DATA_HOME:-${HOME:-/nonexistent}/.local/share}/applications
	case $file_ in
	*/autostart/*) own=$(user_settings)/autostart ;;
	esac
	case $file_ in
	"$own"/*) ;;
	/usr/* | /etc/*) instead="copy it to $own/$name, and there $instead" ;;
	esac
	finding start "$name" "$file_:$line starts it without the library (Exec=)$by_bus" "$instead"
}

# ---- For check

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
			named=$(printf '%s\n' "$all" | awk -v name="$name" '
				{ file = $0; sub(/.*\//, "", file) }
				file == name || index($0, "/" name ".d/") || /\/service\.d\//')
			case $newline$named$newline in
			*"/$name$newline"*) return ;;
			esac
		done
		return 1
		;;
	esac
}

# from_starter NAME: sets starter, the name, records, what it says, and started, the program.
from_starter() {
	starter=$1
	to_preload='' # not known yet
	records=$(starter_records "$named")
	started=$(printf '%s\n' "$records" | sed 1q)
	kind=${started%%"$field"*}
	started=${started#*"$field"*"$field"*"$field"*"$field"*"$field"}
	started=${started%%"$field"*}
	case $started in
	'') misused "check: $1 starts nothing" ;;
	*%*) misused "check: $1 starts what only systemd knows: $started" ;;
	esac
	[ "$kind" = desktop ] || search=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
}
