# shellcheck shell=sh
# p11shim-programs.sh: what kind of program something is, and whether a library can be
# preloaded into it. Part of p11shim, read by it.
#
# From it come functions, library (see find_library), root and prefix, search (the caller's
# PATH) and preloaded (the caller's LD_PRELOAD). Nothing is executed of the program looked at.
# shellcheck disable=SC2154

# ---- From what was called to what is executed

# find_program NAME: sets program, as execvp(3) finds it. Otherwise says so, and fails with
# 127, or 126 if it is there but not to be executed.
find_program() {
	program='' denied='' rest=$search:
	case $1 in
	*/*) program=$1 rest='' ;;
	'') rest='' ;;
	esac
	while [ -z "$program" ] && [ -n "$rest" ]; do
		found=${rest%%:*} rest=${rest#*:}
		found=${found:-.}/$1
		if [ -f "$found" ] && [ -x "$found" ]; then
			program=$found
		elif [ -f "$found" ]; then
			denied=${denied:-$found}
		fi
	done
	program=${program:-$denied}
	if [ -z "$program" ] || [ ! -e "$program" ]; then
		say "no such program: $1"
		return 127
	elif [ -d "$program" ] || [ ! -x "$program" ]; then
		say "cannot be executed: $program"
		return 126
	fi
}

# find_quietly NAME: sets found, to nothing if there is none; program stays what it is.
find_quietly() {
	asked=${program-}
	find_program "$1" 2>/dev/null || program=''
	found=$program program=$asked
}

# hash_bang FILE: sets line to the first one without its #! and blanks around it, as the kernel
# reads it; fails if it does not begin so.
hash_bang() {
	line=$(dd bs=512 count=1 "if=$1" 2>/dev/null | tr -d '\000' | sed -n '1s/^#![[:blank:]]*//p;q')
	line=${line%"${line##*[![:blank:]]}"}
	[ -n "$line" ]
}

# From $program sets file, which the kernel executes in the end, empty if there is none, and
# chain, for people. The kernel follows five scripts; if then env is executed, anew.
follow_scripts() {
	file=$(absolute "$program") chain=$program called=$program levels=0 turns=0
	look_for_wrapper "$file"
	while hash_bang "$file"; do
		levels=$((levels + 1)) turns=$((turns + 1))
		if [ $levels -gt 5 ] || [ $turns -gt 20 ]; then
			finding cannot interpreter "$called leads through more scripts than the kernel follows" \
				'name the interpreter in its #! line'
			file=''
			return
		fi
		look_into_script "$file"
		if ! find_interpreter; then
			file=''
			return
		fi
		file=$(absolute "$found")
		chain="$chain -> $found"
		look_for_wrapper "$file"
	done
}

# What the script $file, whose #! says $line, is executed by: sets found. Otherwise says what is
# wrong, and fails.
find_interpreter() {
	found=${line%%[[:blank:]]*} why_not="the #! line of $file names $line, which is not there" instead='install it'
	case ${found##*/} in
	env)
		levels=0
		words=${line#"$found"}
		find_behind_env "${words#"${words%%[![:blank:]]*}"}"
		;;
	esac
	if [ -f "$found" ] && [ -x "$found" ]; then
		return
	fi
	case $line in
	*"$(printf '\r')")
		why_not="the #! line of $file ends in a carriage return, which the kernel takes for part of the name"
		instead='remove the carriage returns from the file'
		;;
	esac
	finding cannot interpreter "$why_not" "$instead"
	return 1
}

# find_behind_env WORD: for `#!/usr/bin/env WORD`, all of which the kernel hands over as one.
# Sets found, to env itself if what it starts cannot be told; or to nothing, why_not and instead.
find_behind_env() {
	env=$found found=''
	if ! split_by_env "$1"; then
		case $1 in
		*[[:blank:]]*)
			why_not="env gets all that follows it in the #! line of $file as one word: $1"
			instead="let env split that: #!$env -S $1"
			;;
		'' | -* | *=*)
			why_not="the #! line of $file names no program that env could start"
			instead='name the interpreter there'
			;;
		*) find_quietly "$1" ;;
		esac
		return
	fi
	set -f
	# shellcheck disable=SC2086 # as env does
	case $words in
	*[\\\"\'\$#]*) false ;;
	*) started_by_env $words ;;
	esac || {
		finding unsure interpreter "p11shim cannot tell from the #! line of $file what env starts: $line"
		found=$env
	}
	set +f
}

# split_by_env WORD: does it say -S? Sets words, what env makes of it but for quotes and the like.
split_by_env() {
	case $1 in
	--s*=*)
		words=${1#*=}
		return
		;;
	-*S*) ;;
	*) return 1 ;;
	esac
	flags=${1%%S*}
	words=${1#"$flags"S}
	case $flags in
	-) ;;
	-*[!iv0]*) return 1 ;;
	*) words="$flags $words" ;;
	esac
}

# started_by_env WORDS...: sets found, which is empty if that is not there; fails if it cannot be
# told. Says so if it is started without our LD_PRELOAD.
started_by_env() {
	lost='' callers_search=$search
	while [ $# -gt 0 ]; do
		word=$1 value=''
		shift
		case $word in
		- | -i | --ignore-e*) lost=yes ;;
		-i*) lost=yes && set -- "-${word#-i}" "$@" ;;
		-[v0] | --debug | --null | --*-signal*) ;;
		-[v0]*) set -- "-${word#-?}" "$@" ;;
		-S | --split-string) ;;
		-S*) set -- "${word#-S}" "$@" ;;
		--s*=*) set -- "${word#*=}" "$@" ;;
		-uLD_PRELOAD | --u*=LD_PRELOAD) lost=yes ;;
		-u | --unset)
			value=next
			[ "${1-}" != LD_PRELOAD ] || lost=yes
			;;
		-[Ca] | --chdir | --argv0) value=next ;;
		-[uCa]* | --[uca]*=*) ;;
		-*)
			search=$callers_search
			return 1
			;;
		LD_PRELOAD=*libp11shim.so*) ;;
		LD_PRELOAD=*) lost=yes ;;
		PATH=*) search=${word#*=} ;;
		*=* | env | */env) ;;
		*)
			find_quietly "$word"
			break
			;;
		esac
		[ -z "$value" ] || [ $# -eq 0 ] || shift
	done
	search=$callers_search
	[ -z "$lost" ] || [ -z "$found" ] || finding cannot environment "the #! line of $file starts $word without LD_PRELOAD" \
		"start it yourself: $us run $word $file"
}

# ---- What is in the way

# finding LEVEL NAME WHY [INSTEAD]: on a line. `run` tells a person only what cannot work.
# LEVEL is cannot, beware, good, or unsure: a beware that leaves it open whether it works; or what
# is no judgement: program, whose NAME is empty, module, start. All that `check` says but for its
# last line comes from here.
finding() {
	sure=true
	case $1 in
	cannot) verdict=1 ;;
	unsure)
		unsure=yes sure=false
		shift
		set -- beware "$@"
		;;
	esac
	if [ -z "${quickly-}" ] && [ -n "${json-}" ]; then
		json_finding "$sure" "$@"
	elif [ -z "${quickly-}" ]; then
		printf '%-7s %s%s\n' "$1" "$(plain "${2:+$2: }$3")" "$(plain "${4:+; instead: $4}")"
	elif [ "$1" = cannot ]; then
		say "$3; instead: ${4-}"
	fi
}

# look_for_wrapper FILE: by its name, does it start programs where ours does not reach them?
look_for_wrapper() {
	real=$(readlink -f -- "$1") || real=$1
	case $1:${real##*/} in
	/snap/* | /var/lib/snapd/snap/* | *:snap)
		snap "$1 is in a snap"
		return
		;;
	*:flatpak)
		flatpak "$1 starts a flatpak"
		return
		;;
	esac
	# by its file's name, or, where that does several things (busybox, sudo-rs), by that of the link
	for wrapper in "${real##*/}" "${1##*/}"; do
		case $wrapper in
		sudo | su | doas | pkexec | runuser | systemd-run | docker | podman) break ;;
		esac
		wrapper=''
	done
	if [ -n "$wrapper" ]; then
		finding cannot environment \
			"$wrapper starts programs with an environment of its own, without LD_PRELOAD" \
			"put p11shim behind it: $wrapper ... $us run PROGRAM"
	fi
}

# look_into_script FILE: a shell script, whose #! says $line, may only be there to start something.
look_into_script() {
	case $line in
	*sh | *sh[[:blank:]]*) ;;
	*) return ;;
	esac
	blanks='[[:blank:]][[:blank:]]*'
	before="^[[:blank:]]*\\(exec$blanks\\)\\{0,1\\}\\(env$blanks\\)\\{0,1\\}"
	before="$before\\([A-Za-z_][A-Za-z_0-9]*=[^[:blank:]]*$blanks\\)*[\"']\\{0,1\\}"
	program_run="\\(/usr/bin/\\)\\{0,1\\}%s[\"']\\{0,1\\}${blanks}run"
	# shellcheck disable=SC2059 # a format of ours
	if grep -q -e "$before/snap/bin/" -e "$before$(printf "$program_run" snap)" -- "$1"; then
		snap "$1 starts a snap"
	elif grep -q -e "$before$(printf "$program_run" flatpak)" -- "$1"; then
		flatpak "$1 starts a flatpak"
	else
		finding beware script "$1 is a shell script: p11shim does not look at what it starts"
	fi
}

snap() {
	finding cannot snap "$1, and a program in a snap gets no LD_PRELOAD and does not see this library" \
		"install the program from a package of the distribution, or its makers' archive"
}

flatpak() {
	finding cannot flatpak "$1, and a program in a flatpak does not see this library" \
		"copy the library to your home directory and name it there: flatpak run --filesystem=HOME/libp11shim.so:ro --env=LD_PRELOAD=HOME/libp11shim.so APPLICATION"
}

# Set-id and capabilities: what is ignored is said of the user who asks, as the kernel sees it.
look_for_privileges() {
	# shellcheck disable=SC2012 # mode, owner and group, which no other POSIX tool tells
	owner=$(ls -ldnL -- "$file" | sed 's/^\([^ ]*\) *[^ ]* *\([0-9]*\) *\([0-9]*\).*/\1 \2 \3/')
	group=${owner##* } mode=${owner%% *}
	owner=${owner#* } owner=${owner% *}
	user=$(id -u)
	case $mode in
	???[sS]*) set_id set-uid "$owner" "$user" ;;
	esac
	case $mode in
	??????s*) set_id set-gid "$group" "$(id -g)" ;;
	esac
	for getcap in $(command -v getcap) /sbin/getcap /usr/sbin/getcap; do
		[ ! -x "$getcap" ] || break
	done
	if [ ! -x "${getcap-}" ]; then
		finding unsure capabilities 'p11shim found no getcap to look for file capabilities, which would prevent preloading' \
			'install it (libcap2-bin) and check again'
		return
	fi
	real=$(readlink -f -- "$file") || real=$file
	capabilities=$("$getcap" -- "$real" 2>/dev/null)
	case $capabilities in
	'') ;;
	*)
		capabilities=${capabilities#"$real"}
		if [ "$user" -eq 0 ]; then
			finding beware capabilities "$file has file capabilities (${capabilities# }): preloading works for root only"
		else
			finding cannot capabilities "$file has file capabilities (${capabilities# }), so the dynamic linker ignores LD_PRELOAD" \
				"$without_privilege"
		fi
		;;
	esac
}

without_privilege='if the program can do without that privilege, run a copy of it, since cp drops the privilege; or let root name the library in /etc/ld.so.preload, which reaches every program'

# set_id WHAT ID OURS
set_id() {
	if grep -q '^NoNewPrivs:[[:blank:]]*1' /proc/self/status 2>/dev/null; then
		finding beware "$1" "$file is $1, which has no effect here because of no_new_privs; elsewhere it prevents preloading"
	elif [ "$2" = "$3" ]; then
		finding beware "$1" "$file is $1, which prevents preloading for other users; your own ID is $2 already"
	elif [ "${file##*/}" = ssh-agent ]; then
		finding cannot "$1" "$file is $1, so the dynamic linker ignores LD_PRELOAD and drops it for ssh-pkcs11-helper, which loads the module" \
			"start it with SSH_PKCS11_HELPER=FILE, where FILE is a script of two lines: #!/bin/sh, and exec $us_anywhere run /usr/lib/openssh/ssh-pkcs11-helper"
	else
		finding cannot "$1" "$file is $1, so the dynamic linker ignores LD_PRELOAD" "$without_privilege"
	fi
}

# What the file itself says. Sets preload, the value for LD_PRELOAD; empty: as it was.
look_at_file() {
	preload='' ours='' sanitizer='' linker='' why_not=''
	if [ ! -r "$file" ]; then
		finding unsure unreadable "p11shim is not allowed to read $file, and cannot look at it"
		fitting=$library
	elif ! read_elf "$file"; then
		look_at_text
		return
	else
		look_at_elf || return
		look_for_privileges
	fi
	ours=$(everywhere "$fitting") || {
		no_name "$fitting"
		return
	}
	[ -n "${quickly-}" ] || look_at_other_size
	preload=$(merged "$ours" "$sanitizer")
}

# no_name LIBRARY: LD_PRELOAD cannot name it (see speakable).
no_name() {
	finding cannot name "LD_PRELOAD cannot name $1, which has a blank, a colon or a dollar in it, and p11shim found no directory for a link in which only you can write (XDG_RUNTIME_DIR, TMPDIR, /tmp, /var/tmp)" \
		'install the library in a directory without these'
}

# Does LD_PRELOAD, which will have $ours, serve programs of the other word size, which this one
# may start? Not said where there is no library for them.
look_at_other_size() {
	case $ours in
	*/\$LIB/*) return ;;
	esac
	[ "$native" = 2/62 ] || return 0
	small=$(file_for 1/3 libp11shim.so)
	[ -z "$small" ] ||
		finding beware word-size "if the program starts others of the other word size, they do not get the library: one LD_PRELOAD cannot name both $library and $small" \
			'if that matters, install both in the directories in which the distribution has its libraries'
}

# No ELF, no #!: execvp(3) gives that to a shell, if it is text.
look_at_text() {
	ours=$(speakable "$library") || {
		no_name "$library"
		return
	}
	preload=$(merged "$ours" '')
	if [ "$(dd bs=512 count=1 "if=$file" 2>/dev/null | tr -d '\000' | wc -c)" -lt \
		"$(dd bs=512 count=1 "if=$file" 2>/dev/null | wc -c)" ]; then
		finding unsure unknown "$file is neither a script nor a readable ELF program: p11shim does not know what executes it"
	else
		finding good script "$file has no #! line: a shell executes it"
	fi
}

# Fails if the library must not be preloaded.
look_at_elf() {
	fitting=$library
	if [ "$elf_machine" != "$native" ]; then
		fitting=$(file_for "$elf_machine" libp11shim.so)
	fi
	case ${elf_interp##*/} in
	ld-musl*)
		finding cannot musl "$file is made for musl, and such a program cannot load a library that is made for glibc" \
			'use a build of it that is made for glibc'
		return 1
		;;
	esac
	if [ -z "$fitting" ]; then
		other_machine
		return 1
	elif [ -z "$elf_interp" ]; then
		no_linker
	elif [ ! -x "$elf_interp" ]; then
		finding cannot interpreter "$file needs the dynamic linker $elf_interp, which is not there" \
			"install the libraries for $(machine_name "$elf_machine")"
	else
		find_linker
	fi
	sanitizer=$(elf_names "$file" | sed -n -e '/^lib[atl]san\.so/p' -e '/^libhwasan\.so/p' -e '/^libclang_rt\.[atl]san/p' | sed 1q)
	[ -z "$sanitizer" ] || look_at_sanitizer
}

# Sets linker, the program's dynamic linker, if it can be asked without executing anything else;
# otherwise doubt, the name of a finding, and why_not.
find_linker() {
	doubt='' why_not=''
	linker=$(readlink -f -- "$elf_interp")
	case $linker in
	/lib/* | /lib[3x6]*/* | /usr/lib/* | /usr/lib[3x6]*/* | /nix/store/* | /gnu/store/*) ;;
	*) linker='' ;;
	esac
	case ${linker##*/} in
	ld*.so*) ;;
	*) doubt=interpreter why_not="$file names a dynamic linker of its own, $elf_interp: p11shim does not execute that" ;;
	esac
	if [ -z "$elf_sound" ]; then
		doubt=unknown why_not="p11shim cannot read the dynamic section of $file, so it does not execute the dynamic linker"
	elif [ -n "$elf_auditors" ]; then
		doubt=audit why_not="$file names auditors, whose code the dynamic linker would execute: p11shim does not execute it"
	fi
	[ -z "$doubt" ] || linker=''
}

# ask_linker LD_PRELOAD LD_DEBUG: which libraries the dynamic linker would load for the program,
# whatever the caller says to it in variables. It is asked for the file itself, whatever links lead
# there: of that the kernel tells it when the program starts, and $ORIGIN is the directory it is in.
ask_linker() (
	executed=$(readlink -f -- "$file") || executed=$file
	unset LD_AUDIT LD_DEBUG_OUTPUT LD_PROFILE LD_PROFILE_OUTPUT LD_SHOW_AUXV LD_VERBOSE LD_TRACE_PRELINKING LD_BIND_NOT
	LD_PRELOAD=$1 LD_DEBUG=$2 LD_TRACE_LOADED_OBJECTS=1 LD_WARN=yes LD_BIND_NOW=yes \
		"$linker" "$executed" 2>&1 </dev/null
)

other_machine() {
	case $elf_machine in
	1/3) debian=i386 ;;
	2/62) debian=amd64 ;;
	2/183) debian=arm64 ;;
	*) debian='' ;;
	esac
	name=$(machine_name "$elf_machine")
	case $root:$debian in
	*:) instead='use a build of it for this machine' ;;
	:*) instead="install libp11shim for $name (Debian: the package libp11shim:$debian)" ;;
	*) instead="run make ARCH=$name in the source directory, which builds another library beside this one" ;;
	esac
	finding cannot machine "$file is made for $name, the library here for $(machine_name "$native")" "$instead"
}

# No dynamic linker is named: that is a static program, or none.
no_linker() {
	if [ -n "$elf_dynamic" ] && [ -z "$elf_sound" ]; then
		finding unsure unknown "p11shim cannot read the dynamic section of $file, and cannot tell whether it is static"
	elif [ -n "$elf_dynamic" ] && [ -n "$elf_library" ]; then
		finding unsure unknown "$file is a shared library: p11shim cannot tell whether it is a program too"
	elif [ "$(words "$file" 8 3 1 | tr -s ' ')" = ' 65 73 2' ]; then
		finding cannot static "$file is an AppImage, whose launcher is statically linked" \
			"unpack it ($file --appimage-extract) and run squashfs-root/AppRun"
	else
		finding cannot static "$file is statically linked: it has no dynamic linker that could preload anything" \
			'use a build of it that is dynamically linked; programs that it starts get the library all the same'
	fi
}

look_at_sanitizer() {
	name=$sanitizer
	[ -z "$linker" ] ||
		sanitizer=$(ask_linker '' '' | sed -n "s/^[[:blank:]]*$name => \\(.*\\) (0x[0-9a-f]*)\$/\\1/p")
	sanitizer=${sanitizer:-$name}
	finding beware sanitizer "$file is linked to $name, which has to be the first library" \
		"$us run sees to that; by hand: LD_PRELOAD='$sanitizer $fitting'"
}

# ---- All of it

# For `run`: only what makes it impossible, to a person.
diagnose_quickly() {
	quickly=yes verdict=0 preload=''
	follow_scripts
	[ -z "$file" ] || look_at_file
	[ "$verdict" -eq 0 ] || say 'p11shim runs the program nevertheless, without the library'
}

# What is preloaded already, and how.
look_at_surroundings() {
	others=$(merged '' '' | sed 's/^://')
	[ -z "$others" ] ||
		finding beware preload "LD_PRELOAD names other libraries already: $others; $us run keeps them, behind its own" ''
	if [ -n "${LD_AUDIT-}" ]; then
		finding beware audit "LD_AUDIT is set: $LD_AUDIT; the libraries that it names may look up functions in their own way"
	fi
	disabled=$(setting disable 1)
	[ -z "$disabled" ] ||
		finding beware disable "a setting switches the library off: $disabled" 'remove that setting'
	if grep -q libp11shim /etc/ld.so.preload 2>/dev/null; then
		finding beware preload '/etc/ld.so.preload names libp11shim.so already, for every program' \
			'do nothing if it is the same library; otherwise remove it there'
	fi
}

# setting KEY VALUE [MODULE]: if it has that value, so, and where that is said.
setting() {
	key=$1 value=$2
	shift 2
	find_info || return 0
	settings_told "$@" 2>/dev/null | sed -n "s/^$key$tab$value$tab\\(.*\\)/$key = $value (\\1)/p"
}

# Shows lines of modules_met, PATH<tab>WHERE; is the module left alone?
show_met() {
	while IFS=$tab read -r path where; do
		unpack "$where"
		where=$unpacked
		unpack "$path"
		path=$unpacked
		excluded=$(setting exclude yes "$path")
		[ -f "$path" ] || path="$path (not there)"
		finding module "${path##*/}" "$path, $where${excluded:+; the library leaves it alone: $excluded}"
	done
}

# Has the dynamic linker load all libraries, ours too, and say which calls it would bind to
# what. That executes no code of theirs: no constructor, no resolver of indirect functions.
# An auditor's it would: see find_linker. Sets objects, those loaded, a line each.
probe() {
	objects=''
	if [ -z "$linker" ]; then
		finding unsure "$doubt" "$why_not"
		return
	fi
	loaded=$(ask_linker "$preload" bindings | sed -n \
		-e '/(0x[0-9a-f]*)$/p' -e '/libp11shim\.so/p' -e '/symbol .C_[A-Z]/p' -e '/not found/p')
	objects=$(printf '%s\n' "$loaded" | sed -n -e 's/^[[:blank:]].* => \(.*\) (0x[0-9a-f]*)$/\1/p' \
		-e 's/^[[:blank:]]\(\/.*\) (0x[0-9a-f]*)$/\1/p')
	ours=$(printf '%s\n' "$objects" | grep '/libp11shim\.so$' | sed 1q)
	missing=$(printf '%s\n' "$loaded" | grep -e 'not found' -e 'cannot be preloaded' -e 'undefined symbol:.*libp11shim' | sed 1q)
	if [ -z "$ours" ] || [ -n "$missing" ]; then
		finding cannot loads "the dynamic linker does not load the library: ${missing:-it gives no reason}" \
			'if this program uses another C library, build libp11shim for that one; otherwise install what is missing'
	elif [ "$verdict" -eq 0 ]; then
		finding good loads "the dynamic linker of $file loads $ours"
	fi
	linked_to_module
}

# Who calls into a module without looking anything up. The linker says
# binding file A [0] to B [0]: normal symbol `C_GetFunctionList'
linked_to_module() {
	links=$(printf '%s\n' "$loaded" | sed -n \
		-e '/binding file \(.*\) \[0\] to \1 \[0\]/d' \
		-e "s/.*binding file \\(.*\\) \\[0\\] to \\(.*\\) \\[0\\]: .*symbol .\\(C_Get[FIS][a-zA-Z]*\\|C_Initialize\\)'.*/\\1 calls \\3 of \\2/p")
	[ -z "$links" ] ||
		finding cannot linked "$(printf '%s\n' "$links" | sed 1q) directly, since it is linked to it: libp11shim does not see these calls" \
			"change it to load the module with dlopen, or link it to libp11-kit"
}

# The last line: what it comes to.
conclude() {
	case $verdict$unsure in
	0) conclusion=works ;;
	0*) conclusion='may work' ;;
	*) conclusion='cannot work' ;;
	esac
	printf '%s\n' "$(plain "p11shim run $1: $conclusion")"
}

# Whether the library can be preloaded into a program, its interpreter if it is a script, or what a
# unit or a .desktop file starts.
check_program() {
	quickly='' verdict=0 unsure='' objects='' preload='' linker='' why_not='' starter='' named='' sanitizer='' ours=''
	if named_starter "$1"; then
		from_starter "$1"
		set -- "$started"
	fi
	find_starter_or_program "$1" || exit 2
	follow_scripts
	[ -z "$file" ] || look_at_file
	# shellcheck disable=SC2034 # for p11shim-starters.sh
	to_preload=${sanitizer:+$sanitizer:}$ours
	[ "$starter$chain" = "$1" ] || finding program '' "${starter:+$starter -> }$chain"
	look_at_surroundings
	if [ -n "$preload" ] && [ -n "$linker$why_not" ]; then
		probe
	fi
	[ -z "$objects" ] || modules_met | show_met
	[ "$verdict" -ne 0 ] || show_starters "$(starter_records "${named:-$(starter_files)}")"
	[ -n "$json" ] || conclude "$1"
	exit "$verdict"
}
