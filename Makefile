# libp11shim: `make help` says what there is.
#
# Variables: CC, OPT (-O2), B (build directory), EXTRA_CFLAGS, EXTRA_LDFLAGS,
# PREFIX, LIBDIR, MANDIR, DESTDIR.

VERSION = 1.0~git

# Not from the environment: what `make clean` removes is not left to chance.
B = build
CC = gcc
OPT ?= -O2
PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib$(OTHER_ARCH:%=/%-linux-gnu)
EXTRA_CFLAGS ?=
EXTRA_LDFLAGS ?=
LDCONFIG ?= ldconfig

MACHINE := $(shell $(CC) -dumpmachine)
ifneq ($(filter -m32,$(CC) $(EXTRA_CFLAGS)),)
OWN_ARCH := i386
else
OWN_ARCH := $(patsubst i%86,i386,$(firstword $(subst -, ,$(MACHINE))))
endif

# For another architecture (make ARCH=i386, make ARCH=aarch64): its compiler, a build
# directory of its own, and there what Debian has for it (scripts/sysroot).
ARCH = $(OWN_ARCH)
OTHER_ARCH := $(filter-out $(OWN_ARCH),$(ARCH))
ifneq ($(OTHER_ARCH),)
ifeq ($(origin B),file)
B := build/$(ARCH)
endif
SYSROOT := $(B)/sysroot
CC_i386 = gcc -m32 -Wno-psabi -idirafter /usr/include/x86_64-linux-gnu
CC_aarch64 = $(notdir $(firstword $(wildcard /usr/bin/aarch64-linux-gnu-gcc /usr/bin/aarch64-linux-gnu-gcc-[0-9]*)))
CC = $(CC_$(ARCH)) -idirafter $(SYSROOT)/usr/include -L$(SYSROOT)/usr/lib/$(ARCH)-linux-gnu
endif

# make takes a blank for the end of a name, and the shell more than that for something else.
# So names of directories have none of it, and nothing is done before that is known.
SPECIAL = & | ; < > ( ) { } [ ] * ? ! ' " ` \ $$ \#
unfit = $(or $(filter-out 1,$(words x$1x)),$(filter ~%,$1),$(strip $(foreach c,$(SPECIAL),$(findstring $c,$1))))
check_names = $(foreach v,$1,$(if $(call unfit,$($v)),$(error $v: no blanks and no characters special to a shell, please: '$($v)')))
$(call check_names,B)
$(if $(B),,$(error B: which directory?))

WARNINGS = -Wall -Wextra -Werror -Wno-psabi -Wshadow -Wstrict-prototypes -Wmissing-prototypes
CFLAGS = $(OPT) -g $(EXTRA_CFLAGS)
SHIM_CFLAGS = $(CFLAGS) -std=gnu11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -DNDEBUG $(WARNINGS) -Ishim \
	-fPIC -fvisibility=hidden -fno-jump-tables -fstack-protector-strong
LDFLAGS = $(EXTRA_LDFLAGS)

# What a process pays that merely carries the library (make bench counts it):
# lazy binding, against custom, since -z now would look up some fifty libc
# symbols that such a process never uses; and no start files, whose only work
# here would be to look up four symbols that are not there.
SHIM_LDFLAGS = -shared -nostartfiles -Wl,-soname,libp11shim.so -Wl,--version-script=shim/libp11shim.map \
	-Wl,-z,defs,-z,relro,-z,lazy,-z,nodelete,-z,noexecstack -Wl,--exclude-libs,ALL -Wl,--hash-style=gnu \
	-Wl,--build-id -Wl,--wrap=fgets

LIBRARY = $(B)/libp11shim.so
# In this order their code lies in the library. What a child's first call goes through
# stands together at the beginning, with the slots, so that the kernel maps it at one fault.
FIRST_ROOMS = lists handles view gate lock process calls module call
ROOMS = login wait mutex scope door journal config text output readable stack describe trace history findings crash names
OBJECTS = $(FIRST_ROOMS:%=$(B)/shim/%.o) $(B)/shim/gate-$(ARCH).o $(ROOMS:%=$(B)/shim/%.o) \
	$(B)/shim/builtin.o $(B)/shim/door-$(ARCH).o
HEADERS = $(wildcard shim/*.h shim/*.def)

.PHONY: all
all: $(LIBRARY)

# Link into a new file and rename: a running program may have the old one mapped.
$(LIBRARY): $(OBJECTS) shim/libp11shim.map
	$(CC) $(OPT) $(EXTRA_CFLAGS) $(SHIM_LDFLAGS) $(LDFLAGS) -o $@.new $(OBJECTS) -Wl,-Bstatic -linih -Wl,-Bdynamic -ldl -lpthread
	mv -f $@.new $@

$(B)/shim/%.o: shim/%.c $(HEADERS) | $(B)/shim
	$(CC) $(SHIM_CFLAGS) -c -o $@ $<
$(B)/shim/builtin.o: shim/builtin.S $(B)/shim/config/p11shim.conf $(B)/shim/config/modules.conf
	$(CC) $(SHIM_CFLAGS) $(foreach text,SETTINGS=p11shim MODULES=modules,-DBUILTIN_$(subst =,='"$(abspath $(B))/shim/config/,$(text)).conf"') -c -o $@ $<
# Without the comments, which every process would read; their lines stay, for messages.
$(B)/shim/config/%: config/% | $(B)/shim
	@mkdir -p $(@D)
	sed 's/^;.*//' $< > $@
$(B)/shim/door-%.o: shim/door/%.S | $(B)/shim
	$(CC) $(SHIM_CFLAGS) -c -o $@ $<
$(B)/shim/gate-%.o: shim/gate/%.S shim/gate/slots.h shim/sizes.h shim/calls.def | $(B)/shim
	$(CC) $(SHIM_CFLAGS) -c -o $@ $<
$(B)/shim:
	mkdir -p $@

include tests/unit/unit.mk docs/docs.mk scripts/p11shim.mk
include $(wildcard tests/programs/programs.mk tests/mock/mock.mk tests/doors/doors.mk tests/bench/bench.mk tests/fork/fork.mk tests/findings/findings.mk tests/trace/trace.mk tests/fuzz/fuzz.mk)

ifneq ($(filter install% uninstall%,$(MAKECMDGOALS)),)
$(call check_names,DESTDIR PREFIX LIBDIR BINDIR MANDIR DATADIR COMPLETIONDIR)
endif

TEST_PROGRAMS = $(LIBRARY) $(INFO) $(PROGRAMS) $(MOCK_ALL) $(DOORS_ALL) $(UNIT_TESTS) $(BENCH_ALL) $(FINDINGS_ALL) $(TRACE_ALL)

# What scripts/check-arch and scripts/check-systems need, who may OMIT some.
SANITIZED = %-asan %-tsan %-asan-clang
CORE_TESTS = $(filter-out $(SANITIZED) $(OMIT),$(LIBRARY) $(MOCK_ALL) $(DOORS_ALL) $(UNIT_TESTS) $(TRACE_ALL) $(FINDINGS_ALL))

ifneq ($(OTHER_ARCH),)
# The sanitizers are this machine's, and so are NSS and GnuTLS.
TEST_PROGRAMS := $(filter-out $(SANITIZED) %/nss-gnutls %/nss-wait,$(TEST_PROGRAMS))
$(OBJECTS): | $(SYSROOT)/.build
$(UNIT_TESTS): | $(SYSROOT)/.tests
$(SYSROOT)/.%: scripts/sysroot
	scripts/sysroot $(ARCH) $(SYSROOT) $*
endif

.PHONY: core-tests
core-tests: $(CORE_TESTS)

# Each of these installs what it needs first (scripts/setup), then builds, on all processors
# unless it was told how many; scripts/alone lets one at a time use the build directory.
# TESTS='lifecycle trace:SIGKILL' are the tests that make check runs (scripts/check).
.PHONY: demo check check-all check-recorded check-stress check-valgrind check-asan check-tsan check-i386 check-aarch64 \
	check-real bench fuzz tests deb
JOBS := $(if $(filter -j% --jobserver%,$(MAKEFLAGS)),,-j$(shell nproc 2>/dev/null))
ALONE = @JOBS='$(JOBS)' MAKE='$(MAKE) --no-print-directory' scripts/alone $(B) sh -c
export TESTS
tests: $(TEST_PROGRAMS)

demo:
	@scripts/setup demo
	$(ALONE) '$$MAKE $$JOBS $(LIBRARY) programs && scripts/demo $(B) $(LIBRARY)'

check:
	@scripts/setup check
	$(ALONE) '$$MAKE $$JOBS tests && scripts/check $(B)'

# What takes longer than make check may: of bats/ what has the tag `all`, and the five below.
check-all:
	@scripts/setup check
	$(ALONE) '$$MAKE $$JOBS tests && scripts/check-all $(B)'

check-stress:
	@scripts/setup stress
	$(ALONE) '$$MAKE $$JOBS tests fuzz-programs && \
		$$MAKE $$JOBS B=$(B)/tsan EXTRA_CFLAGS=-fsanitize=thread $(B)/tsan/libp11shim.so mock && \
		TSAN_SHIM=$(B)/tsan/libp11shim.so scripts/check-stress $(B)'

check-valgrind:
	@scripts/setup check
	$(ALONE) '$$MAKE $$JOBS tests && scripts/check-valgrind $(B)'

# Everything recorded: the tests of what consumers are answered must not notice.
check-recorded:
	@scripts/setup check
	$(ALONE) '$$MAKE $$JOBS tests && P11SHIM_TEST_SETTINGS="$$PWD/tests/recorded.conf" CHECK_TAGS="!stress,!all" \
		scripts/check $(B) lifecycle comeback events logins arguments functions doors real-consumers real-events'

check-asan check-tsan: check-%san:
	@scripts/setup check
	$(ALONE) 'scripts/check-sanitizer $*san $(B)'

# The core tests for other processors; B/i386 and B/aarch64 are built for that.
check-i386 check-aarch64: check-%:
	@scripts/setup check
	$(ALONE) 'scripts/check-arch $* $(B)/$*'

check-real:
	@scripts/setup check
	$(ALONE) '$$MAKE $$JOBS tests $(if $(wildcard tests/fork/fork.mk),fork) && scripts/check-real $(B)'

# From what is committed, into $(B)/deb.
deb:
	@scripts/setup deb
	@scripts/deb $(B)

fuzz:
	@scripts/setup fuzz
	$(ALONE) '$$MAKE $$JOBS fuzz-programs && scripts/fuzz $(B)'

bench:
	@scripts/setup check
	$(ALONE) '$$MAKE $$JOBS $(LIBRARY) bench-programs && scripts/bench $(B) $(LIBRARY)'

# Where the dynamic linker looks, so that LD_PRELOAD=libp11shim.so is enough. Of another
# architecture the library and p11shim-info, beside what is installed of this one.
.PHONY: install uninstall clean help
install: $(LIBRARY)
	install -d $(DESTDIR)$(LIBDIR)
	install -m 644 $(LIBRARY) $(DESTDIR)$(LIBDIR)/libp11shim.so.new
	mv -f $(DESTDIR)$(LIBDIR)/libp11shim.so.new $(DESTDIR)$(LIBDIR)/libp11shim.so
	@[ -n "$(DESTDIR)" ] || $(LDCONFIG) || echo "run ldconfig as root, if $(LIBDIR) is one of its directories"

uninstall:
	rm -f $(DESTDIR)$(LIBDIR)/libp11shim.so
	@[ -n "$(DESTDIR)" ] || $(LDCONFIG) || true

# A directory that was named must be one that was built in, and not the checkout.
clean:
	@[ $(origin B) = file ] || [ ! -e $(B) ] || { [ -e $(B)/shim/config ] && [ ! -e $(B)/Makefile ]; } || \
		{ echo "not removed, since nothing was built there: $(B)" >&2; exit 1; }
	rm -rf $(B)

help:
	@echo 'make                 the library: $(LIBRARY)'
	@echo 'make demo            what goes wrong without the shim, and right with it, side by side'
	@echo 'make check           the tests, in five minutes; some of them: TESTS="lifecycle trace:SIGKILL"'
	@echo 'make check-all       the longer ones: compilers, packages, the browser, and check-recorded, check-asan,'
	@echo '                     check-tsan, check-i386, check-aarch64, which can be had one by one'
	@echo 'make check-stress    by hand, before a release; also check-real, check-valgrind'
	@echo 'make fuzz            random input, for FUZZ_SECONDS (600)'
	@echo 'make bench           what it costs'
	@echo 'make install         below PREFIX ($(PREFIX)), the library into LIBDIR ($(LIBDIR)); also uninstall.'
	@echo '                     With ARCH the library for it, besides. PREFIX, LIBDIR, MANDIR, DESTDIR'
	@echo 'make man             the manual pages, into $(B)/docs'
	@echo 'make deb             Debian packages of what is committed, into $(B)/deb'
	@echo 'make clean'
	@echo 'Variables: CC, OPT, B (build directory), EXTRA_CFLAGS, EXTRA_LDFLAGS, ARCH (i386, aarch64)'
