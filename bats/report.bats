#!/usr/bin/env bats
# p11shim report: what it makes of a trace, as text, as JSON and as a page, which a real
# browser opens, clicks, zooms and prints. The traces are samples (tests/report), for what
# has to be there whatever the library writes, and some of real runs.

bats_require_minimum_version 1.5.0
load helper
load ../tests/report/browser

REPORT=$ROOT/scripts/p11shim-report
SAMPLE=$ROOT/tests/report/sample.py
WORK=$BATS_FILE_TMPDIR # the sample's objects lie in a directory with a space in its name
OBJECTS="$WORK/some objects"
RICH=$WORK/rich.trace

# Keys as WebDriver has them: U+E00C, U+E004, U+E007 in UTF-8 (\u is the locale's affair).
ESCAPE=$'\xEE\x80\x8C' TAB=$'\xEE\x80\x84' ENTER=$'\xEE\x80\x87'

setup_file() {
	mkdir "$OBJECTS"
	"$ROOT/tests/report/build" "$OBJECTS"
	python3 "$SAMPLE" rich "$OBJECTS" >"$RICH"
	python3 "$SAMPLE" hostile >"$WORK/hostile.trace"
	python3 "$SAMPLE" big 100000 >"$WORK/big.trace"
	mkdir "$WORK/pages"
	for name in rich hostile big; do
		timeout 120 "$REPORT" --html "$WORK/pages/$name.html" "$WORK/$name.trace"
	done
	timeout 60 "$REPORT" --json "$RICH" >"$WORK/rich.json"
	if command -v chromedriver >/dev/null && command -v chromium >/dev/null; then
		browser_start
		export browser_directory browser_driver browser_port browser_session
	fi
}

teardown_file() {
	browser_stop
}

report() {
	timeout -k 5 "${LIMIT:-60}" "$REPORT" "$@"
}

# json FILTER: what the filter makes of the rich sample's JSON
json() {
	jq -r "$@" "$WORK/rich.json"
}

# page NAME [WIDTH HEIGHT]: opened in the browser, without a complaint of it
page() {
	[ -n "${browser_session:-}" ] || skip "no chromium with chromedriver here"
	browser_scheme light
	browser_size "${2:-1300}" "${3:-1000}"
	browser_log >/dev/null
	browser_open "$WORK/pages/$1.html"
	run browser_js 'return document.documentElement.dataset.ready'
	assert_output '"yes"'
}

# js FUNCTION_BODY: what it returns, strings without quotes
js() {
	browser_js "$1" | jq -r .
}

# scroll_to ID: to be clicked it must be in the window, and not under the bar on top
scroll_to() {
	js "document.getElementById('$1').scrollIntoView({block: 'start'})" >/dev/null
}

# middle_of CSS: of the element in the window, in whole pixels, "X Y"
middle_of() {
	js "const box = document.querySelector('$1').getBoundingClientRect();
		return Math.round(box.x + box.width / 2) + ' ' + Math.round(box.y + box.height / 2)"
}

point() {
	browser_pointer "[{\"type\": \"pointerMove\", \"x\": $1, \"y\": $2}]"
}

# eventually VALUE FUNCTION_BODY: within five seconds (what is drawn waits for a frame)
eventually() {
	for _ in $(seq 25); do
		[ "$(js "$2")" != "$1" ] || return 0
		sleep 0.2
	done
	echo "wanted $1, is $(js "$2")" >&2
	return 1
}

# shows_something PNG: not one even area. Rows of a PNG hold differences to their
# neighbours; where nothing is drawn these are zero.
shows_something() {
	python3 - "$1" <<-'PY'
		import sys, zlib
		data = open(sys.argv[1], "rb").read()
		assert data[:8] == b"\x89PNG\r\n\x1a\n"
		pixels, at = b"", 8
		while at < len(data):
		    length = int.from_bytes(data[at:at + 4], "big")
		    if data[at + 4:at + 8] == b"IDAT":
		        pixels += data[at + 8:at + 8 + length]
		    at += 12 + length
		rows = zlib.decompress(pixels)
		drawn = len(rows) - rows.count(0)
		sys.exit(drawn < len(rows) / 100)
	PY
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
	jq -e '(.notes == ["no functions and lines for libplugin.so, which has changed since: \($ARGS.named.path)"])
		and all(.. | objects | select(.object? and (.object | endswith("libplugin.so"))); .function == null)
		and any(.. | objects | select(.object?); .function == "load_plugins")' \
		--arg path "$BATS_TEST_TMPDIR/changed/libplugin.so" "$BATS_TEST_TMPDIR/json"
	rm "$BATS_TEST_TMPDIR/changed/libplugin.so"
	run report "$BATS_TEST_TMPDIR/trace"
	assert_line '  note: no functions and lines for what is not on this machine: libplugin.so'
	assert_line --regexp '#0 libplugin.so\+0x[0-9a-f]+$'
}

@test "contract I6: without eu-addr2line stacks are objects and offsets, said once; --no-symbols asks nobody" {
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
	assert_line '  note: 6 lines could not be read (cut off, or a full disk) and left out'
	assert_line '  3 processes, 2 modules, 4 consumers, 2,047 calls (22 failed)'
}

@test "contract I6: a process that was killed had still initialised what it never finalised" {
	head -n 200 "$RICH" >"$BATS_TEST_TMPDIR/trace"
	run report --json --no-symbols "$BATS_TEST_TMPDIR/trace"
	[ "$(jq -r '.processes[0].ended' <<<"$output")" = "ended with libsofthsm2.so still initialised (by libplugin.so, signer)" ]
}

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
	[ ! -e pwned ] && [ ! -e "$WORK/pages/pwned" ]
	report --json "$WORK/hostile.trace" >json
	jq -e 'any(.modules[].name; . == "</script><img src=x onerror=alert(1)>") and any(.modules[].name; . == "new\nline")
		and .findings[0].consumer == "<!--" and .broken_lines == 7' json
	# "<" stands in the page's markup only
	grep -A 1 'id="data"' "$WORK/pages/hostile.html" | tail -n 1 >data
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
	assert_line --index 0 'p11shim report: no trace given: name the file that P11SHIM_TRACE named'
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

@test "contract I6, J2: works from anywhere, linked, and installed" {
	cd /
	mkdir -p "$BATS_TEST_TMPDIR/usr/bin" "$BATS_TEST_TMPDIR/usr/share/p11shim" "$BATS_TEST_TMPDIR/bin"
	cp "$REPORT" "$BATS_TEST_TMPDIR/usr/bin/"
	run "$BATS_TEST_TMPDIR/usr/bin/p11shim-report" "$RICH"
	assert_failure 1
	assert_output --partial 'its own files are missing'
	cp -r "$ROOT/scripts/report" "$BATS_TEST_TMPDIR/usr/share/p11shim/"
	ln -s ../usr/bin/p11shim-report "$BATS_TEST_TMPDIR/bin/linked"
	for program in "$BATS_TEST_TMPDIR/usr/bin/p11shim-report" "$BATS_TEST_TMPDIR/bin/linked"; do
		run timeout 60 "$program" "$RICH"
		assert_success
		assert_line '  5 findings, 1 crash; from 2026-11-27 08:00:00 UTC, 1.20 s long'
	done
}

# bats test_tags=stress
@test "contract I6: 100,000 calls take little memory and time" {
	start=$SECONDS
	run bash -c 'ulimit -v 150000; exec timeout 60 "$1" --json "$2"' - "$REPORT" "$WORK/big.trace"
	assert_success
	[ $((SECONDS - start)) -lt 40 ]
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
	report --html "$WORK/pages/real.html" "$trace"
	page real
	scroll_to findings
	browser_click '#finding-1 summary'
	run js 'return document.querySelector("#finding-1 .stack .function").textContent'
	assert_output tidy_up_twice
}

# ---- The page

@test "contract I6: the page asks nobody for anything, and complains of nothing" {
	run grep -oE "(https?:)?//[a-z0-9.]+\.[a-z]+[^\"' ]*" "$WORK/pages/rich.html"
	assert_output 'http://www.w3.org/2000/svg
http://www.w3.org/2000/svg
http://www.w3.org/2000/svg'
	page rich
	run js 'return performance.getEntriesByType("resource").length'
	assert_output 0
	run browser_log
	assert_output ''
	run js 'return document.title'
	assert_output 'signer – p11shim report'
	run js 'return [...document.querySelectorAll("#figures div")].map((f) => f.innerText.replace(/\s+/g, " ")).join("; ")'
	assert_output 'Findings 5; Crashes 1; Processes 3; Modules 2; Consumers 4; Calls 2,047; Failed calls 22'
}

@test "contract I6: its policy lets no other script run, and nothing be loaded" {
	page rich
	js 'const s = document.createElement("script"); s.textContent = "window.pwned = 1"; document.body.append(s);
		const i = document.createElement("img"); i.src = "http://127.0.0.1:1/x.png"; document.body.append(i);
		const d = document.createElement("div"); d.innerHTML = "<img src=x onerror=\"window.pwned = 2\">"; document.body.append(d)' >/dev/null
	run js 'return String(window.pwned)'
	assert_output undefined
	run browser_log
	assert_output --partial "Content Security Policy directive"
}

@test "contract I6: a click on a finding opens its stacks and marks it in the timeline" {
	page rich
	scroll_to findings
	browser_click '#finding-3 summary'
	run js 'return [...document.querySelectorAll("#finding-3 .stack")].map((s) => s.innerText.split("\n").slice(0, 4).join(" ")).join("; ")'
	assert_output --partial 'C_Finalize of libplugin.so, now at 0.812000 s, process 4730 close_token libplugin.so'
	assert_output --partial "plugin.c:"
	run js 'return document.querySelector("#finding-3").innerText'
	assert_output --partial plugin_unload
	assert_output --partial 'What to do'
	eventually false 'return document.getElementById("ring").hidden'
	run js 'return document.querySelector("#details h3").textContent'
	assert_output '3. Finalised more often than initialised'
	# the ring is around the marker
	run js 'const ring = document.getElementById("ring").getBoundingClientRect();
		const mark = [...document.querySelectorAll("#markers button")].find((b) => b.textContent === "3").getBoundingClientRect();
		return Math.hypot(ring.x + ring.width / 2 - mark.x - mark.width / 2, ring.y + ring.height / 2 - mark.y - mark.height / 2) < 3'
	assert_output true
}

@test "contract I6: a click on a marker, a tick, a call of the timeline shows it; a crash too" {
	page rich
	scroll_to timeline
	browser_click '#markers button[aria-label^="Finding 2"]'
	run js 'return document.getElementById("details").innerText'
	assert_output --partial '2. Unloaded while still initialised'
	assert_output --partial 'initialised by signer'
	browser_click '#markers button[aria-label^="Crash"]'
	run js 'return document.getElementById("details").innerText'
	assert_output --partial SIGSEGV
	assert_output --partial 'thread 4735: libplugin.so in C_Sign of libsofthsm2.so, for 1.23 ms'
	# by keys to a tick; away from it; back by a click into the ring's middle
	browser_click '#fit'
	browser_keys "$ESCAPE"
	js 'document.getElementById("scroller").focus()' >/dev/null
	for _ in $(seq 12); do
		browser_keys n
		chosen=$(js 'return document.querySelector("#details h3").textContent')
		[ "$chosen" != C_Login ] || break
	done
	assert_equal "$chosen" C_Login
	eventually false 'return document.getElementById("ring").hidden'
	read -r x y < <(middle_of '#ring')
	browser_keys "$ESCAPE"
	eventually true 'return document.getElementById("ring").hidden'
	browser_pointer "[{\"type\": \"pointerMove\", \"x\": $x, \"y\": $y}, {\"type\": \"pointerDown\", \"button\": 0}, {\"type\": \"pointerUp\", \"button\": 0}]"
	run js 'return document.querySelector("#details h3").textContent'
	assert_output "$chosen"
}

@test "contract I6: a call is found by pointing at it: tool tip, then its parameters by a click" {
	page rich
	scroll_to timeline
	for _ in 1 2 3 4 5 6; do browser_click '#zoom-in'; done
	read -r left top width height < <(js 'const b = document.getElementById("stage").getBoundingClientRect(); return [b.x, b.y, b.width, b.height].map(Math.round).join(" ")')
	tip='return document.getElementById("tooltip").innerText'
	# down the names of the rows to a thread's, then along it to a call
	for y in $(seq $((top + 8)) 9 $((top + height))); do
		point $((left + 20)) "$y"
		[[ $(js "$tip") != pool-1* ]] || break
	done
	found=''
	for x in $(seq $((left + width / 4)) 5 $((left + width - 20))); do
		point "$x" "$y"
		case $(js "$tip") in
		C_Sign*CKR_OK*ulDataLen*) found=yes && break ;;
		esac
	done
	[ -n "$found" ]
	assert_equal "$(js 'return document.getElementById("tooltip").hidden')" false
	browser_pointer "[{\"type\": \"pointerMove\", \"x\": $x, \"y\": $y}, {\"type\": \"pointerDown\", \"button\": 0}, {\"type\": \"pointerUp\", \"button\": 0}]"
	run js 'return document.getElementById("details").innerText'
	assert_line --index 0 C_Sign
	assert_output --regexp 'ulDataLen[[:space:]]+32'
	assert_output --regexp 'Took[[:space:]]+[0-9.]+ (µs|ms)'
}

@test "contract I6: zoom by wheel, buttons and keys; pan by dragging and keys; all again" {
	page rich
	scroll_to timeline
	span='const s = document.getElementById("stage").dataset; return Math.round(s.to - s.from)'
	eventually 1228800 "$span"
	read -r x y < <(middle_of '#stage')
	browser_wheel "$x" "$y" -300
	eventually true 'const s = document.getElementById("stage").dataset; return Math.abs((s.to - s.from) / 1228800 - Math.exp(-1)) < 0.001'
	browser_wheel "$x" "$y" 300
	eventually 1228800 "$span"
	browser_click '#zoom-in'
	eventually 737280 "$span"
	js 'document.getElementById("scroller").focus()' >/dev/null
	browser_keys '+'
	eventually 442368 "$span"
	before=$(js 'return Math.round(document.getElementById("stage").dataset.from)')
	browser_pointer "[{\"type\": \"pointerMove\", \"x\": $x, \"y\": $y}, {\"type\": \"pointerDown\", \"button\": 0},
		{\"type\": \"pointerMove\", \"x\": $((x - 60)), \"y\": $y, \"duration\": 60}, {\"type\": \"pointerMove\", \"x\": $((x - 120)), \"y\": $y, \"duration\": 60},
		{\"type\": \"pointerUp\", \"button\": 0}]"
	eventually true "const s = document.getElementById('stage').dataset, b = document.getElementById('stage').clientWidth;
		const moved = s.from - $before; return moved > 120 / b * 442368 && moved < 180 / b * 442368"
	browser_keys '0'
	eventually 1228800 "$span"
}

@test "contract I6: the table of calls sorts by each column, and shows what is asked for" {
	page rich
	scroll_to calls
	column='return [...document.querySelectorAll("#calls-table tbody tr")].map((row) => row.cells[3].textContent.replace(",", "")).join(" ")'
	browser_click '#calls-table th:nth-child(4) button'
	run js "$column"
	assert_output "$(tr ' ' '\n' <<<"$output" | sort -rn | paste -sd ' ')"
	browser_click '#calls-table th:nth-child(4) button'
	run js "$column"
	assert_output "$(tr ' ' '\n' <<<"$output" | sort -n | paste -sd ' ')"
	run js 'return document.querySelector("#calls-table th:nth-child(4)").getAttribute("aria-sort")'
	assert_output ascending
	browser_click '#filter'
	browser_keys 'c_sign'
	run js 'return [...new Set([...document.querySelectorAll("#calls-table tbody tr")].map((row) => row.cells[2].textContent))].sort().join(" ")'
	assert_output 'C_Sign C_SignInit'
}

@test "contract I6: every part can be reached by keys, and has a name" {
	page rich
	run js 'return [...document.querySelectorAll("button, input, summary, [role], section")].filter((node) => node.checkVisibility())
		.filter((node) => !(node.getAttribute("aria-label") || node.getAttribute("aria-labelledby") || node.textContent.trim()))
		.map((node) => node.outerHTML.slice(0, 80)).join("\n")'
	assert_output ''
	# Tab comes to the timeline, f goes through the findings
	scroll_to timeline
	js 'document.getElementById("fit").focus(); document.getElementById("zoom-in").focus()' >/dev/null
	browser_keys "$TAB"
	run js 'return document.activeElement.id'
	assert_output scroller
	for finding in 1 2 1; do # in order of time; the first one comes again, in the second child
		browser_keys f
		run js 'return document.querySelector("#details h3").textContent[0]'
		assert_output "$finding"
	done
	js 'document.querySelector("#finding-2 summary").focus()' >/dev/null
	browser_keys "$ENTER"
	run js 'return document.getElementById("finding-2").open'
	assert_output true
}

@test "contract I6: light and dark, wide and narrow: something is drawn, and nothing sticks out" {
	page rich
	for width in 1300 700 360; do
		browser_size "$width" 900
		for scheme in light dark; do
			browser_scheme "$scheme"
			js 'document.querySelectorAll("details").forEach((node) => { node.open = true; }); window.scrollTo(0, 0)' >/dev/null
			run js 'return document.documentElement.scrollWidth <= innerWidth'
			assert_output true
			browser_shot "$BATS_TEST_TMPDIR/$width-$scheme.png"
			shows_something "$BATS_TEST_TMPDIR/$width-$scheme.png"
			run js 'return getComputedStyle(document.body).backgroundColor'
			case $scheme in
			light) assert_output 'rgb(244, 245, 247)' ;;
			dark) assert_output 'rgb(14, 17, 22)' ;;
			esac
			eventually true 'const c = document.getElementById("canvas"), all = c.getContext("2d").getImageData(0, 0, c.width, c.height).data;
				const seen = new Set(); for (let i = 0; i < all.length; i += 4) seen.add(all[i] << 16 | all[i + 1] << 8 | all[i + 2]);
				return seen.size > 400'
		done
	done
	run ! cmp -s "$BATS_TEST_TMPDIR/1300-light.png" "$BATS_TEST_TMPDIR/1300-dark.png"
}

@test "contract I6: printed: the whole timeline as wide as the page, every finding open, nothing dark" {
	page rich
	browser_scheme dark
	js 'window.addEventListener("beforeprint", () => {
		window.seen = {open: document.querySelectorAll(".finding[open]").length,
			shapes: document.querySelectorAll("#print-timeline svg rect").length,
			labels: [...document.querySelectorAll("#print-timeline svg text")].map((node) => node.textContent)};
	})' >/dev/null
	browser_pdf "$BATS_TEST_TMPDIR/print.pdf"
	[ "$(head -c 5 "$BATS_TEST_TMPDIR/print.pdf")" = %PDF- ]
	[ "$(wc -c <"$BATS_TEST_TMPDIR/print.pdf")" -gt 30000 ]
	run browser_js 'return window.seen'
	[ "$(jq .open <<<"$output")" -eq 5 ]
	[ "$(jq .shapes <<<"$output")" -gt 500 ]
	for words in signer 4734 'libengine-pkcs11.so' 'pool-1  4713' '5'; do
		jq -e --arg words "$words" 'any(.labels[]; . == $words)' <<<"$output"
	done
	run js 'return [document.querySelectorAll(".finding[open]").length, document.querySelectorAll("#print-timeline svg").length].join()'
	assert_output 0,0
	# what the style sheet makes of it
	browser POST /goog/cdp/execute '{"cmd": "Emulation.setEmulatedMedia", "params": {"media": "print", "features": [{"name": "prefers-color-scheme", "value": "dark"}]}}' >/dev/null
	run js 'const style = (id) => getComputedStyle(document.querySelector(id));
		return [style("body").backgroundColor, style("nav").display, style("#scroller").display, style("#print-timeline").display].join("; ")'
	# nothing is cut off at the width of a page of A4 (186 mm of it, 96 pixels an inch)
	browser_size 703 900
	cut=$(js 'return [...document.querySelectorAll("td, th, .stack, .finding")].filter((node) => node.getBoundingClientRect().right > innerWidth + 1).length')
	browser POST /goog/cdp/execute '{"cmd": "Emulation.setEmulatedMedia", "params": {"media": ""}}' >/dev/null
	assert_output 'rgb(255, 255, 255); none; none; block'
	assert_equal "$cut" 0
}

@test "contract I6: names that are markup or worse stay text" {
	page hostile
	run js 'return [String(window.pwned), document.images.length, document.scripts.length].join()'
	assert_output undefined,0,2
	run js 'return document.querySelector("#finding-1 .title").textContent'
	assert_output '</script><img src=x onerror=alert(1)>'
	scroll_to findings
	browser_click '#finding-1 summary'
	run js 'return document.querySelector("#finding-1 .function").textContent'
	assert_output 'script><img src=x onerror=alert(1)>+0x12'
	run browser_log
	assert_output ''
}

# bats test_tags=stress
@test "contract I6: a page of 100,000 calls is quick" {
	page big
	run js 'return document.querySelectorAll("#figures dd")[4].textContent'
	assert_output --regexp '^(99|100),[0-9]{3}$'
	# each step is drawn, and is there soon
	run js 'const stage = document.getElementById("stage").dataset;
		const one = (id) => new Promise((done) => {
			const before = stage.from, start = performance.now();
			document.getElementById(id).click();
			requestAnimationFrame(() => setTimeout(() => done(stage.from !== before && performance.now() - start < 1500)));
		});
		return (async () => {
			const all = [];
			for (const id of ["zoom-in", "zoom-in", "zoom-in", "zoom-out", "zoom-out", "fit"])
				all.push(await one(id));
			return all.every((quick) => quick);
		})()'
	assert_output true
}

# bats test_tags=stress
@test "contract I6: of more calls than a page can hold it shows the longest, and says so" {
	python3 "$SAMPLE" big 130000 >"$BATS_TEST_TMPDIR/trace"
	LIMIT=120 report --html "$WORK/pages/more.html" "$BATS_TEST_TMPDIR/trace"
	page more
	run js 'return document.getElementById("thinned").textContent'
	assert_output --regexp '^Of 1[0-9]{2},[0-9]{3} calls the [0-9]{2},[0-9]{3} drawn are those that took longest'
	longest=$(report --json --no-symbols "$BATS_TEST_TMPDIR/trace" | jq '[.functions[].max_us] | max')
	run js "return JSON.parse(document.getElementById('data').textContent).timeline.calls.some((call) => call[3] === $longest)"
	assert_output true
}
