# page.jq: what the page shows, as JSON in which no "<" stands, so that it can stand
# in a <script>:
#
#   report    what report.jq made, whole
#   timeline  {strings, frames, stacks [[FRAME]], threads [{TID: NAME}], parameters,
#             calls_in_all, life_in_all, calls, life, spans, forks}; the lists as draw.jq made
#             them, but with times counted from the beginning
#
# Input: what collect.jq made; $report, $drawn, $symbols.
include "trace";

. as $trace
| $report[0] as $report | $symbols[0] as $symbols
| def from_begin($p): . + $report.shift[$p] - $report.begin | micro;
  def drawn($what): $drawn[] | select(.[0] == $what) | .[1:];
  [drawn("stack") | .[1] as $p | .[2] | frames($trace; $symbols; $p)] as $stacks
| ([$stacks[][]] | unique) as $frames
| ($frames | to_entries | map({key: (.value | tojson), value: .key}) | from_entries) as $number
| {
    report: $report,
    timeline: {
      strings: [drawn("string") | .[1]],
      frames: $frames,
      stacks: ($stacks | map(map($number[tojson]))),
      parameters: [drawn("parameters") | .[1]],
      threads: [$trace.processes[].threads],
      calls_in_all: ([$trace.calls[].calls] | add),
      life_in_all: $trace.life,
      calls: [drawn("call") | .[0] as $p | .[2] |= from_begin($p)],
      life: [drawn("life") | .[0] as $p | .[2] |= from_begin($p)],
      spans: [drawn("span") | .[0] as $p | .[2] |= from_begin($p)],
      forks: [drawn("fork") | .[0] as $p | .[3] as $q | .[2] |= from_begin($p) | .[5] |= from_begin($q)]
    }
  }
| tojson | split("<") | join("\\u003c")
