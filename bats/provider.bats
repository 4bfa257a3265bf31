#!/usr/bin/env bats
# bats file_tags=provider
# nginx and Apache with a key in a token by OpenSSL's provider pkcs11, as docs/examples says.
# By its engine: services.bats.

load helper
load servers
load web

setup() {
	HERE=$BATS_TEST_TMPDIR
	cd "$HERE" || return
	ulimit -c 0
}

teardown() {
	stop_web_server
}

# use_provider: the PIN in a file of its own, the module by a variable; key.pem is the key's.
use_provider() {
	[ -n "$(find /usr/lib /usr/lib64 -path '*ossl-modules*' -name pkcs11.so 2>/dev/null)" ] ||
		skip "OpenSSL's pkcs11-provider is not installed (Debian 12 has none)"
	need_servers_token
	printf '%s\n' "$TOKEN_PIN" >pin
	sed "s|/etc/ssl/private/pkcs11.pin|$HERE/pin|" "$EXAMPLES/openssl-provider.cnf" >openssl-provider.cnf
	grep -q "$HERE/pin" openssl-provider.cnf
	timeout 60 "$EXAMPLES/pem-of-uri" "pkcs11:token=$TOKEN_LABEL;object=key1;type=private" >key.pem
	web_environment=(OPENSSL_CONF="$HERE/openssl-provider.cnf" PKCS11_PROVIDER_MODULE="$SOFTHSM2_MODULE")
	# It finalises while the process exits, in children too, after the module is gone.
	# shellcheck disable=SC2034 # in web.bash
	findings_wrong='double|use|sessions|unload|inherited|others|incompatible'
}

# pem_line EXAMPLE DIRECTIVE: the example's line with a file, for ours.
pem_line() {
	commented "$1" "$2 /" | sed "s|/etc/.*/key-in-token.pem|$HERE/key.pem|"
}

# nginx_is_at_least MAJOR.MINOR
nginx_is_at_least() {
	printf '%s\n' "$1" "$("$nginx" -v 2>&1 | sed 's|.*nginx/\([0-9.]*\).*|\1|')" | sort -C -V
}

@test "contract F2 I2: nginx by the provider, the key in a PEM file: -t, two workers that are not root, a reload, an upgrade" {
	need_nginx
	use_provider
	nginx_serves "$(pem_line nginx/p11shim.conf ssl_certificate_key)"
}

@test "contract F2 I2: nginx by the provider, the key by store:pkcs11:" {
	need_nginx
	use_provider
	key=$(commented nginx/p11shim.conf 'ssl_certificate_key "store:')
	if nginx_is_at_least 1.29; then
		nginx_serves "$key"
	else
		# ... which is what the example says of older ones
		nginx_configuration "$key" >nginx.conf
		run as_nginx_service -t
		assert_failure
		assert_output --partial 'store:pkcs11:'
	fi
}

@test "contract F2 G2: nginx by the provider over p11-kit-proxy, which it opens with RTLD_DEEPBIND" {
	need_nginx
	use_provider
	proxy=$(find_module p11-kit-proxy.so 2>/dev/null) || skip "there is no p11-kit-proxy.so here"
	mkdir modules
	printf 'module: %s\n' "$SOFTHSM2_MODULE" >modules/softhsm2.module
	web_environment+=(PKCS11_PROVIDER_MODULE="$proxy")
	strip=$(uncommented "$EXAMPLES/systemd/p11shim.conf" | sed -n 's/^Environment=\(P11SHIM_DEEPBIND=.*\)/\1/p')
	assert_equal "$strip" P11SHIM_DEEPBIND=strip
	web_environment+=("$strip")
	nginx_serves "$(pem_line nginx/p11shim.conf ssl_certificate_key)"
	# The module behind is in sight.
	grep -q ' consumer=p11-kit-proxy.so module=libsofthsm2.so C_Initialize CKR_OK' log
}

@test "contract F2 I2: Apache by the provider, the key in a PEM file, prefork and event: -t, a start, a graceful restart" {
	need_apache
	use_provider
	apache_serves "$(pem_line apache/envvars SSLCertificateKeyFile)"
}

# Where the engine is installed too, Apache would take that; it is kept out of sight, as the example says.
@test "contract F2 I2: Apache by the provider, the key by its URI" {
	need_apache
	use_provider
	engines=$(sed -n 's/^#export \(OPENSSL_ENGINES=.*\)/\1/p' "$EXAMPLES/apache/envvars")
	web_environment+=("${engines:?}")
	apache_serves "$(commented apache/envvars 'SSLCertificateKeyFile "pkcs11:[^?]*"')"
}

@test "contract F2: pem-of-uri writes any URI as it is, and wants no PIN" {
	uri="pkcs11:token=a,b%20\$c(d)'e!f*g+h=i;id=%01;type=private"
	timeout 60 "$EXAMPLES/pem-of-uri" "$uri" >key.pem
	run bash -c 'grep -v -e ----- key.pem | openssl base64 -d | openssl asn1parse -inform DER'
	assert_line --regexp "UTF8STRING *:pkcs11:token=a,b%20"
	[ "${lines[2]#*UTF8STRING*:}" = "$uri" ]
	for wrong in '' 'file:key.pem' 'pkcs11:' "$uri?pin-value=1234"; do
		run timeout 60 "$EXAMPLES/pem-of-uri" "$wrong"
		assert_failure 2
		refute_output --partial BEGIN
	done
	run timeout 60 "$EXAMPLES/pem-of-uri" "$uri" "$uri"
	assert_failure 2
}
