#!/usr/bin/env bats
# p11shim report: what it makes of a trace, as text, as JSON and as a page. The traces are
# samples (report.bash) and some of real runs. The page in a browser: page.bats.

bats_require_minimum_version 1.5.0
load helper
load report

setup_file() {
	make_samples
}

# json FILTER: what the filter makes of the rich sample's JSON
json() {
	jq -r "$@" "$WORK/rich.json"
}

# data PAGE: what it has to show, as JSON
data() {
	sed -n '/<script type="application\/json" id="data">/,/<\/script>/p' "$1" | sed '1d; $d'
}

# ---- Text

@test "contract I6: text tells of processes, modules, consumers, calls, findings, crashes" {
	run report "$RICH"
	assert_success
	assert_line '  3 processes, 2 modules, 4 consumers, 2,047 calls (22 failed)'
	assert_line '  5 findings, 1 crash; from 2026-11-27 08:00:00 UTC, 1.20 s long'
	assert_line --regexp "^ +4730  $OBJECTS/signer  forked from 4711$"
	assert_output --regexp 'ended with libsofthsm2.so still[[:space:]]+initialised \(by libengine-pkcs11.so\)'
	assert_output --regexp 'crashed: SIGSEGV, with libsofthsm2.so[[:space:]]+still initialised \(by libplugin.so\)'
	assert_line '  libsofthsm2.so  /usr/lib/softhsm/libsofthsm2.so'
	assert_line '1. Handle from before the fork used in the child  43 times, in 2 processes  [inherited-handle]'
	assert_line '3. Finalised more often than initialised  [double-finalise]'
	assert_line '    C_Finalize of libplugin.so, now   at 0.812000 s, process 4730'
	assert_line '    finalised before by libplugin.so   at 0.800009 s, process 4730'
	assert_line --regexp '^    What to do: Of the two C_Finalize stacks, one has no C_Initialize'
	assert_line CRASHES
	assert_line '      thread 4735: libplugin.so in C_Sign of libsofthsm2.so, for 1.23 ms'
	assert_line --regexp '^  libplugin.so +C_Sign +[0-9]+ +[0-9-]+ +1.84 ms +[0-9.]+ ms +[0-9.]+ ms +[0-9]+ ms$'
	assert_line --regexp '^  CKR_USER_NOT_LOGGED_IN +[0-9]+  '
}

@test "contract I6: text fits 100 columns, has no colour in a pipe or with NO_COLOR, and some on a terminal" {
	run report "$RICH"
	jq -Rse 'split("\n") | all(.[]; length <= 100)' <<<"$output"
	refute_output --partial $'\033'
	run env TERM=xterm timeout 60 script -qec "$REPORT '$RICH'" /dev/null
	assert_output --partial $'\033[1mFINDINGS'
	run env TERM=xterm NO_COLOR=1 timeout 60 script -qec "$REPORT '$RICH'" /dev/null
	refute_output --partial $'\033'
}

@test "contract I6: every kind of finding has a title, an explanation and advice of its own" {
	kinds="double-finalise use-after-finalise use-before-initialise initialise-leaked sessions-leaked \
		unload-while-initialised inherited-handle finalise-in-child call-at-exit others-logout \
		incompatible-arguments call-in-flight"
	for kind in $kinds; do
		printf '{"ph":"i","cat":"finding","name":"%s","pid":1,"tid":1,"ts":1,"args":{"consumer":"c","module":"m"}},\n' "$kind"
	done >"$BATS_TEST_TMPDIR/trace"
	run --separate-stderr report --json "$BATS_TEST_TMPDIR/trace"
	jq -e '(.findings | length) == 12
		and all(.findings[]; .title != .name and (.explanation | length) > 100 and (.advice | length) > 60
			and (.severity == "crash" or .severity == "error" or .severity == "leak"))
		and ([.findings[] | .title, .explanation, .advice] | unique | length) == 36' <<<"$output"
	printf '{"ph":"i","cat":"finding","name":"of-tomorrow","pid":1,"tid":1,"ts":1,"args":{}},\n' |
		report - | grep -q '^1\. of-tomorrow'
}

# ---- JSON

@test "contract I6: JSON has the documented form" {
	jq -e '
		def text: type == "string";
		def maybe(f): . == null or f;
		def number: type == "number";
		def frame: keys_unsorted == ["object", "offset", "function", "file", "line", "inlined"]
			and (.object | maybe(text)) and (.offset | text) and (.function | maybe(text))
			and (.file | maybe(text)) and (.line | maybe(number)) and (.inlined | type == "boolean");
		keys_unsorted == ["version", "files", "events", "broken_lines", "started", "seconds", "processes", "modules",
			"consumers", "findings", "functions", "errors", "crashes", "notes"]
		and .version == 1 and .broken_lines == 0 and .seconds == 1.2 and .started == "2026-11-27T08:00:00.000000Z"
		and (.processes | length) == 3 and all(.processes[]; (.id | number) and (.pid | number) and (.program | text)
			and (.parent | number) and (.started | text) and (.ended | maybe(text)) and .mode == "calls")
		and ([.processes[] | [.pid, .parent, .parent_id, .crash]] == [[4711, 4242, null, null],
			[4730, 4711, 0, null], [4734, 4711, 0, "SIGSEGV"]])
		and (.processes[1].still_initialised == [{module: "libsofthsm2.so", consumers: ["libengine-pkcs11.so"]}])
		and ([.modules[].name] == ["libsofthsm2.so", "opensc-pkcs11.so"]) and .modules[0].initialised == 3
		and (.consumers | length) == 4
		and all(.findings[]; keys_unsorted == ["id", "name", "title", "severity", "explanation", "advice", "consumer",
			"module", "call", "text", "count", "processes", "stacks"]
			and all(.stacks[]; keys_unsorted == ["what", "pid", "tid", "ts", "frames"] and all(.frames[]; frame)))
		and all(.functions[]; keys_unsorted == ["consumer", "module", "function", "calls", "errors", "p50_us", "p99_us",
			"max_us", "total_us", "errors_by_rv"])
		and ([.functions[].total_us] | . == (sort | reverse))
		and all(.functions[]; ([.errors_by_rv[]] | add // 0) == .errors)
		and ([.functions[].errors] | add) == ([.errors[].calls] | add)
		and .crashes[0].in_flight == [{tid: 4735, consumer: "libplugin.so", module: "libsofthsm2.so", call: "C_Sign", us: 1234}]
		and all(.crashes[].frames[]; frame)' "$WORK/rich.json"
}

@test "contract I6: equal findings of several processes are one, with their number" {
	run json -c '.findings[] | [.name, .count, .processes]'
	assert_line --index 0 '["inherited-handle",43,[4730,4734]]'
	assert_line --index 2 '["double-finalise",1,[4730]]'
	[ "${#lines[@]}" -eq 5 ]
	# ... but another act is another finding
	sed '0,/inherited-handle/s/"stack":\["/&elsewhere+0x1","/' "$RICH" >"$BATS_TEST_TMPDIR/trace"
	[ "$(report --json --no-symbols "$BATS_TEST_TMPDIR/trace" | jq '.findings | length')" -eq 6 ]
}

@test "contract I6: figures are those of the calls, percentiles to 2.3 %" {
	run python3 - "$RICH" "$WORK/rich.json" <<-'PY'
		import json, math, sys
		took, failed = {}, {}
		for line in open(sys.argv[1]):
		    if '"cat":"call"' not in line:
		        continue
		    e = json.loads(line.rstrip(",\n"))
		    key = e["args"]["consumer"], e["args"]["module"], e["name"]
		    took.setdefault(key, []).append(e["dur"])
		    failed[key] = failed.get(key, 0) + (e["args"]["rv"] != "CKR_OK")
		report = json.load(open(sys.argv[2]))
		assert len(report["functions"]) == len(took)
		for f in report["functions"]:
		    key = f["consumer"], f["module"], f["function"]
		    all = sorted(took[key])
		    assert f["calls"] == len(all) and f["errors"] == failed[key], f
		    assert f["max_us"] == all[-1] and abs(f["total_us"] - sum(all)) < 0.01, f
		    for share, field in ((0.5, "p50_us"), (0.99, "p99_us")):
		        true = all[math.ceil(share * len(all)) - 1]
		        assert abs(f[field] - true) <= 0.023 * true, (f, true)
		print(len(took), "functions")
	PY
	assert_success
	assert_output --regexp '^[0-9]{2} functions$'
}

@test "contract I6: life cycle without calls: counted, without times" {
	sed -e 's/"mode":"calls"/"mode":"life"/' -e '/"cat":"call"/d' "$RICH" >"$BATS_TEST_TMPDIR/trace"
	report --json "$BATS_TEST_TMPDIR/trace" >"$BATS_TEST_TMPDIR/json"
	jq -e 'any(.functions[]; .function == "C_Initialize" and .calls == 3 and .p50_us == null and .total_us == null)
		and all(.functions[]; .function != "C_Sign")' "$BATS_TEST_TMPDIR/json"
	run report "$BATS_TEST_TMPDIR/trace"
	assert_output --partial 'calls were not recorded'
	report --html "$BATS_TEST_TMPDIR/page.html" "$BATS_TEST_TMPDIR/trace"
}

# ---- Symbols

# line_of FILE MARK: the number of the line with that mark
line_of() {
	grep -n "LINE $2 " "$ROOT/tests/report/$1" | cut -d : -f 1
}

@test "contract I6: frames have function, file and line, inlined ones too, of objects in a path with a space" {
	run json -c '.findings[] | select(.name == "double-finalise") | .stacks[] | select(.what | startswith("initialised"))
		| .frames[] | [.function, (.file // "" | split("/") | last), .line, .inlined, (.object | split("/") | last)]'
	assert_line --index 0 "[\"call_inlined\",\"plugin.c\",$(line_of plugin.c inlined),true,\"libplugin.so\"]"
	assert_line --index 1 "[\"open_token\",\"plugin.c\",$(line_of plugin.c open_token),false,\"libplugin.so\"]"
	assert_line --index 2 "[\"plugin_start\",\"plugin.c\",$(line_of plugin.c plugin_start),false,\"libplugin.so\"]"
	assert_line --index 3 "[\"load_plugins\",\"signer.c\",$(line_of signer.c load_plugins),false,\"signer\"]"
	assert_line --index 4 --partial '["main","signer.c",'
	run report "$RICH"
	assert_line --regexp "#0 call_inlined +.*/plugin.c:$(line_of plugin.c inlined)  \(inlined\)"
	assert_line --regexp "#3 load_plugins +.*/signer.c:$(line_of signer.c load_plugins)  signer"
}

@test "contract I6: an object that has changed since is not asked, and that is said" {
	cp -r "$OBJECTS" "$BATS_TEST_TMPDIR/changed"
	cp "$OBJECTS/signer" "$BATS_TEST_TMPDIR/changed/libplugin.so"
	sed "s|$OBJECTS|$BATS_TEST_TMPDIR/changed|g" "$RICH" >"$BATS_TEST_TMPDIR/trace"
	report --json "$BATS_TEST_TMPDIR/trace" >"$BATS_TEST_TMPDIR/json"
	jq -e '(.notes == ["no functions and lines for libplugin.so, which has changed since the trace was written: \($ARGS.named.path)"])
		and all(.. | objects | select(.object? and (.object | endswith("libplugin.so"))); .function == null)
		and any(.. | objects | select(.object?); .function == "load_plugins")' \
		--arg path "$BATS_TEST_TMPDIR/changed/libplugin.so" "$BATS_TEST_TMPDIR/json"
	rm "$BATS_TEST_TMPDIR/changed/libplugin.so"
	run report "$BATS_TEST_TMPDIR/trace"
	assert_line '  note: no functions and lines for objects that are not on this machine: libplugin.so'
	assert_line --regexp '#0 libplugin.so\+0x[0-9a-f]+$'
}

@test "contract I6: without eu-addr2line stacks are objects and offsets, said once; --no-symbols looks up nothing" {
	mkdir "$BATS_TEST_TMPDIR/bin"
	for tool in jq cat mktemp rm mkdir dirname readlink sed head tr od printf sh; do
		ln -s "$(type -P "$tool")" "$BATS_TEST_TMPDIR/bin/$tool"
	done
	run --separate-stderr env PATH="$BATS_TEST_TMPDIR/bin" "$(type -P timeout)" 60 "$REPORT" "$RICH"
	assert_success
	assert_line --regexp '#0 libplugin.so\+0x[0-9a-f]+$'
	refute_output --partial plugin.c
	# shellcheck disable=SC2154 # set by run
	[ "$stderr" = "p11shim report: without eu-addr2line (install elfutils) stacks show objects and offsets, no functions" ]
	run --separate-stderr report --no-symbols "$RICH"
	assert_line --regexp '#0 libplugin.so\+0x[0-9a-f]+$'
	[ -z "$stderr" ]
}

# ---- Traces that are not whole, or not meant well

# Left to make check-all. make check reads whole traces.
# bats test_tags=all
@test "contract I6: a trace that ends anywhere loses that line and no more" {
	size=$(wc -c <"$RICH")
	for cut in 1000 3001 $((size / 3)) $((size / 2 + 7)) $((size - 1)) $((size - 40)); do
		head -c "$cut" "$RICH" >"$BATS_TEST_TMPDIR/trace"
		run --separate-stderr report --json --no-symbols "$BATS_TEST_TMPDIR/trace"
		assert_success
		[ "$(jq '.events + .broken_lines + 1' <<<"$output")" -ge "$(wc -l <"$BATS_TEST_TMPDIR/trace")" ]
		[ "$(jq .broken_lines <<<"$output")" -le 1 ]
	done
	{ cat "$RICH" && printf '{"ph":"X","cat\nnonsense\n{"ph":"i"},\n[1,2],\n\377\376\n7,\n\n]\n'; } >"$BATS_TEST_TMPDIR/trace"
	run report "$BATS_TEST_TMPDIR/trace"
	assert_success
	assert_line '  note: 6 lines could not be read, and are left out (the disk was full, or a process was killed while it wrote)'
	assert_line '  3 processes, 2 modules, 4 consumers, 2,047 calls (22 failed)'
}

@test "contract I6: a process that was killed had still initialised what it never finalised" {
	head -n 200 "$RICH" >"$BATS_TEST_TMPDIR/trace"
	run report --json --no-symbols "$BATS_TEST_TMPDIR/trace"
	[ "$(jq -r '.processes[0].ended' <<<"$output")" = "ended with libsofthsm2.so still initialised (by libplugin.so, signer)" ]
}

# Left to make check-all. make check reads one file, of several processes.
# bats test_tags=all
@test "contract I6: several files are one trace; standard input; a number that comes again is another process" {
	half=$(($(wc -l <"$RICH") / 2))
	printf %s "$(head -n "$half" "$RICH")" >"$BATS_TEST_TMPDIR/-one" # no end of its last line
	tail -n +$((half + 1)) "$RICH" | sed '$s/,$//' >"$BATS_TEST_TMPDIR/two"
	cd "$BATS_TEST_TMPDIR"
	report --json -- -one two | jq 'del(.files)' >both
	report --json - <"$RICH" | jq 'del(.files)' >stdin
	jq 'del(.files)' "$WORK/rich.json" >expected
	cmp both expected
	cmp stdin expected
	report --html page.html - <"$RICH"
	[ -s page.html ]
	cat "$RICH" "$RICH" | report --json - >twice
	jq -e '(.processes | length) == 6 and .processes[0].pid == .processes[3].pid and .processes[4].parent_id == 3
		and .findings[0].count == 86 and (.findings | length) == 5' twice
}

@test "contract I6: nothing in a trace reaches a terminal, a shell or another file" {
	cd "$BATS_TEST_TMPDIR"
	run --separate-stderr report "$WORK/hostile.trace"
	assert_success
	refute_output --partial $'\033'
	run tr -d '\n\40-\176\200-\377' <<<"$output$stderr"
	assert_output ''
	report --html "$WORK/pages/hostile.html" "$WORK/hostile.trace"
	[ ! -e pwned ] && [ ! -e "$WORK/pages/pwned" ]
	report --json "$WORK/hostile.trace" >json
	jq -e 'any(.modules[].name; . == "</script><img src=x onerror=alert(1)>") and any(.modules[].name; . == "new\nline")
		and .findings[0].consumer == "<!--" and .broken_lines == 7' json
	# "<" stands in the page's markup only
	data "$WORK/pages/hostile.html" >data
	assert_equal "$(jq -r '.report.findings[0].title' data)" '</script><img src=x onerror=alert(1)>'
	[ "$(wc -c <data)" -gt 10000 ]
	run grep -c '<' data
	assert_output 0
}

@test "contract I6: what cannot be read, or holds no event, is said, and the status is 1" {
	cd "$BATS_TEST_TMPDIR"
	: >empty
	echo '[' >nothing
	echo 'hello' >other
	for file in empty nothing other; do
		run report "$file"
		assert_failure 1
		assert_output --partial "no event in $file"
	done
	run report nowhere
	assert_failure 1
	assert_output 'p11shim report: no such file: nowhere'
	# no name reaches a terminal as an order
	for wrong in $'nowhere\e]0;title\a' $'--no\xc2\x9b31m'; do
		run report "$wrong"
		assert_failure
		refute_output --regexp $'[\e\a]|\xc2\x9b'
	done
	run report .
	assert_failure 1
	assert_output 'p11shim report: a directory, not a trace: .'
	run report /proc/self/mem
	assert_failure 1
	assert_line 'p11shim report: cannot read /proc/self/mem'
	run report --html /nowhere/page.html "$RICH"
	assert_failure 1
	assert_output 'p11shim report: cannot write /nowhere/page.html'
}

@test "contract I6: misuse is told with what to do instead, and the status is 2" {
	cd "$BATS_TEST_TMPDIR"
	cp "$RICH" trace
	run report
	assert_failure 2
	assert_line --index 0 'p11shim report: no trace given: name the file that the library wrote with P11SHIM_TRACE'
	assert_line --index 1 'p11shim report: see p11shim report --help'
	for arguments in '--jsn trace' '--json --html page trace' '--html' '--html=' '--html trace' '- -' 'trace --json' \
		'--html trace trace' '--html ./trace trace'; do
		# shellcheck disable=SC2086 # words
		run report $arguments
		assert_failure 2
		assert_line --partial 'see p11shim report --help'
	done
	cmp "$RICH" trace
	run report --help
	assert_success
	assert_line --index 0 'Usage: p11shim report [--json | --html OUT] [--no-symbols] FILE...'
}

# Left to make check-all. Of what is installed make check tries the rest of the command.
# bats test_tags=all
@test "contract I6, J2: works from anywhere, linked, and installed" {
	cd /
	mkdir -p "$BATS_TEST_TMPDIR/usr/bin" "$BATS_TEST_TMPDIR/usr/share/p11shim" "$BATS_TEST_TMPDIR/bin"
	cp "$REPORT" "$BATS_TEST_TMPDIR/usr/bin/"
	run "$BATS_TEST_TMPDIR/usr/bin/p11shim-report" "$RICH"
	assert_failure 1
	assert_output --partial 'its own files are missing'
	cp -r "$ROOT/scripts/command/report" "$BATS_TEST_TMPDIR/usr/share/p11shim/"
	ln -s ../usr/bin/p11shim-report "$BATS_TEST_TMPDIR/bin/linked"
	for program in "$BATS_TEST_TMPDIR/usr/bin/p11shim-report" "$BATS_TEST_TMPDIR/bin/linked"; do
		run timeout 60 "$program" "$RICH"
		assert_success
		assert_line '  5 findings, 1 crash; from 2026-11-27 08:00:00 UTC, 1.20 s long'
	done
}

# bats test_tags=stress
@test "contract I6: 100,000 calls take little memory and time" {
	python3 "$SAMPLE" big 100000 >"$WORK/big.trace"
	# of a processor, however busy the machine is: 40 seconds for each process of it
	run bash -c 'ulimit -v 150000 -t 40; exec timeout 600 "$1" --json "$2"' - "$REPORT" "$WORK/big.trace"
	assert_success
	[ "$(jq '[.functions[].calls] | add' <<<"$output")" -eq "$(grep -c '"cat":"call"' "$WORK/big.trace")" ]
}

@test "contract I3, I6: a real trace, of a program that finalises twice" {
	need_token
	trace=$BATS_TEST_TMPDIR/trace
	P11SHIM_TRACE=$trace with_shim "$BUILD/findings/double-finalise" "$SOFTHSM2_MODULE"
	P11SHIM_TRACE=$trace with_shim pkcs11-tool --module "$SOFTHSM2_MODULE" -L
	run --separate-stderr report "$trace"
	assert_success
	[ -z "$stderr" ]
	assert_line '1. Finalised more often than initialised  [double-finalise]'
	assert_line --regexp '#0 tidy_up_twice  .*double-finalise.c:[0-9]+  double-finalise$'
	assert_line --regexp '^  pkcs11-tool +C_GetTokenInfo +[0-9]'
	run report --json "$trace"
	jq -e '.broken_lines == 0 and (.processes | length) == 2 and all(.processes[]; .ended == null and .started)
		and .modules[0].name == "libsofthsm2.so" and .modules[0].initialised == 2' <<<"$output"
}

# ---- The page, as far as can be told without a browser

@test "contract I6: the page is one file with a policy, refers to nothing, and has the report's data in it" {
	report --html "$WORK/pages/rich.html" "$RICH"
	run grep -oE "(https?:)?//[a-z0-9.]+\.[a-z]+[^\"' ]*" "$WORK/pages/rich.html"
	assert_output 'http://www.w3.org/2000/svg
http://www.w3.org/2000/svg
http://www.w3.org/2000/svg'
	grep -q "Content-Security-Policy.*default-src 'none'" "$WORK/pages/rich.html"
	assert_equal "$(data "$WORK/pages/rich.html" | jq -c '.report.findings | length')" "$(json -c '.findings | length')"
	[ "$(data "$WORK/pages/rich.html" | jq '.timeline.calls | length')" -gt 1000 ]
}
