#!/usr/bin/env bats
# The manual pages say what is so: keys, values, defaults, options, findings and events
# are compared with the sources, examples are run, and the pages are well made.

load helper

setup() {
	DOCS=$ROOT/docs
	cd "$BATS_TEST_TMPDIR" || return
}

need_scdoc() {
	need_program man scdoc
}

# section PAGE NAME: what stands under that heading, in the page's source.
section() {
	awk -v name="# $2" '$0 == name { found = 1; next } /^# / { found = 0 } found' "$DOCS/$1.scd"
}

# blocks PAGE: each literal block into a file of its own, block-1, block-2, ...
blocks() {
	awk '/^```/ { inside = !inside; n += inside; next } inside { print > ("block-" n) }' "$DOCS/$1.scd"
}

# ---- Keys as TAB-separated lines: key, values joined by |, default, and "global" if only in [*]

keys_of_page() {
	awk '
		function plain(text) { gsub(/[*_]/, "", text); return text }
		/^\*[a-z-]+\* = .*\+\+$/ {
			line = $0
			sub(/\+\+$/, "", line)
			split(plain(line), part, " = ")
			gsub(/ /, "", part[2])
			group = inherited
			getline
			default_value = plain($2)
			sub(/\.$/, "", default_value)
			global = inherited == "global" || /Only in section/
			print part[1] "\t" part[2] "\t" default_value "\t" (global ? "global" : "")
		}
		/^# / { inherited = "" }
		/^All of these stand in section/ { inherited = "global" }' "$DOCS/p11shim.conf.5.scd"
}

# What the comment in the built-in file says, with the values that it then gives.
keys_of_file() {
	awk '
		/^;   [a-z]/ {
			line = substr($0, 5)
			key = line
			sub(/ .*/, "", key)
			values = substr(line, length(key) + 1)
			sub(/^ */, "", values)
			sub(/   *.*/, "", values) # a description follows after wide space
			gsub(/ *\| */, "|", values)
			sub(/^any text$/, "text", values)
			order[++n] = key
			value[key] = tolower(values)
		}
		/^\[\*\]$/ { inside = 1 }
		inside && / = / { default_value[$1] = $3 }
		END {
			for (i = 1; i <= n; i++)
				print order[i] "\t" value[order[i]] "\t" \
					(order[i] in default_value ? default_value[order[i]] : "none")
		}' "$ROOT/config/p11shim.conf"
}

# The table in the library: free text has no values there.
keys_of_library() {
	sed -n 's/^ *\[[A-Z_]*\] = {"\([a-z-]*\)", {\(.*\)}, \(true\|false\)},$/\1\t\2\t\3/p' "$ROOT/shim/settings/keys.c" |
		sed 's/", "/|/g; s/"//g; s/true$/global/; s/false$//'
}

@test "contract J1: the pages are well made: scdoc, groff and mandoc have nothing to say" {
	need_scdoc
	[ "$(find "$DOCS" -name '*.scd' | wc -l)" -ge 4 ]
	for source in "$DOCS"/*.scd; do
		page=$(basename "$source" .scd)
		run bash -c 'sed "s/@VERSION@/1.0/" "$1" | scdoc 2>&1 >"$2"' - "$source" "$page"
		assert_success
		assert_output ''
		run bash -c 'MANWIDTH=80 timeout 60 man --warnings=w -P cat -l "./$1" 2>&1 >text' - "$page"
		assert_output ''
		grep -q '^SEE ALSO$' text
		if command -v mandoc >/dev/null; then
			# scdoc begins every section with a superfluous .PP, and newer ones escape the
			# dashes of the date, which mandoc then takes for no date
			run bash -c 'mandoc -T lint -W warning "$1" |
				grep -v -e "skipping paragraph macro" -e "cannot parse date.*TH [0-9]*\\\\-[0-9]*\\\\-[0-9]*$"' - "$page"
			assert_output ''
		fi
	done
}

@test "contract H3: p11shim.conf(5) has every key, with its values and default, in the order of the file, and no other" {
	keys_of_page >page
	[ "$(wc -l <page)" -ge 18 ]
	diff <(cut -f 1-3 page) <(keys_of_file)
}

@test "contract H3: the same keys, values and places as in the library's table" {
	keys_of_library | sort >library
	[ "$(wc -l <library)" -ge 18 ]
	keys_of_page | cut -f 1,2,4 | sort >page
	diff <(cut -f 1,3 page) <(cut -f 1,3 library)
	# where the library knows all values: those, the default first
	join -t $'\t' -j 1 page library | awk -F '\t' '$4 != "" && $2 != $4 { print; wrong = 1 } END { exit wrong }'
	keys_of_page | awk -F '\t' '$3 != "none" && $2 !~ ("^" $3 "(\\||$)") { print; wrong = 1 } END { exit wrong }'
}

@test "contract H2: variables that the pages mention exist, and are given values that they take" {
	keys_of_page >keys
	grep -hoE 'P11SHIM_[A-Z_]*(=[a-z0-9-]+)?' "$DOCS"/*.scd | sort -u |
		awk -F = 'NR == FNR {
				split($0, part, "\t")
				name = "P11SHIM_" toupper(part[1])
				gsub(/-/, "_", name)
				values[name] = "|" part[2] "|"
				next
			}
			$1 == "P11SHIM_" || $1 == "P11SHIM_CONFIG" || $1 == "P11SHIM_KEY" { next }
			!($1 in values) { print "no such variable: " $0; wrong = 1; next }
			$2 && values[$1] !~ /path|globs|text/ && index(values[$1], "|" $2 "|") == 0 {
				print "not a value: " $0
				wrong = 1
			}
			{ seen++ }
			END { exit wrong || seen < 8 }' <(tr -d '\r' <keys) -
}

@test "contract H3: the examples of p11shim.conf(5) are read without a complaint" {
	need_token
	blocks p11shim.conf.5
	tried=0
	for file in block-*; do
		grep -q '^\[' "$file" || continue
		tried=$((tried + 1))
		sed -i '/^log = /d' "$file"
		P11SHIM_CONFIG=$PWD/$file P11SHIM_LOG=$PWD/log with_shim pkcs11-tool --module "$SOFTHSM2_MODULE" -L
		run grep ' settings ' log
		assert_output ''
	done
	[ "$tried" -ge 3 ]
	[ -s log ]
}

@test "contract J1: p11shim(1) has the commands of p11shim, and of each the options that its --help tells" {
	commands='run check list config report'
	run timeout 60 "$ROOT/scripts/p11shim" help
	assert_success
	sed -n 's/^.*p11shim \([a-z][a-z]*\).*$/\1/p' <<<"$output" | grep -vx help | sort -u >told
	diff told <(tr ' ' '\n' <<<"$commands" | sort)
	for command in $commands; do
		run timeout 60 "$ROOT/scripts/p11shim" "$command" --help
		assert_success
		sed -n 's/^ *\(--[a-z-]*\).*$/\1/p' <<<"$output" | grep -vx -e --help | sort -u >told
		section p11shim.1 "${command^^}" >written-section
		[ -s written-section ]
		sed -n 's/^\*\(--[a-z-]*\)\*.*$/\1/p' written-section | grep -vx -e --help | sort -u >written
		diff told written || {
			echo "the above: options of $command, told by --help and written in p11shim(1)"
			return 1
		}
	done
}

@test "contract I4: libp11shim(7) explains every finding, and no other" {
	sed -n 's/^ *\[[A-Z_]*\] = "\([a-z-]*\)",$/\1/p' "$ROOT/shim/record/tell.c" | sort >told
	[ "$(wc -l <told)" -ge 12 ]
	section libp11shim.7 FINDINGS | sed -n 's/^\*\([a-z-]*\)\*$/\1/p' | sort >written
	diff told written
}

@test "contract I2, I3: every event that the library writes is in libp11shim(7) and p11shim-trace(5)" {
	cat "$ROOT"/shim/*/*.c | tr -s '\n\t ' ' ' |
		grep -oE 'journal_(write_)?(module|note)(_at)?\((([^",()]|\([^()]*\))*, )?"[^"]+"' | sed 's/^.*"\(.*\)"$/\1/' |
		grep -vx C_Logout | sort -u >told
	[ "$(wc -l <told)" -ge 9 ]
	section libp11shim.7 'THE LOG' | tr -s '\n\t ' ' ' >log
	section p11shim-trace.5 EVENTS | tr -s '\n\t ' ' ' >trace
	while read -r event; do
		grep -qF "_${event}_" log || { echo "libp11shim(7) does not know $event" && return 1; }
		grep -qF "_${event}_" trace || { echo "p11shim-trace(5) does not know $event" && return 1; }
	done <told
}

@test "contract I3: the commands in p11shim-trace(5) read a trace, also one that was cut off" {
	need_token
	P11SHIM_TRACE=$PWD/whole with_shim "$PROGRAMS/two-plugins" --module "$SOFTHSM2_MODULE"
	grep -q '"cat":"finding"' whole
	blocks p11shim-trace.5
	for size in 0 40; do # bytes that are missing
		head -c -$size whole >trace
		tried=0
		for file in block-*; do
			grep -q 'jq .*' "$file" || continue
			tried=$((tried + 1))
			run timeout 60 bash -c "$(cat "$file") 2>/dev/null"
			[ "${#lines[@]}" -ge 1 ] || { cat "$file" && return 1; }
			case $(cat "$file") in
			*fromstream*) assert_equal "${#lines[@]}" "$(grep -c '},$' trace)" ;;
			*finding*) assert_output --partial 'with sessions left open: 1' ;;
			*dur*) assert_output --partial 'C_Sign' ;;
			esac
		done
		assert_equal "$tried" 4
	done
}

@test "make install: man finds the pages; without scdoc the rest is installed" {
	need_scdoc
	in_root() {
		make -C "$ROOT" --no-print-directory -s B="$BUILD" DESTDIR="$BATS_TEST_TMPDIR/root" PREFIX=/opt/p11 "$@"
	}
	in_root install
	for page in p11shim.1 p11shim.conf.5 p11shim-trace.5 libp11shim.7; do
		run env MANPATH="$BATS_TEST_TMPDIR/root/opt/p11/share/man" man -w "${page##*.}" "${page%.*}"
		assert_output "$BATS_TEST_TMPDIR/root/opt/p11/share/man/man${page##*.}/$page"
		run grep -c @VERSION@ "$output"
		assert_output 0 # the version is in its place
	done
	in_root uninstall
	run find root -name '*p11shim*' -type f
	assert_output ''
	rm -r root
	mkdir bin
	ln -s /usr/bin/* bin/
	rm bin/scdoc
	PATH=$PWD/bin run in_root install
	assert_success
	assert_output --partial 'no scdoc here'
	[ -e root/opt/p11/lib/libp11shim.so ]
	[ ! -e root/opt/p11/share/man ]
}
