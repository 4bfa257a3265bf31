# scripts/setup: what it says, asks, installs and takes back. Nothing is installed here: apt-get,
# dpkg and sudo are stand-ins that write down what they were asked for, and P11SHIM_TEST_ROOT is
# a directory in place of /.
# shellcheck disable=SC2154,SC2030,SC2031,SC2016 # set by bats's run; each test has a shell of its own; for inner shells

bats_require_minimum_version 1.5.0
load helper

setup() {
	export T=$BATS_TEST_TMPDIR P11SHIM_TEST_ROOT=$BATS_TEST_TMPDIR/root FAKE_ID=0
	unset CI YES SUDO_ASKPASS LANGUAGE
	top=$P11SHIM_TEST_ROOT
	state=$top/var/lib/libp11shim-setup
	policy=$top/usr/sbin/policy-rc.d
	mkdir -p "$T/bin" "$top/var/lib/dpkg" "$top/usr/sbin" "$top"/etc/systemd/{system,user}/old.wants \
		"$top"/etc/{init.d,rc2.d,rc3.d} "$top/units"
	cd "$T" || return 1
	touch calls "$top"/units/{nginx.service,getty@.service,old.service} "$top"/etc/init.d/{nginx,sysv,oldsysv}
	ln -s "$top/units/old.service" "$top/etc/systemd/system/old.wants/old.service"
	ln -s ../init.d/oldsysv "$top/etc/rc2.d/S01oldsysv"
	# what the goal fuzz wants, all of it but nginx's stand-in
	printf '%s\n' gcc make libc6-dev libinih-dev uthash-dev clang libclang-rt-14-dev old >installed
	printf '%s\n' pkgconf pkg-config >available
	printf '/lib/systemd/system/nginx.service\n/etc/init.d/nginx\n/etc/init.d/sysv\n/lib/systemd/system/getty@.service\n' >pkgconf.list
	printf '/lib/systemd/system/old.service\n/etc/init.d/oldsysv\n/lib/systemd/system/renamed.service\n' >old.list

	stand_in id <<-'END'
		[ "$*" = -u ] && echo "$FAKE_ID"
	END
	stand_in dpkg-query <<-'END'
		case $1 in
		-W)
			case $3 in *'} ${'*) blank=' ' ;; *) blank= ;; esac
			shift 3
			[ $# -gt 0 ] || set -- $(cat "$T/installed")
			for name; do
				grep -qx "$name" "$T/installed" && echo "ii $blank$name"
			done
			;;
		-L) shift; for name; do cat "$T/$name.list"; done ;;
		esac
	END
	stand_in dpkg <<-'END'
		case $1 in
		--audit) cat "$T/audit" 2>/dev/null ;;
		--configure) echo "dpkg $*" >>"$T/calls"; [ -e "$T/mess" ] || rm -f "$T/audit"; "$T/bin/enable" ;;
		esac
	END
	stand_in apt-cache <<-'END'
		candidate=Candidate
		[ "$LC_ALL" = C ] || candidate=Installationskandidat
		[ "$1" = policy ] && shift && for name; do
			grep -qx "$name" "$T/available" && printf '%s:\n  Installed: (none)\n  %s: 1.0\n' "$name" "$candidate"
		done
		true
	END
	# what the postinst of a package does
	stand_in enable <<-'END'
		cd "$P11SHIM_TEST_ROOT/etc" || exit
		mkdir -p systemd/system/multi-user.target.wants
		for unit in nginx.service getty@.service; do
			ln -sf "$P11SHIM_TEST_ROOT/units/$unit" "systemd/system/multi-user.target.wants/$(echo $unit | sed s/@/@tty1/)"
		done
		# an old package has renamed its unit
		ln -sf "$P11SHIM_TEST_ROOT/units/old.service" systemd/system/old.wants/renamed.service
		ln -sf ../init.d/nginx rc2.d/S01nginx
		ln -sf ../init.d/sysv rc3.d/S01sysv
	END
	stand_in apt-get <<-'END'
		echo "apt-get $*" >>"$T/calls"
		case " $* " in
		*' --print-uris '*)
			[ ! -e "$T/conflict" ] || case "$*" in *clang*) echo 'E: Packages need to be removed'; exit 100 ;; esac
			[ ! -e "$T/words" ] || exec cat "$T/words"
			[ "$LC_ALL" = C ] && printf '%s\n' '1 upgraded, 42 newly installed, 0 to remove and 3 not upgraded.' \
				'Need to get 13.2 MB/94 MB of archives.' \
				'After this operation, 338 MB of additional disk space will be used.'
			;;
		*' update '*) [ ! -e "$T/after-update" ] || cat "$T/after-update" >>"$T/available" ;;
		*' install '*)
			echo "policy: $(sh "$P11SHIM_TEST_ROOT/usr/sbin/policy-rc.d" nginx start; echo $?)" >>"$T/calls"
			[ ! -e "$T/broken" ] || exit 100
			for name; do :; done
			echo "$name" >>"$T/installed"
			"$T/bin/enable"
			touch "$T/installing"
			while [ -e "$T/hang" ]; do sleep 0.05; done
			;;
		esac
	END
	stand_in systemctl <<-'END'
		echo "systemctl $*" >>"$T/calls"
	END
	stand_in sudo <<-'END'
		echo "sudo $1 $2" >>"$T/calls"
		case $1 in
		-n | -v) exit "${SUDO_STATUS:-0}" ;;
		esac
		FAKE_ID=0 exec "$@"
	END
	export PATH=$T/bin:$PATH
}

stand_in() {
	{ echo '#!/bin/sh' && cat; } >"$T/bin/$1"
	chmod 755 "$T/bin/$1"
}

set_up() {
	timeout -k 5 60 "$ROOT/scripts/setup" "$@"
}

# on_a_terminal INPUT COMMAND: INPUT is typed; EOF is the terminal's end of file.
on_a_terminal() {
	timeout -k 5 60 python3 - "$@" <<-'END'
		import os, pty, sys
		pid, terminal = pty.fork()
		if pid == 0:
		    os.execvp(sys.argv[2], sys.argv[2:])
		seen, typed = b"", False
		while True:
		    try:
		        data = os.read(terminal, 4096)
		    except OSError:
		        break
		    if not data:
		        break
		    seen += data
		    if b"[y/N]" in seen and not typed:
		        typed = True
		        os.write(terminal, b"\x04" if sys.argv[1] == "EOF" else sys.argv[1].encode() + b"\n")
		sys.stdout.write(seen.decode())
		sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
	END
}

installed_something() {
	grep -q '^apt-get .* install .*pkgconf' <(grep -v -e --print-uris calls)
}

links() {
	(cd "$top/etc" && find . -type l ! -path '*/K*' | sort)
}

@test "setup: nothing is missing: it says and asks nothing" {
	echo pkgconf >>installed
	run set_up fuzz </dev/null
	[ "$status" -eq 0 ]
	[ -z "$output" ]
	[ ! -s calls ]
}

@test "setup: what it means is said before; without a terminal it says so and goes on" {
	run set_up fuzz </dev/null
	[ "$status" -eq 0 ]
	[[ $output = *"42 packages are installed and 1 upgraded: 13.2 MB to download, 338 MB on disk"*"without asking"* ]]
	installed_something
	grep -- '--no-remove' <(grep ' install ' calls)
	# the newer apt's words
	cat >words <<-'END'
		Summary:
		  Upgrading: 1, Installing: 42, Removing: 0, Not Upgrading: 3
		  Download size: 13.2 MB / 94 MB
		  Space needed: 338 MB / 50 GB available
	END
	sed -i '/^pkgconf$/d' installed
	run set_up fuzz </dev/null
	[[ $output = *"42 packages are installed and 1 upgraded: 13.2 MB to download, 338 MB on disk"* ]]
}

@test "setup: on a terminal it asks, and only yes is yes" {
	for answer in '' n no EOF q; do
		run on_a_terminal "$answer" "$ROOT/scripts/setup" fuzz
		[ "$status" -eq 1 ]
		[[ $output = *"42 packages"*"[y/N]"*"nothing was installed"* ]]
		run ! installed_something
		[ ! -e "$state" ]
	done
	# where it is seen, wherever standard error goes
	run on_a_terminal n sh -c '"$1" fuzz 2>"$2"' - "$ROOT/scripts/setup" "$T/errors"
	[ "$status" -eq 1 ]
	[[ $output = *"[y/N]"* ]]
	run on_a_terminal y "$ROOT/scripts/setup" fuzz
	[ "$status" -eq 0 ]
	installed_something
}

@test "setup: YES and CI do not ask" {
	for variable in YES=1 CI=true; do
		: >calls
		sed -i '/^pkgconf$/d' installed
		run on_a_terminal n env "$variable" "$ROOT/scripts/setup" fuzz
	[ "$status" -eq 0 ]
		[[ $output = *"42 packages"* && $output != *"[y/N]"* ]]
		installed_something
	done
	sed -i '/^pkgconf$/d' installed
	for variable in YES=no CI=; do
		run on_a_terminal n env "$variable" "$ROOT/scripts/setup" fuzz
		[ "$status" -eq 1 ]
	done
	# as make hands it on
	printf 'all:\n\t@scripts/setup fuzz\n' >makefile
	ln -s "$ROOT/scripts" scripts
	run on_a_terminal n make YES=1
	[ "$status" -eq 0 ]
}

@test "setup --list: the packages, one a line, and whether they are there" {
	sed -i '/^libclang-rt/d; /^clang$/d' installed
	echo clang >>available
	run set_up --list fuzz </dev/null
	[ "$status" -eq 0 ]
	assert_equal "$output" "$(printf '%s\t%s\n' gcc installed make installed libc6-dev installed libinih-dev installed \
		uthash-dev installed pkgconf missing clang missing libclang-rt-14-dev unavailable)"
	[ ! -s calls ]
	for words in --list '--list nothing' nothing '' 'fuzz fuzz'; do
		# shellcheck disable=SC2086 # several words, or none
		run set_up $words
		[ "$status" -eq 2 ]
		[[ $output = usage:* ]]
	done
}

@test "setup: what the new packages enable is taken back, and nothing else" {
	links >before
	run set_up fuzz </dev/null
	[ "$status" -eq 0 ]
	installed_something
	# an old package's unit that has another name now is the machine's own
	assert_equal "$(links)" "$({ cat before; echo ./systemd/system/old.wants/renamed.service; } | sort)"
	[[ $output = *"left these services disabled: getty@tty1.service nginx.service sysv (to enable one: systemctl enable NAME"* ]]
	[ ! -e "$top/etc/systemd/system/multi-user.target.wants" ]
	[ -d "$top/etc/systemd/system/old.wants" ]
	# as update-rc.d would leave it, so that an upgrade does not begin anew
	[ -L "$top/etc/rc3.d/K01sysv" ]
	[ -L "$top/etc/rc2.d/K01nginx" ]
	grep -qx 'policy: 101' calls
	[ ! -e "$state" ]
	[ ! -e "$policy" ]
}

@test "setup: what was enabled before stays so; what leads nowhere was not enabled" {
	mkdir -p "$top/etc/systemd/system/multi-user.target.wants"
	ln -s "$top/units/nginx.service" "$top/etc/systemd/system/multi-user.target.wants/"
	mv "$top"/units/getty@.service .
	ln -s "$top/units/getty@.service" "$top/etc/systemd/system/multi-user.target.wants/getty@tty1.service"
	sed -i "/^touch .*installing/i mv \"\$T/getty@.service\" \"$top/units\"" bin/apt-get
	run set_up fuzz </dev/null
	[ "$status" -eq 0 ]
	[ -e "$top/etc/systemd/system/multi-user.target.wants/nginx.service" ]
	[ ! -L "$top/etc/systemd/system/multi-user.target.wants/getty@tty1.service" ]
}

@test "setup: a policy of the machine's own is left as it is; one that an earlier run left is not" {
	printf '#!/bin/sh\nexit 104\n' >"$policy"
	run set_up fuzz </dev/null
	[ "$status" -eq 0 ]
	[ "$(cat "$policy")" = "$(printf '#!/bin/sh\nexit 104')" ]
	rm "$policy"
	ln -s nowhere "$policy"
	sed -i '/^pkgconf$/d' installed
	run set_up fuzz </dev/null
	[ -L "$policy" ]
	rm "$policy"
	sed -i '/^pkgconf$/d' installed
	printf '#!/bin/sh\n# scripts/setup of libp11shim, for as long as it installs\n' >"$policy"
	run set_up fuzz </dev/null
	[ ! -e "$policy" ]
}

# installing: in the background, as far as the middle of it; its process is $pid
installing() {
	touch hang
	set -m
	"$ROOT/scripts/setup" fuzz </dev/null >output 2>&1 3>&- &
	pid=$!
	set +m
	for ((i = 0; i < 400; i++)); do
		[ ! -e installing ] || return 0
		sleep 0.05
	done
	cat output
	return 1
}

@test "setup: broken off, it cleans up" {
	links >before
	echo ./systemd/system/old.wants/renamed.service >>before
	sort -o before before
	for how in TERM/0 INT/1000 HUP/0; do
		export FAKE_ID=${how#*/}
		sed -i '/^pkgconf$/d' installed
		rm -f installing "$top/etc/systemd/system/old.wants/renamed.service"
		installing
		[ -e "$policy" ]
		[ -e "$state/links" ]
		kill -s "${how%/*}" "$pid"
		rm hang
		timeout 30 tail --pid="$pid" -f /dev/null || true
		run wait "$pid"
		[ "$status" -eq 1 ]
		assert_equal "$(links)" "$(cat before)"
		[ ! -e "$policy" ]
		[ ! -e "$state" ]
	done
}

@test "setup: killed, the next run knows what was before, and finishes what dpkg began" {
	links >before
	echo ./systemd/system/old.wants/renamed.service >>before
	sort -o before before
	installing
	# as killed by the power, say
	kill -s KILL "$pid"
	rm hang
	timeout 30 tail --pid="$pid" -f /dev/null || true
	[ -e "$state/links" ]
	[ -L "$top/etc/systemd/system/multi-user.target.wants/nginx.service" ]
	# its policy forbids nothing any more
	run sh "$policy" nginx start
	[ "$status" -eq 0 ]
	echo half-configured >audit
	# nothing is missing now; and dpkg cannot be mended at once
	touch mess
	run set_up fuzz </dev/null
	[ "$status" -eq 0 ]
	[[ $output = *"packages are still half installed"* ]]
	[ -e "$state/links" ]
	[ ! -e "$policy" ]
	rm mess
	"$T/bin/enable"
	run set_up fuzz </dev/null
	[ "$status" -eq 0 ]
	[[ $output = *"an earlier run was interrupted"*"left these services disabled: getty@tty1.service nginx.service sysv"* ]]
	grep -q 'dpkg --configure -a' calls
	assert_equal "$(links)" "$(cat before)"
	[ ! -e "$policy" ]
	[ ! -e "$state" ]
	: >calls
	run set_up fuzz </dev/null
	[ -z "$output" ]
	[ ! -s calls ]
}

@test "setup: apt-get fails: again with new lists, then it says so and cleans up" {
	touch broken
	run set_up fuzz </dev/null
	[ "$status" -eq 1 ]
	[[ $output = *"trying again with new package lists"* ]]
	[ "$(grep -c '^apt-get .* update' calls)" -eq 1 ]
	[ ! -e "$policy" ]
	[ ! -e "$state" ]
}

@test "setup: with sudo, only what root must do is done as root" {
	export FAKE_ID=1000
	links >before
	run set_up fuzz </dev/null
	[ "$status" -eq 0 ]
	installed_something
	[ "$(links | grep -c -e nginx -e sysv)" -eq "$(grep -c sysv before)" ]
	assert_equal "$(grep ^sudo calls | uniq)" "$(printf 'sudo -n true\nsudo sh -c')"
}

@test "setup: neither root nor sudo: one line says what to install; it fails only without what is essential" {
	export FAKE_ID=1000
	# a PATH without sudo, and with all that the goal needs
	mkdir few
	for tool in sh env uname cat sed awk grep tr head tail sort printf timeout dirname cc make clang; do
		ln -s "$(type -P "$tool" || type -P true)" few/
	done
	cp bin/{id,dpkg-query,apt-cache,apt-get} few/
	run env PATH="$T/few" timeout 60 "$ROOT/scripts/setup" fuzz </dev/null
	[ "$status" -eq 0 ]
	assert_equal "$output" "setup: you are not root, and there is no sudo; please install: pkgconf"
	run ! installed_something
	rm few/clang
	run env PATH="$T/few" timeout 60 "$ROOT/scripts/setup" fuzz </dev/null
	[ "$status" -eq 1 ]
	[[ $output = *"please install what provides clang (essential)"* ]]
	# ... nor are the lists fetched, where apt has never heard of a package
	ln -s "$(type -P true)" few/clang
	: >available
	run env PATH="$T/few" timeout 60 "$ROOT/scripts/setup" fuzz </dev/null
	[ "$status" -eq 0 ]
	[[ $output = *"please install: pkgconf"* ]]
	run ! grep '^apt-get .* update' calls
}

@test "setup: sudo that wants a password, where there is no terminal: said at once" {
	export FAKE_ID=1000 SUDO_STATUS=1
	run setsid --wait timeout -k 5 60 "$ROOT/scripts/setup" fuzz </dev/null
	[ "$status" -eq 0 ]
	assert_equal "$output" "setup: sudo wants a password, and there is no terminal to ask for it; please install: pkgconf"
	run ! installed_something
	assert_equal "$(grep ^sudo calls)" "sudo -n true"
}

@test "setup: in another language apt is understood as well" {
	LC_ALL=de_DE.UTF-8 LANG=de_DE.UTF-8 LANGUAGE=de run set_up fuzz </dev/null
	[ "$status" -eq 0 ]
	[[ $output = *"42 packages"* ]]
	run ! grep '^apt-get .* update' calls
}

@test "setup: lists of packages that are missing are fetched; what apt does not know is said" {
	: >available
	echo pkgconf >after-update
	run set_up fuzz </dev/null
	[ "$status" -eq 0 ]
	installed_something
	sed -i '/^pkgconf$/d' installed
	: >available
	: >after-update
	run set_up fuzz </dev/null
	[ "$status" -eq 0 ]
	[[ $output = *"apt knows no package for: pkgconf|pkg-config"* ]]
}

@test "setup: no package is removed; what can be left out is, if it must" {
	touch conflict
	echo clang >>available
	echo libclang-rt-14-dev >>available
	sed -i '/^libclang-rt/d' installed
	run set_up fuzz </dev/null
	[ "$status" -eq 0 ]
	[[ $output = *"only what is essential"* ]]
	installed_something
	run ! grep clang <(grep -v -e --print-uris calls)
}

# A package that is added to the one table has to be added for systems without apt, too.
@test "setup: what Debian's packages give, is looked for elsewhere, too" {
	mkdir few
	for tool in sh env uname cat sed awk grep tr head tail sort printf dirname; do
		ln -s "$(type -P "$tool" || type -P true)" few/
	done
	for goal in check real stress fuzz; do
		PATH=$T/few "$ROOT/scripts/setup" --list "$goal" </dev/null
	done | cut -f 1 >looked-for
	cat >gives <<-'END'
		gcc cc
		libinih-dev ini.h
		uthash-dev uthash.h
		pkgconf|pkg-config pkg-config
		softhsm2 softhsm2-util
		opensc pkcs11-tool
		libnss3-dev nss.h
		libnss3-tools certutil
		libgnutls28-dev gnutls/pkcs11.h
		libp11-kit-dev p11-kit/p11-kit.h
		gnutls-bin p11tool
		bats-support bats-support/load.bash
		bats-assert bats-assert/load.bash
		libcmocka-dev cmocka.h
		binutils readelf
		procps ps
		procps pgrep
		xz-utils xz
		strongswan-pki pki
		openssh-client ssh
		elfutils eu-addr2line
		?chromium-driver chromedriver
		man-db man
		musl-tools musl-gcc
		libcap2-bin getcap
		nginx-light|nginx nginx
		?apache2-bin httpd
		qemu-user|qemu-user-static qemu-aarch64
		?opencryptoki pkcsslotd
		?libtpm2-pkcs11-tools tpm2_ptool
		?gnome-keyring gnome-keyring-daemon
		dbus-daemon|dbus dbus-daemon
	END
	# no program of which one could tell whether it is there, or Debian's alone
	printf '%s\n' libc6-dev opensc-pkcs11 p11-kit-modules debhelper build-essential lintian \
		'?libclang-rt-14-dev|libclang-rt-dev' libstrongswan-extra-plugins vsmartcard-vpcd \
		libengine-pkcs11-openssl python3-pykcs11 libjemalloc2 libfaketime '?dbus-x11|dbus-user-session' \
		'?libc6-dev-arm64-cross' '?debian-archive-keyring' '?libopencryptoki0' '?libtpm2-pkcs11-1' \
		'?libtss2-tcti-swtpm0t64|libtss2-tcti-swtpm0' '?tpm2-abrmd' '?libtss2-tcti-tabrmd0' \
		'?gnome-keyring-pkcs11' >none
	sed -n '/^packages()/,/^\t*TABLE$/s/^\t\t[a-z]* *//p' "$ROOT/scripts/setup" | tr ' ' '\n' | grep . >entries
	[ "$(wc -l <entries)" -gt 60 ]
	while read -r entry; do
		! grep -qxF -e "$entry" none || continue
		grep -F -e "$entry " gives | sed 's/.* //' >names
		[ -s names ] || echo "${entry#\?}" >names
		grep -vxF -f looked-for names | sed "s/^/$entry: /"
	done <entries >lacking
	run cat lacking
	assert_output ''
}
