# shellcheck shell=bash
# nginx and Apache with their key in a token, as docs/examples says: `load servers`,
# `load web`, and stop_web_server in teardown. On 127.0.0.1 only; the tests' own directory is $HERE.
#
#   need_nginx, need_apache   skip where there is none
#   need_servers_token        a token that the workers' user may use, too
#   web_environment           what the server is started with besides the shim, for the test to set
#   nginx_serves KEY          that line in its configuration: the whole test
#   apache_serves KEY         the same, with two models of processes
#   commented FILE TEXT       a line of an example's comments, for the token of the test
#   uncommented FILE          a drop-in with all that is there to be chosen, chosen
#   assignments FILE          what the lines Environment= of a drop-in come to

EXAMPLES=$ROOT/docs/examples
web_environment=()

# Daemons lie where an ordinary user's PATH does not lead.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

need_nginx() {
	nginx=$(command -v nginx) || skip "nginx is not installed"
}

need_apache() {
	apache=$(command -v apache2 || command -v httpd) || skip "Apache is not installed"
}

# The servers give up root, so others than root may use it.
need_servers_token() {
	need_token
	chmod a+x "$BATS_RUN_TMPDIR" "$HERE/.." "$HERE"
	cp -r "$TOKEN_DIR" token
	sed "s|$TOKEN_DIR|$HERE/token|" "$SOFTHSM2_CONF" >token/softhsm2.conf
	chmod -R a+rwX token
	mkdir logs
	export SOFTHSM2_CONF=$HERE/token/softhsm2.conf
	find_port
}

# Sets port, where no process listens; below those that outgoing connections are given.
find_port() {
	for ((port = 20000 + RANDOM % 12000; ; port++)); do
		(: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
	done
}

# The master ends its workers; if it cannot any more, they are ended one by one.
stop_web_server() {
	local worker

	[ -n "${master:-}" ] || return 0
	worker=$(pgrep -P "$master" || true)
	kill "$master" 2>/dev/null || true
	for _ in $(seq 50); do
		kill -0 "$master" 2>/dev/null || break
		sleep 0.1
	done
	# shellcheck disable=SC2086 # one word each
	kill -9 "$master" $worker 2>/dev/null || true
	wait "$master" 2>/dev/null || true
	master=
}

# A full handshake, for which the key signs.
served() {
	[ "$(timeout 20 curl -sk --max-time 10 "https://127.0.0.1:$port/")" = served ]
}

# Not one of them fails, whichever worker has it.
all_served() {
	local _

	for _ in $(seq 20); do
		served || return 1
	done
}

mapped() {
	grep -qF "$(basename "$SHIM")" "/proc/$1/maps"
}

# The library is in all of them, and none but the first is root's.
processes_are_right() {
	local pid workers

	workers=$(pgrep -P "$1")
	[ "$(wc -w <<<"$workers")" -ge 2 ]
	for pid in "$1" $workers; do
		mapped "$pid"
	done
	[ "$(id -u)" -ne 0 ] || for pid in $workers; do
		[ "$(stat -c %U "/proc/$pid")" != root ]
	done
}

# What the logs of the shim and of a server have to show, and must not. A SoftHSM that looks
# for OpenSSL's engine rdrand in vain leaves the error behind, and nginx tells of it.
log_shows_nothing_wrong() {
	grep -q 'consumer=pkcs11.so module=[a-z0-9.-]* C_Login CKR_OK' "$1"
	grep -q ' fork child of a process' "$1"
	run grep -E ' finding ' "$1"
	refute_line --regexp "finding (${findings_wrong:-double|use|sessions|unload|inherited|finalise|call|others|incompatible})"
	run grep -E "$TOKEN_PIN( |$)" <(sed -E 's/ [pt]id=[0-9]+//g' "$1") # a process may have any number
	assert_output ''
	run bash -c 'grep -E "\[[a-z_:]*(alert|emerg|crit)\]|exited on signal|exit signal" "$1" | grep -v "stale global SSL error.*no such engine:id=rdrand"' - "$2"
	assert_output ''
}

commented() {
	sed -n "s|^#[[:blank:]]*\\($2.*\\)|\\1|p" "$EXAMPLES/$1" |
		sed "s/TOKEN/$TOKEN_LABEL/; s/KEY/key1/; s/=PIN/=$TOKEN_PIN/"
}

uncommented() {
	sed 's/^#\([A-Z][A-Za-z]*=\)/\1/' "$1"
}

assignments() {
	sed -n 's/^Environment=//p' "$1" | sed "s|%L|$HERE/logs|g; s|%p|signer|g"
}

# ---- nginx

# XDG_RUNTIME_DIR: without it p11-kit makes a directory .cache in the home of the user that it finds.
nginx_configuration() {
	cat <<-EOT
		env XDG_RUNTIME_DIR=$HERE;
		$([ "$(id -u)" -ne 0 ] || echo "user nobody $(id -gn nobody);")
		worker_processes 2;
		pid $HERE/pid;
		error_log $HERE/logs/error.log info;
		include $EXAMPLES/nginx/p11shim.conf;
		events {}
		http {
			access_log off;
			client_body_temp_path $HERE/body;
			proxy_temp_path $HERE/proxy;
			fastcgi_temp_path $HERE/fastcgi;
			uwsgi_temp_path $HERE/uwsgi;
			scgi_temp_path $HERE/scgi;
			server {
				listen 127.0.0.1:$port ssl;
				ssl_session_cache off;
				ssl_session_tickets off;
				ssl_certificate $HERE/token/certificate.pem;
				$1
				location / {
					return 200 served;
				}
			}
		}
	EOT
}

# With the variables of the drop-in, but for where the library lies and the log is.
# shellcheck disable=SC2120 # by `run`
as_nginx_service() {
	timeout -k 5 60 env -i PATH="$PATH" XDG_RUNTIME_DIR="$HERE" SOFTHSM2_CONF="$SOFTHSM2_CONF" "${web_environment[@]}" \
		"$(assignments "$EXAMPLES/systemd/p11shim.conf" | sed -n "s|^LD_PRELOAD=libp11shim.so$|LD_PRELOAD=$SHIM|p")" \
		P11SHIM_LOG="$HERE/log" "$nginx" -p "$HERE" -e "$HERE/logs/error.log" -c "$HERE/nginx.conf" "$@" 3>&- </dev/null
}

# workers_are_new OLD: the same number, and not one of the old ones.
workers_are_new() {
	local pid workers

	workers=$(pgrep -P "$master")
	[ "$(wc -w <<<"$workers")" -eq 2 ] || return 1
	for pid in $1; do
		! grep -qx "$pid" <<<"$workers" || return 1
	done
}

nginx_serves() {
	local old

	nginx_configuration "$1" >nginx.conf
	run as_nginx_service -t
	assert_success
	assert_line --partial 'test is successful'
	grep -q 'consumer=pkcs11.so module=[a-z0-9.-]* C_Initialize CKR_OK' log
	as_nginx_service
	eventually test -s pid
	master=$(cat pid)
	eventually served
	all_served
	processes_are_right "$master"
	old=$(pgrep -P "$master")
	kill -HUP "$master"
	eventually workers_are_new "$old"
	all_served
	# The new program finds the library, the log and the module in what nginx leaves it.
	old=$master
	kill -USR2 "$old"
	eventually test -e pid.oldbin -a -s pid
	master=$(cat pid)
	[ "$master" -ne "$old" ]
	kill -QUIT "$old"
	eventually test ! -e pid.oldbin
	eventually served
	all_served
	processes_are_right "$master"
	grep -q "pid=$master .* consumer=pkcs11.so module=[a-z0-9.-]* C_Initialize CKR_OK" log
	kill -QUIT "$master"
	eventually test ! -e pid
	log_shows_nothing_wrong log logs/error.log
	master=
}

# ---- Apache

apache_configuration() {
	local modules

	for modules in /usr/lib/apache2/modules /usr/lib64/httpd/modules /usr/lib/httpd/modules; do
		[ ! -e "$modules/mod_mpm_$1.so" ] || break
	done
	cat <<-EOT
		ServerRoot $HERE
		ServerName localhost
		PidFile $HERE/pid
		ErrorLog $HERE/logs/error.log
		LogLevel info
		$([ "$(id -u)" -ne 0 ] || printf 'User nobody\nGroup %s\n' "$(id -gn nobody)")
		Listen 127.0.0.1:$port
		LoadModule mpm_$1_module $modules/mod_mpm_$1.so
		LoadModule authz_core_module $modules/mod_authz_core.so
		LoadModule dir_module $modules/mod_dir.so
		LoadModule ssl_module $modules/mod_ssl.so
		DocumentRoot $HERE/pages
		DirectoryIndex page
		StartServers 2
		$([ "$1" != prefork ] || echo MinSpareServers 1)
		SSLEngine on
		SSLSessionCache none
		SSLSessionTickets off
		SSLCertificateFile $HERE/token/certificate.pem
		$2
	EOT
}

# As apache2ctl does: the file of variables is read by a shell, for all that it starts.
as_apache2ctl() {
	timeout -k 5 60 env -i PATH="$PATH" APACHE_LOG_DIR="$HERE/logs" SOFTHSM2_CONF="$SOFTHSM2_CONF" \
		"${web_environment[@]}" sh -eu -c '. ./envvars; exec "$@"' - \
		"$apache" -f "$HERE/apache.conf" "$@" 3>&- </dev/null
}

resumed() {
	[ "$(grep -c 'resuming normal operations' logs/error.log)" -eq 2 ]
}

apache_serves() {
	local mpm

	sed "s|^export LD_PRELOAD=libp11shim.so$|export LD_PRELOAD=$SHIM|" "$EXAMPLES/apache/envvars" >envvars
	mkdir pages
	printf served >pages/page
	chmod -R a+rX pages
	for mpm in prefork event; do
		apache_configuration $mpm "$1" >apache.conf
		rm -f logs/*
		run as_apache2ctl -t
		assert_success
		assert_output 'Syntax OK'
		as_apache2ctl -k start
		eventually test -s pid
		master=$(cat pid)
		eventually served
		all_served
		processes_are_right "$master"
		kill -USR1 "$master"
		eventually resumed
		eventually served
		all_served
		[ "$(cat pid)" -eq "$master" ]
		# gracefully: a child that SIGTERM meets in its first moments calls exit() in the
		# handler, and crashes now and then, also without the shim (2.4.71)
		kill -WINCH "$master"
		eventually test ! -e pid
		log_shows_nothing_wrong logs/p11shim.log logs/error.log
		master=
	done
}
