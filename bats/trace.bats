#!/usr/bin/env bats
# The trace: that it is one, whatever becomes of the processes that write it; what
# stands in it; and that no program is harmed where it, or the log, cannot be written.
# The programs are in tests/trace; schema.jq there says what a trace is.
# shellcheck disable=SC2030,SC2031 # each test, with its settings, is a shell of its own
# shellcheck disable=SC2016 # for jq

load helper
bats_require_minimum_version 1.5.0

MOCK=$BUILD/mock/mock.so

setup_file() {
	[ -e "$BUILD/trace/steps" ] || make -s -C "$ROOT" "B=$BUILD" trace
	# Each function's parameters, as schema.jq wants them.
	sed -n 's/^CALL_[23]_[0-9]*(\(C_[A-Za-z]*\), [A-Z]*, \(.*\))$/\1 \2/p' "$ROOT/shim/standard/calls.def" |
		sed -E 's/P\([^,]*, ([A-Za-z]+), [A-Z_]+\)/\1/g; s/,//g' |
		jq -Rnc '[inputs | split(" ") | {key: .[0], value: .[1:]}] | from_entries' >"$BATS_FILE_TMPDIR/calls.json"
}

setup() {
	need_token
	trace=$BATS_TEST_TMPDIR/trace.json
	log=$BATS_TEST_TMPDIR/log
	export P11SHIM_TRACE=$trace
}

steps() {
	with_shim "$BUILD/trace/steps" "$MOCK" "$@"
}

# events [FILTER]: all events of the trace, one a line; what is broken is left out.
events() {
	sed -n '1d; s/},$/}/p' "$trace" | jq -Rc "fromjson? | ${1:-.}"
}

# count FILTER: of how many events it is true.
count() {
	events "select($1)" | wc -l
}

# valid [BROKEN]: the trace is as the schema says, but for so many lines; sets $valid to the number of events.
valid() {
	valid=$(jq -nRr --argjson calls "$(<"$BATS_FILE_TMPDIR/calls.json")" --argjson broken "${1:-0}" \
		-f "$ROOT/tests/trace/schema.jq" "$trace")
}

# whole: besides, the file as it stands, read as JSON that breaks off, and with the last
# comma made a bracket, as Chrome does.
whole() {
	valid
	run -0 jq -cn --stream 'try fromstream(1|truncate_stream(inputs)) catch empty' "$trace"
	assert_equal "${#lines[@]}" "$valid"
	run -0 /usr/bin/python3 -c '
import json, sys
text = open(sys.argv[1]).read().rstrip()
assert text[-1] == ","
print(len(json.loads(text[:-1] + "]")))' "$trace"
	assert_output "$valid"
}

# alike STEP...: the same output and exit status as without the library, which records nothing.
alike() {
	local expected expected_status

	run without_shim "$BUILD/trace/steps" "$MOCK" "$@"
	expected=$output expected_status=$status
	run with_shim "$BUILD/trace/steps" "$MOCK" "$@"
	assert_output "$expected"
	assert_equal "$status" "$expected_status"
}

# ---- A trace, whatever happens to the processes

# bats test_tags=core
@test "contract I3: a trace is valid as a whole and line by line after exit, _exit, abort and SIGKILL" {
	for end in "exit 3" "_exit 3" abort kill; do
		rm -f "$trace"
		# shellcheck disable=SC2086 # one or two words
		alike init call 20 $end
		whole
		assert_equal "$(head -n 1 "$trace")" "["
		assert_equal "$(count '.cat == "call" and .name == "C_GetInfo" and .args.rv == "CKR_OK"')" 20
	done
}

# killed_after N: three threads say each number when the call has returned; after N of them the process is killed.
killed_after() {
	local pid

	rm -f "$trace"
	mkfifo "$BATS_TEST_TMPDIR/said-$1"
	steps init saying 3 1000000 >"$BATS_TEST_TMPDIR/said-$1" 2>/dev/null 3>&- &
	exec 7<"$BATS_TEST_TMPDIR/said-$1"
	read -r _ <&7 # init
	for _ in $(seq "$1"); do
		read -r pid _ <&7
	done
	kill -KILL "$pid"
	cat <&7 >"$BATS_TEST_TMPDIR/rest"
	exec 7<&-
	wait || true
	valid
	# The last number of each thread that said one, and its calls in the trace.
	awk '{ last[$2] = $3 } END { for (t in last) print t, last[t] }' "$BATS_TEST_TMPDIR/rest" | sort >"$BATS_TEST_TMPDIR/last"
	events 'select(.name == "C_GetInfo") | .tid' | sort | uniq -c | awk '{ print $2, $1 }' >"$BATS_TEST_TMPDIR/traced"
	[ -s "$BATS_TEST_TMPDIR/last" ]
	run -0 join -a 1 "$BATS_TEST_TMPDIR/last" "$BATS_TEST_TMPDIR/traced"
	for line in "${lines[@]}"; do
		# shellcheck disable=SC2086 # three numbers
		set -- $line
		[ "${3:-0}" -ge "$2" ]
	done
}

@test "contract I3: after SIGKILL in the middle each call that had returned is in the trace" {
	for n in 3 50 111 200 333; do
		killed_after "$n"
	done
}

@test "contract I3: a tree of 50 processes that write together: no line is lost or torn" {
	steps init tree 50 100 >"$BATS_TEST_TMPDIR/tree"
	whole
	sed -i '/^init/d' "$BATS_TEST_TMPDIR/tree"
	assert_equal "$(wc -l <"$BATS_TEST_TMPDIR/tree")" 50
	# A process has called once for each child, and a hundred times.
	awk '{ calls[$1] += 100; if ($2) calls[$2]++ } END { for (p in calls) print p, calls[p] }' \
		"$BATS_TEST_TMPDIR/tree" | sort >"$BATS_TEST_TMPDIR/expected"
	events 'select(.name == "C_GetInfo") | .pid' | sort | uniq -c | awk '{ print $2, $1 }' >"$BATS_TEST_TMPDIR/traced"
	diff "$BATS_TEST_TMPDIR/expected" "$BATS_TEST_TMPDIR/traced"
}

# bats test_tags=core
@test "contract I3: in a tree of processes each says once who it is, first, and an arrow leads to it from its parent" {
	steps init tree 50 3 >"$BATS_TEST_TMPDIR/tree"
	sed -i '/^init/d' "$BATS_TEST_TMPDIR/tree"
	valid
	cut -d ' ' -f 1 "$BATS_TEST_TMPDIR/tree" | sort >"$BATS_TEST_TMPDIR/processes"
	events 'select(.name == "process_name") | .pid' | sort | diff "$BATS_TEST_TMPDIR/processes" -
	events 'select(.name == "start") | .pid' | sort | diff "$BATS_TEST_TMPDIR/processes" -
	# What comes first of a process, names aside. Its child may tell of the fork before.
	run -0 jq -sr 'map(select(.ph != "M" and .name != "fork")) | group_by(.pid)[] | .[0].name' <(events)
	assert_equal "$(sort -u <<<"$output")" start
	# CHILD PARENT: those of the fork slices, of the forked slices, and of the ends of each arrow
	awk '$2 { print $1, $2 }' "$BATS_TEST_TMPDIR/tree" | sort >"$BATS_TEST_TMPDIR/forks"
	events 'select(.ph == "X" and .name == "fork") | "\(.args.child) \(.pid)"' | tr -d '"' | sort |
		diff "$BATS_TEST_TMPDIR/forks" -
	events 'select(.ph == "X" and .name == "forked") | "\(.pid) \(.args.parent)"' | tr -d '"' | sort |
		diff "$BATS_TEST_TMPDIR/forks" -
	run -0 jq -sr 'map(select(.ph == "s" or .ph == "f")) | group_by(.id)[]
		| if map(.ph) | sort == ["f", "s"] then "\(map(select(.ph == "f"))[0].pid) \(map(select(.ph == "s"))[0].pid)"
		else "not two ends: \(.)" end' <(events)
	diff "$BATS_TEST_TMPDIR/forks" <(sort <<<"$output")
	# Each end lies on its slice, and the child's is not the earlier one.
	run -0 jq -sr 'map(select(.cat == "fork")) | group_by([.pid, .tid, .ts])[] | map(.ph) | sort | join("")' <(events)
	assert_equal "$(sort <<<"$output" | uniq -c | tr -s ' ')" " 49 Xf
 49 Xs"
	run -0 jq -s 'map(select(.ph == "s" or .ph == "f")) | group_by(.id)
		| map(select((map(select(.ph == "s"))[0].ts) > (map(select(.ph == "f"))[0].ts))) | length' <(events)
	assert_output 0
}

# bats test_tags=core
@test "contract I3: eight threads: all their calls, under their numbers and names" {
	steps init threads 8 1000 >"$BATS_TEST_TMPDIR/workers"
	valid
	events 'select(.name == "C_GetInfo") | .tid' | sort | uniq -c | awk '{ print $2, $1 }' >"$BATS_TEST_TMPDIR/traced"
	awk '/^worker/ { print $3, $4 }' "$BATS_TEST_TMPDIR/workers" | sort | diff - "$BATS_TEST_TMPDIR/traced"
	assert_equal "$(wc -l <"$BATS_TEST_TMPDIR/traced")" 8
	events 'select(.name == "thread_name" and .tid != .pid) | "\(.args.name) \(.pid) \(.tid) 1000"' | tr -d '"' | sort |
		diff <(grep '^worker' "$BATS_TEST_TMPDIR/workers" | sort) -
	# A thread's calls come one after another.
	run -0 jq -s 'map(select(.cat == "call")) | group_by(.tid) | map(sort_by(.ts)
		| [range(1; length) as $i | select(.[$i - 1].ts + .[$i - 1].dur > .[$i].ts + 0.002)] | length) | add' <(events)
	assert_output 0
}

@test "contract I3: the spans of a module and of its consumer begin and end in turn, whatever its threads do" {
	run steps restless 4 300
	assert_success
	assert_equal "$(grep -c '^restless: CKR_OK$' <<<"$output")" 4
	valid
	run -0 jq -sc 'map(select(.ph == "b" or .ph == "e")) | group_by(.id) | map(sort_by(.ts) | .[0].cat as $cat | map(.ph) as $ph
		| [$cat, (length % 2 == 0 and all(range(length); $ph[.] == (if . % 2 == 0 then "b" else "e" end)))]) | sort' <(events)
	assert_output '[["consumer",true],["module",true]]'
	assert_equal "$(count '.cat == "finding"')" 0
}

@test "contract I3: a module that calls a module: the inner call lies within the outer one" {
	spy=$(find_module pkcs11-spy.so 2>/dev/null) || skip "no pkcs11-spy.so here"
	# pkcs11-tool opens its module with RTLD_DEEPBIND since OpenSC 0.27: what lies behind
	# pkcs11-spy is seen only without.
	P11SHIM_DEEPBIND=strip PKCS11SPY=$SOFTHSM2_MODULE PKCS11SPY_OUTPUT=/dev/null \
		run with_shim pkcs11-tool --module "$spy" -L
	assert_success
	whole
	assert_equal "$(events 'select(.cat == "call") | .args | [.consumer, .module]' | sort -u)" \
		'["pkcs11-spy.so","libsofthsm2.so"]
["pkcs11-tool","pkcs11-spy.so"]'
	# Each inner call has an outer one of its name, on its thread, around it.
	run -0 jq -s 'map(select(.cat == "call")) as $all | $all | map(select(.args.module == "libsofthsm2.so"))
		| {inner: length, alone: (map(select(. as $in | $all | any(.args.module == "pkcs11-spy.so" and .name == $in.name
			and .tid == $in.tid and .ts <= $in.ts and .ts + .dur + 0.001 >= $in.ts + $in.dur) | not)) | length)}
		| "\(.inner > 3) \(.alone)"' <(events)
	assert_output '"true 0"'
}

@test "contract I3: programs that are executed by a traced one write to the same file" {
	cd "$BATS_TEST_TMPDIR"
	P11SHIM_TRACE=trace.json steps init call 3 child init call 4 exec init call 5 finalise
	whole
	run -0 jq -sr 'map(select(.name == "C_GetInfo")) | length' <(events)
	assert_output 12
	# The first, its child, and the program that the child executed then, under the same number.
	run -0 jq -sr 'map(select(.name == "start")) | map(.pid) | "\(length) \(unique | length)"' <(events)
	assert_output "3 2"
	run -0 jq -sr 'map(select(.name == "start")) | (.[1].args.parent == .[0].pid) and .[1].pid == .[2].pid' <(events)
	assert_output true
}

@test "contract I3: a trace that is there already is continued" {
	steps init call 5 finalise
	valid
	cp "$trace" "$BATS_TEST_TMPDIR/first"
	steps init call 7 finalise
	whole
	cmp -n "$(stat -c %s "$BATS_TEST_TMPDIR/first")" "$trace" "$BATS_TEST_TMPDIR/first"
	assert_equal "$(count '.name == "C_GetInfo"')" 12
	assert_equal "$(grep -c '^\[' "$trace")" 1
}

@test "contract I3: a trace whose last line is torn is continued: at most that line and one more are lost" {
	steps init call 5 finalise
	truncate -s -20 "$trace"
	steps init call 7 finalise
	valid 1
	assert_equal "$(count '.name == "C_GetInfo"')" 12
}

@test "contract I3: programs that start together make one trace, with one beginning" {
	mkfifo "$BATS_TEST_TMPDIR/gate" "$BATS_TEST_TMPDIR/waiting"
	for i in $(seq 50); do
		trace=$BATS_TEST_TMPDIR/together-$i
		# Opened here for both sides, so that neither waits for the other.
		exec 7<>"$BATS_TEST_TMPDIR/waiting" 8<>"$BATS_TEST_TMPDIR/gate"
		exec 9<"$BATS_TEST_TMPDIR/gate"
		for _ in 1 2 3; do
			P11SHIM_TRACE=$trace with_shim "$BUILD/trace/steps" "$BUILD/trace/answers.so" \
				gate init call 2 finalise <&9 >&7 3>&- 7<&- 8>&- 9<&- &
		done
		for _ in 1 2 3; do
			read -r -t 30 _ <&7
		done
		exec 8>&- 9<&-
		wait
		exec 7<&-
		assert_equal "$(head -n 1 "$trace")" "["
		assert_equal "$(grep -c '^\[' "$trace")" 1
		assert_equal "$(grep -c '"name":"C_GetInfo"' "$trace")" 6
	done
	valid
}

# ---- What stands in it

@test "contract I2 I3: times are of the clocks that they say, and a call lasts as long as it does" {
	clocks='import time; print(int(time.clock_gettime(time.CLOCK_MONOTONIC) * 1e6), int(time.time() * 1e6))'
	read -r monotonic wall < <(/usr/bin/python3 -c "$clocks")
	export P11SHIM_LOG=$log P11SHIM_LOG_LEVEL=calls
	MOCK_OPTIONS=slow_call_ms=50 steps init call 3 finalise
	read -r monotonic_after wall_after < <(/usr/bin/python3 -c "$clocks")
	valid
	run -0 jq -sc --argjson from "$monotonic" --argjson to "$monotonic_after" 'map(select(.ts < $from or .ts > $to)) | length' <(events)
	assert_output 0
	run -0 jq -sr 'map(select(.name == "start"))[0].args.time' <(events)
	start=$(date -u -d "$output" +%s%6N)
	[ "$start" -ge "$wall" ]
	[ "$start" -le "$wall_after" ]
	# Each of the three takes 50 ms at least, and is over when the next begins.
	run -0 jq -sc 'map(select(.name == "C_GetInfo")) | length == 3 and all(.dur >= 50000)
		and .[0].ts + .[0].dur <= .[1].ts and .[1].ts + .[1].dur <= .[2].ts' <(events)
	assert_output true
	events 'select(.name == "C_GetInfo") | .dur' >"$BATS_TEST_TMPDIR/durations"
	sed -n 's/.* C_GetInfo CKR_OK us=//p' "$log" | jq -c . | diff "$BATS_TEST_TMPDIR/durations" -
}

# bats test_tags=core
@test "contract I3: objects are told of before the stacks that mention them, with their build ids" {
	steps init finalise
	valid
	# What is mentioned by a process before it is told of, and all that is told of.
	run -0 jq -nr 'reduce inputs as $e ({told: [], early: []};
		if $e.name == "object" then .told += [$e.args.path]
		else .early += ([$e.args.stack // [] | .[] | select(startswith("0x") | not) | split("+")[:-1] | join("+")] - .told) end)
		| .early, .told | tojson' <(events)
	assert_line --index 0 '[]'
	assert_line --index 1 --partial "\"$(realpath "$BUILD")/trace/steps\""
	run -0 events "select(.name == \"object\" and .args.path == \"$(realpath "$BUILD")/trace/steps\") | .args.build_id"
	assert_output "\"$(readelf -n "$BUILD/trace/steps" | sed -n 's/.*Build ID: //p')\""
}

# bats test_tags=core
@test "contract I3: a stack leads to the call in the source, by way of the offset as it is" {
	steps init finalise
	run -0 jq -sr 'map(select(.name == "C_Initialize" and .cat == "life"))[0].args.stack[0]' <(events)
	assert_output --regexp "^$(realpath "$BUILD")/trace/steps\+0x[0-9a-f]+$"
	run -0 addr2line -f -e "$BUILD/trace/steps" "${output##*+}"
	# The line after that with the step's name.
	line=$(grep -n 'is(step, "init")' "$ROOT/tests/trace/steps.c" | cut -d : -f 1)
	assert_line --index 1 --regexp "steps\.c:$((line + 1))( |\$)"
}

# told KIND: every function, and what is to be told of each parameter, in the trace and in the log.
told() {
	export P11SHIM_LOG=$log P11SHIM_LOG_LEVEL=calls
	with_shim "$BUILD/trace/parameters" "$1" "$BUILD/trace/answers.so" >"$BATS_TEST_TMPDIR/expected"
	assert_equal "$(wc -l <"$BATS_TEST_TMPDIR/expected")" 101
	valid
	events 'select(.cat == "call") | {name, rv: .args.rv, args: (.args | del(.consumer, .module, .rv))}' |
		diff "$BATS_TEST_TMPDIR/expected" -
	jq -r '"\(.name) \(.rv)" + (.args | to_entries | map(" \(.key)=" + (.value
		| if . == null then "NULL" elif type == "array" then "[" + join(",") + "]" else tostring end)) | join(""))' \
		"$BATS_TEST_TMPDIR/expected" >"$BATS_TEST_TMPDIR/lines"
	sed -n 's/^.* module=answers\.so \([^ ]* [^ ]*\) us=[0-9]*\.[0-9]\{3\}/\1/p' "$log" | diff "$BATS_TEST_TMPDIR/lines" -
}

# bats test_tags=core
@test "contract I2 I3: every function's parameters: names, sizes, handles beyond 2^53, results by name" {
	told known
}

# bats test_tags=core
@test "contract I2 I3: every function's parameters where they are NULL" {
	told null
}

# bats test_tags=core
@test "contract I2 I3: every function's parameters where the standard has no name for a number" {
	told unknown
}

# recorded PROGRAM [ARGUMENTS]: with a trace and every call in the log it does what it does without.
recorded() {
	P11SHIM_TRACE='' run with_shim "$@"
	expected=$output expected_status=$status
	rm -f "$trace" "$log"
	P11SHIM_LOG=$log P11SHIM_LOG_LEVEL=calls run with_shim "$@"
	assert_output "$expected"
	assert_equal "$status" "$expected_status"
	assert_success
	run -1 grep -v '^20' "$log"
}

@test "contract I3: every function of the mock's and of SoftHSM's lists, with numbers that fill a word" {
	recorded "$PROGRAMS/every-function" "$MOCK"
	valid
	# All but those that ask for lists.
	events 'select(.cat == "call") | .name' | sort -u | wc -l | grep -qx 101
	run -0 jq -sc 'map(select(.args | has("hSession")) | .args.hSession | type) | unique' <(events)
	[ "$(getconf LONG_BIT)" -eq 32 ] || assert_output '["string"]'
	recorded "$PROGRAMS/every-function" "$SOFTHSM2_MODULE"
	valid
	events 'select(.cat == "call") | .name' | sort -u | wc -l | grep -qx 67
}

@test "contract I3: what pkcs11-tool does with SoftHSM, by the names of the standard" {
	echo "text to sign" >"$BATS_TEST_TMPDIR/data"
	run -0 with_shim pkcs11-tool --module "$SOFTHSM2_MODULE" --login --pin "$TOKEN_PIN" --token-label "$TOKEN_LABEL" \
		--sign --mechanism SHA256-RSA-PKCS --id 01 -i "$BATS_TEST_TMPDIR/data" -o /dev/null
	whole
	for expected in \
		'.name == "C_OpenSession" and .args.flags == "CKF_SERIAL_SESSION" and (.args.phSession | type) == "number"' \
		'.name == "C_Login" and .args.userType == "CKU_USER" and .args.pPin == "hidden"' \
		'.name == "C_FindObjectsInit" and (.args.pTemplate | index("CKA_CLASS=CKO_PRIVATE_KEY") and index("CKA_ID[1]"))' \
		'.name == "C_GetAttributeValue" and (.args.pTemplate | any(startswith("CKA_")))' \
		'.name == "C_SignInit" and .args.pMechanism == "CKM_SHA256_RSA_PKCS" and .args.hKey > 0' \
		'.name == "C_SignUpdate" and .args.ulPartLen == 13 or .name == "C_Sign" and .args.ulDataLen == 13' \
		'(.name == "C_SignFinal" or .name == "C_Sign") and .args.pulSignatureLen == 256 and .args.rv == "CKR_OK"'; do
		assert_equal "$expected: $(count ".cat == \"call\" and ($expected)" | grep -vx 0 >/dev/null && echo seen)" \
			"$expected: seen"
	done
}

# bats test_tags=core
@test "contract I3: trace-level = life leaves the calls out, and nothing else" {
	steps init call 5 finalise
	valid
	events 'select(.cat != "call") | [.ph, .cat, .name, .args.consumer, .args.module]' >"$BATS_TEST_TMPDIR/expected"
	assert_equal "$(count '.name == "start" and .args.mode == "calls"')" 1
	rm "$trace"
	P11SHIM_TRACE_LEVEL=life P11SHIM_LOG=$log P11SHIM_LOG_LEVEL=calls steps init call 5 finalise
	whole
	assert_equal "$(count '.cat == "call"')" 0
	events '[.ph, .cat, .name, .args.consumer, .args.module]' | diff "$BATS_TEST_TMPDIR/expected" -
	assert_equal "$(count '.name == "start" and .args.mode == "life"')" 1
	assert_equal "$(grep -c ' C_GetInfo CKR_OK us=' "$log")" 5
}

# ---- Names that others chose

@test "contract I3: names cannot break a line: quotes, backslashes, line ends, control characters, no UTF-8" {
	odd=$BATS_TEST_TMPDIR/$'a"b\\c\nd\te\xffe\xc3\xa4+{}[],'
	cp "$BUILD/trace/answers.so" "$odd.so"
	cp "$BUILD/trace/steps" "$odd"
	with_shim "$odd" "$odd.so" init call 5 finalise finalise
	whole
	assert_equal "$(count '.name == "C_GetInfo" and .args.module == "a\"b\\c?d?e?eä+{}[],.so"')" 5
	assert_equal "$(count '.name == "C_GetInfo" and (.args.consumer | startswith("a\"b\\c?d?e?e"))')" 5
	assert_equal "$(count '.ph == "M" and (.name | endswith("_name")) and (.args.name | startswith("a\"b\\c?d?e?e"))')" 2
}

# A stack of 32 frames then does not fit into a line, nor do three of them into that of a finding.
@test "contract I3: paths as long as they can be, and deep stacks: every line is whole" {
	long=$BATS_TEST_TMPDIR
	while [ ${#long} -lt 700 ]; do
		long=$long/$(printf 'long-%.0s' $(seq 40))
	done
	longer=$long
	while [ ${#longer} -lt 3700 ]; do
		longer=$longer/$(printf 'longer-%.0s' $(seq 30))
	done
	mkdir -p "$longer"
	cp "$BUILD/trace/steps" "$long"
	cp "$BUILD/trace/answers.so" "$longer"
	export P11SHIM_LOG=$log P11SHIM_LOG_LEVEL=calls
	with_shim "$long/steps" "$longer/answers.so" init call 5 finalise deep 40
	whole
	assert_equal "$(count '.name == "C_GetInfo"')" 5
	# Of the stacks what fits; but for the last, whole frames.
	assert_equal "$(count '.cat == "finding" and .name == "double-finalise" and (.args.stacks | length) >= 2')" 1
	assert_equal "$(events "select(.cat == \"life\" and (.args.stack | length) >= 5
		and (.args.stack | all(startswith(\"$long/steps+0x\")))) | .name")" '"real C_Initialize"
"C_Initialize"
"real C_Finalize"
"C_Finalize"
"C_Finalize"'
	run -1 grep -v '^20' "$log"
}

# ---- Arguments that lead nowhere

# absurd [--observe]: all calls are there, and every line is JSON.
absurd() {
	recorded "$BUILD/trace/parameters" absurd "$@" "$BUILD/trace/answers.so"
	[ "$expected" -gt 20000 ]
	run -0 /usr/bin/python3 -c '
import json, sys
lines = [json.loads(line[:-2]) for line in open(sys.argv[1]) if line != "[\n"]
print(sum(line.get("cat") == "call" for line in lines))' "$trace"
	assert_output "$expected"
}

# bats test_tags=core
@test "contract I2 I3: absurd parameters are the module's business: the recorder survives them all" {
	absurd
	valid
	assert_equal "$(grep -c ' us=[0-9.]*\( \|$\)' "$log")" "$expected"
}

@test "contract I2 I3: the same where it only observes" {
	P11SHIM_MODE=observe absurd --observe
}

@test "contract C8 I3: every form of arguments of C_Initialize, and callbacks that are unloaded, are recorded" {
	recorded "$PROGRAMS/arguments" forms "$SOFTHSM2_MODULE"
	valid
	[ "$(count '.name == "C_Initialize" and .cat == "call"')" -ge 16 ]
	export TOKEN_LABEL=mock-0
	recorded "$PROGRAMS/arguments" unloaded "$MOCK"
	valid
}

# ---- Files that cannot be written. Each time the program does what it does without the library.

# Both sinks, and every call in both.
both() {
	export P11SHIM_LOG=${2-$log} P11SHIM_LOG_LEVEL=calls P11SHIM_TRACE=${1-$trace}
}

# bats test_tags=core
@test "contract I2 I3: a full disk, a directory, no such directory: no program is harmed" {
	for file in /dev/full "$BATS_TEST_TMPDIR" /nonexistent/file /proc/self/mem "$BATS_TEST_TMPDIR/log/file"; do
		: >"$log"
		both "$file" "$file"
		alike init call 100 finalise exit 5
	done
	both "" ""
	alike init call 100 finalise
}

@test "contract I2 I3: a user who may not write there is not harmed" {
	need_other_user "change user"
	mkdir -m 700 "$BATS_TEST_TMPDIR/closed"
	both "$BATS_TEST_TMPDIR/closed/trace" "$BATS_TEST_TMPDIR/closed/log"
	# It has no rights from the beginning, before the files are first opened, and so
	# needs a copy of its own of what may lie in another's home.
	open=$(mktemp -d)
	chmod 755 "$open"
	install -m 755 "$BUILD/trace/steps" "$MOCK" "$SHIM" "$open"
	run without_shim setpriv --reuid 65534 --clear-groups "$open/steps" "$open/${MOCK##*/}" init call 100 finalise
	expected=$output
	SHIM=$open/${SHIM##*/} run with_shim setpriv --reuid 65534 --clear-groups "$open/steps" "$open/${MOCK##*/}" \
		init call 100 finalise
	assert_success
	assert_output "$expected"
	[ -z "$(ls -A "$BATS_TEST_TMPDIR/closed")" ]
}

# A file system of its own, which only this test sees.
small_disk() {
	need_mounts "mount a file system"
	mkdir "$BATS_TEST_TMPDIR/small"
	mount -t tmpfs -o size="$1" none "$BATS_TEST_TMPDIR/small"
	trace=$BATS_TEST_TMPDIR/small/trace log=$BATS_TEST_TMPDIR/small/log
}

# goes_on: but for one broken line all is valid; and of the thread that came when there was room again
# (`threads 1 50`) all is there, from the first line on. $worker is its number.
goes_on() {
	worker=$(awk '/^worker-0/ { print $3 }' <<<"$output")
	valid 1
	assert_equal "$(count ".name == \"thread_name\" and .tid == $worker")" 1
	assert_equal "$(count ".name == \"C_GetInfo\" and .tid == $worker")" 50
}

teardown() {
	umount "$BATS_TEST_TMPDIR/small" 2>/dev/null || true
}

@test "contract I2 I3: a disk that fills up, and has room again: recording goes on, with a broken line at most" {
	small_disk 256k
	both
	head -c 150000 /dev/zero >"$BATS_TEST_TMPDIR/small/filler"
	run steps init call 2000 sh "rm '$BATS_TEST_TMPDIR/small/filler'" threads 1 50 finalise
	assert_success
	assert_line "call: CKR_OK"
	assert_line "finalise: CKR_OK"
	goes_on
	[ "$(count '.name == "C_GetInfo"')" -lt 1500 ]
	assert_equal "$(grep -c "tid=$worker .* C_GetInfo CKR_OK us=" "$log")" 50
	[ "$(grep -cvE '^20[^ ]*Z pid=[0-9]+ tid=[0-9]+ consumer=[^ ]+ module=[^ ]+ .*[^ ]$' "$log")" -le 1 ]
}

@test "contract I3: a disk that is full from the beginning, and then has room: a trace with its beginning" {
	small_disk 256k
	both
	head -c 300000 /dev/zero >"$BATS_TEST_TMPDIR/small/filler" 2>/dev/null || true
	run steps init call 5 sh "rm '$BATS_TEST_TMPDIR/small/filler'" threads 1 50 finalise
	assert_success
	goes_on
}

@test "contract I2 I3: files deleted, or moved away, in the middle: new ones are begun" {
	for away in rm mv; do
		rm -f "$trace"* "$log"*
		both
		case $away in
		rm) command="rm '$trace' '$log'" ;;
		mv) command="mv '$trace' '$trace.1'; mv '$log' '$log.1'" ;;
		esac
		run steps init call 20 sh "$command" finalise init call 20 finalise
		assert_success
		assert_output "init: CKR_OK
call: CKR_OK
sh
finalise: CKR_OK
init: CKR_OK
call: CKR_OK
finalise: CKR_OK"
		whole
		assert_equal "$(count '.name == "C_GetInfo"')" 20
		assert_equal "$(count '.cat == "call" and .name == "C_Finalize"')" 2
		assert_equal "$(grep -c ' C_GetInfo CKR_OK us=' "$log")" 20
		[ "$away" = rm ] || assert_equal "$(grep -c '"name":"C_GetInfo"' "$trace.1")" 20
	done
}

@test "contract I3: a file that is begun anew says once who writes to it, and what the objects are" {
	steps init call 5 sh "mv '$trace' '$trace.1'" finalise init finalise
	whole
	assert_equal "$(count '.name == "start"')" 1
	assert_equal "$(count '.name == "process_name"')" 1
	assert_equal "$(count ".name == \"object\" and .args.path == \"$(realpath "$BUILD")/trace/steps\"")" 1
	trace=$trace.1
	valid
	assert_equal "$(count '.name == "start"')" 1
}

@test "contract I3: a trace that is emptied in the middle begins again" {
	both
	steps init call 20 sh ": >'$trace'; : >'$log'" finalise init call 20 finalise
	whole
	assert_equal "$(count '.cat == "call" and .name == "C_Finalize"')" 2
}

@test "contract I2 I3: the size of files is limited in the middle, and no longer: no signal, and it goes on" {
	both
	# What the program itself writes goes through a pipe.
	run steps init call 50 limit 1 call 50 limit 0 threads 1 50 finalise
	assert_success
	assert_equal "$(awk '{ print /^worker/ ? "worker" : $0 }' <<<"$output" | tr '\n' ' ')" \
		"init: CKR_OK call: CKR_OK limit call: CKR_OK limit worker finalise: CKR_OK "
	whole
	assert_equal "$(count '.name == "C_GetInfo"')" 100
	assert_equal "$(grep -c ' C_GetInfo CKR_OK us=' "$log")" 100
}

@test "contract I2 I3: a limit in the middle of a line tears that line and no other" {
	both
	steps init call 50 finalise
	size=$(stat -c %s "$trace")
	rm "$trace" "$log"
	run steps init limit $((size - 2000)) call 50 limit 0 threads 1 50 finalise
	assert_success
	goes_on
	[ "$(count '.name == "C_GetInfo"')" -lt 100 ]
}

@test "contract I2 I3: a thread that has been cancelled does not end where its call is recorded" {
	both
	alike init cancelled 20 finalise
	assert_line "cancelled: ok"
	whole
	assert_equal "$(count '.name == "C_GetInfo"')" 20
	assert_equal "$(grep -c ' C_GetInfo CKR_OK us=' "$log")" 20
}

@test "contract I2 I3: pipes whose reader goes away, and whose reader does not read" {
	mkfifo "$trace" "$log"
	both
	# Each has its reader before the program comes, which waits for none; and a writer, so that the
	# reader finds no end before there is anything.
	for pipe in "$trace" "$log"; do
		exec 8<>"$pipe" 7<"$pipe" {writer}>"$pipe" 8>&-
		{ timeout 60 head -n 5 >"$pipe.read" && mv "$pipe.read" "$pipe.gone"; } <&7 3>&- &
		exec 7<&-
	done
	run steps init call 20 sh "until [ -e '$trace.gone' ] && [ -e '$log.gone' ]; do sleep 0.02; done" call 50 finalise
	wait
	assert_success
	assert_output "init: CKR_OK
call: CKR_OK
sh
call: CKR_OK
finalise: CKR_OK"
	head -n 1 "$log.gone" | grep -q ' load '
	run steps hold "$trace" hold "$log" init call 5000 finalise
	assert_success
	assert_line "call: CKR_OK"
}

# bats test_tags=core
@test "contract I2 I3: descriptors closed and used again: nothing of ours in the program's files" {
	both
	run steps init call 20 reuse "$BATS_TEST_TMPDIR/data" 200 call 20 unwritten finalise unwritten
	assert_success
	assert_equal "$(grep -c '^unwritten: ok' <<<"$output")" 2
	whole
	assert_equal "$(count '.name == "C_GetInfo"')" 40
	assert_equal "$(grep -c ' C_GetInfo CKR_OK us=' "$log")" 40
}

@test "contract I2 I3: low numbers are left to the program, also where its standard input or error is closed" {
	both
	for closed in '0<&0' '0<&-' '2>&-' '0<&- 2>&-'; do
		rm -f "$trace" "$log"
		run bash -c "exec \"\$@\" $closed" - "$BUILD/trace/steps" "$MOCK" lowest init call 20 lowest finalise lowest
		expected=$output
		run with_shim bash -c "exec \"\$@\" $closed" - "$BUILD/trace/steps" "$MOCK" lowest init call 20 lowest finalise lowest
		assert_output "$expected"
		whole
		assert_equal "$(count '.name == "C_GetInfo"')" 20
		P11SHIM_LOG=stderr run with_shim bash -c "exec \"\$@\" 2>&-" - "$BUILD/trace/steps" "$MOCK" init call 20 \
			reuse "$BATS_TEST_TMPDIR/data" 20 call 20 unwritten finalise unwritten
		assert_success
		assert_equal "$(grep -c '^unwritten: ok' <<<"$output")" 2
	done
}

@test "contract I2 I3: chroot and another user in the middle" {
	need_other_user "do that"
	mkdir "$BATS_TEST_TMPDIR/root"
	chmod 711 "$BATS_TEST_TMPDIR"
	both
	alike init call 20 chroot "$BATS_TEST_TMPDIR/root" call 20 finalise init user 65534 call 20 finalise exit 7
	whole
	assert_equal "$(count '.name == "C_GetInfo"')" 60
	assert_equal "$(grep -c ' C_GetInfo CKR_OK us=' "$log")" 60
	[ -z "$(ls -A "$BATS_TEST_TMPDIR/root")" ]
	rm "$trace" "$log"
	alike init call 20 user 65534 call 20 sh "rm -f nothing" finalise
	whole
	assert_equal "$(count '.name == "C_GetInfo"')" 40
}

# on_terminal COMMAND: its output on a terminal, without carriage returns.
on_terminal() {
	timeout -k 5 30 script -qec "$1" /dev/null </dev/null 3>&- | tr -d '\r'
}

@test "contract I2 I3: a person at a terminal is told once for each file, a program never" {
	need_program script
	program="env LD_PRELOAD=$SHIM $BUILD/trace/steps $MOCK init call 500 finalise"
	expected="init: CKR_OK
call: CKR_OK
finalise: CKR_OK"
	both
	assert_equal "$(on_terminal "$program")" "$expected"
	both /nonexistent/trace /nonexistent/log
	run on_terminal "$program"
	assert_equal "$(grep -v '^p11shim: ' <<<"$output")" "$expected"
	assert_equal "$(grep -c '^p11shim: /nonexistent/trace cannot be written' <<<"$output")" 1
	assert_equal "$(grep -c '^p11shim: /nonexistent/log cannot be written' <<<"$output")" 1
	assert_equal "$(grep -c '^p11shim: ' <<<"$output")" 2
	both /dev/full /dev/full
	run on_terminal "$program"
	assert_equal "$(grep -v '^p11shim: ' <<<"$output")" "$expected"
	assert_equal "$(grep -c '^p11shim: /dev/full cannot be written: the disk is full$' <<<"$output")" 2
	# Standard error is no terminal, though the output is one.
	assert_equal "$(on_terminal "$program 2>$BATS_TEST_TMPDIR/stderr")" "$expected"
	[ ! -s "$BATS_TEST_TMPDIR/stderr" ]
}
