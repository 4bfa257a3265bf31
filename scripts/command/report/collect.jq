# collect.jq: reads a trace, a line at a time, and keeps what the report needs:
#
#   jq -nR -L . -f collect.jq FILE
#
# Calls are not kept, only counted: for each process, consumer, module and function
# their number, errors, sum and extremes, and a histogram of how long they took.
# The histogram has 16 buckets to each doubling, so a percentile is right to 2.2 %.
#
# State, beside that of trace.jq (ID: a number for a process's consumer, module, function):
#
#   id PROCESS CONSUMER MODULE FUNCTION (separated by NUL)   its ID
#   names ID     [process, consumer, module, function]
#   sum ID       [calls, errors, total, least, most, end of the last]
#   took ID B    calls in bucket B of the histogram
#   rv ID CKR    calls that returned it
#   module NAME, consumer NAME MODULE, build PATH, finding N, crash N
include "trace";

def bucket: if . < 0.001 then -160 else log2 * 16 | floor end;

def count($key): .[$key] as $n | setpath([$key]; $n + 1);

# That there is such a module, such a consumer; and where it lies, once known.
def know_module($mod; $path; $times):
  if $mod == "" or $mod == "-" then .
  else change("module " + $mod;
    if . == null then {name: $mod, paths: [], initialised: 0} else . end
    | .initialised += $times
    | if $path == "" then . else .paths = (.paths + [$path] | unique) end)
  end;
def know_consumer($consumer; $mod; $path):
  if $consumer == "" or $consumer == "-" then .
  else change("consumer " + $consumer + "\u0000" + $mod;
    if . == null then {name: $consumer, module: $mod, paths: []} else . end
    | if $path == "" then . else .paths = (.paths + [$path] | unique) end)
  end;

def count_call($p; $consumer; $mod; $name; $rv; $ts; $dur):
  ($p + "\u0000" + $consumer + "\u0000" + $mod + "\u0000" + $name) as $key
  | (if $rv == "CKR_OK" then 0 else 1 end) as $error
  | .["id " + $key] as $id
  | if $id == null then
      (.ids | tostring) as $id
      | setpath(["ids"]; .ids + 1)
      | setpath(["id " + $key]; $id)
      | setpath(["names " + $id]; [$p, $consumer, $mod, $name])
      | know_module($mod; ""; 0) | know_consumer($consumer; $mod; "")
      | setpath(["sum " + $id]; [1, $error, $dur, $dur, $dur, $ts + $dur])
      | if $dur == null then . else count("took " + $id + " " + ($dur | bucket | tostring)) end
      | if $error == 1 then count("rv " + $id + " " + $rv) else . end
    else
      .["sum " + $id] as $sum
      | setpath(["sum " + $id]; [$sum[0] + 1, $sum[1] + $error, $sum[2] + $dur,
          (if $dur < $sum[3] then $dur else $sum[3] end),
          (if $dur > $sum[4] then $dur else $sum[4] end),
          (if $ts + $dur > $sum[5] then $ts + $dur else $sum[5] end)])
      | if $dur == null then . else count("took " + $id + " " + ($dur | bucket | tostring)) end
      | if $error == 1 then count("rv " + $id + " " + $rv) else . end
    end;

def append($list; $value):
  .[$list] as $n | setpath(["\($list) \($n)"]; $value) | setpath([$list]; $n + 1);

# Anything but a call.
def take($e):
  process_of($e.pid) as $p
  | ($e.cat | word) as $cat
  | $e.args as $args
  | change("process " + $p;
      if $e.ph == "M" then
        if $e.name == "process_name" then .name = ($args.name | word)
        elif $e.name == "thread_name" then .threads[$e.tid | tostring] = ($args.name | word)
        elif $e.name == "object" then .objects[$args.path | word] = ($args.build_id | word)
        else .
        end
      else
        .last = ([.last, $e.ts + $e.dur] | max)
        | .first = ([.first, $e.ts] | min)
        | if $cat == "process" then
            . + ($args | {program: (.program | word), time: (.time | word), version: (.version | word),
              mode: (.mode | word), parent: (.parent | number)}) + {started: $e.ts}
          elif $cat == "crash" then .crash = $e.name
          elif $cat == "module" or $cat == "consumer" then
            if $e.ph == "b" then
              .open["\($cat) \($e.id | word)"] = {cat: $cat, module: ($args.module | word),
                consumer: ($args.consumer | word)}
            elif $e.ph == "e" then del(.open["\($cat) \($e.id | word)"])
            else .
            end
          elif $cat == "fork" and $e.name == "forked" then .forked = ($args.parent | number)
          else .
          end
      end)
  | if $e.ph == "M" then
      if $e.name == "object" then setpath(["build " + ($args.path | word)]; $args.build_id | word) else . end
    elif $cat == "life" then
      ($args.consumer | word) as $consumer
      | ($args.module | word) as $mod
      | ($args.rv | word) as $rv
      | setpath(["life"]; .life + 1)
      | know_module($mod; ""; 0)
      | know_consumer($consumer; $mod; "")
      # Where calls are not recorded, these few are the only ones there are.
      | if $consumer != "-" and $rv != "" and .["process " + $p].mode != "calls"
        then count_call($p; $consumer; $mod; $e.name; $rv; $e.ts; null)
        else .
        end
    elif $e.ph == "b" and $cat == "module" then know_module($args.module | word; $args.path | word; 1)
    elif $e.ph == "b" and $cat == "consumer" then
      know_consumer($args.consumer | word; $args.module | word; $args.path | word)
    elif $cat == "fork" and $e.name == "forked" then
      process_of($args.parent) as $parent
      | change("process " + $p; .forked_from = $parent)
    elif $cat == "finding" then
      ([$args.stacks | objects_of | .[].pid] | unique) as $pids
      | ([process_of($pids[])] ) as $indices
      | append("findings"; {
          name: $e.name, process: $p, pid: $e.pid, tid: $e.tid, ts: $e.ts,
          consumer: ($args.consumer | word), module: ($args.module | word),
          call: ($args.call | word), text: ($args.text | word), more: ($args.more | number),
          stacks: ($args.stacks | objects_of | map(.pid as $pid | {
            what: (.what | word), pid: (.pid | number), tid: (.tid | number), ts: (.ts | number),
            process: $indices[$pids | index([$pid])], stack: (.stack | strings)}))})
    elif $cat == "crash" then
      append("crashes"; {
        name: $e.name, process: $p, pid: $e.pid, tid: $e.tid, ts: $e.ts,
        address: ($args.address | word), stack: ($args.stack | strings),
        in_flight: ($args.in_flight | objects_of | map({tid: (.tid | number), consumer: (.consumer | word),
          module: (.module | word), call: (.call | word), us: (.us | number)}))})
    else .
    end;

# The flat state to lists.
def lists:
  . as $state
  | [keys_unsorted[] | . as $key | index(" ") as $space | select($space != null)
    | [$key[:$space], $key[$space + 1:], $state[$key]]] as $entries
  | def all_of($what): $entries[] | select(.[0] == $what);
    def by_id($what): reduce ([all_of($what)] | group_by(.[1] | split(" ")[0])[]) as $group ({};
      . + {($group[0][1] | split(" ")[0]): ($group | map({(.[1] | split(" ")[1:] | join(" ")): .[2]}) | add)});
    by_id("took") as $took
  | by_id("rv") as $rv
  | {
      events, broken, life,
      processes: [range(.processes) | $state["process \(.)"] + {index: .}],
      objects: ([all_of("build") | {(.[1]): .[2]}] | add),
      modules: [all_of("module") | .[2]],
      consumers: [all_of("consumer") | .[2]],
      calls: [all_of("names") | .[1] as $id | .[2] as $names | $state["sum " + $id] as $sum
        | {process: ($names[0] | tonumber), consumer: $names[1], module: $names[2], function: $names[3],
           calls: $sum[0], errors: $sum[1], total: $sum[2], least: $sum[3], most: $sum[4], last: $sum[5],
           took: $took[$id], rv: $rv[$id]}],
      findings: [range(.findings) | $state["findings \(.)"] | .process |= tonumber
        | .stacks[].process |= (if . == null then null else tonumber end)],
      crashes: [range(.crashes) | $state["crashes \(.)"] | .process |= tonumber]
    };

reduce (inputs | event) as $e (
  {events: 0, broken: 0, life: 0, processes: 0, ids: 0, findings: 0, crashes: 0};
  if $e == null then .
  elif $e == false then setpath(["broken"]; .broken + 1)
  else
    setpath(["events"]; .events + 1)
    | if $e.cat == "call" and $e.ph == "X" then
        .["of " + ($e.pid | tostring)] as $p
        | if $p == null then know_process($e) else . end
        | .["of " + ($e.pid | tostring)] as $p
        | count_call($p; $e.args.consumer; $e.args.module; $e.name; $e.args.rv; $e.ts; $e.dur)
      else know_process($e) | take($e)
      end
  end)
| lists
