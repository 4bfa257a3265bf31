# shellcheck shell=sh
# p11shim-words.sh: what a line of a unit, or of a .desktop file, starts: its words, and the program
# behind env, nice, sh -c and the like. Part of p11shim, read by it, for p11shim-starters.sh.
#
# A list of words has their number in [0]. What cannot be told from outside is the byte 036 in a
# word; the byte 035, alone, is what is between two commands.
# shellcheck disable=SC2034 # p11shim-starters.sh reads what is set here

unknown=$(printf '\036')

# Those that start a program: NAME, how many words stand before that, the short options that have a
# value, and the long ones. A - is none.
wrappers='
nice 0 n adjustment
ionice 0 cn class classdata
timeout 1 ks kill-after signal
stdbuf 0 ioe input output error
setsid 0 - -
nohup 0 - -
exec 0 a -
command 0 - -
builtin 0 - -
time 0 fo format output
chrt 1 TPD sched-runtime sched-period sched-deadline
taskset 1 - -
prlimit 0 - -
setpriv 0 - ambient-caps apparmor-profile bounding-set egid euid groups inh-caps landlock-access landlock-rule pdeathsig ptracer regid reuid rgid ruid seccomp-filter securebits selinux-label
setarch 0 - -
linux32 0 - -
linux64 0 - -
unshare 0 SGRw load-interp map-group map-groups map-user map-users propagation root setgid setgroups setuid wd
flock 1 Ew conflict-exit-code timeout wait
numactl 0 CNimp cpunodebind interleave localalloc membind physcpubind preferred
chpst 0 /CUbcdeflmnoprtu -
setuidgid 1 - -
envuidgid 1 - -
envdir 1 - -
softlimit 0 acdflmoprst -
cgexec 0 g -
strace 0 EIOPSUXabeopsu attach columns env expr interruptible output path string-limit summary-columns summary-sort-by trace user
ltrace 0 DFaelnopsux align config indent library output
systemd-cat 0 pt identifier level-prefix priority stderr-priority
systemd-inhibit 0 - mode what who why
dbus-run-session 0 - config-file dbus-daemon
tini 0 ep -
dumb-init 0 r rewrite
catchsegv 0 - -
eatmydata 0 - -
unbuffer 0 - -
gamemoderun 0 - -
xvfb-run 0 efnpsw auth-file error-file server-args server-num wait xauth-protocol'

# Of interpreters, which may be told a script: a pattern of awk.
interpreters='^(python|perl|ruby|node|nodejs|php|lua|tclsh|wish|guile|gjs|Rscript)[0-9.]*$'

# Functions for awk. started() is what is asked: see there.
# shellcheck disable=SC2016 # a program for awk
awk_words='
	function base(path) {
		sub(/.*\//, "", path)
		return path
	}
	function number_of(digits, radix, i, n) {
		n = 0
		for (i = 1; i <= length(digits); i++)
			n = n * radix + index("0123456789abcdef", tolower(substr(digits, i, 1))) - 1
		return n
	}
	# The bytes of a character, as UTF-8 has them.
	function utf8(n) {
		if (n < 128)
			return sprintf("%c", n)
		if (n < 2048)
			return sprintf("%c%c", 192 + int(n / 64), 128 + n % 64)
		if (n < 65536)
			return sprintf("%c%c%c", 224 + int(n / 4096), 128 + int(n / 64) % 64, 128 + n % 64)
		return sprintf("%c%c%c%c", 240 + int(n / 262144), 128 + int(n / 4096) % 64, 128 + int(n / 64) % 64, 128 + n % 64)
	}
	# What a backslash and text stand for in a unit. Sets taken, how much of text belongs to it.
	function escaped(text, c, size) {
		c = substr(text, 1, 1)
		taken = 1
		if (c == "s")
			return " "
		if (index("abfnrtv", c))
			return substr("\a\b\f\n\r\t\v", index("abfnrtv", c), 1)
		size = c == "x" ? 2 : c == "u" ? 4 : c == "U" ? 8 : 0
		if (size && length(text) > size && substr(text, 2, size) !~ /[^0-9A-Fa-f]/) {
			taken = 1 + size
			c = number_of(substr(text, 2, size), 16)
			return size == 2 ? sprintf("%c", c) : utf8(c)
		}
		if (text ~ /^[0-3][0-7][0-7]/) {
			taken = 3
			return sprintf("%c", number_of(substr(text, 1, 3), 8))
		}
		return c
	}
	# Splits as systemd splits a line, or a menu (desktop).
	function split_words(text, desktop, w, n, i, c, quote, open, now) {
		split("", w)
		n = 0; open = 0; quote = ""; now = ""
		for (i = 1; i <= length(text) && i < 4096; i++) {
			c = substr(text, i, 1)
			if (c == "\\") {
				if (desktop) {
					c = substr(text, i + 1, 1)
					now = now (c == "s" ? " " : c)
					i++
				} else {
					now = now escaped(substr(text, i + 1, 9))
					i += taken
				}
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
					w[++n] = now
				now = ""
				open = 0
			} else {
				if (c == ";" && !open && !desktop && substr(text, i + 1, 1) ~ /^[ \t]?$/)
					c = "\035"
				now = now c
				open = 1
			}
		}
		if (open)
			w[++n] = now
		return w[0] = n
	}
	# Splits as a shell does, but for what it would expand; as env -S does, if there are no commands.
	function shell_words(text, commands, w, n, i, c, quote, open, now, drop, depth) {
		split("", w)
		n = 0; open = 0; quote = ""; now = ""; drop = 0
		text = text " "
		for (i = 1; i <= length(text) && i < 4096; i++) {
			c = substr(text, i, 1)
			if (c == "\\" && quote != "\047") {
				c = substr(text, ++i, 1)
				if (c != "\n")
					now = now (c == "_" && !commands ? " " : c)
				open = 1
			} else if (quote == "\047" && c != quote) {
				now = now c
			} else if (c == "$" && substr(text, i + 1, 1) ~ /[A-Za-z0-9_{(@*#?!$-]/ || c == "`") {
				now = now "\036"
				open = 1
				if (c == "`") {
					while (++i < length(text) && substr(text, i, 1) != "`")
						;
				} else if (substr(text, i + 1, 1) ~ /[{(]/) {
					depth = 0
					do {
						c = substr(text, ++i, 1)
						depth += (c == "{" || c == "(") - (c == "}" || c == ")")
					} while (depth > 0 && i < length(text))
				} else
					i++
			} else if (quote != "") {
				if (c == quote)
					quote = ""
				else
					now = now c
			} else if (c == "\"" || c == "\047") {
				quote = c
				open = 1
			} else if (c ~ /[ \t\n]/ || commands && c ~ /[;&|()<>]/) {
				if (open && c ~ /[<>]/ && now ~ /^[0-9]+$/)
					open = 0
				if (open && !drop)
					w[++n] = now
				if (open)
					drop = 0
				now = ""
				open = 0
				if (c ~ /[<>]/) {
					drop = 1
					while (substr(text, i + 1, 1) ~ /[<>&|]/)
						i++
				} else if (c ~ /[;&|()\n]/ && commands) {
					if (c == "(" && n && w[n] != "\035")
						w[n] = "\036" # a function
					w[++n] = "\035"
				}
			} else if (c == "#" && !open) {
				while (i < length(text) && substr(text, i + 1, 1) != "\n")
					i++
			} else {
				now = now c
				open = 1
			}
		}
		return w[0] = n
	}
	# What is started: start[1...starts], the most important first, and of each what preloads
	# something into it: by_us (p11shim run), by_word, a value that LD_PRELOAD has, if has_word;
	# or is_lost, what takes LD_PRELOAD away; in_shell, the shell that starts it; doubt, what is not sure.
	function add(program, k) {
		for (k = 1; k <= starts; k++)
			if (start[k] == program)
				return
		start[++starts] = program
		by_us[starts] = ours
		has_word[starts] = given != "\036"
		by_word[starts] = given
		is_lost[starts] = lost
		in_shell[starts] = shell
		doubt[starts] = ""
	}
	# A word of env, or of a shell, that sets LD_PRELOAD; or one that takes it away.
	function sets_preload(word) {
		given = substr(word, 12)
		ours = lost = ""
	}
	function loses_preload(word) {
		lost = word
		ours = ""
		given = "\036"
	}
	# The program starts something, but the line does not tell what.
	function add_doubt(program) {
		if (shell != "")
			program = shell
		add(program)
		doubt[starts] = "p11shim cannot tell from that line what " base(program) (shell != "" ? " -c" : "") " starts"
	}
	# Takes the words of text for word i.
	function splice(w, i, text, new, n, k) {
		n = shell_words(text, 0, new)
		for (k = w[0]; k > i; k--)
			w[k + 5000] = w[k]
		for (k = i + 1; k <= w[0]; k++) {
			w[k + n - 1] = w[k + 5000]
			delete w[k + 5000]
		}
		for (k = 1; k <= n; k++)
			w[i + k - 1] = new[k]
		w[0] += n - 1
	}
	# The place of what env, which is word i, starts; 0 if that cannot be told.
	function behind_env(w, i, env, o, c, value) {
		env = w[i]
		for (i++; i <= w[0] && w[i] ~ /^-/ && w[i] != "--"; i++) {
			o = w[i]
			if (o ~ /^--i/)
				loses_preload(env " " o)
			else if (o ~ /^--[ucas][a-z0-9-]*/) {
				if (index(o, "="))
					value = substr(o, index(o, "=") + 1)
				else
					value = w[++i]
				if (o ~ /^--s/)
					splice(w, i--, value)
				else if (o ~ /^--u/ && value == "LD_PRELOAD")
					loses_preload(env " --unset")
			} else if (o ~ /^--(debug|null|[a-z-]*-signal)/)
				;
			else if (o == "-")
				loses_preload(env " -")
			else if (o ~ /^--/)
				return 0
			else
				for (o = substr(o, 2); o != ""; o = substr(o, 2)) {
					c = substr(o, 1, 1)
					if (c == "i")
						loses_preload(env " -i")
					else if (index("uCaS", c)) {
						value = substr(o, 2)
						if (value == "")
							value = w[++i]
						if (c == "S")
							splice(w, i--, value)
						else if (c == "u" && value == "LD_PRELOAD")
							loses_preload(env " -u")
						break
					} else if (c != "v" && c != "0")
						return 0
				}
		}
		i += w[i] == "--"
		for (; i <= w[0] && w[i] ~ /^[^=]+=/; i++)
			if (w[i] ~ /^LD_PRELOAD=/)
				sets_preload(w[i])
		return i <= w[0] ? i : 0
	}
	# The place behind the options that begin at word i; short and long are those that have a value.
	function behind_options(w, i, short, long, o, c, k) {
		for (; i <= w[0] && w[i] ~ /^[-+]./; i++) {
			o = w[i]
			if (o == "--")
				return i + 1
			if (o ~ /^--/) {
				if (!index(o, "=") && index(" " long, " " substr(o, 3)))
					i++
				continue
			}
			for (k = 2; k <= length(o); k++)
				if (index(short, substr(o, k, 1))) {
					i += k == length(o)
					break
				}
		}
		return i
	}
	# What start-stop-daemon, which is word i, starts.
	function behind_daemon(w, i, found) {
		for (i++; i <= w[0] && w[i] != "--"; i++) {
			if (w[i] ~ /^--(exec|startas)=/)
				found = substr(w[i], index(w[i], "=") + 1)
			else if (w[i] ~ /^(--exec|-[A-Za-wyz]*x)$/ && found == "" || w[i] ~ /^(--startas|-a)$/)
				found = w[++i]
		}
		return found
	}
	# Follows the words from i on to what they start.
	function follow(w, i, at, name, row, known, k) {
		while (i <= w[0]) {
			at = i
			name = base(w[i])
			if (name == "busybox" && (base(w[i + 1]) in wrapper || w[i + 1] ~ /^(env|a?sh)$/))
				i++
			else if (name == "env") {
				i = behind_env(w, i)
				if (!i || w[i] ~ /\036/ || is_systemd && w[i] ~ /\$/) {
					add_doubt(w[at])
					return
				}
			} else if (name == "p11shim" && w[i + 1] == "run") {
				ours = w[i]
				lost = ""
				i = behind_options(w, i + 2, "", "log trace log-level trace-level config set")
			} else if (name == "start-stop-daemon") {
				known = behind_daemon(w, i)
				if (known == "")
					add_doubt(w[i])
				else
					add(known)
				return
			} else if (name in wrapper) {
				split(wrapper[name], row, " ")
				known = wrapper[name]
				for (k = 1; k <= 3; k++)
					sub(/^[^ ]* /, "", known)
				i = behind_options(w, i + 1, row[3], known) + row[2]
				if (i > w[0] || w[i] ~ /^-|\036/ || is_systemd && w[i] ~ /\$/) {
					add_doubt(w[at])
					return
				}
			} else if (name ~ /^(ba|da|k|mk|a|z)?sh$/) {
				follow_shell(w, i)
				return
			} else {
				add(w[i])
				if (name ~ ENVIRON["p11shim_interpreters"]) {
					k = i + 1
					while (w[k] ~ /^-/ && w[k] !~ /^-[a-zA-Z]*[cem]$/)
						k++
					if (w[k] ~ /^\//)
						add(w[k])
				}
				return
			}
		}
		if (at)
			add_doubt(w[at])
	}
	# What a shell, which is word i, is told to do.
	function follow_shell(w, i, at, text) {
		at = i
		text = 0
		for (i++; i <= w[0] && w[i] ~ /^[-+]./; i++) {
			if (w[i] == "--") {
				i++
				break
			}
			if (w[i] ~ /^-[A-Za-z]*c/)
				text = 1
			if (w[i] ~ /^([-+][A-Za-z]*[oO]|--(rcfile|init-file|emulate))$/)
				i++
		}
		if (i <= w[0] && text) {
			text = w[i]
			if (is_systemd)
				gsub(/\$\$/, "$", text)
			follow_line(text, w[at])
			return
		}
		add(w[at])
		if (w[i] ~ /^\//)
			add(w[i])
	}
	# What a line that a shell is told starts: what is executed last, by exec, or all there is. One
	# command that is found is it; of more, it is the shell that is looked at.
	function follow_line(text, called, w, part, i, k, n, verb, kept, main, first, before, unsure, last) {
		first = starts
		last = shell
		shell = called
		shell_words(text, 1, w)
		main = 0
		unsure = 0
		w[++w[0]] = "\035"
		n = 0
		for (i = 1; i <= w[0]; i++) {
			if (w[i] != "\035") {
				part[++n] = w[i]
				continue
			}
			part[0] = n
			for (k = n + 1; k in part; k++)
				delete part[k]
			n = 0
			for (k = 1; k <= part[0] && part[k] ~ /^(if|then|else|elif|do|while|until|!|\{|\}|fi|done)$/; k++)
				;
			before = ours "\037" given "\037" lost
			for (; k <= part[0] && part[k] ~ /^[A-Za-z_][A-Za-z_0-9]*=/; k++)
				if (part[k] ~ /^LD_PRELOAD=/)
					sets_preload(part[k])
			if (k > part[0])
				continue
			if (part[k] == "export" || part[k] == "unset") {
				for (verb = part[k++]; k <= part[0]; k++)
					if (part[k] ~ /^LD_PRELOAD=/)
						sets_preload(part[k])
					else if (verb == "unset" && part[k] == "LD_PRELOAD")
						loses_preload(verb)
				continue
			}
			if (part[k] ~ /^(for|case|function|eval)$/ || part[k] ~ /\036/) {
				unsure = 1
			} else if (part[k] !~ /^(cd|umask|ulimit|\.|source|set|test|\[|\[\[|:|true|false|echo|printf|read|trap|wait|sleep|exit|return|shift|readonly|local)$/ &&
				!(part[k] == "exec" && k == part[0])) {
				if (part[k] == "exec" && !main)
					main = starts + 1
				follow(part, k)
			}
			split(before, kept, "\037")
			ours = kept[1]; given = kept[2]; lost = kept[3]
		}
		if (!main && starts == first + 1 && !unsure)
			main = starts
		if (!main || main > starts || start[main] ~ /\036/) {
			add_doubt(called)
			main = starts
		}
		if (main != first + 1)
			swap(main, first + 1)
		shell = last
	}
	function exchange(list, i, j, kept) {
		kept = list[i]
		list[i] = list[j]
		list[j] = kept
	}
	function swap(i, j) {
		exchange(start, i, j)
		exchange(by_us, i, j)
		exchange(has_word, i, j)
		exchange(by_word, i, j)
		exchange(is_lost, i, j)
		exchange(in_shell, i, j)
		exchange(doubt, i, j)
	}
	function started(text, desktop, w, one, i, n, prefix) {
		starts = 0
		is_systemd = !desktop
		split_words(text, desktop, w)
		w[++w[0]] = "\035"
		n = 0
		for (i = 1; i <= w[0]; i++) {
			if (w[i] != "\035") {
				one[++n] = w[i]
				continue
			}
			one[0] = n
			ours = lost = shell = ""
			given = "\036"
			prefix = one[1]
			if (!desktop)
				sub(/^[-@:+!|]+/, "", one[1])
			prefix = substr(prefix, 1, length(prefix) - length(one[1]))
			if (index(prefix, "@")) {
				for (n = 2; n < one[0]; n++)
					one[n] = one[n + 1]
				one[0] -= one[0] > 1
			}
			if (one[0] && one[1] != "")
				follow(one, 1)
			split("", one)
			n = 0
		}
		return starts
	}
	# Names of units have \x2d for what is no name, and - for a slash.
	function unit_unescaped(text, out, i) {
		gsub(/-/, "/", text)
		out = ""
		while (i = index(text, "\\x")) {
			out = out substr(text, 1, i - 1) sprintf("%c", number_of(substr(text, i + 2, 2), 16))
			text = substr(text, i + 4)
		}
		return out text
	}
	# What systemd puts for the percent signs of text, in a unit; 036 where only it knows.
	function specified(text, kind, name, out, c, i, whole, prefix, instance, home) {
		whole = name
		sub(/\.[a-z]*$/, "", whole)
		prefix = whole
		sub(/@.*/, "", prefix)
		instance = index(whole, "@") ? substr(whole, index(whole, "@") + 1) : ""
		home = kind == "user" ? ENVIRON["HOME"] : "/root"
		out = ""
		while (i = index(text, "%")) {
			c = substr(text, i + 1, 1)
			out = out substr(text, 1, i - 1)
			text = substr(text, i + 2)
			if (c == "%")
				out = out "%"
			else if (c == "n")
				out = out (name ~ /@\./ ? "\036" : name)
			else if (c == "N")
				out = out (whole ~ /@$/ ? "\036" : whole)
			else if (c == "p")
				out = out prefix
			else if (c == "P")
				out = out unit_unescaped(prefix)
			else if (c == "i" && instance != "")
				out = out instance
			else if (c == "I" && instance != "")
				out = out unit_unescaped(instance)
			else if (c == "j" || c == "J") {
				sub(/.*-/, "", prefix)
				out = out (c == "j" ? prefix : unit_unescaped(prefix))
				prefix = whole
				sub(/@.*/, "", prefix)
			} else if (c == "h" && home != "")
				out = out home
			else if (c == "t" && (kind != "user" || ENVIRON["XDG_RUNTIME_DIR"] != ""))
				out = out (kind == "user" ? ENVIRON["XDG_RUNTIME_DIR"] : "/run")
			else if (kind != "user" && c in places)
				out = out places[c]
			else
				out = out "\036"
		}
		return out text
	}
	BEGIN {
		n = split(ENVIRON["p11shim_wrappers"], row, "\n")
		for (i = 1; i <= n; i++)
			if (row[i] != "")
				wrapper[substr(row[i], 1, index(row[i], " ") - 1)] = row[i]
		places["S"] = "/var/lib"
		places["C"] = "/var/cache"
		places["L"] = "/var/log"
		places["E"] = "/etc"
		places["T"] = "/tmp"
		places["V"] = "/var/tmp"
		places["u"] = "root"
		places["U"] = "0"
	}'
