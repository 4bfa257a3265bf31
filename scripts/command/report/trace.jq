# trace.jq: what all programs here know of a trace. Runs on jq 1.6 and newer.
#
# What is carried from line to line (the state) is one flat object, changed by
# setpath([KEY]; VALUE) alone: that changes it in place, while `|=`, `+=`, a `//`
# before it, and in jq 1.6 any longer path, copy it at every step. For the same
# reason no variable ever holds the state.

# A line of the file to its event; null for a line that is none by design; false
# for one that cannot be read (cut off, or not of the form that the shim writes).
# jq orders null < false < true < numbers < strings < arrays < objects, so that two
# comparisons tell a type and more.
def is_time: . >= 0 and . < 1e15;
def is_word: . >= "" and . < [];
def event:
  if . == "" or . == "[" or . == "]" then null
  else (rtrimstr(",") | fromjson)? // false
  | if . >= {} and (.ts | is_time) and (.pid | is_time) and (.tid | is_time) and (.name | is_word)
      and (.args >= {} or .args == null)
    then
      if .ph != "X" then .
      elif (.dur | is_time) and (.cat != "call" or (.args >= {}
        and (.args.consumer | is_word) and (.args.module | is_word) and (.args.rv | is_word)))
      then .
      else false
      end
    else false
    end
  end;

# For fields that ought to be strings, numbers, arrays of strings.
def word: if type == "string" then . elif . == null then "" else tojson end;
def number: if type == "number" then . else null end;
def strings: if type == "array" then map(select(type == "string")) else [] end;
def objects_of: if type == "array" then map(select(type == "object")) else [] end;

def basename: split("/") | last | if . == null then "" else . end;

# Processes. A number can come again: after exec, or in the next run that was
# written to the same file. Each "start" is a process of its own, unless all that
# is known of the number so far are names. State:
#
#   processes      how many there are
#   of PID         the index of the one that has this number now, as a string
#   process INDEX  {pid, seen, first, ...}
def process_of($pid): .["of " + ($pid | tostring)];

def change($key; f): .[$key] as $value | setpath([$key]; $value | f);

def know_process($e):
  ($e.pid | tostring) as $pid
  | .["of " + $pid] as $p
  | (if $p == null then null else .["process " + $p].seen end) as $seen
  | if $seen == null or ($seen and $e.cat == "process" and $e.name == "start") then
      (.processes | tostring) as $p
      | setpath(["processes"]; .processes + 1)
      | setpath(["of " + $pid]; $p)
      | setpath(["process " + $p]; {pid: $e.pid, seen: ($e.ph != "M"), first: $e.ts, last: $e.ts})
    elif ($seen | not) and $e.ph != "M" then
      change("process " + $p; .seen = true)
    else .
    end;

# A stack's frame as the shim wrote it to [path, offset]; path null where the
# address lay in no object.
def without_zeros: if length > 1 and startswith("0") then .[1:] | without_zeros else . end;
def is_hex: length > 0 and length <= 16 and (explode | all((. >= 48 and . <= 57) or (. >= 97 and . <= 102)));
def frame:
  if startswith("0x") then [null, .]
  else split("+0x") as $parts
  | if ($parts | length) > 1 and ($parts[-1] | is_hex)
    then [($parts[:-1] | join("+0x")), "0x" + ($parts[-1] | without_zeros)]
    else [null, .]
    end
  end;

# The build id that a process (by index) has told of a path; else the one that any has.
def build_id($trace; $p; $path):
  (if $p == null then null else $trace.processes[$p].objects[$path] end)
  | if . == null then $trace.objects[$path] else . end
  | if . == null then "" else . end;

# Under this key a frame's symbols are found.
def symbol_key($trace; $p): frame
  | if .[0] == null then null else [.[0], build_id($trace; $p; .[0]), .[1]] | join("\u0000") end;

def micro: if . == null then null else . * 1000 | round / 1000 end;

# A stack of process $p for people: a list of {object, offset, function, file, line,
# inlined}. $symbols: what symbols.jq made.
def frames($trace; $symbols; $p):
  map(frame as $f | symbol_key($trace; $p) as $key
    | (if $key == null then null else $symbols[$key] end) as $names
    | {object: $f[0], offset: $f[1]} as $place
    | if $names == null or ($names | length) == 0
      then $place + {function: null, file: null, line: null, inlined: false}
      else $names[] | $place + {function, file, line, inlined}
      end);
