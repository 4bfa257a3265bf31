# fuzz.mk: the fuzz targets, made with clang and libFuzzer. Included by the Makefile;
# everything goes to $(B)/fuzz. Each target is compiled together with the rooms that it
# tries, all with sanitizers; CFLAGS, which may be another compiler's, are none of theirs.
#
#   FUZZ_ALL        all that is built here
#   fuzz-programs   builds it; `make fuzz` runs it (scripts/fuzz)

FUZZ_ALL := $(addprefix $(B)/fuzz/,config variables text describe)

.PHONY: fuzz-programs
fuzz-programs: $(FUZZ_ALL)

FUZZ_CFLAGS = -std=gnu11 -O1 -g -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 $(TEST_WARNINGS) -Ishim -Iconfig -Itests/fuzz \
	-fno-sanitize-recover=all -fno-omit-frame-pointer -MMD -MP
$(B)/fuzz/config $(B)/fuzz/variables: FUZZ_ROOMS = $(B)/fuzz/builtin.o shim/record/output.c shim/base/text.c \
	shim/settings/keys.c shim/settings/nearest.c shim/settings/match.c shim/settings/file.c
$(B)/fuzz/config $(B)/fuzz/variables: FUZZ_LIBS = -linih
$(B)/fuzz/config $(B)/fuzz/variables: $(B)/fuzz/builtin.o
$(B)/fuzz/builtin.o: shim/settings/builtin.S config/p11shim.conf tests/fuzz/modules.conf
	@mkdir -p $(@D)
	$(CC_)clang -fPIC -DBUILTIN_SETTINGS='"config/p11shim.conf"' -DBUILTIN_MODULES='"tests/fuzz/modules.conf"' -c -o $@ $<

$(B)/fuzz/text: FUZZ_ROOMS = shim/base/text.c
$(B)/fuzz/describe: FUZZ_ROOMS = shim/record/describe.c shim/standard/names.c shim/standard/calls.c shim/base/text.c shim/base/readable.c

# A consumer's pointers need not be aligned, and the processors that we know do not mind.
$(B)/fuzz/describe: FUZZ_SANITIZERS = undefined -fno-sanitize=alignment
FUZZ_SANITIZERS = address,undefined

$(FUZZ_ALL): $(B)/fuzz/%: tests/fuzz/%.c tests/fuzz/fuzz.mk $(wildcard tests/fuzz/*.h shim/*/*.c) $(HEADERS)
	@mkdir -p $(@D)
	$(LD_)clang $(FUZZ_CFLAGS) -fsanitize=fuzzer,$(FUZZ_SANITIZERS) -o $@ $< $(FUZZ_ROOMS) $(FUZZ_LIBS)
