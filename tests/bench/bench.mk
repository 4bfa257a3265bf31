# The benchmark programs; scripts/bench runs them. B is the build directory.

B ?= build

# What is measured is not left to others' flags.
BENCH_CFLAGS = $(TEST_WARNINGS) $(THEIR_CFLAGS) -std=gnu11 -O2 -g -fno-lto -iquote shim
# Loops that straddle fetch lines by chance differ by more than what is measured.
# (A compiler that cannot help it need not say so.)
BENCH_ALIGN = -falign-functions=64 -falign-loops=64 -Wno-ignored-optimization-argument

BENCH_ALL = $(B)/bench/null.so $(B)/bench/empty.so $(B)/bench/bench

bench-programs: $(BENCH_ALL)

$(B)/bench/null.so: tests/bench/null.c shim/standard/pkcs11.h shim/standard/calls.def
	@mkdir -p $(@D)
	$(LD_)$(CC) $(BENCH_CFLAGS) $(THEIR_LDFLAGS) -fPIC -fvisibility=hidden -shared -Wl,-z,now -o $@ $<

# What any preload library costs, with nothing in it.
$(B)/bench/empty.so:
	@mkdir -p $(@D)
	$(LD_)$(CC) $(BENCH_CFLAGS) $(THEIR_LDFLAGS) -fPIC -shared -o $@ -x c /dev/null

$(B)/bench/bench: tests/bench/bench.c shim/standard/pkcs11.h shim/standard/calls.def
	@mkdir -p $(@D)
	$(LD_)$(CC) $(BENCH_CFLAGS) $(BENCH_ALIGN) -pthread $(THEIR_LDFLAGS) -Wl,-z,now -o $@ $< -ldl

.PHONY: bench-programs
