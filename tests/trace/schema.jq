# schema.jq: is a file of p11shim's a trace?
#
#	jq -nRr --argjson calls "$(calls_json)" --argjson broken 0 -f schema.jq FILE
#
# calls: each function's parameters, {"C_Logout":["hSession"],...}. broken: how
# many lines may be something else (a disk that was full). Prints the number of
# events; ends with an error, and the line, at the first that is not as the
# description of the format says.

def need(condition; $what): if condition then . else error($what) end;

# Exactly these members, in this order.
def members($names): need(keys_unsorted == $names; "members \(keys_unsorted), not \($names)");

def is_text: type == "string" and length > 0;
def is_id: type == "number" and . > 0 and . == floor;
def is_time: type == "number" and . >= 0;
def is_frame: type == "string" and test("^(([^+].*)?[^+/]\\+)?0x[0-9a-f]+$");
def is_stack: type == "array" and length <= 64 and all(.[]; is_frame);
def is_rv: type == "string" and test("^(CKR_[A-Z0-9_]+|0x[0-9a-f]+)$");
def is_build_id: type == "string" and test("^([0-9a-f]{2})*$");
def is_wall: type == "string" and test("^20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-6][0-9]\\.[0-9]{6}Z$");
def is_span_id: type == "string" and test("^[0-9]+\\.[0-9]+$");

def head($names): members($names)
	| need(.name | is_text; "name")
	| need(.pid | is_id; "pid")
	| need(.tid | is_id; "tid")
	| need(.ts | is_time; "ts");

# ---- process, threads, objects

def metadata: head(["ph", "name", "pid", "tid", "ts", "args"]) | .name as $name | .args
	| if $name == "process_name" or $name == "thread_name" then
		members(["name"]) | need(.name | is_text; "args.name")
	elif $name == "object" then
		members(["path", "build_id"]) | need(.path | is_text; "path") | need(.build_id | is_build_id; "build_id")
	else error("metadata \($name)") end;

def start: head(["ph", "s", "cat", "name", "pid", "tid", "ts", "args"])
	| need(.s == "p" and .name == "start"; "s, name") | .args
	| members(["program", "parent", "time", "version", "mode"])
	| need(.program | startswith("/"); "program")
	| need(.parent | type == "number"; "parent")
	| need(.time | is_wall; "time")
	| need(.version == "1"; "version")
	| need(.mode == "calls" or .mode == "life"; "mode");

# ---- calls

# A handle or a size: text from 2^53 on, where JSON readers would round.
def is_value: . == null or type == "boolean"
	or (type == "number" and . >= 0 and . == floor and . < 9007199254740992)
	or is_text
	or (type == "array" and all(.[]; is_text));

def call: head(["ph", "cat", "name", "pid", "tid", "ts", "dur", "args"])
	| need(.dur | is_time; "dur") | .name as $name
	| need($calls | has($name); "no function") | .args
	| need(keys_unsorted[:3] == ["consumer", "module", "rv"]; "consumer, module, rv")
	| need(.consumer | is_text; "consumer")
	| need(.module | is_text; "module")
	| need(.rv | is_rv; "rv")
	| keys_unsorted[3:] as $told
	| need($told == [$calls[$name][] | select(. as $p | $told | index($p))]; "parameters \($told)")
	| need(all(.[]; is_value); "a value");

# ---- life cycle

def of_consumers: ["C_Initialize", "C_Finalize", "C_OpenSession", "C_Login", "C_LoginUser", "C_Logout",
	"C_GetFunctionList", "C_GetInterface", "C_GetInterfaceList"];

def life: head(["ph", "s", "cat", "name", "pid", "tid", "ts", "args"])
	| need(.s == "t"; "s") | .name as $name | .args
	| members(["consumer", "module", "rv", "detail", "stack"])
	| need(.consumer | is_text; "consumer")
	| need(.module | is_text; "module")
	| need(.rv == "" or (.rv | is_rv); "rv")
	| need(.detail | type == "string"; "detail")
	| need(.stack | is_stack; "stack")
	| need(.consumer == "-" or (.module != "-" and .rv != "" and (of_consumers | index($name))); "whose event");

# ---- spans

def span_begins: head(["ph", "cat", "name", "pid", "tid", "ts", "id", "args"])
	| need(.id | is_span_id; "id")
	| need((.id | split(".")[0]) == (.pid | tostring); "id of another process")
	| need(if .cat == "module" then (.args | keys_unsorted == ["module", "path"]) and .name == .args.module
		else (.args | keys_unsorted == ["module", "consumer", "path"]) and .name == .args.consumer end; "args")
	| need(all(.args[]; is_text); "a text");

def span_ends: head(["ph", "cat", "name", "pid", "tid", "ts", "id", "args"])
	| need(.id | is_span_id; "id")
	| need((.id | split(".")[0]) == (.pid | tostring); "id of another process");

# ---- forks

def fork_slice: head(["ph", "cat", "name", "pid", "tid", "ts", "dur", "args"])
	| need(.dur == 1; "dur") | .name as $name | .args
	| members([{"fork": "child", "forked": "parent"}[$name]])
	| need(all(.[]; is_id); "a process");

def flow: need(.ph == "s" or .bp == "e"; "bp") | del(.bp)
	| head(["ph", "cat", "name", "pid", "tid", "ts", "id"])
	| need(.name == "fork"; "name") | need(.id | is_span_id; "id");

# ---- findings, crash

def kinds: ["double-finalise", "use-after-finalise", "use-before-initialise", "initialise-leaked",
	"sessions-leaked", "unload-while-initialised", "inherited-handle", "finalise-in-child", "call-at-exit",
	"others-logout", "incompatible-arguments", "call-in-flight"];

def account: members(["what", "pid", "tid", "ts", "stack"])
	| need(.what | is_text; "what") | need(.pid | is_id; "pid") | need(.tid | is_id; "tid")
	| need(.ts | is_time; "ts") | need(.stack | is_stack; "stack");

def finding: head(["ph", "s", "cat", "cname", "name", "pid", "tid", "ts", "args"])
	| need(.s == "g" and .cname == "terrible"; "s, cname")
	| need(.name as $name | kinds | index($name); "kind") | .args
	| need(if has("more") then (.more | is_id) and .stacks == [] else .stacks != [] end; "more, stacks")
	| del(.more)
	| members(["consumer", "module", "call", "text", "stacks"])
	| need(all(.consumer, .module, .call, .text; is_text); "a text")
	| need(.call as $call | $call == "-" or ($calls | has($call)); "call")
	| all(.stacks[]; account);

def flying: members(["tid", "consumer", "module", "call", "us"])
	| need(.tid | is_id; "tid") | need(all(.consumer, .module; is_text); "whose")
	| need(.call as $call | $calls | has($call); "call") | need(.us | is_time; "us");

def crash: head(["ph", "s", "cat", "name", "pid", "tid", "ts", "args"])
	| need(.s == "p"; "s") | need(.name | test("^SIG[A-Z]+$"); "name") | .args
	| members(["address", "stack", "in_flight"])
	| need(.address | test("^0x[0-9a-f]+$"); "address") | need(.stack | is_stack; "stack")
	| all(.in_flight[]; flying);

# ----

def event: need(type == "object"; "no object") |
	if .ph == "M" then metadata
	elif .ph == "X" and .cat == "call" then call
	elif .ph == "i" and .cat == "life" then life
	elif .ph == "b" and (.cat == "module" or .cat == "consumer") then span_begins
	elif .ph == "e" and (.cat == "module" or .cat == "consumer") then span_ends
	elif .ph == "i" and .cat == "process" then start
	elif .ph == "X" and .cat == "fork" and (.name == "fork" or .name == "forked") then fork_slice
	elif (.ph == "s" or .ph == "f") and .cat == "fork" then flow
	elif .ph == "i" and .cat == "finding" then finding
	elif .ph == "i" and .cat == "crash" then crash
	else error("unknown kind of event") end;

# The line itself: an event with a comma and nothing behind; times are decimal, with
# three digits behind the point.
def check: . as $line
	| try (if endswith("},") then .[:-1] | fromjson else error("no comma") end) catch null
	| if . == null then "broken"
	else (try (event, ($line | need(test("\"ts\":[0-9]+\\.[0-9]{3}[,}]"); "form of ts")))
		catch error("\(.): \($line)")) | "good" end;

if input != "[" then error("the first line is not [") else . end
| reduce (inputs | [., [check][0]]) as [$line, $is] ({"good": 0, "broken": 0};
	.[$is] += 1 | if .broken > $broken then error("broken: \($line)") else . end)
| .good
