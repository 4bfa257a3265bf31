# The benchmark programs; scripts/bench runs them. B is the build directory.

B ?= build

BENCH_CFLAGS = -std=gnu11 -O2 -g -Wall -Wextra -Werror -iquote shim
# Loops that straddle fetch lines by chance differ by more than what is measured.
BENCH_ALIGN = -falign-functions=64 -falign-loops=64

BENCH_ALL = $(B)/bench/null.so $(B)/bench/empty.so $(B)/bench/bench

bench-programs: $(BENCH_ALL)

$(B)/bench/null.so: tests/bench/null.c shim/pkcs11.h shim/calls.def
	@mkdir -p $(@D)
	$(CC) $(BENCH_CFLAGS) -fPIC -fvisibility=hidden -shared -Wl,-z,now -o $@ $<

# What any preload library costs, with nothing in it.
$(B)/bench/empty.so:
	@mkdir -p $(@D)
	$(CC) -O2 -fPIC -shared -o $@ -x c /dev/null

$(B)/bench/bench: tests/bench/bench.c shim/pkcs11.h shim/calls.def
	@mkdir -p $(@D)
	$(CC) $(BENCH_CFLAGS) $(BENCH_ALIGN) -pthread -Wl,-z,now -o $@ $< -ldl

.PHONY: bench-programs
