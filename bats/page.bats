#!/usr/bin/env bats
# The page that p11shim report --html makes, which a real browser opens, clicks, zooms and
# prints. The traces are samples (report.bash), and one of a real run. What can be told of the
# page without a browser: report.bats, which is what make check proves of it: one file, a policy, the
# right data, foreign names as text. Left to make check-all, since a browser takes its time.
# bats file_tags=all

bats_require_minimum_version 1.5.0
load helper
load report
load ../tests/report/browser

# Keys as WebDriver has them: U+E00C, U+E004, U+E007 in UTF-8 (\u is the locale's affair).
ESCAPE=$'\xEE\x80\x8C' TAB=$'\xEE\x80\x84' ENTER=$'\xEE\x80\x87'

setup_file() {
	make_samples
	for name in rich hostile; do
		timeout 120 "$REPORT" --html "$WORK/pages/$name.html" "$WORK/$name.trace"
	done
	if command -v chromedriver >/dev/null && command -v chromium >/dev/null; then
		browser_start
		export browser_directory browser_driver browser_port browser_session
	fi
}

teardown_file() {
	browser_stop
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

# eventually VALUE FUNCTION_BODY: within half a minute (what is drawn waits for a frame)
eventually() {
	for _ in $(seq 150); do
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

# ---- What is on it

@test "contract I6: the page loads nothing from elsewhere, and complains of nothing" {
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
	python3 "$SAMPLE" big 100000 >"$WORK/big.trace"
	LIMIT=120 report --html "$WORK/pages/big.html" "$WORK/big.trace"
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

@test "contract I3, I6: a finding of a real run opens to the function whose fault it is" {
	need_token
	trace=$BATS_TEST_TMPDIR/trace
	P11SHIM_TRACE=$trace with_shim "$BUILD/findings/double-finalise" "$SOFTHSM2_MODULE"
	report --html "$WORK/pages/real.html" "$trace"
	page real
	scroll_to findings
	browser_click '#finding-1 summary'
	run js 'return document.querySelector("#finding-1 .stack .function").textContent'
	assert_output tidy_up_twice
}
