# draw.jq: reads a trace once more, for the timeline, and writes what is drawn, a
# line each. Numbers that end in _N stand for a string that an earlier line gave:
#
#   ["string", N, STRING]
#   ["stack", N, PROCESS, [FRAME, ...]]            FRAME as in the trace
#   ["parameters", N, OBJECT]
#   ["call", PROCESS, TID, TS, DURATION, FUNCTION_N, CONSUMER_N, MODULE_N, RV_N, PARAMETERS_N]
#   ["life", PROCESS, TID, TS, NAME_N, CONSUMER_N, MODULE_N, RV_N, DETAIL_N, STACK_N]
#   ["span", PROCESS, "b"|"e", TS, ID, MODULE, CONSUMER or null]
#   ["fork", PARENT, TID, TS, CHILD, TID, TS]
#
# PROCESS is an index into the report's processes. A page stays usable with about
# 100,000 calls; of more, those that took longest are drawn, and a regular sample of the
# others. $trace: what collect.jq made.
include "trace";

def most: 100000;
def most_life: 20000;
def most_parameters: 20000;

($trace[0].calls | map(.calls) | add | if . == null then 0 else . end) as $calls
# From which bucket on all calls are drawn, and how many of the others are skipped.
| (if $calls <= most then {all_from: -1000, each: 1} else
    ([$trace[0].calls[].took | select(. != null) | to_entries[]] | group_by(.key)
      | map([(.[0].key | tonumber), (map(.value) | add)]) | sort | reverse
      | reduce .[] as $b ({n: 0, all_from: 1000};
          if .full then .
          elif .n + $b[1] > most / 2 then .full = true
          else .n += $b[1] | .all_from = $b[0] end))
    | {all_from, each: ($calls / (most / 2) | ceil)}
  end) as $thin
| ($trace[0].life | if . > most_life then (. / most_life | ceil) else 1 end) as $each_life

| def bucket: if . < 0.001 then -160 else log2 * 16 | floor end;

  # The state is flat and changes in place; see trace.jq. .out: the lines to write.
  def string($s): if .["string " + $s] == null
    then .strings as $n | setpath(["string " + $s]; $n) | setpath(["strings"]; $n + 1)
      | setpath(["out"]; .out + [["string", $n, $s]])
    else . end;
  def parameters($a): ($a | tojson) as $key
    | if .["parameters " + $key] == null and .parameters < most_parameters
      then .parameters as $n | setpath(["parameters " + $key]; $n) | setpath(["parameters"]; $n + 1)
        | setpath(["out"]; .out + [["parameters", $n, $a]])
      else . end;
  def stack($p; $frames): "stack \($p) \($frames | tojson)" as $key
    | if .[$key] == null
      then .stacks as $n | setpath([$key]; $n) | setpath(["stacks"]; $n + 1)
        | setpath(["out"]; .out + [["stack", $n, ($p | tonumber), $frames]])
      else . end;

  foreach (inputs | event | select(. != null and . != false)) as $e (
    {processes: 0, strings: 0, stacks: 0, parameters: 0, calls: 0, life: 0, out: []};
    setpath(["out"]; [])
    | (if $e.cat == "call" and .["of " + ($e.pid | tostring)] != null then . else know_process($e) end)
    | if $e.cat == "call" then
        if $e.ph != "X" then .
        else
          setpath(["calls"]; .calls + 1)
          | if $thin.each == 1 or .calls % $thin.each == 0 or ($e.dur | bucket) >= $thin.all_from then
              ($e.args | del(.consumer, .module, .rv)) as $parameters
              | string($e.name) | string($e.args.consumer) | string($e.args.module) | string($e.args.rv)
              | parameters($parameters)
              | .["of " + ($e.pid | tostring)] as $p
              | [.["string " + $e.name], .["string " + $e.args.consumer], .["string " + $e.args.module],
                  .["string " + $e.args.rv], .["parameters " + ($parameters | tojson)]] as $n
              | setpath(["out"]; .out + [["call", ($p | tonumber), $e.tid, $e.ts, $e.dur] + $n])
            else .
            end
        end
      elif $e.cat == "life" then
        setpath(["life"]; .life + 1)
        | if $each_life == 1 or .life % $each_life == 0 or ($e.name | endswith("Session") | not) then
            process_of($e.pid) as $p
            | [$e.name, ($e.args | (.consumer, .module, .rv, .detail) | word)] as $words
            | ($e.args.stack | strings) as $frames
            | string($words[0]) | string($words[1]) | string($words[2]) | string($words[3]) | string($words[4])
            | stack($p; $frames)
            | [.["string " + $words[]]] as $n
            | .["stack \($p) \($frames | tojson)"] as $stack
            | setpath(["out"]; .out + [["life", ($p | tonumber), $e.tid, $e.ts] + $n + [$stack]])
          else .
          end
      elif ($e.cat == "module" or $e.cat == "consumer") and ($e.ph == "b" or $e.ph == "e") then
        process_of($e.pid) as $p
        | setpath(["out"]; [["span", ($p | tonumber), $e.ph, $e.ts, "\($e.cat) \($e.id | word)",
            ($e.args.module | word), (if $e.cat == "consumer" then $e.args.consumer | word else null end)]])
      elif $e.cat == "fork" and ($e.id | is_word) then
        process_of($e.pid) as $p
        | if $e.ph == "s" then setpath(["flow " + $e.id]; [($p | tonumber), $e.tid, $e.ts])
          elif $e.ph == "f" then
            .["flow " + $e.id] as $from
            | if $from == null then . else
                setpath(["out"]; [["fork"] + $from + [($p | tonumber), $e.tid, $e.ts]])
              end
          else .
          end
      else .
      end;
    .out[])
