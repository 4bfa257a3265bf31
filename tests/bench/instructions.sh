#!/usr/bin/env bash
# instructions.sh BUILD_DIR LIBRARY: what the shim costs in instructions, which
# repeat exactly where nanoseconds do not. Counted by valgrind's callgrind.
#
# A call: the instructions of 11000 calls less those of 1000, divided by 10000,
# so that all that happens once cancels out.
# Starting up: /bin/true alone (a), with an empty preload library (b), with the
# shim (c); paths of one length and an empty environment in all three.
#
# Lines "figure NAME VALUE" are for scripts/bench.
set -euo pipefail
shopt -s inherit_errexit

if [[ $# -ne 2 ]]; then
	echo "usage: instructions.sh BUILD_DIR LIBRARY" >&2
	exit 2
fi
build=$(realpath "$1")
shim=$(realpath "$2")
bench=$build/bench/bench
module=$build/bench/null.so

command -v valgrind >/dev/null || {
	echo "instructions.sh: valgrind is not installed" >&2
	exit 1
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

ln -s "$shim" "$work/shim0.so"
"${CC:-cc}" -O2 -fPIC -shared -o "$work/empty.so" -x c /dev/null

# instructions PRELOAD COMMAND...: how many the command executes in user space
instructions() {
	local preload=$1 set=()

	shift
	[[ -z $preload ]] || set=("LD_PRELOAD=$preload")
	env -i PATH="$PATH" XDG_CONFIG_HOME="$work" "${set[@]}" \
		valgrind --tool=callgrind --callgrind-out-file=/dev/null "$@" 2>"$work/log" >&2 || {
		cat "$work/log" >&2
		return 1
	}
	awk '$2 == "Collected" { print $4 }' "$work/log" | grep .
}

# per_call PRELOAD HOST SUBJECT OPERATION
per_call() {
	local preload=$1 host=$2 subject=$3 operation=$4 many few

	many=$(instructions "$preload" "$bench" --count "$host" "$subject" "$operation" 11000 "$module")
	few=$(instructions "$preload" "$bench" --count "$host" "$subject" "$operation" 1000 "$module")
	awk -v many="$many" -v few="$few" 'BEGIN { printf "%.1f\n", (many - few) / 10000 }'
}

difference() {
	awk -v a="$1" -v b="$2" 'BEGIN { printf "%.1f\n", a - b }'
}

larger() {
	awk -v a="$1" -v b="$2" 'BEGIN { print (a > b) ? a : b }'
}

# percent A B: how much larger A is than B
percent() {
	awk -v a="$1" -v b="$2" 'BEGIN { printf "%.1f\n", (a / b - 1) * 100 }'
}

echo "Instructions per call"
printf '%-26s %9s %9s %9s %9s %12s\n' '' direct forwarder shim shim-3.2 'shim-direct'
gate=-1000
gate32=-1000
for operation in C_GetSessionInfo 'C_SignUpdate(32)' C_GetSlotList 'C_GenerateRandom(16)'; do
	direct=$(per_call '' plain direct "$operation")
	forwarder=$(per_call '' plain forwarder "$operation")
	diverted=$(per_call "$work/shim0.so" shim shim "$operation")
	newest=$(per_call "$work/shim0.so" shim shim-3.2 "$operation")
	more=$(difference "$diverted" "$direct")
	gate=$(larger "$gate" "$more")
	gate32=$(larger "$gate32" "$(difference "$newest" "$direct")")
	printf '%-26s %9s %9s %9s %9s %12s\n' "$operation" "$direct" "$forwarder" "$diverted" "$newest" "$more"
done

echo
echo "Instructions per lookup"
printf '%-26s %9s %9s %9s %12s\n' '' direct empty shim 'shim-direct'
dlsym=-1000
for operation in 'dlsym(DEFAULT,malloc)' 'dlsym(libm,cos)' 'dlsym+C_GetFunctionList'; do
	direct=$(per_call '' plain direct "$operation")
	empty=$(per_call "$work/empty.so" empty empty "$operation")
	diverted=$(per_call "$work/shim0.so" shim shim "$operation")
	more=$(difference "$diverted" "$direct")
	[[ $operation == *C_GetFunctionList ]] || dlsym=$(larger "$dlsym" "$more")
	printf '%-26s %9s %9s %9s %12s\n' "$operation" "$direct" "$empty" "$diverted" "$more"
done

echo
echo "Instructions to open and close a session"
printf '%-26s %9s %9s %12s\n' '' direct shim 'shim-direct'
more=()
for operation in 'open+close, 10 open' 'open+close, 10000 open'; do
	direct=$(per_call '' plain direct "$operation")
	diverted=$(per_call "$work/shim0.so" shim shim "$operation")
	more+=("$(difference "$diverted" "$direct")")
	printf '%-26s %9s %9s %12s\n' "$operation" "$direct" "$diverted" "${more[-1]}"
done
sessions=$(percent "${more[1]}" "${more[0]}")

alone=$(instructions '' /bin/true)
empty=$(instructions "$work/empty.so" /bin/true)
with=$(instructions "$work/shim0.so" /bin/true)

cat <<END

Instructions to start and end /bin/true
(a) alone                       $alone
(b) an empty preload library    $empty   $((empty - alone)) more than (a)
(c) the shim                    $with   $((with - alone)) more than (a)
what (c) adds against what (b) adds, as the stricter reading   $(percent $((with - alone)) $((empty - alone))) %
(c) against (b), as the whole start                            $(percent "$with" "$empty") %

figure gate-instructions $gate
figure gate-3.2-instructions $gate32
figure dlsym-instructions $dlsym
figure sessions-10000-instructions $sessions
figure start-up-added-percent $(percent $((with - alone)) $((empty - alone)))
figure start-up-whole-percent $(percent "$with" "$empty")
END
