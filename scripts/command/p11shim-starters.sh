# shellcheck shell=sh
# p11shim-starters.sh: what starts a program although no user types its name: systemd's units and
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

# find_aliases NAMES, a line each: sets aliases, those that are links to units of other names: a line
# ALIAS NAME each.
find_aliases() {
	aliases='' directories=''
	[ -n "$1" ] || return 0
	directories=$(starter_directories)
	for name in $1; do
		case $aliases in
		*"$newline$name "*) continue ;;
		esac
		for directory in $directories; do
			[ -L "$directory/$name" ] || continue
			real=$(readlink -f -- "$directory/$name") || continue
			[ "${real##*/}" = "$name" ] || aliases=$aliases$newline$name\ ${real##*/}
			break
		done
	done
}

# ---- What they say

# starter_records [FILES, a line each]: of each line that starts something, these fields:
#   KIND      unit, user (a unit of the user's) or desktop
#   NAME FILE LINE KEY   nginx.service, where it stands, and ExecStart or the like
#   PROGRAM   what is started, behind env, sh -c and p11shim run
#   VALUE     of the key, as it stands there
#   PRELOAD   what the library is preloaded by already, or, in a unit, the LD_PRELOAD that is there
#   WHERE     that is, FILE:LINE
#   MIND      what else the user has to heed, for people
#   ACTIVATED the name by which D-Bus may start it
#   WAY       word, if the line itself sets LD_PRELOAD; lost, if it takes that away; else empty
#   LOST      what takes it away
#   DOUBT     what cannot be told of it
#   FILES     of EnvironmentFile=, 036 between them
#   SHELL     the shell whose -c starts it
#   USER      whom it runs as, if not as root or as the user who asks
starter_records() {
	files=$1
	set -f
	IFS=$newline
	set --
	names=${asked_unit-}
	for file_ in $files; do
		case $file_ in
		*.service.d/*.conf)
			name=${file_%.d/*}
			name=${name##*/}
			case $newline$names$newline in
			*"$newline$name$newline"*) ;;
			*) names=$names$newline$name ;;
			esac
			;;
		esac
		if [ -f "$file_" ] && [ -r "$file_" ] || [ "$file_" -ef /dev/null ]; then
			set -- "$@" "$file_"
		fi
	done
	[ $# -gt 0 ] || return 0
	find_aliases "$names"
	p11shim_aliases=$aliases p11shim_library=$to_preload p11shim_asked=${asked_unit-} \
		p11shim_wrappers=$wrappers p11shim_interpreters=$interpreters awk "$awk_words"'
		# By what name a menu is known: with the directories below applications.
		function id_of(file) {
			if (file !~ /\/applications\/.*\.desktop$/)
				return base(file)
			sub(/.*\/applications\//, "", file)
			gsub(/\//, "-", file)
			return file
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
				mind = mind "; " key (where == "" ? "" : "=" value " (" where ")") " hides the library from it: install it below /usr"
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
		function apply(f, i, n, k, key, value, where, word) {
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
					n = split_words(value, 0, word)
					for (k = 1; k <= n; k++) {
						if (word[k] ~ /^LD_PRELOAD=/) {
							preload = substr(word[k], 12)
							preload_where = where
						} else if (word[k] ~ /^P11SHIM_(LOG|TRACE)=\//)
							record[substr(word[k], 1, index(word[k], "=") - 1)] = substr(word[k], index(word[k], "=") + 1)
					}
				} else if (key == "UnsetEnvironment") {
					if (value == "")
						unset = ""
					else if (value ~ /(^|[ \t\"\047])LD_PRELOAD($|[ \t=\"\047])/)
						unset = where
				} else if (key == "EnvironmentFile") {
					sub(/^-/, "", value)
					files = value == "" ? "" : files value "\036"
				} else if (key == "User") {
					user = value ~ /^(root|0)$/ ? "" : value
				} else if (key == "DynamicUser") {
					hide_temporary = is_yes(value) ? "DynamicUser=" value " (" where ")" : ""
				} else if (key == "ProtectSystem")
					strict = value == "strict" ? where : ""
				else if (key ~ /^Root(Directory|Image)$/ && value != "" && value != "/")
					mind = mind "; " key "=" value " (" where ") is another file system: the library has to be in there"
				else if (key == "ProtectHome" && (is_yes(value) || value == "tmpfs"))
					hide("/home /root /run/user", key, value, where)
				else if (key == "PrivateTmp" && (is_yes(value) || value == "disconnected"))
					hide("/tmp /var/tmp", key, value, where)
				else if (key == "InaccessiblePaths" || key == "TemporaryFileSystem") {
					n = split_words(value, 0, word)
					for (k = 1; k <= n; k++) {
						sub(/^[-+]+/, "", word[k])
						sub(/:.*/, "", word[k])
						hide(word[k], key, value, where)
					}
				}
			}
		}
		function print_record(kind, name, f, line, key, program, value, preload, where, mind, activated, way, lost, doubt, files, shell, user) {
			gsub(/\037/, "?", value)
			gsub(/\037/, "?", program)
			gsub(/\037/, "?", preload)
			gsub(/\037/, "?", lost)
			print kind, name, f, line, key, program, value, preload, where, mind, activated, way, lost, doubt, files, shell, user
		}
		# The unit of file f, with all that is dropped in for it.
		function unit(f, kind, name, template, i, n, k, j, chosen, order, part, list, here, way, gone, all, called) {
			called = name
			if (name ~ /@\.service$/ && is_of(ENVIRON["p11shim_asked"], name))
				called = ENVIRON["p11shim_asked"]
			split("", execs)
			split("", record)
			split("", chosen)
			preload = preload_where = mind = hidden = unset = files = hide_temporary = strict = user = ""
			template = name
			sub(/@[^@]*\.service$/, "@.service", template)
			n = 0
			for (i = 1; i <= drops; i++) {
				part = dropped(drop[i])
				if (kind_of(drop[i]) != kind || part != "service" && !is_part_of(part, called) && !is_part_of(part, template) || base(drop[i]) in chosen)
					continue
				chosen[base(drop[i])] = drop[i]
				for (k = ++n; k > 1 && base(order[k - 1]) > base(drop[i]); k--)
					order[k] = order[k - 1]
				order[k] = drop[i]
			}
			apply(f)
			for (i = 1; i <= n; i++)
				apply(order[i])
			if (user == "" && hide_temporary != "")
				user = "a dynamic user"
			if (hide_temporary != "" && index(hidden " ", " /tmp ") == 0)
				hide("/tmp /var/tmp", hide_temporary, "", "")
			for (i in record)
				if (is_in(record[i], hidden))
					mind = mind "; " i "=" record[i] " is hidden from other programs: you will not find the file there"
				else if (strict != "" && !is_in(record[i], "/dev /proc /sys"))
					mind = mind "; " i "=" record[i] " cannot be written by it, unless ReadWritePaths= or LogsDirectory= allows that: ProtectSystem=strict (" strict ")"
			if (unset != "") {
				mind = mind "; UnsetEnvironment= (" unset ") takes LD_PRELOAD away from it"
				preload = preload_where = ""
			}
			n = split("ExecStart ExecStartPre ExecStartPost ExecCondition", list, " ")
			for (i = 1; i <= n; i++)
				for (k = 1; k <= execs[list[i]]; k++) {
					value = exec_value[list[i], k]
					here = exec_file[list[i], k] ":" exec_line[list[i], k]
					all = started(value, 0)
					for (j = 1; j <= all; j++) {
						way = is_lost[j] != "" ? "lost" : has_word[j] ? "word" : ""
						gone = way != "" || by_us[j] != ""
						print_record(kind, name, exec_file[list[i], k], exec_line[list[i], k], list[i],
							specified(start[j], kind, called), value,
							by_us[j] != "" ? "p11shim run" : way == "word" ? by_word[j] : way == "lost" ? "" : preload,
							gone ? here : preload_where, mind, "", way == "" && unset != "" ? "unset" : way,
							way == "" ? unset : is_lost[j], doubt[j], gone ? "" : files, in_shell[j], kind == "user" ? "" : user)
					}
				}
		}
		# Is that the unit of the template?
		function is_of(asked, template) {
			sub(/@[^@]*\.service$/, "@.service", asked)
			return asked == template
		}
		# Is what is dropped in for part so for name: its own, or for the beginning of it up to a -?
		function is_part_of(part, name, rest) {
			if (part == name || (part in alias ? alias[part] : part) == (name in alias ? alias[name] : name))
				return 1
			rest = name
			sub(/^[^@]*@/, "@", rest)
			if (rest == name)
				rest = ".service"
			if (length(part) <= length(rest) + 1 || substr(part, length(part) - length(rest) + 1) != rest)
				return 0
			part = substr(part, 1, length(part) - length(rest))
			return part ~ /-$/ && index(name, part) == 1
		}
		function desktop(f, name, i, k, n, way, activated, try, is_it) {
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
					n = started(values[f, i], 1)
					is_it = 0
					for (k = 1; k <= n; k++) {
						way = is_lost[k] != "" ? "lost" : has_word[k] ? "word" : ""
						gsub(/%%/, "%", start[k])
						is_it = is_it || start[k] == try || by_us[k] != ""
						print_record("desktop", name, f, numbers[f, i], "Exec", start[k], values[f, i],
							by_us[k] != "" ? "p11shim run" : way == "word" ? by_word[k] : "", f ":" numbers[f, i], "", activated,
							way, is_lost[k], doubt[k], "", in_shell[k])
					}
					if (try != "" && !is_it)
						print_record("desktop", name, f, numbers[f, i], "Exec", try, values[f, i], "", "", "", activated, "", "", "", "", "")
				}
		}
		BEGIN {
			OFS = "\037"
			n = split(ENVIRON["p11shim_aliases"], row, "\n")
			for (i = 1; i <= n; i++)
				if (row[i] != "")
					alias[substr(row[i], 1, index(row[i], " ") - 1)] = substr(row[i], index(row[i], " ") + 1)
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
			if (key !~ /^(Exec|ExecStart|ExecStartPre|ExecStartPost|ExecCondition|TryExec|Hidden|DBusActivatable|Environment|UnsetEnvironment|RootDirectory|RootImage|ProtectHome|ProtectSystem|DynamicUser|User|EnvironmentFile|PrivateTmp|InaccessiblePaths|TemporaryFileSystem)$/)
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
				if (f ~ /\.conf$/ || (kind, id_of(f)) in seen)
					continue
				seen[kind, id_of(f)]
				if (kind == "desktop")
					desktop(f, id_of(f))
				else
					unit(f, kind, base(f))
			}
		}' "$@"
}

# ---- Which of them start the program

# Where systemd looks for a program that it is told without a directory.
system_search=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

# is_started PROGRAM KIND: is that the file at $called? Of a file that does several things by the
# name that it is called by, only that name.
is_started() {
	case $1 in
	'' | *"$unknown"*) return 1 ;;
	/*) found=$1 ;;
	*/*) return 1 ;;
	*)
		case $2 in
		desktop) find_quietly "$1" ;;
		*)
			kept=$search search=$system_search
			find_quietly "$1"
			search=$kept
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
	while IFS=$field read -r kind name file_ line key started value preload_ where mind activated way lost doubt files shell user; do
		if [ -n "${no_program-}" ] && [ "$started" = "$no_program" ]; then
			started=$shell doubt="p11shim cannot tell from that line what ${shell##*/} -c starts"
		fi
		is_started "$started" "$kind" || continue
		unit_file=$(readlink -f -- "$file_") || unit_file=$file_
		case $told in
		*"$newline$unit_file$newline"*) continue ;; # once more, or by another name
		esac
		told=$told$newline$unit_file$newline
		mind="$mind${doubt:+; $doubt}"
		case $kind in
		desktop) show_desktop ;;
		*) show_unit ;;
		esac
	done <<-RECORDS
		$records
	RECORDS
}

# read_environment_files FILES: what LD_PRELOAD is in the end, which wins over Environment=.
read_environment_files() {
	rest=$1
	while [ -n "$rest" ]; do
		file=${rest%%"$unknown"*} rest=${rest#*"$unknown"}
		case $file in
		*[%*?[]*) mind="$mind; p11shim does not read EnvironmentFile=$file, which may set LD_PRELOAD" ;;
		*)
			if [ ! -f "$file" ] || [ ! -r "$file" ]; then
				continue
			fi
			said=$(sed -n 's/^[[:blank:]]*LD_PRELOAD=//p' "$file" 2>/dev/null | sed -n "\$s/^\\([\"']\\)\\(.*\\)\\1\$/\\2/; \$p")
			[ -z "$said" ] || [ "$way" = unset ] || preload_=$said where=$file way=file
			;;
		esac
	done
}

# look_at_reach USER: can others search all directories above the library? Whom a closed one
# belongs to can.
look_at_reach() {
	above=${fitting:-$library}
	above=$(readlink -f -- "$above") || return 0
	above=${above%/*}
	while [ -n "$above" ]; do
		# shellcheck disable=SC2012 # mode and owner
		case $(ls -ld -- "$above" 2>/dev/null | awk '{ print substr($1, 10, 1), $3 }') in
		[xt]* | '' | *" $1") ;;
		*)
			mind="$mind; the user ($1) cannot reach the library, since $above is closed to other users: install the library below /usr"
			return
			;;
		esac
		above=${above%/*}
	done
}

# What a unit says, and what it would have to say.
show_unit() {
	[ -z "$user" ] || look_at_reach "$user"
	read_environment_files "$files"
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
	ours_here=$(printf '%s' "$to_preload" | sed 's/%/%%/g') # what is there has its percent signs already
	value=$(merged "$ours_here" '' | sed "s/[\\\\\"']/\\\\&/g")
	case $kind:$file_ in
	user:*) directory=$(user_settings)/systemd/user systemctl='systemctl --user' ;;
	*:/etc/systemd/* | *:/run/* | *:/usr/* | *:/lib/*) directory=/etc/systemd/system systemctl=systemctl ;;
	*) directory=${file_%/*} systemctl=systemctl ;; # it was named by its path, or by SYSTEMD_UNIT_PATH
	esac
	directory=${directory%/*.service.d}
	instead="write [Service] and, below that, Environment=LD_PRELOAD=$value into $directory/$name.d/p11shim.conf ($systemctl edit $name makes such a file)"
	case $way in
	lost)
		finding start "$name" "$file_:$line starts it without the library ($key=): $lost takes LD_PRELOAD away$mind" \
			"write $self run -- before $started in $file_:$line; then $systemctl daemon-reload, and restart it"
		return
		;;
	unset) instead="take LD_PRELOAD out of UnsetEnvironment= in $lost, and $instead" ;;
	word) instead="change LD_PRELOAD in $where into LD_PRELOAD=$value" ;;
	file) instead="change LD_PRELOAD in $where into LD_PRELOAD=$(merged "$to_preload" '')" ;;
	esac
	case ${preload_:+$way:$where} in
	'' | word:* | file:*) ;;
	:/etc/* | :"$directory"/*) instead="change LD_PRELOAD in $where into LD_PRELOAD=$value" ;;
	*) instead="$instead; this value includes what $where has in LD_PRELOAD" ;;
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
	[ -z "$activated" ] || by_bus="; D-Bus may start the program without this line (DBusActivatable=true): see Exec= in dbus-1/services/$activated.service"
	case $preload_ in
	*libp11shim.so* | 'p11shim run')
		finding start "$name" "$file_:$line starts it with the library already$by_bus"
		return
		;;
	esac
	case $us:$self in
	p11shim:*) command_=p11shim ;;
	*:*[!A-Za-z0-9_./+-]*) command_="\"$(printf '%s' "$self" | sed -e 's/[\\"`$]/\\\\&/g' -e 's/%/%%/g')\"" ;;
	*) command_=$self ;;
	esac
	instead="change line $line into Exec=$command_ run -- $value$(other_lines)"
	case $way in
	word | lost) instead="write $command_ run -- before $started in line $line$(other_lines)" ;;
	esac
	own=${XDG_DATA_HOME:-${HOME:-/nonexistent}/.local/share}/applications
	case $file_ in
	*/autostart/*) own=$(user_settings)/autostart ;;
	esac
	case $file_ in
	"$own"/*) ;;
	/usr/* | /etc/*) instead="copy it to $own/$name, and there $instead" ;;
	esac
	finding start "$name" "$file_:$line starts it without the library (Exec=)${lost:+: $lost takes LD_PRELOAD away}$mind$by_bus" "$instead"
}
