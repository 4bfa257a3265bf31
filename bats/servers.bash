# shellcheck shell=bash
# Servers that a test starts for itself: `load servers`, and stop_servers in teardown.
#
#   serve COMMAND        in the background, until stop_servers
#   stop_servers         last first; only what this test started
#   eventually COMMAND   until it succeeds, a minute at most: a machine may be busy
#   serve_softhsm        the token of need_token by p11-kit server, for p11-kit-client
#   start_readers        pcscd with two virtual readers, empty; fails where they
#                        cannot be had, and says why in $readers_missing
#   start_card           a card in the first of them (tests/card/card.py): token
#                        `card`, PIN 123456, key `PIV AUTH key`
#   remove_card, insert_card

servers=()

serve() {
	"$@" >>"$BATS_TEST_TMPDIR/servers.log" 2>&1 3>&- </dev/null &
	servers+=($!)
}

stop_servers() {
	local i

	for ((i = ${#servers[@]} - 1; i >= 0; i--)); do
		kill "${servers[i]}" 2>/dev/null || true
		wait "${servers[i]}" 2>/dev/null || true
	done
	servers=()
	[ -z "${made_for_pcscd:-}" ] || rmdir "$made_for_pcscd" 2>/dev/null || true
}

eventually() {
	local _

	for _ in $(seq 600); do
		if "$@" >/dev/null 2>&1; then
			return 0
		fi
		sleep 0.1
	done
	echo "in vain: $*" >&2
	tail -n 20 "$BATS_TEST_TMPDIR"/servers.log "$BATS_TEST_TMPDIR"/logs/error.log >&2 2>/dev/null || true
	return 1
}

serve_softhsm() {
	need_program p11-kit
	p11-kit server --help >/dev/null 2>&1 || skip "this p11-kit has no server"
	serve p11-kit server --foreground --name "$BATS_TEST_TMPDIR/p11-kit" --provider "$SOFTHSM2_MODULE" "pkcs11:"
	eventually [ -S "$BATS_TEST_TMPDIR/p11-kit" ]
	export P11_KIT_SERVER_ADDRESS=unix:path=$BATS_TEST_TMPDIR/p11-kit
}

# A pcscd that runs already is left alone: whatever readers it has are not ours.
start_readers() {
	readers_missing=
	if [ "$(id -u)" -ne 0 ]; then
		readers_missing="only root can start pcscd"
	elif ! command -v pcscd >/dev/null; then
		readers_missing="no pcscd"
	elif [ ! -e /etc/reader.conf.d/vpcd ]; then
		readers_missing="no driver vpcd"
	elif pgrep -x pcscd >/dev/null || somebody_listens; then
		readers_missing="another pcscd is running"
	fi
	[ -z "$readers_missing" ] || return 1
	made_for_pcscd=
	[ -e /run/pcscd ] || made_for_pcscd=/run/pcscd # it makes that, and leaves it
	# a policy daemon may be wanted there, where its bus does not run
	# shellcheck disable=SC2046 # one option, or none
	serve pcscd --foreground $(pcscd --help | grep -o -- '--disable-polkit')
	eventually sh -c 'opensc-tool --list-readers | grep -q Virtual' || {
		readers_missing="pcscd has no virtual readers"
		return 1
	}
}

# On this network, though we may not see the process (of a container, say): at pcscd's own
# place, or where a virtual reader waits for its card (port 0x8C7B). Nothing is connected to:
# that would be a card.
somebody_listens() {
	grep -q '/pcscd/pcscd\.comm$' /proc/net/unix ||
		grep -qE '^ *[0-9]+: [0-9A-F]+:8C7[BC] [0-9A-F]+:0000 0A ' /proc/net/tcp /proc/net/tcp6 2>/dev/null
}

start_card() {
	serve "$ROOT/tests/card/card.py" --directory "$BATS_FILE_TMPDIR/card"
	card_pid=${servers[-1]}
	eventually card_is_there
}

card_is_there() {
	pkcs11-tool --module "$(find_module opensc-pkcs11.so)" --list-token-slots | grep -q 'token label *: card'
}

remove_card() {
	kill -USR1 "${card_pid:?}"
}

insert_card() {
	kill -USR2 "${card_pid:?}"
}
