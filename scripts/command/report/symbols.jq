# symbols.jq: reads what eu-addr2line -a -f -i -C said, a file for each object, the
# first line of which is {"path":...,"build_id":...}:
#
#   0x0000000000001234
#   function [inlined at FILE:LINE:COLUMN in function]      \ two lines for each function,
#   FILE:LINE:COLUMN                                        / innermost first
#
# Output: {"PATH NUL BUILD_ID NUL 0xOFFSET": [{function, file, line, inlined}, ...]}.
include "trace";

def is_number: length > 0 and length < 10 and (explode | all(. >= 48 and . <= 57));

def place:
  split(":") as $parts
  | ($parts | length) as $n
  | (if $n > 2 and ($parts[-1] | is_number) and ($parts[-2] | is_number) then $n - 2
    elif $n > 1 and ($parts[-1] | is_number) then $n - 1
    else $n
    end) as $name
  | ($parts[:$name] | join(":")) as $file
  | (if $name < $n then $parts[$name] | tonumber else 0 end) as $line
  | if $file == "??" or $file == "" then {file: null, line: null}
    else {file: $file, line: (if $line > 0 then $line else null end)}
    end;

def function: split(" inlined at ")[0] | if . == "??" or . == "" then null else . end;

[foreach inputs as $line ({};
    if input_filename != .from then {from: input_filename, object: ($line | fromjson)}
    elif ($line | startswith("0x")) and ($line[2:] | is_hex) then
      {from, object, key: "\(.object.path)\u0000\(.object.build_id)\u00000x\($line[2:] | without_zeros)"}
    elif .name == null or .place != null then {from, object, key, name: $line}
    else {from, object, key, name, place: $line}
    end;
    if .key != null and .place != null
    then [.key, {function: (.name | function)} + (.place | place)]
    else empty
    end)
  ]
| group_by(.[0])
| map({(.[0][0]): (map(.[1] | select(.function != null))
    # All but the outermost were compiled into the next one.
    | (length - 1) as $outermost
    | to_entries | map(.value + {inlined: (.key < $outermost)}))})
| add
