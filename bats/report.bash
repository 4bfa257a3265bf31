# shellcheck shell=bash
# The samples of traces (tests/report) that the tests of p11shim report share, for what has to be
# there whatever the library writes: `load report`, and make_samples in setup_file.
#
#   RICH                everything that a trace can have; $WORK/rich.json what the report makes of it
#   $WORK/hostile.trace names that are markup or worse
#   report              p11shim report, LIMIT seconds at most (120)

REPORT=$ROOT/scripts/command/p11shim-report
SAMPLE=$ROOT/tests/report/sample.py
WORK=$BATS_FILE_TMPDIR # the sample's objects lie in a directory with a space in its name
OBJECTS="$WORK/some objects"
RICH=$WORK/rich.trace

make_samples() {
	mkdir "$OBJECTS" "$WORK/pages"
	"$ROOT/tests/report/build" "$OBJECTS"
	python3 "$SAMPLE" rich "$OBJECTS" >"$RICH"
	python3 "$SAMPLE" hostile >"$WORK/hostile.trace"
	timeout 60 "$REPORT" --json "$RICH" >"$WORK/rich.json"
}

report() {
	timeout -k 5 "${LIMIT:-120}" "$REPORT" "$@"
}
