# shellcheck shell=bash
# browser.bash: Chromium without a window, for tests of pages; by WebDriver, curl and jq.
#
#   browser_start [ARGUMENT...]   an own chromedriver and browser, on ports of their own
#   browser_open FILE             a page
#   browser_js SCRIPT             what a function body returns, as JSON
#   browser_find CSS              an element's WebDriver id
#   browser_click CSS             a real click in its middle
#   browser_pointer ACTIONS       pointer actions (JSON array) of a mouse, from the page's origin
#   browser_wheel X Y DELTA       the wheel over a point of the window
#   browser_keys TEXT             typed into what has the focus
#   browser_shot FILE             a picture of the window
#   browser_pdf FILE              the page as it would be printed
#   browser_size WIDTH HEIGHT     the window's
#   browser_scheme light|dark     what the reader's system prefers
#   browser_log                   what the page complained of
#   browser_stop                  ends both
#
# Nothing waits longer than 30 seconds.

# browser_call METHOD PATH [JSON]: the value that the driver answers; fails where it says error.
browser_call() {
	local answer
	answer=$(printf '%s' "${3-}" | curl -sS --max-time 30 -X "$1" -H 'Content-Type: application/json' \
		${3+--data-binary @-} "http://127.0.0.1:$browser_port$2") || return 1
	if jq -e '.value | type == "object" and has("error")' >/dev/null <<<"$answer"; then
		jq -r '"browser: " + .value.error + ": " + .value.message' <<<"$answer" >&2
		return 1
	fi
	jq -c .value <<<"$answer"
}

browser_start() {
	local log
	browser_directory=$(mktemp -d)
	log=$browser_directory/driver
	XDG_CONFIG_HOME=$browser_directory XDG_CACHE_HOME=$browser_directory chromedriver --port=0 >"$log" 2>&1 3>&- 4>&- &
	browser_driver=$!
	for _ in $(seq 150); do
		browser_port=$(sed -n 's/.*started successfully on port \([0-9]*\).*/\1/p' "$log")
		[ -z "$browser_port" ] || break
		sleep 0.2
	done
	[ -n "$browser_port" ] || {
		echo "browser: chromedriver does not start: $(cat "$log")" >&2
		return 1
	}
	browser_session=$(browser_call POST /session "$(jq -n --arg directory "$browser_directory/profile" '{capabilities: {alwaysMatch: {
		browserName: "chrome", timeouts: {script: 20000, pageLoad: 25000},
		"goog:loggingPrefs": {browser: "ALL"},
		"goog:chromeOptions": {args: (["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
			"--force-prefers-reduced-motion", "--no-first-run", "--hide-scrollbars", "--window-size=1300,1000", "--user-data-dir=\($directory)"] + $ARGS.positional)}}}}' --args "$@")" |
		jq -r .sessionId) && [ -n "$browser_session" ]
}

browser() {
	browser_call "$1" "/session/$browser_session$2" "${@:3}"
}

browser_open() {
	browser POST /url "$(jq -n --arg url "file://$1" '{url: $url}')" >/dev/null
}

browser_js() {
	browser POST /execute/sync "$(jq -n --arg script "$1" '{script: $script, args: []}')"
}

browser_find() {
	browser POST /element "$(jq -n --arg css "$1" '{using: "css selector", value: $css}')" | jq -r '.[]'
}

browser_click() {
	local element
	element=$(browser_find "$1") && browser POST "/element/$element/click" '{}' >/dev/null
}

browser_pointer() {
	browser POST /actions "$(jq -n --argjson actions "$1" \
		'{actions: [{type: "pointer", id: "mouse", parameters: {pointerType: "mouse"}, actions: $actions}]}')" >/dev/null
}

browser_wheel() {
	browser POST /actions "$(jq -n --argjson x "$1" --argjson y "$2" --argjson delta "$3" \
		'{actions: [{type: "wheel", id: "wheel", actions: [{type: "scroll", x: $x, y: $y, deltaX: 0, deltaY: $delta}]}]}')" >/dev/null
}

browser_keys() {
	browser POST /actions "$(jq -n --arg keys "$1" '{actions: [{type: "key", id: "keys",
		actions: [$keys | split("")[] | ({type: "keyDown", value: .}, {type: "keyUp", value: .})]}]}')" >/dev/null
}

browser_shot() {
	browser GET /screenshot | jq -r . | base64 -d >"$1"
}

browser_pdf() {
	browser POST /print '{"background": true}' | jq -r . | base64 -d >"$1"
}

browser_size() {
	browser POST /window/rect "{\"width\": $1, \"height\": $2}" >/dev/null
}

browser_scheme() {
	browser POST /goog/cdp/execute "$(jq -n --arg scheme "$1" '{cmd: "Emulation.setEmulatedMedia",
		params: {features: [{name: "prefers-color-scheme", value: $scheme}, {name: "prefers-reduced-motion", value: "reduce"}]}}')" >/dev/null
}

# Refused by its own policy, errors, ...
browser_log() {
	browser POST /se/log '{"type": "browser"}' | jq -r '.[] | select(.level != "INFO") | .message'
}

browser_stop() {
	[ -n "${browser_driver:-}" ] || return 0
	[ -z "${browser_session:-}" ] || browser_call DELETE "/session/$browser_session" >/dev/null 2>&1
	kill "$browser_driver" 2>/dev/null
	wait "$browser_driver" 2>/dev/null
	rm -rf "$browser_directory"
	browser_driver='' browser_session=''
}
