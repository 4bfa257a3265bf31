#!/usr/bin/env bats
# The first law: a program that works without the shim works with it, with the
# same results. Each program here runs once without and once with the library
# preloaded: standard output, standard error and exit status must be the same
# to the byte. strongSwan's pki is not among them: without the shim it crashes
# (bats/real-consumers.bats).

load helper

DOORS=${DOORS:-$BUILD/doors}

setup_file() {
	[ -e "$DOORS/quiet" ] || make -s -C "$ROOT" "B=$BUILD" doors
	need_token
	export HARMLESS=$BATS_FILE_TMPDIR
	echo "text to sign" >"$HARMLESS/data"
	echo -n 1234 >"$HARMLESS/pin"
	mkdir "$HARMLESS/nss"
	certutil -N -d "sql:$HARMLESS/nss" --empty-password
	modutil -dbdir "sql:$HARMLESS/nss" -add softhsm -libfile "$SOFTHSM2_MODULE" -force 2>/dev/null
}

setup() {
	export LC_ALL=C TZ=UTC
	cd "$BATS_TEST_TMPDIR" || return 1
	# No user's own settings of these programs.
	export HOME=$BATS_TEST_TMPDIR/home
	mkdir home
}

# record NAME COMMAND [ARGUMENTS]: in a fresh directory of its own, so that
# files that the command writes into it can be compared too; standard input is
# empty. MASK is a sed script for what differs between any two runs.
record() {
	local name=$1 status=0

	shift
	rm -rf work
	mkdir work
	(cd work && "$@") >"$name.out" 2>"$name.err" </dev/null || status=$?
	echo "exit $status" >"$name.status"
	rm -rf "$name.files"
	mv work "$name.files"
	[ -z "${MASK:-}" ] || sed -E -i -e "$MASK" "$name.out" "$name.err"
}

# alike COMMAND [ARGUMENTS]: does the same without and with the shim.
alike() {
	record without without_shim "$@"
	record with with_shim "$@"
	diff without.out with.out
	diff without.err with.err
	diff without.status with.status
	diff -r without.files with.files
}

# alike_on_system COMMAND [ARGUMENTS]: the same for whatever modules this system
# has. Some make their store on first use (so it is run once before), and GLib's
# messages have a process number and a time.
alike_on_system() {
	record before without_shim "$@"
	MASK='s/\(process:[0-9]+\): ([A-Z]+) \*\*: [0-9:.]+:/(process:PID): \1 **: TIME:/' alike "$@"
}

# same COMMAND [ARGUMENTS]: and it is a success.
same() {
	alike "$@"
	assert_equal "$(cat with.status)" 'exit 0'
}

# present COMMAND: for the few large programs that are tried beside others where they are
# installed and not asked for where they are not (java, node).
present() {
	command -v "$1" >/dev/null
}

# ------------------------------------------------ programs that use PKCS#11

@test "harmless: p11tool lists, lists everything with login, exports the certificate" {
	same p11tool --provider "$SOFTHSM2_MODULE" --list-tokens
	grep -q 'Label: demo' with.out
	same p11tool --provider "$SOFTHSM2_MODULE" --list-mechanisms 'pkcs11:token=demo'
	same p11tool --provider "$SOFTHSM2_MODULE" --login --set-pin 1234 --list-all 'pkcs11:token=demo'
	grep -q 'Label: key1' with.out
	same p11tool --provider "$SOFTHSM2_MODULE" --export 'pkcs11:token=demo;object=key1;type=cert'
	grep -q 'BEGIN CERTIFICATE' with.out
	same p11tool --provider "$SOFTHSM2_MODULE" --login --set-pin 1234 --test-sign \
		'pkcs11:token=demo;object=key1;type=private'
	# All the modules that this system has configured.
	alike_on_system p11tool --list-tokens
}

@test "harmless: p11-kit lists the system's modules" {
	alike_on_system p11-kit list-modules
	assert_equal "$(cat with.status)" 'exit 0'
}

@test "harmless: modutil lists a database with SoftHSM in it" {
	same modutil -dbdir "sql:$HARMLESS/nss" -list
	grep -q softhsm with.out
	same modutil -dbdir "sql:$HARMLESS/nss" -list softhsm
}

@test "harmless: certutil lists keys and certificates" {
	same certutil -K -d "sql:$HARMLESS/nss" -h demo -f "$HARMLESS/pin"
	grep -q key1 with.out
	same certutil -L -d "sql:$HARMLESS/nss" -h demo -f "$HARMLESS/pin"
	same certutil -L -d "sql:$HARMLESS/nss" -h all -f "$HARMLESS/pin"
}

@test "harmless: pkcs11-tool lists slots, objects, mechanisms" {
	for module in "$SOFTHSM2_MODULE" "$(find_module opensc-pkcs11.so)" "$(find_module p11-kit-proxy.so)"; do
		alike_on_system pkcs11-tool --module "$module" -I
		alike_on_system pkcs11-tool --module "$module" -L
	done
	same pkcs11-tool --module "$SOFTHSM2_MODULE" --token-label demo -M
	same pkcs11-tool --module "$SOFTHSM2_MODULE" --token-label demo --login --pin 1234 -O
	grep -q 'Private Key Object' with.out
}

@test "harmless: pkcs11-tool signs (PKCS#1 v1.5 signatures are deterministic)" {
	same pkcs11-tool --module "$SOFTHSM2_MODULE" --token-label demo --login --pin 1234 --sign --id 01 \
		-m SHA256-RSA-PKCS -i "$HARMLESS/data" -o signature
	[ "$(stat -c %s with.files/signature)" -eq 256 ]
	same pkcs11-tool --module "$SOFTHSM2_MODULE" --token-label demo --hash -m SHA256 \
		-i "$HARMLESS/data" -o digest
}

@test "harmless: pkcs11-tool's own test of a token" {
	# Some of its tests fail on SoftHSM, the same ones each time.
	MASK='s/(source_ptr=)0x[0-9a-f]+/\1/' alike pkcs11-tool --module "$SOFTHSM2_MODULE" --token-label demo \
		--login --pin 1234 --test
}

@test "harmless: the same wrong PIN, wrong token and wrong module" {
	for arguments in "--module $SOFTHSM2_MODULE --token-label demo --login --pin 9999 -O" \
		"--module $SOFTHSM2_MODULE --token-label nobody --login --pin 1234 -O" \
		"--module /usr/lib/no-such-module.so -L" "--module libc.so.6 -L"; do
		# shellcheck disable=SC2086 # words
		alike pkcs11-tool $arguments
		assert_equal "$(cat with.status)" 'exit 1'
	done
}

@test "harmless: ssh-keygen -D" {
	same ssh-keygen -D "$SOFTHSM2_MODULE"
	grep -q '^ssh-rsa ' with.out
}

@test "harmless: openssl signs through the pkcs11 engine" {
	export PKCS11_MODULE_PATH=$SOFTHSM2_MODULE
	same openssl dgst -engine pkcs11 -keyform engine -sha256 \
		-sign 'pkcs11:token=demo;object=key1;type=private;pin-value=1234' -out signature "$HARMLESS/data"
	openssl x509 -in "$TOKEN_DIR/certificate.pem" -noout -pubkey >public.pem
	run openssl dgst -sha256 -verify public.pem -signature with.files/signature "$HARMLESS/data"
	assert_success
}

@test "harmless: PyKCS11 signs" {
	cat >sign.py <<-EOF
		import os, PyKCS11
		library = PyKCS11.PyKCS11Lib()
		library.load(os.environ["SOFTHSM2_MODULE"])
		print(getattr(library.getInfo(), "libraryDescription").strip())
		for slot in library.getSlotList(tokenPresent=True):
		    if library.getTokenInfo(slot).label.strip() == "demo":
		        break
		session = library.openSession(slot, PyKCS11.CKF_SERIAL_SESSION | PyKCS11.CKF_RW_SESSION)
		session.login("1234")
		key = session.findObjects([(PyKCS11.CKA_CLASS, PyKCS11.CKO_PRIVATE_KEY)])[0]
		mechanism = PyKCS11.Mechanism(PyKCS11.CKM_SHA256_RSA_PKCS, None)
		print(bytes(session.sign(key, b"text to sign", mechanism)).hex())
		session.logout()
		session.closeSession()
	EOF
	same /usr/bin/python3 "$PWD/sign.py"
	[ "$(tail -n 1 with.out | wc -c)" -eq 513 ]
}

@test "harmless: keytool through SunPKCS11" {
	need_program keytool
	printf 'name = demo\nlibrary = %s\nslotListIndex = 0\n' "$SOFTHSM2_MODULE" >java.cfg
	same keytool -providerClass sun.security.pkcs11.SunPKCS11 -providerArg "$PWD/java.cfg" \
		-keystore NONE -storetype PKCS11 -storepass 1234 -list
	grep -q key1 with.out
}

# ------------------------------------------ programs that have nothing to do with it

@test "harmless: shells: sh, bash, dash, pipelines, subshells, jobs" {
	# shellcheck disable=SC2016 # for the shell that is tried
	script='for i in 1 2 3; do (echo $i | cat | sort | tr 1-3 a-c) & wait; done
		x=$(printf "%s\n" one two | grep -c o); echo $x; exec 3<&0; echo end >&2'
	for shell in sh bash dash; do
		same "$shell" -c "$script"
	done
	# shellcheck disable=SC2016
	same bash -c 'coproc cat; echo hello >&"${COPROC[1]}"; read -r x <&"${COPROC[0]}"; echo "$x"; diff <(echo a) <(echo a)'
	same bash -c 'ulimit -n; trap "echo bye" EXIT; [[ abc =~ b ]] && echo match'
}

@test "harmless: the same exit status: failure, signal, missing program" {
	# shellcheck disable=SC2016 # for the shells that are tried
	for script in 'exit 7' 'kill -9 $$' 'kill -SEGV $$' no-such-program 'exec /no/such/file'; do
		same sh -c 'bash -c "$1"; echo $?' sh "$script"
	done
	assert_equal "$(cat with.out)" 127
	alike bash -c 'exit 7'
	assert_equal "$(cat with.status)" 'exit 7'
}

@test "harmless: python3, with ctypes, threads, fork and subprocesses" {
	cat >try.py <<-'EOF'
		import ctypes, multiprocessing, os, ssl, subprocess, sys, threading, hashlib, json
		libm = ctypes.CDLL("libm.so.6")
		libm.cos.restype = ctypes.c_double
		print(libm.cos(ctypes.c_double(0)))
		try:
		    libm.C_GetFunctionList
		except AttributeError as error:
		    print(error)
		try:
		    ctypes.CDLL("libno-such-library.so")
		except OSError as error:
		    print(error)
		print(hasattr(ctypes.CDLL(None), "printf"))
		threads = [threading.Thread(target=lambda: hashlib.sha256(b"x" * 100000)) for _ in range(8)]
		[t.start() for t in threads]
		[t.join() for t in threads]
		print(subprocess.run(["echo", "child"], capture_output=True).stdout)
		with multiprocessing.get_context("fork").Pool(2) as pool:
		    print(pool.map(abs, [-1, -2]))
		pid = os.fork()
		if pid == 0:
		    os._exit(3)
		print(os.waitpid(pid, 0)[1], ssl.OPENSSL_VERSION, json.dumps({"a": 1}))
	EOF
	same /usr/bin/python3 "$PWD/try.py"
}

@test "harmless: perl, awk, sed, grep, sort, find, tar, gzip, xargs, bc" {
	mkdir tree
	printf '3 c\n1 a\n2 b\n' >tree/three
	# shellcheck disable=SC2016 # perl's and awk's own
	{
		same perl -MPOSIX -MSocket -e 'print join(",", sort map { $_ * 2 } 1..5), floor(2.5), "\n"; warn "to stderr\n"'
		same awk '{ total += $1 } END { print total }' ../tree/three
	}
	same sed -n 's/a/A/p' ../tree/three
	same grep -rn b ../tree
	same sort -n ../tree/three
	same find ../tree -type f -name 'th*'
	# Times are set, so that the archives can be the same.
	same tar --mtime=@0 -czf archive.tgz -C ../tree three
	same gzip -9nkc ../tree/three
	same sh -c 'ls ../tree | xargs -n 1 -P 2 echo'
	same sh -c 'echo "2^100" | bc'
}

@test "harmless: ls -l, id, date, env" {
	same ls -lR --time-style=+%s "$ROOT/config"
	same id
	same date -d @0
	# LD_PRELOAD is the one thing that may differ; and _ is what the shell ran.
	same sh -c 'env | grep -v -e ^LD_PRELOAD= -e ^_= | sort'
	same sh -c 'env -u LD_PRELOAD echo hello'
}

@test "harmless: git" {
	export GIT_AUTHOR_DATE='@0 +0000' GIT_COMMITTER_DATE='@0 +0000'
	export GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
	same sh -c 'git init -q -b main . && echo x >file && git add file && git commit -qm first && git log --format=%H -p &&
		git gc -q && git fsck && rm -rf .git'
}

@test "harmless: gcc compiles, and the program runs; make drives it" {
	printf '#include <stdio.h>\n#include <math.h>\nint main(int c, char **v) { (void)v; printf("%%.3f\\n", cos(c)); return 3 - 3 * c; }\n' >try.c
	same sh -c 'gcc -O1 -Wall -o try ../try.c -lm && ./try'
	# A diagnostic and a failure, too. Names of temporary files appear in none.
	alike gcc -c -x c /dev/null -o x.o -Wl,no-such -fno-such-flag
	grep -q 'no-such-flag' with.err
	printf 'all: a b\n\t@echo all\na b:\n\t@echo $@\n' >Makefile
	same make -s -f ../Makefile
	same make -s -O -j2 -f ../Makefile b
}

@test "harmless: gdb on a program" {
	printf 'int f(int n) { return n ? f(n - 1) : 0; }\nint main(void) { return f(3); }\n' >try.c
	gcc -g -O0 -o try try.c
	# The process number.
	MASK='s/process [0-9]+/process PID/' same gdb -nx -q -batch -ex 'set disable-randomization on' \
		-ex 'break f if n == 0' -ex run -ex backtrace -ex continue ../try
	grep -q '#3 .*f (n=3)' with.out
	grep -q 'exited normally' with.out
}

@test "harmless: gdb stops inside a module, and sees the program call it" {
	# A call through the gate leaves no frame behind. Masked: the process number,
	# stack addresses, which depend on the size of the environment, and the
	# lines on threads, which come and go in any order.
	MASK='s/process [0-9]+/process PID/; s/(info|argv)=0x[0-9a-f]+/\1=ADDRESS/; /^\[(New )?(Thread|process) /d' \
		same gdb -nx -q -batch -ex 'set breakpoint pending on' -ex 'break module_get_info' -ex run \
		-ex backtrace -ex continue "$DOORS/lookups"
	grep -q '#1 .*use_module' with.out
	grep -q 'exited normally' with.out
}

@test "harmless: curl, openssl, ssh, xz, node, java" {
	same curl --version
	same curl -s "file://$HARMLESS/data"
	same openssl version -a
	same openssl dgst -sha512 "$HARMLESS/data"
	same openssl list -providers
	same ssh -V
	same xz -9kc "$HARMLESS/data"
	if present node; then
		same node -v
		same node -e 'const { execSync } = require("child_process");
			console.log(process.versions.v8 !== "", execSync("echo child").toString(),
				require("crypto").createHash("sha256").update("x").digest("hex"))'
	fi
	if present java; then
		same java -version
	fi
}

@test "harmless: a java program with threads and its own libraries" {
	need_program javac
	cat >Try.java <<-'EOF'
		public class Try {
		    public static void main(String[] a) throws Exception {
		        Thread[] t = new Thread[4];
		        for (int i = 0; i < 4; i++) (t[i] = new Thread(() -> new java.util.zip.CRC32().update(new byte[1000]))).start();
		        for (Thread x : t) x.join();
		        System.out.println(java.net.InetAddress.getByName("127.0.0.1").getHostAddress());
		        System.out.println(new String(new ProcessBuilder("echo", "child").start().getInputStream().readAllBytes()));
		        try { System.loadLibrary("no-such-library"); } catch (UnsatisfiedLinkError e) { System.out.println("as expected"); }
		    }
		}
	EOF
	javac Try.java
	same java -cp "$PWD" Try
}

# ------------------------------------------------------------ off, and seen nowhere

@test "contract H4: P11SHIM_DISABLE=1 makes every path a plain jump" {
	export P11SHIM_DISABLE=1
	run with_shim "$DOORS/answerer" "$DOORS/libdoor-other.so" C_GetFunctionList C_GetInterface C_Initialize door_plain
	assert_success
	assert_output 'C_GetFunctionList libdoor-other.so
C_GetInterface libdoor-other.so
C_Initialize libdoor-other.so
door_plain libdoor-other.so'
	for program in runpath scope owner namespace unload lookups constructor linked; do
		record without without_shim "$DOORS/$program"
		record with with_shim "$DOORS/$program"
		diff without.out with.out
		diff without.status with.status
	done
	same "$DOORS/missing" "$SOFTHSM2_MODULE" "$DOORS/libdoor-module.so"
	same pkcs11-tool --module "$SOFTHSM2_MODULE" --token-label demo --login --pin 1234 -O
	# The module itself answers a second C_Initialize again.
	cat >twice.py <<-'EOF'
		import ctypes, os
		module = ctypes.CDLL(os.environ["SOFTHSM2_MODULE"])
		table = ctypes.POINTER(ctypes.c_void_p)()
		module.C_GetFunctionList(ctypes.byref(table))
		initialize = ctypes.CFUNCTYPE(ctypes.c_ulong, ctypes.c_void_p)(table[1])
		print([hex(initialize(None)) for _ in range(2)])
	EOF
	same /usr/bin/python3 "$PWD/twice.py"
	assert_equal "$(cat with.out)" "['0x0', '0x191']"
	# And with the shim at work it does not (contract C1), so the above means something.
	unset P11SHIM_DISABLE
	run with_shim /usr/bin/python3 "$PWD/twice.py"
	assert_output "['0x0', '0x0']"
}

# opened PRELOAD COMMAND...: the files that a program opens, makes, renames or
# removes, and how; descriptors and the like left out, each once.
opened() {
	local library=$1

	shift
	strace -f -e signal=none -o opened.strace \
		-e trace=open,openat,openat2,creat,mkdir,mkdirat,unlink,unlinkat,rename,renameat,renameat2,link,linkat,symlink,symlinkat,truncate,mknod,mknodat,chmod,fchmodat,socket,connect \
		${library:+-E "LD_PRELOAD=$library"} "$@" >/dev/null 2>&1
	sed -nE -e 's/^[0-9]+ +//' -e 's/ += .*//' -e '/^[a-z0-9]+\(/p' opened.strace | sort -u
}

@test "contract I1: no file is touched by default" {
	for command in "pkcs11-tool --module $SOFTHSM2_MODULE -L" \
		"pkcs11-tool --module $SOFTHSM2_MODULE --token-label demo --login --pin 1234 -O" \
		"ssh-keygen -D $SOFTHSM2_MODULE" \
		"p11tool --provider $SOFTHSM2_MODULE --list-tokens"; do
		# shellcheck disable=SC2086 # words
		opened '' $command >without
		# shellcheck disable=SC2086
		opened "$SHIM" $command >with
		grep -q libsofthsm2.so with
		# Apart from the library itself and its settings (contract H2) nothing.
		grep -vF -e "\"$SHIM\"" -e '"/etc/p11shim/' -e "\"$XDG_CONFIG_HOME/p11shim/" -e "\"$HOME/.config/p11shim/" \
			with >other || true
		run diff without other
		assert_success
	done
}
