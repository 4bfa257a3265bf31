# text.jq: the report (report.jq) for a terminal. $colour: true or false.

def width: 96;

def shorten($n): if length > $n then .[:($n / 2 | floor) - 1] + "…" + .[length - $n + ($n / 2 | floor):] else . end;

# What a trace says is not trusted to reach a terminal: no control characters, none
# that turn the direction of writing, and not without end.
def clean: if . == null then "" else tostring | explode
  | map(if . < 32 or (. >= 127 and . < 160) or (. >= 8206 and . <= 8207)
      or (. >= 8232 and . <= 8238) or (. >= 8294 and . <= 8297) or . == 65279 then 63 else . end)
  | implode | shorten(400) end;

def paint($code): if $colour then "\u001b[\($code)m\(.)\u001b[0m" else . end;
def bold: paint("1");
def dim: paint("2");
def severity_colour: {crash: "1;31", error: "1;33", leak: "1;36"}[.] // "1";

def spaces($n): if $n > 0 then " " * $n else "" end; # jq 1.6: " " * 0 is null
def left($n): . + spaces($n - length);
def right($n): spaces($n - length) + .;
def shorten_end($n): if length > $n then .[:$n - 1] + "…" else . end;
def tail_of($n): if length > $n then "…" + .[length - $n + 1:] else . end;

def wrap($indent; $n):
  reduce (split(" ")[] | select(. != "")) as $word ([""];
    if .[-1] == "" then .[:-1] + [$word]
    elif (.[-1] | length) + 1 + ($word | length) > $n - $indent then . + [$word]
    else .[:-1] + [.[-1] + " " + $word]
    end)
  | map(spaces($indent) + .) | join("\n");
def paragraph: wrap(4; width);

def thousands: tostring | if length > 3 then (.[:-3] | thousands) + "," + .[-3:] else . end;
def many($n; $one; $several): "\($n | thousands) \(if $n == 1 then $one else $several end)";

def three: # three digits that matter
  if . >= 100 then round | tostring
  elif . >= 10 then . * 10 | round | "\(. / 10 | floor).\(. % 10)"
  else . * 100 | round | "\(. / 100 | floor).\(. % 100 | tostring | ("0" + .)[-2:])"
  end;
def duration: # of microseconds
  if . == null then "-"
  elif . < 999.5 then three + " µs"
  elif . < 999500 then . / 1000 | three + " ms"
  else . / 1000000 | three + " s"
  end;
def seconds: # of microseconds: 1.234567
  (. / 1000000 | floor) as $s | (. - $s * 1000000 | floor | tostring | ("00000" + .)[-6:]) | "\($s).\(.)";

def heading: "\n" + (. | bold);

# When something was, counted from the beginning of the trace.
def moment($report):
  if . == null then "" else (. - $report.begin) | if . < 0 then "" else "at \(seconds) s" end end;

def frame_line($names):
  (.object | clean | split("/") | last // "") as $object
  | (if .function != null then .function | clean
    elif .object != null then "\($object)+\(.offset)"
    else .offset | clean end) as $what
  | (if .inlined then "(inlined)" else $object end) as $last
  | ([width - 15 - $names - ($last | length), 20] | max) as $room
  | (if .file != null then "\(.file | clean)\(if .line then ":\(.line)" else "" end)" | tail_of($room) else "" end) as $where
  | ($what | shorten(40) | left($names)) + "  " + (if .function == null then ""
      else ([$where, $last] | map(select(. != "")) | join("  ")) end)
  | sub(" +$"; "");

# What comes before main is the same in every stack.
def from_main: ([range(length) as $i | select(.[$i].function == "main") | $i] | last) as $main
  | if $main == null then . else .[:$main + 1] end;

def stack_lines:
  (.frames | from_main) as $frames
  | ([$frames[] | (if .function != null then .function | clean | length else 0 end)] + [0] | max | [., 40] | min) as $names
  | if $frames == [] then "        (no stack)"
    else $frames | to_entries[] | "      " + ("#\(.key)" | right(3) | dim) + " " + (.value | frame_line($names))
    end;

def stack_of($report):
  "    " + (.what | clean | bold) + (
    [(.ts | moment($report)), (if .pid then "process \(.pid)" else empty end),
      (if .tid and .tid != .pid then "thread \(.tid)" else empty end)]
    | map(select(. != "")) | if . == [] then "" else "   " + (join(", ") | dim) end),
  stack_lines;

def finding($report):
  (.severity | severity_colour) as $colour_of
  | "",
  ("\(.id). " + (.title | clean) | paint($colour_of))
    + (if .count > 1 then "  \(.count | thousands) times" else "" end)
    + (if (.processes | length) > 1 then ", in \(.processes | length) processes" else "" end)
    + "  " + ("[\(.name | clean)]" | dim),
  ((if .text != "" then .text | clean
    else "\(.consumer | clean): \(.call | clean) of \(.module | clean)" end) | paragraph),
  (if .consumer != "" and .consumer != "-" then
    "    " + ("consumer \(.consumer | clean), module \(.module | clean)\(if .call != "" then ", call " + (.call | clean) else "" end)" | dim)
  else empty end),
  "",
  (.explanation | paragraph),
  (.stacks[] | "", stack_of($report)),
  "",
  ("What to do: " + .advice | paragraph);

def process($report):
  ("  " + ("\(.pid)" | right(7)) + "  " + (if .program then .program | clean | tail_of(60) else .name | clean end | bold)
    + (if .parent then "  " + ((if .parent_id != null then "forked from \(.parent)" else "started by \(.parent)" end) | dim) else "" end)),
  ([
    (if .started then "from " + (.started | clean | split("T") | last | rtrimstr("Z")) else empty end),
    (if .mode == "life" then "life cycle only" else many(.calls; "call"; "calls")
      + (if .errors > 0 then ", \(.errors | thousands) failed" else "" end) end),
    (if .ended then .ended | clean else empty end)]
    | join("; ") | wrap(11; width));

def at_most($n; $what): # prints the first lines of a long list
  if length > $n + 1 then .[:$n][], "  … and \(length - $n | thousands) more \($what) (--json has all)" else .[] end;

def table($report):
  .[0].module as $mod
  | ([.[].consumer | clean | length] + [8] | max | [., 24] | min) as $a
  | ([.[].function | clean | length] + [8] | max | [., 26] | min) as $b
  | ("CALLS of \($mod | clean), most expensive first" | heading),
  ("  " + ("consumer" | left($a)) + "  " + ("function" | left($b)) + ("calls" | right(10)) + ("failed" | right(9))
    + ("median" | right(9)) + ("99 %" | right(9)) + ("longest" | right(9)) + ("total" | right(9)) | dim),
  ([.[] | "  " + (.consumer | clean | shorten($a) | left($a)) + "  " + (.function | clean | shorten($b) | left($b))
    + (.calls | thousands | right(10))
    + (.errors | if . == 0 then "-" else thousands end | right(9))
    + (.p50_us | duration | right(9)) + (.p99_us | duration | right(9)) + (.max_us | duration | right(9))
    + (.total_us | duration | right(9))] | at_most(40; "functions"));

. as $report
| ([.processes[].calls] | add) as $calls
| ([.processes[].errors] | add) as $errors
| ("p11shim report" | bold) + "  " + (.files | map(clean) | join(", ")),
"",
"  " + ([many(.processes | length; "process"; "processes"), many(.modules | length; "module"; "modules"),
  many(.consumers | length; "consumer"; "consumers"),
  (if all(.processes[]; .mode == "life") then "calls were not recorded"
    else many($calls; "call"; "calls") + (if $errors > 0 then " (\($errors | thousands) failed)" else "" end) end)] | join(", ")),
"  " + ([(.findings | length | if . == 0 then "no finding" else many(.; "finding"; "findings") end | if $report.findings == [] then . else bold end),
  (.crashes | length | if . == 0 then empty else many(.; "crash"; "crashes") | paint("1;31") end)] | join(", "))
  + (if .started then "; from \(.started | split(".")[0] | sub("T"; " ")) UTC" else "" end) + ", \(.seconds * 1000000 | duration) long",
(.notes[] | "  note: " + clean),
(if .broken_lines > 0 then
  "  note: " + many(.broken_lines; "line"; "lines") + " could not be read, and are left out (the disk was full, or a process was killed while it wrote)"
else empty end),

("PROCESSES" | heading),
([.processes[] | [process($report)] | join("\n")] | at_most(40; "processes")),

(if .modules == [] then empty else ("MODULES" | heading) end),
(.modules[] | "  " + (.name | clean | bold) + "  " + (.paths | map(select(. != "") | clean) | join(", ")),
  "           " + ([many(.calls; "call"; "calls") + (if .errors > 0 then ", \(.errors | thousands) failed" else "" end),
    (if .initialised > 0 then "initialised " + many(.initialised; "time"; "times") else empty end),
    "used by " + many(.consumers; "consumer"; "consumers")] | join("; "))),

(if .consumers == [] then empty else ("CONSUMERS" | heading) end),
(.consumers[] | "  " + (.name | clean | bold) + " of \(.module | clean)  " + (.paths | map(select(. != "") | clean) | join(", ") | dim),
  "           " + ([many(.calls; "call"; "calls") + (if .errors > 0 then ", \(.errors | thousands) failed" else "" end),
    (if .findings > 0 then many(.findings; "finding"; "findings") else empty end)] | join("; "))),

("FINDINGS" | heading),
(if .findings == [] then "  None: all consumers kept to the rules that the library watches." else .findings[] | finding($report) end),

(if .crashes == [] then empty else ("CRASHES" | heading),
  (.crashes[] | "",
    ("  \(.signal | clean)" | paint("1;31")) + "  process \(.pid), thread \(.tid), \(.ts | moment($report))"
      + (if .address != "" then ", address \(.address | clean)" else "" end),
    stack_lines,
    (if .in_flight == [] then "    No call into a module was running."
    else "    Calls that were running:" end),
    (.in_flight[] | "      thread \(.tid): \(.consumer | clean) in \(.call | clean) of \(.module | clean)"
      + (if .us then ", for \(.us | duration)" else "" end)))
end),

(.functions | group_by(.module) | sort_by(-([.[].calls] | add))[] | sort_by(-(.total_us // 0), -.calls) | table($report)),

(if .errors == [] then empty else ("FAILED CALLS by return value" | heading) end),
(([.errors[].rv | clean | length] + [0] | max | [., 40] | min) as $a
| .errors[] | ("  " + (.rv | clean | left($a)) + (.calls | thousands | right(9)) + "  "
  + ([.by[] | "\(.consumer | clean) \(.function | clean)\(if .calls > 1 then " (\(.calls | thousands))" else "" end)"]
    | if length > 3 then .[:3] + ["…"] else . end | join(", "))
  | shorten_end(width))),
""
