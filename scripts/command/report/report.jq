# report.jq: what is said in the end, as one JSON document. `p11shim report --json`
# prints it as it is:
#
#   version      1
#   files        the names of the traces
#   events       how many events were read, of any kind
#   broken_lines lines that could not be read: a full disk, or a process killed while it wrote
#   started      wall clock of the first event, or null
#   seconds      from the first event to the last
#   processes    [{id, pid, program, name, parent, parent_id, started, first_ts, last_ts,
#                mode, version, calls, errors, threads, crash, still_initialised
#                [{module, consumers}], ended}]; parent_id: the id of the process that it
#                was forked from, where that is in the trace; ended: in words, or null
#   modules      [{name, paths, initialised, processes, consumers, calls, errors}]
#   consumers    [{name, module: .module, paths, processes, calls, errors, findings}]
#   findings     [{id, name, title, severity, explanation, advice, consumer, module, call,
#                text, count, processes, stacks}]; equal ones of all processes (PIDs) are
#                one, with their count; stacks are those of the first, the act before what
#                led to it: [{what, pid, tid, ts, frames}]
#   functions    [{consumer, module, function, calls, errors, p50_us, p99_us, max_us, total_us,
#                errors_by_rv}], most expensive first; a percentile is right to 2.2 %; null
#                where only life-cycle events were recorded
#   errors       [{rv, calls, by: [{consumer, function, calls}]}]
#   crashes      [{signal, pid, tid, ts, address, frames, in_flight [{tid, consumer, module,
#                call, us}]}]
#   notes        what the reader ought to know about the report itself
#
# frames: [{object, offset, function, file, line, inlined}], innermost first; object null:
# the offset is a bare address. ts: microseconds of the trace's own clock.
#
# Input: what collect.jq made; $symbols, $kinds (findings.json), $files, $notes. What
# text and page need beyond the above (occurrences of findings; begin, finish, epoch,
# shift: the clocks) json.jq takes out again.
include "trace";

# The wall clock of ts 0, in microseconds, as a process sees it; null if it has not said.
def epoch:
  if .time == null or .started == null then null
  else . as $p | (try (.time | split(".") | (.[0] | rtrimstr("Z") + "Z" | fromdateiso8601) * 1000000
    + ("0." + ((.[1] | if . == null then "0" else rtrimstr("Z") end)) | tonumber * 1000000))
    catch null) | if . == null then null else . - $p.started end
  end;

def date_of: if . == null then null else
  (. / 1000000 | floor) as $s | ($s | todate | rtrimstr("Z")) + "." + (. - $s * 1000000 | floor | tostring | "00000" + . | .[-6:]) + "Z" end;

def percentile($share): # of {calls, took: {bucket: calls}, least, most}
  if .most == null or .took == null then null
  else . as $all
  | ([.took | to_entries[] | [(.key | tonumber), .value]] | sort) as $buckets
  | ($all.calls * $share | ceil) as $wanted
  | (reduce $buckets[] as $b ({n: 0, at: null};
      if .at != null then . else .n += $b[1] | if .n >= $wanted then .at = $b[0] else . end end) | .at) as $at
  | if $at <= -160 then $all.least else pow(2; ($at + 0.5) / 16) end
  | [[., $all.most] | min, $all.least] | max | micro
  end;

def sums: # of a list of {key: number}
  reduce (.[] | select(. != null) | to_entries[]) as $e ({}; .[$e.key] += $e.value);

def sorted_object: to_entries | sort_by(-.value, .key) | from_entries;

# A finding that only says "N more" belongs to the last one of its kind.
def kind: [.name, .consumer, .call] | tojson;
def same: [.name, .consumer, .module, .call, (.stacks[0].stack | if . == null then [] else map(frame) end)] | tojson;

. as $trace
| $symbols[0] as $symbols | $kinds[0] as $kinds
| ([.calls | group_by(.process)[] | {key: (.[0].process | tostring), value: .}] | from_entries) as $calls_of
| ([$trace.calls[] | {key: (.process | tostring), value: .last}] | group_by(.key)
  | map({(.[0].key): (map(.value) | max)}) | add) as $last_call
| ([.processes[] | epoch | select(. != null)] | .[0]) as $epoch
# Processes of another boot have another clock; they are moved onto the first one's.
| ([.processes[] | epoch as $own | if $own == null or $epoch == null then 0
  elif ($own - $epoch | if . < 0 then -. else . end) > 60000000 then $own - $epoch else 0 end]) as $shift
| ([.processes[] | . as $p | (.index | tostring) as $i
  | [.last, $last_call[$i]] | max]) as $last
| ([.processes[] | select(.first != null) | .first + $shift[.index]] | min) as $begin
| ([.processes[] | select(.first != null) | $last[.index] + $shift[.index]] | max) as $finish
| (reduce ($trace.findings | to_entries[]) as $f ({};
    $f.value as $finding
    | ($finding | kind) as $kind
    | (if $finding.more != null and ($finding.stacks | map(.stack[]) | length) == 0 and .last[$kind] != null
      then .last[$kind] else ($finding | same) end) as $same
    | .last[$kind] = $same
    | .order[$same] = (.order[$same] | if . == null then $f.key else . end)
    | .members[$same] += [$f.key])
  | . as $folded
  | if .order == null then [] else .order | to_entries | sort_by(.value) | map($folded.members[.key]) end) as $groups
| {
    version: 1,
    files: $files,
    events, broken_lines: .broken,
    started: (if $epoch == null then null else $begin + $epoch | date_of end),
    seconds: (if $begin == null then 0 else $finish - $begin | . / 1000 | round / 1000 end),
    processes: [.processes[] | . as $p | .index as $i
      | ($calls_of[$i | tostring] | if . == null then [] else . end) as $calls
      | [.open | if . == null then empty else .[] end] as $open
      | ([$open[] | select(.module != "" and .cat == "module") | .module] | unique
        | map(. as $mod | {module: $mod, consumers: ([$open[]
          | select(.cat == "consumer" and .module == $mod) | .consumer] | unique)})) as $still
      | {
          id: $i, pid,
          program: (.program | if . == "" then null else . end),
          name: (if .program != null and .program != "" then .program | basename else .name end
            | if . == null or . == "" then "process \($p.pid)" else . end),
          parent: (if .parent != null then .parent else .forked end),
          parent_id: (.forked_from | if . == null then null else tonumber end),
          started: (.time | if . == "" then null else . end),
          first_ts: (.first | micro), last_ts: ($last[$i] | micro),
          mode, version: (.version | if . == "" then null else . end),
          calls: ([$calls[].calls] | add | if . == null then 0 else . end),
          errors: ([$calls[].errors] | add | if . == null then 0 else . end),
          threads: (.threads | if . == null then null else length end),
          crash,
          still_initialised: $still,
          ended: (
            ($still | map(.module + " still initialised"
              + (if .consumers == [] then "" else " (by \(.consumers | join(", ")))" end)) | join(", ")) as $left
            | if .crash != null then "crashed: \(.crash)" + (if $still == [] then "" else ", with " + $left end)
              elif $still != [] then "ended with " + $left
              else null
              end)
        }],
    modules: [.modules[] | .name as $mod | [$trace.calls[] | select(.module == $mod)] as $calls | {
      name, paths, initialised,
      processes: ([$calls[].process] | unique | length),
      consumers: ([$trace.consumers[] | select(.module == $mod) | .name] | unique | length),
      calls: ([$calls[].calls] | add | if . == null then 0 else . end),
      errors: ([$calls[].errors] | add | if . == null then 0 else . end)}] | sort_by(-.calls, .name),
    consumers: [.consumers[] | . as $c
      | [$trace.calls[] | select(.consumer == $c.name and .module == $c.module)] as $calls | {
      name, module: .module, paths,
      processes: ([$calls[].process] | unique | length),
      calls: ([$calls[].calls] | add | if . == null then 0 else . end),
      errors: ([$calls[].errors] | add | if . == null then 0 else . end),
      findings: ([$groups[] | $trace.findings[.[0]] | select(.consumer == $c.name and .module == $c.module)] | length)}]
      | sort_by(-.calls, .name, .module),
    findings: [$groups | to_entries[] | .key as $n | [.value[] | $trace.findings[.]] as $members | $members[0] | . as $first
      | ($kinds[.name] | if . == null then {} else . end) as $about | {
      id: ($n + 1), name,
      title: ($about.title | if . == null then $first.name else . end),
      severity: ($about.severity | if . == null then "error" else . end),
      explanation: ($about.explanation | if . == null then "This report does not know findings of this kind; it may be older than the library that recorded them." else . end),
      advice: ($about.advice | if . == null then "See the manual of the library that recorded it." else . end),
      consumer, module: .module, call, text,
      count: ([$members[] | if .more == null then 1
        elif (.stacks | map(.stack[]) | length) == 0 then .more else .more + 1 end] | add),
      processes: ([$members[].pid] | unique),
      occurrences: [$members[] | {process, tid, ts}],
      stacks: [.stacks[] | {what, pid, tid, ts, frames: (.process as $p | .stack | frames($trace; $symbols; $p))}]}],
    functions: [.calls | group_by([.consumer, .module, .function])[]
      | {consumer: .[0].consumer, module: .[0].module, function: .[0].function,
         calls: (map(.calls) | add), errors: (map(.errors) | add), total: (map(.total) | add),
         least: (map(.least | select(. != null)) | min), most: (map(.most) | max),
         took: (map(.took) | sums), rv: (map(.rv) | sums)}
      | {consumer, module: .module, function, calls, errors,
         p50_us: percentile(0.5), p99_us: percentile(0.99), max_us: (.most | micro),
         total_us: (if .most == null then null else .total | micro end),
         errors_by_rv: (.rv | sorted_object)}]
      | sort_by(-(.total_us // 0), -.calls, .consumer, .function),
    errors: ([.calls[] | select(.errors > 0) | . as $c | .rv | to_entries[]
        | {rv: .key, consumer: $c.consumer, function: $c.function, calls: .value}]
      | group_by(.rv) | map({rv: .[0].rv, calls: (map(.calls) | add),
        by: (group_by([.consumer, .function]) | map({consumer: .[0].consumer, function: .[0].function,
          calls: (map(.calls) | add)}) | sort_by(-.calls))}) | sort_by(-.calls, .rv)),
    crashes: [.crashes[] | {signal: .name, pid, tid, ts, address, process,
      frames: (.process as $p | .stack | frames($trace; $symbols; $p)), in_flight}],
    notes: $notes,
    shift: $shift, begin: $begin, epoch: $epoch, finish: $finish
  }
