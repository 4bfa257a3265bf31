# objects.jq: which places in which objects want a name, as shell commands, one for
# each object:
#
#   object NUMBER 'PATH' 'BUILD_ID' '0xOFFSET 0xOFFSET ...'
#
# Input: what collect.jq made. $drawn: what draw.jq made, a line each, or nothing.
include "trace";

. as $trace
| [
    ($trace.findings[].stacks[] | .process as $p | .stack[] | symbol_key($trace; $p)),
    ($trace.crashes[] | .process as $p | .stack[] | symbol_key($trace; $p)),
    ($drawn[] | select(.[0] == "stack") | .[2] as $p | .[3][] | symbol_key($trace; $p))
  ]
| map(select(. != null)) | unique | map(split("\u0000"))
# A path with a NUL in it is none.
| map(select(length == 3 and .[0] != "")) | group_by(.[:2]) | to_entries[]
| .key as $n | .value
| "object \($n) \(.[0][0] | @sh) \(.[0][1] | @sh) \(map(.[2]) | join(" ") | @sh)"
