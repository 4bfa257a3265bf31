#!/usr/bin/env bats
# The list of known modules, config/modules.conf: its form, which names find which
# section, and what counts as known beside it. The library itself is asked, and,
# for the form, awk. Modules are copies of one mock module under other names.

load helper

LIST=${ROOT:?}/config/modules.conf

setup() {
	export P11SHIM_LOG=$BATS_TEST_TMPDIR/log
	copies=$BATS_TEST_TMPDIR/copies
	mkdir "$copies"
	cat >"$BATS_TEST_TMPDIR/look.py" <<-'PY'
		import ctypes, sys
		for path in sys.argv[1:]:
		    ctypes.CDLL(path).C_GetFunctionList
	PY
}

teardown() {
	[ -z "${for_all:-}" ] || rm -rf "$for_all"
}

# copy NAME...: a module of each name; a name may have directories.
copy() {
	local name

	for name in "$@"; do
		mkdir -p "$copies/$(dirname "$name")"
		cp "$BUILD/mock/mock-same.so" "$copies/$name"
	done
}

# look_at NAME...: one process that asks each of these for its function list.
# A process has room for 32 modules.
look_at() {
	with_shim /usr/bin/python3 "$BATS_TEST_TMPDIR/look.py" "${@/#/$copies/}"
}

# What the log says: MODULE KEY = VALUE, of all modules so far.
told() {
	sed -n 's/^.* module=\([^ ]*\) setting \(.*\) ([^()]*:[0-9]*)$/\1 \2/p' "$P11SHIM_LOG" | sort
}

loaded() {
	[ -e "$P11SHIM_LOG" ] && grep -qF " module=${1##*/} load " "$P11SHIM_LOG"
}

no_complaint() {
	run grep -F ' settings ' "$P11SHIM_LOG"
	assert_output ''
}

# said: the same as the list says it, of lines NAME SECTION.
said() {
	awk '
		FNR == NR && /^\[/ { section = substr($0, 2, length - 2) }
		FNR == NR && /^[a-z]/ { settings[section, ++n[section]] = $0 }
		FNR == NR { next }
		{
			name = $1
			sub(/.*\//, "", name)
			for (i = 1; i <= n[$2]; i++) print name " " settings[$2, i]
		}' "$LIST" - | sort
}

sections() {
	sed -n 's/^\[\(.*\)\]$/\1/p' "$LIST"
}

# A line each: a name that a module of that section has where people install it.
names() {
	sections | awk '!/[*?[]/ { print $0, $0 }'
	cat <<-'NAMES'
		libwolfpkcs11.so libwolfpkcs11.so*
		pkcs11-mock.so pkcs11-mock*.so
		pkcs11-mock-x64.so pkcs11-mock*.so
		pkcs11-logger-x64.so pkcs11-logger-x*.so
		pkcs11-logger-x86.so pkcs11-logger-x*.so
		libscute.so libscute.so*
		libscute.so.0 libscute.so*
		libp11-kit.so.0 libp11-kit.so*
		libp11-kit.so.0.3.0 libp11-kit.so*
		libtpm2_pkcs11.so libtpm2_pkcs11.so*
		libtpm2_pkcs11.so.1.9.0 libtpm2_pkcs11.so*
		libsimple-tpm-pk11.so.0.0.0 libsimple-tpm-pk11.so*
		libchaps.so.0 libchaps.so*
		libckteec.so.0 libckteec.so*
		libopencryptoki.so libopencryptoki.so*
		libopencryptoki.so.0.0.0 libopencryptoki.so*
		pkcs11-grep11-amd64.so.2.6.8 pkcs11-grep11-*.so*
		pkcs11-grep11-s390x.so pkcs11-grep11-*.so*
		libykcs11.so libykcs11.so*
		libykcs11.so.2 libykcs11.so*
		libeToken.so libeToken.so*
		libeToken.so.8 libeToken.so*
		libeTPkcs11.so libeTPkcs11.so*
		libeTPkcs11.so.10.8.1050 libeTPkcs11.so*
		libgtop11dotnet.so.0 libgtop11dotnet.so*
		libcs2_pkcs11.so libcs2_pkcs11*.so
		libprimusP11.so libprimusP11.so*
		pkcs11.GCC4.0.2.so.4.07 pkcs11.GCC*.so*
		libaetpkss.so.3 libaetpkss.so*
		libgpkcs11.so.2 libgpkcs11.so*
		libacospkcs11.so libacospkcs11.so*
		personal/libP11.so */personal/libP11.so
		libcastle.so.1.0.0 libcastle.so*
		libcastle_v2.so.1.0.0 libcastle_v2.so*
		libepsng_p11.so.1.2.2 libepsng_p11.so*
		libshuttle_p11v220.so.1.0.0 libshuttle_p11v220.so*
		libcryptoida_pkcs11.so libcryptoid*_pkcs11.so
		libcryptoid_pkcs11.so libcryptoid*_pkcs11.so
		libDXSafePKCS11.X64.so libDXSafePKCS11.?64.so
		libDXSafePKCS11.x64.so libDXSafePKCS11.?64.so
		librtpkcs11ecp.so librtpkcs11ecp*.so
		librtpkcs11ecp-i386.so librtpkcs11ecp*.so
		libcppkcs11.so.4.0.4 libcppkcs11.so*
		libbeidpkcs11.so.0 libbeidpkcs11.so*
		libcrypto3PKCS.so libcrypto*3PKCS.so
		libcryptoCertum3PKCS.so libcrypto*3PKCS.so
		libCCGraphiteP11.so libCCGraphiteP11*
		libCCGraphiteP11.2.0.5.6.so libCCGraphiteP11*
		libCCGraphiteP11.so.2.0.5 libCCGraphiteP11*
	NAMES
}

# Libraries that a loose glob would catch.
strangers=(
	libcrypto.so.3 libcrypto.so.1.1 libssl.so.3 libcryptoid.so pkcs11.so pkcs11-provider.so
	libp11.so.3 libP11.so libpkcs11-helper.so.1 libj2pkcs11.so libstrongswan-pkcs11.so
	libopensc.so.8 libykpiv.so.2 libyubihsm.so.2 libtss2-esys.so.0 libteec.so.1
	libnss3.so libfreeblpriv3.so libnssutil3.so libgnutls.so.30 libpcsclite.so.1
	libpkcs11_sw.so.0.0.0 libcastle_v3.so libsofthsm2.so.bak libp11-kit-internal.so
)

# Names that several products share.
shared=(
	libcryptoki.so libpkcs11.so libpkcs11_x64.so libpkcs11wrapper.so
	libshim.so libnethsm.so vault-pkcs11.so
)

# ---- The form

@test "contract H3: the library has no complaint about the list" {
	copy unheard-of.so
	P11SHIM_CONFIG=$LIST look_at unheard-of.so
	loaded unheard-of.so
	no_complaint
	# and would have one
	{
		cat "$LIST"
		echo 'fork = sometimes'
	} >"$BATS_TEST_TMPDIR/mistaken.conf"
	P11SHIM_CONFIG=$BATS_TEST_TMPDIR/mistaken.conf look_at unheard-of.so
	grep -qF "mistaken.conf:$(($(wc -l <"$LIST") + 1)): not a value of fork (auto, reset, strict, off): sometimes" "$P11SHIM_LOG"
}

@test "contract H3: the list in the library is the one in config/" {
	local line

	copy gnome-keyring-pkcs11.so
	look_at gnome-keyring-pkcs11.so
	line=$(sed -n '/^\[gnome-keyring-pkcs11.so\]/,/^wait/{/^wait/=}' "$LIST")
	grep -qF "setting wait = forward (built-in modules.conf:$line)" "$P11SHIM_LOG"
}

@test "contract H3: every section has one product and stands once; keys and values are legal" {
	run awk '
		function wrong(what) { print FILENAME ":" FNR ": " what ": " $0 }
		function ends() { if (section != "" && !products) print section ": no product" }
		BEGIN {
			legal["exclude"] = "|no|yes|"
			legal["mode"] = "|normal|observe|"
			legal["already"] = "|hide|report|"
			legal["fork"] = "|auto|reset|strict|off|"
			legal["at-exit"] = "|auto|forward|retire|finalize|"
			legal["serialize"] = "|auto|yes|no|"
			legal["wait"] = "|poll|forward|"
			legal["logout"] = "|shared|held|"
			legal["drain"] = "|no|yes|report|"
		}
		length > 100 { wrong("too long") }
		/^$/ || /^; / { next }
		/^\[/ {
			ends()
			section = $0
			products = 0
			if (!/^\[[][A-Za-z0-9._*?\/-]+\]$/) wrong("not a name or a glob")
			if (section == "[*]") wrong("that is for p11shim.conf")
			if (seen[section]++) wrong("twice")
			next
		}
		!/^[a-z-]+ = [^ ].*[^ ]$/ { wrong("neither section nor setting nor comment"); next }
		section == "" { wrong("before the first section") }
		{
			key = $1
			value = $0
			sub(/^[^=]*= /, "", value)
			if (set[section, key]++) wrong("set twice")
		}
		value ~ /[ \t][;#]/ { wrong("reads like a comment") }
		key == "product" { products++; next }
		!(key in legal) { wrong("no key for a module"); next }
		index(legal[key], "|" value "|") == 0 { wrong("not a value of this key") }
		END { ends(); if (!NR) print "empty" }' "$LIST"
	assert_success
	assert_output ''
}

@test "contract H3: 110 products at least, and what stands in parentheses makes no other product" {
	run bash -c "sed -n 's/^product = \([^(]*[^( ]\).*/\1/p' '$LIST' | sort -u | wc -l"
	assert_success
	[ "$output" -ge 110 ]
}

@test "contract H3: every setting has its reason in a comment above it" {
	run awk '
		/^[a-z]/ && !/^product/ {
			n++
			if (before !~ /^; / || length(before) < 20) print FNR ": " $0
		}
		{ before = $0 }
		END { if (!n) print "no settings at all" }' "$LIST"
	assert_success
	assert_output ''
}

@test "contract H3: names that several products share have no settings, and stand first" {
	local name last=0 line

	for name in "${shared[@]}"; do
		run awk -v section="[$name]" '
			/^\[/ { here = $0 == section }
			here && /^[a-z]/ { print $1 }' "$LIST"
		assert_output product
	done
	line=$(grep -nF '[opensc-pkcs11.so]' "$LIST" | cut -d: -f1)
	for name in "${shared[@]}"; do
		last=$(grep -nF "[$name]" "$LIST" | cut -d: -f1)
		[ "$last" -lt "$line" ]
	done
}

# ---- Which names find which section

@test "contract H3: each name finds its own section and no other; each section has a name here" {
	run /usr/bin/python3 - <(sections) <(names) <(printf '%s\n' "${strangers[@]}") <<-'PY'
		import fnmatch, sys
		sections, names, strangers = ([line.split() for line in open(f)] for f in sys.argv[1:])
		def found(name):
		    called = name.split("/")[-1], "/usr/lib/" + name
		    return [s for s, in sections if any(fnmatch.fnmatchcase(c, s) for c in called)]
		for name, own in names:
		    if found(name) != [own]:
		        print(name, "finds", found(name), "and not", own)
		for s, in sections:
		    if not any(s == own for _, own in names):
		        print(s, "has no name here")
		for name, in strangers:
		    if found(name):
		        print(name, "is taken for", found(name))
		print(len(sections) > 100 and len(names) > len(sections) and len(strangers) > 20)
	PY
	assert_success
	assert_output True
}

@test "contract H3: the library finds the same, and the settings with it" {
	local -a all
	local i

	mapfile -t all < <(names | cut -d ' ' -f 1)
	copy "${all[@]}"
	for ((i = 0; i < ${#all[@]}; i += 30)); do
		look_at "${all[@]:i:30}"
	done
	no_complaint
	run diff <(told) <(names | said)
	assert_output ''
}

@test "contract H1: modules = known leaves other libraries alone" {
	local name

	copy "${strangers[@]}" libsofthsm2.so
	P11SHIM_MODULES=known look_at "${strangers[@]}" libsofthsm2.so
	loaded libsofthsm2.so
	for name in "${strangers[@]}"; do
		! loaded "$name" || fail "$name is taken for a module"
	done
}

@test "contract H3: of a link and what it leads to, the one that tells more counts" {
	local link target section

	while read -r link target section; do
		rm -f "$P11SHIM_LOG"
		copy "$target"
		ln -s "$target" "$copies/$link"
		look_at "$link"
		run told
		assert_line "$(said <<<"$link $section" | grep ' product = ')"
		rm "$copies/$link" "$copies/$target"
	done <<-'LINKS'
		libcryptoki.so libcthsm.so libcthsm.so
		libcryptoki.so libctsw.so libctsw.so
		libcs2_pkcs11.so libcs_pkcs11_R2.so libcs_pkcs11_R2.so
		libnssckbi.so p11-kit-trust.so p11-kit-trust.so
		libpkcs11.so opensc-pkcs11.so opensc-pkcs11.so
		PKCS11_API.so libopencryptoki.so.0.0.0 libopencryptoki.so*
		p11-kit-proxy.so libp11-kit.so.0.3.0 p11-kit-proxy.so
		libiidp11.so libnetid.so libiidp11.so
	LINKS
}

# Where GnuTLS, say, has loaded libp11-kit.so.0 already, opening p11-kit-proxy.so
# gives that one. Of the proxy's own modules here one, OpenSC, is polled for ever.
@test "contract D3: p11-kit's proxy answers a wait as it does alone, by its library's name too" {
	local proxy library module alone preload as_anybody=()

	proxy=$(find_module p11-kit-proxy.so)
	library=$(find_module libp11-kit.so.0)
	module=$(find_module opensc-pkcs11.so)
	for_all=$(mktemp -d) # root has no modules of its own for p11-kit, and others cannot read just anywhere
	cp "$SHIM" "$PROGRAMS/wait-answers" "$for_all"
	mkdir -p "$for_all/.config/pkcs11/modules"
	echo 'user-config: only' >"$for_all/.config/pkcs11/pkcs11.conf"
	echo "module: $module" >"$for_all/.config/pkcs11/modules/one.module"
	chmod -R a+rX "$for_all"
	[ "$(id -u)" -ne 0 ] || as_anybody=(setpriv --reuid 65534 --clear-groups)
	answers() {
		"${as_anybody[@]}" env -u XDG_CONFIG_HOME -u P11SHIM_LOG HOME="$for_all" LD_PRELOAD="$1" \
			timeout -k 5 60 "$for_all/wait-answers" "$proxy"
	}
	alone=$(answers "$library" | grep '^blocking: ')
	for preload in "$for_all/${SHIM##*/} $library" "$for_all/${SHIM##*/}"; do
		run answers "$preload"
		assert_line "$alone"
	done
}

# ---- p11-kit's list of modules

# all_keys MODULE: a .module file with everything that p11-kit knows, and more.
all_keys() {
	cat <<-MODULE
		# A comment of p11-kit's

		module: $1
		managed: no
		critical: no
		priority: 1
		enable-in: firefox, thunderbird
		disable-in: p11-kit-proxy
		trust-policy: yes
		log-calls: yes
		x-init-reserved:
		x-trust-lookup: pkcs11:library-description=PKCS%2311%20Kit%20Trust%20Module
		x-anything = of other programs
		a line without a sign
		remote: |ssh user@remote p11-kit remote $1
	MODULE
}

@test "contract H1: what a .module file of the user names is known; its other keys do nothing" {
	local modules=$BATS_TEST_TMPDIR/home/.config/pkcs11/modules

	copy by-name.so by-path.so disabled.so no-newline.so other-directory.so other-file.so
	mkdir -p "$modules"
	all_keys by-name.so >"$modules/name.module"
	all_keys "$copies/by-path.so" >"$modules/path.module"
	printf '%s\n' 'module:disabled.so' 'disable-in: python3' 'enable-in: nobody' >"$modules/disabled.module"
	printf 'module: no-newline.so' >"$modules/newline.module"
	echo 'module: /elsewhere/other-directory.so' >"$modules/elsewhere.module"
	echo 'module: other-file.so' >"$modules/readme.txt"
	HOME=$BATS_TEST_TMPDIR/home XDG_CONFIG_HOME='' P11SHIM_MODULES=known look_at \
		by-name.so by-path.so disabled.so no-newline.so other-directory.so other-file.so
	loaded by-name.so
	loaded by-path.so
	loaded disabled.so
	loaded no-newline.so
	loaded other-directory.so # a name is enough, as in the list
	! loaded other-file.so || fail "known by a file that is no .module"
	no_complaint
}

@test "contract H1: what a .module file of the system names is known, its other keys do nothing" {
	local root=$BATS_TEST_TMPDIR/root

	# a root directory of the test's own for what is the system's
	cat >"$BATS_TEST_TMPDIR/elsewhere.c" <<-'C'
		#define _GNU_SOURCE
		#include <dirent.h>
		#include <dlfcn.h>
		#include <stdarg.h>
		#include <stdio.h>
		#include <stdlib.h>
		#include <string.h>
		#include <sys/syscall.h>
		#include <unistd.h>
		static const char *elsewhere(const char *path)
		{
			static char other[4096];
			if (strncmp(path, "/etc/pkcs11/", 12) != 0 && strncmp(path, "/usr/share/p11-kit/", 19) != 0)
				return path;
			snprintf(other, sizeof other, "%s%s", getenv("TEST_ROOT"), path);
			return other;
		}
		#define NEXT(function) (__typeof__(&function))dlsym(RTLD_NEXT, #function)
		DIR *opendir(const char *path)
		{
			return (NEXT(opendir))(elsewhere(path));
		}
		long syscall(long number, ...)
		{
			long word[6];
			va_list words;
			va_start(words, number);
			for (int i = 0; i < 6; i++)
				word[i] = va_arg(words, long);
			va_end(words);
			if (number == SYS_openat)
				word[1] = (long)elsewhere((const char *)word[1]);
			return (NEXT(syscall))(number, word[0], word[1], word[2], word[3], word[4], word[5]);
		}
	C
	gcc -O1 -shared -fPIC -o "$BATS_TEST_TMPDIR/elsewhere.so" "$BATS_TEST_TMPDIR/elsewhere.c"
	copy of-the-administrator.so of-a-package.so of-nobody.so
	mkdir -p "$root/etc/pkcs11/modules" "$root/usr/share/p11-kit/modules" "$BATS_TEST_TMPDIR/home"
	all_keys of-the-administrator.so >"$root/etc/pkcs11/modules/a.module"
	all_keys "$copies/of-a-package.so" >"$root/usr/share/p11-kit/modules/b.module"
	HOME=$BATS_TEST_TMPDIR/home XDG_CONFIG_HOME='' P11SHIM_MODULES=known TEST_ROOT=$root \
		timeout -k 5 60 env LD_PRELOAD="$BATS_TEST_TMPDIR/elsewhere.so $SHIM" \
		/usr/bin/python3 "$BATS_TEST_TMPDIR/look.py" "$copies"/of-{the-administrator,a-package,nobody}.so
	loaded of-the-administrator.so
	loaded of-a-package.so
	! loaded of-nobody.so || fail "of-nobody.so is taken for a known module"
	no_complaint
}

@test "contract H1: p11-kit's modules of the user are where XDG_CONFIG_HOME says, and lines may be long" {
	mkdir -p "$BATS_TEST_TMPDIR/xdg/pkcs11/modules"
	copy unheard-of.so
	printf 'disable-in: %s\nmodule: unheard-of.so\n' "$(printf 'program%d, ' $(seq 400))" \
		>"$BATS_TEST_TMPDIR/xdg/pkcs11/modules/mine.module"
	XDG_CONFIG_HOME=$BATS_TEST_TMPDIR/xdg P11SHIM_MODULES=known look_at unheard-of.so
	loaded unheard-of.so
	no_complaint
}
