#!/usr/bin/env bats
# nginx with its key in a token: the master initialises the module (through
# OpenSSL's engine pkcs11) and logs in, the workers are forked and sign every
# handshake with what they inherited. On 127.0.0.1 only.

# shellcheck disable=SC2030,SC2031 # each test is a shell of its own

load ../helper
load ../web

setup() {
	local engine

	need_token
	need_program nginx openssl python3
	engine=$(find /usr/lib /usr/lib64 -path '*engines-*' -name 'pkcs11.so' 2>/dev/null | head -n 1)
	[ -n "$engine" ] || skip "no engine pkcs11 here"
	d=$BATS_TEST_TMPDIR
	mkdir -p "$d/logs" "$d/temporary"
	# libp11 from 0.4.13 on wants to be initialised.
	export PKCS11_MODULE_PATH=$SOFTHSM2_MODULE OPENSSL_CONF=$ROOT/docs/examples/openssl.cnf
	master=''
}

teardown() {
	stop_web_server
}

configure() {
	cat >"$d/nginx.conf" <<-EOT
		$([ "$(id -u)" -ne 0 ] || echo "user root;")
		daemon off;
		worker_processes 4;
		pid $d/nginx.pid;
		error_log $d/logs/error.log info;
		env SOFTHSM2_CONF;
		env PKCS11_MODULE_PATH;
		env OPENSSL_CONF;
		$(if [ -n "${P11SHIM_FORK:-}" ]; then echo "env P11SHIM_FORK;"; fi)
		events {
			worker_connections 256;
		}
		http {
			access_log off;
			client_body_temp_path $d/temporary/body;
			proxy_temp_path $d/temporary/proxy;
			fastcgi_temp_path $d/temporary/fastcgi;
			uwsgi_temp_path $d/temporary/uwsgi;
			scgi_temp_path $d/temporary/scgi;
			server {
				listen 127.0.0.1:$port ssl;
				ssl_session_cache off;
				ssl_session_tickets off;
				ssl_certificate $TOKEN_DIR/certificate.pem;
				ssl_certificate_key "engine:pkcs11:pkcs11:token=$TOKEN_LABEL;object=key1;type=private;pin-value=$TOKEN_PIN";
				location / {
					return 200 "\$pid \$connection\n";
				}
			}
		}
	EOT
}

# start_nginx with|without: four workers that listen.
start_nginx() {
	local preload=()

	[ "$1" = without ] || preload=(LD_PRELOAD="$SHIM")
	find_port
	configure
	env "${preload[@]}" nginx -p "$d" -e "$d/logs/start.log" -c "$d/nginx.conf" >"$d/logs/out" 2>&1 3>&- </dev/null &
	master=$!
	for _ in $(seq 100); do
		if [ "$(pgrep -c -P "$master")" -eq 4 ] && (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
			return 0
		fi
		kill -0 "$master" 2>/dev/null || break
		sleep 0.1
	done
	cat "$d"/logs/* >&2
	return 1
}

# handshakes NUMBER: that many, each a full one on its own connection, eight at
# a time; half-way through, nginx reloads. Says how many went well, by how many
# workers, and shows the first errors.
handshakes() {
	timeout -k 5 120 python3 - "$port" "$1" "$2" <<-'PYTHON'
		import concurrent.futures, os, signal, socket, ssl, sys, threading

		port, number, master = map(int, sys.argv[1:])
		context = ssl.create_default_context()
		context.check_hostname = False
		context.verify_mode = ssl.CERT_NONE
		done = 0
		lock = threading.Lock()

		def one(_):
		    global done
		    try:
		        with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
		            with context.wrap_socket(plain) as tls:
		                tls.sendall(b"GET / HTTP/1.0\r\n\r\n")
		                answer = b""
		                while more := tls.recv(4096):
		                    answer += more
		        head, _, body = answer.partition(b"\r\n\r\n")
		        result = body.split()[0].decode() if b" 200 " in head else "no answer"
		    except Exception as error:
		        result = "%s: %s" % (type(error).__name__, error)
		    with lock:
		        done += 1
		        if master and done == number // 2:
		            os.kill(master, signal.SIGHUP)
		    return result

		with concurrent.futures.ThreadPoolExecutor(8) as pool:
		    results = list(pool.map(one, range(number)))
		errors = [r for r in results if not r.isdigit()]
		print("%d of %d handshakes, %d workers" % (number - len(errors), number, len(set(results) - set(errors))))
		print("\n".join(errors[:5]))
	PYTHON
}

# served WHICH: 200 handshakes with a graceful reload in the middle.
served() {
	start_nginx "$1"
	run handshakes 200 "$master"
	echo "$1: ${output:?}" | tee -a "$BUILD/real/nginx.txt"
	# The reload left a new set of workers, and the old ones are gone by now.
	for _ in $(seq 50); do
		[ "$(pgrep -c -P "$master")" -ne 4 ] || break
		sleep 0.1
	done
	assert_equal "$(pgrep -c -P "$master")" 4
	kill -0 "$master"
}

setup_file() {
	mkdir -p "$BUILD/real"
	: >"$BUILD/real/nginx.txt"
}

all_served() {
	assert_success
	assert_line --partial "200 of 200 handshakes"
	run bash -c 'grep -hE "\[(alert|emerg|crit)\]|exited on signal" "$@" | grep -v "stale global SSL error.*no such engine:id=rdrand"' - "$d"/logs/{error,start}.log
	assert_failure
}

# mapped PID...: how many of them have the library.
mapped() {
	local pid count=0

	for pid in "$@"; do
		if grep -qF "$(basename "$SHIM")" "/proc/$pid/maps"; then
			count=$((count + 1))
		fi
	done
	echo $count
}

@test "nginx, four workers, 200 handshakes, a reload: without the library" {
	served without
	all_served
}

@test "contract F2: nginx, four workers, 200 handshakes, a reload" {
	served with
	# shellcheck disable=SC2046 # one word each
	assert_equal "$(mapped "$master" $(pgrep -P "$master"))" 5
	all_served
}

# Then the workers' sessions are gone. Engine pkcs11 opens others, and now and
# then waits for ever in its own pool of sessions, with the library and without:
# how many handshakes go well is only recorded.
@test "contract F2: nginx on SoftHSM with library.reset_on_fork: no worker dies" {
	local which

	cp "$SOFTHSM2_CONF" "$d/softhsm2.conf"
	echo "library.reset_on_fork = true" >>"$d/softhsm2.conf"
	export SOFTHSM2_CONF=$d/softhsm2.conf
	for which in without with; do
		: >"$d/logs/error.log"
		start_nginx $which
		run handshakes 200 "$master"
		echo "$which, reset_on_fork: ${lines[0]}" | tee -a "$BUILD/real/nginx.txt"
		teardown
	done
	run grep "exited on signal" "$d/logs/error.log"
	assert_failure
}
