# libp11shim: `make help` says what there is.
#
# Variables: CC, OPT (-O2), B (build directory), PREFIX, LIBDIR, MANDIR, DESTDIR;
# CPPFLAGS, CFLAGS and LDFLAGS, which are a distribution's or the user's alone, and
# EXTRA_CFLAGS and EXTRA_LDFLAGS, the same for scripts; WERROR=1: a warning is an error,
# for developers; V=1: every command is shown; INIH: what to link inih by.

# The version that comes next, or, without ~git, this one. scripts/version adds the commit.
VERSION = 1.0~git

# Not from the environment: what `make clean` removes is not left to chance.
B = build
# As they were given: a $ in them begins no variable, and calls no function. Before anything is asked of a shell,
# to which make 4.4 hands what was given to make, with its variables and functions carried out.
ifneq ($(filter command override,$(origin B)),)
override B := $(value B)
endif
ifneq ($(origin TESTS),undefined)
override TESTS := $(value TESTS)
endif
# The user has chosen no compiler: CC is make's own, is not set at all (make -R), or is empty.
ifneq ($(filter default undefined,$(origin CC))$(if $(strip $(CC)),,empty),)
override CC = gcc
endif
OPT ?= -O2
PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib$(OTHER_ARCH:%=/%-linux-gnu)
EXTRA_CFLAGS ?=
EXTRA_LDFLAGS ?=
LDCONFIG ?= ldconfig

# Where there is no compiler scripts/tools says so, a little later.
MACHINE := $(shell $(CC) -dumpmachine 2>/dev/null || uname -m)
ifneq ($(filter -m32,$(CC) $(CFLAGS) $(EXTRA_CFLAGS)),)
OWN_ARCH := i386
else
OWN_ARCH := $(patsubst i%86,i386,$(firstword $(subst -, ,$(MACHINE))))
endif

# For another architecture (make ARCH=i386, make ARCH=aarch64): its compiler, a build
# directory of its own, and there what Debian has for it (scripts/sysroot).
ARCH = $(OWN_ARCH)
ifneq ($(words $(ARCH))$(filter-out $(OWN_ARCH) x86_64 i386 aarch64,$(ARCH)),1)
$(error ARCH: i386, aarch64 or x86_64, please: '$(ARCH)')
endif
OTHER_ARCH := $(filter-out $(OWN_ARCH),$(ARCH))
ifneq ($(OTHER_ARCH),)
ifeq ($(origin B),file)
B := build/$(ARCH)
endif
SYSROOT := $(B)/sysroot
CC_i386 = gcc -m32 -Wno-psabi -idirafter /usr/include/x86_64-linux-gnu
CC_aarch64 = $(notdir $(firstword $(wildcard /usr/bin/aarch64-linux-gnu-gcc /usr/bin/aarch64-linux-gnu-gcc-[0-9]*)))
ifneq ($(origin CC),command line)
override CC = $(CC_$(ARCH)) -idirafter $(SYSROOT)/usr/include -L$(SYSROOT)/usr/lib/$(ARCH)-linux-gnu
endif
endif

# A text as one word for the shell, and as a C string in one.
quote = '$(subst ','\'',$1)'
c_string = $(call quote,"$(subst ",\",$(subst \,\\,$1))")
comma = ,
define newline


endef

# make takes a blank for the end of a name, a colon for the end of a target, and the shell
# more than that for something else. So names of directories have none of it, and nothing is
# done before that is known. The checkout itself may lie anywhere: whatever is in it has a
# relative name, also a B that was given as an absolute one.
$(if $(findstring $(newline),$(CURDIR)),$(error the name of this directory has a line break in it: please rename it))
SPECIAL = & | ; < > ( ) { } [ ] * ? ! ' " ` \ $$ \#
unfit = $(or $(filter-out 1,$(words x$1x)),$(filter ~% -%,$1),$(strip $(foreach c,$(SPECIAL),$(findstring $c,$1))))
unfit_target = $(or $(call unfit,$1),$(findstring :,$1),$(findstring %,$1),$(findstring $(comma),$1))
check_names = $(foreach v,$2,$(if $(call $1,$($v)),$(error $v: no blanks$(comma) no dash at its beginning and no characters special to a shell$3, please: '$($v)')))
ifneq ($(and $(filter /%,$(firstword $(B))),$(call unfit_target,$(B))),)
ifeq ($(findstring $(newline),$(B)),)
REAL_B := $(or $(shell realpath -m -- $(call quote,$(B)) 2>/dev/null),$(B))
REAL_B := $(subst $(newline)$(CURDIR)/,,$(newline)$(REAL_B))
ifeq ($(findstring $(newline),$(REAL_B)),)
override B := $(REAL_B)
endif
endif
endif
$(call check_names,unfit,VERSION)
$(if $(VERSION),,$(error VERSION: which one?))
$(call check_names,unfit_target,B,$(comma) no colon$(comma) comma or %)
$(if $(B),,$(error B: which directory?))
ABSOLUTE_B = $(if $(filter /%,$(B)),$(B),$(CURDIR)/$(B))

# Nothing is built among the source, where `make clean` would remove that, too.
ifneq ($(origin B),file)
PLACE := $(or $(shell realpath -m -- $(call quote,$(B)) 2>/dev/null),$(abspath $(B)))
WITHIN := $(subst $(newline)$(CURDIR)/,,$(newline)$(PLACE)/)
ifneq ($(if $(WITHIN),$(filter .git .ci bats config docs packaging scripts shim tests,$(firstword $(subst /, ,$(WITHIN)))),.),)
$(error B: the source is there, please name a directory for what is built: '$(B)')
endif
HOLDS_SOURCE := $(if $(findstring $(newline),$(subst $(newline)$(patsubst %/,%,$(PLACE))/,,$(newline)$(CURDIR)/)),,yes)
endif

# What is printed: a line for each file that is made; with V=1 the commands, with -s nothing.
V = 0
quiet = $(if $(filter-out 0,$(V)),,@$(if $(findstring s,$(firstword -$(MAKEFLAGS))),,echo '  $1'; ))
CC_ = $(call quiet,CC      $<)
LD_ = $(call quiet,LINK    $@)

# The order of flags: ours, then theirs (THEIR_...), who may add to it and overrule it, then
# what this software does not work without. A user who says CFLAGS=... or LDFLAGS=...,
# to make or in the environment, replaces nothing of ours with it.
WERROR_FLAG = $(if $(filter-out 0 no,$(WERROR)),-Werror)
WARNINGS = -Wall -Wextra $(WERROR_FLAG) -Wno-psabi -Wshadow -Wstrict-prototypes -Wmissing-prototypes
TEST_WARNINGS = -Wall -Wextra $(WERROR_FLAG)
THEIR_CFLAGS = $(CPPFLAGS) $(CFLAGS) $(EXTRA_CFLAGS)
THEIR_LDFLAGS = $(LDFLAGS) $(EXTRA_LDFLAGS)

# Test programs: consumers are told apart by the object that a call comes from, and found by
# their functions' names in stacks, so nothing is moved from one file into another.
TEST_CC = $(CC) $(OPT) -g $(TEST_WARNINGS) $(THEIR_CFLAGS) -std=gnu11 -fno-lto
# $(call run_path,DIRECTORY): no list of directories can name one with a colon or a $ in it
run_path = -Xlinker -rpath -Xlinker $(call quote,$(if $(findstring :,$1)$(findstring $$,$1),$$ORIGIN,$1))

# Compiled anywhere, the same: compilers take the name of the directory from PWD, if that is
# a name of it, and put it into what debuggers read.
REPRODUCIBLE_CC = PWD=/proc/self/cwd $(CC)
REPRODUCIBLE = -ffile-prefix-map=/proc/self/cwd=.

# What must not be overruled, in the library:
#   -fPIC, hidden, -fplt   Functions are asked of it before it is relocated (a resolver of an
#                          indirect function may call dlsym), so none of its own is reached
#                          through a table of addresses, and none of others' is looked up early.
#   -fno-jump-tables       A page less that a forked child has to copy.
#   -fno-lto               The order in which its code lies (below); and functions that the
#                          linker is told to replace (--wrap) are replaced in every file.
SHIM_CFLAGS = -Ishim $(OPT) -g -DNDEBUG $(WARNINGS) -fstack-protector-strong $(REPRODUCIBLE) $(THEIR_CFLAGS) \
	-std=gnu11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -fPIC -fvisibility=hidden -fplt -fno-jump-tables -fno-lto
SHIM_CC = $(REPRODUCIBLE_CC) $(SHIM_CFLAGS)

# What a process pays that merely carries the library (make bench counts it):
# lazy binding, against custom, since -z now would look up some fifty libc
# symbols that such a process never uses; and no start files, whose only work
# here would be to look up four symbols that are not there. So these stand last, too,
# and so does what decides what is exported. Not -pie, which belongs to programs.
SHIM_LDFLAGS = -Wl,--hash-style=gnu,--build-id $(filter-out -pie -static-pie,$(THEIR_LDFLAGS)) -fno-lto -fPIC \
	-shared -nostartfiles -Wl,-soname,libp11shim.so -Wl,--version-script=shim/entrance/libp11shim.map \
	-Wl,-z,defs,-z,relro,-z,lazy,-z,nodelete,-z,noexecstack -Wl,--exclude-libs,ALL -Wl,--wrap=fgets

# inih is linked into it: a preload library brings no libraries with it.
INIH = -Wl,-Bstatic -linih -Wl,-Bdynamic

LIBRARY = $(B)/libp11shim.so
# In this order their code lies in the library. What a child's first call goes through
# stands together at the beginning, with the slots, so that the kernel maps it at one fault.
FIRST_ROOMS = core/lists core/sessions core/view core/gate base/lock host/process standard/calls core/state core/life core/arguments core/serial core/module call/call call/forward
ROOMS = call/getters core/model core/registry core/exit record/recorder host/events entrance/lookup entrance/start host/linker core/logins call/wait call/sessions call/login standard/mutex host/object entrance/door record/journal \
	settings/settings settings/read settings/keys settings/nearest settings/match settings/file base/text record/output \
	base/readable record/stack record/describe record/trace record/history record/findings record/tell record/conflicts record/observe record/now record/log record/flights record/crash standard/names
OBJECTS = $(FIRST_ROOMS:%=$(B)/shim/%.o) $(B)/shim/core/gate/$(ARCH).o $(ROOMS:%=$(B)/shim/%.o) \
	$(B)/shim/settings/builtin.o $(B)/shim/entrance/version.o $(B)/shim/entrance/door/$(ARCH).o
HEADERS = $(wildcard shim/*/*.h shim/*/*.def)

.PHONY: all library
all library: $(LIBRARY)

# Link into a new file and rename: a running program may have the old one mapped.
$(LIBRARY): $(OBJECTS) shim/entrance/libp11shim.map
	$(LD_)$(CC) $(OPT) $(THEIR_CFLAGS) $(SHIM_LDFLAGS) -o $@.new $(OBJECTS) $(INIH) -ldl -lpthread
	@mv -f $@.new $@

$(OBJECTS): | $(B)/shim/.tools
$(B)/shim/%.o: shim/%.c $(HEADERS) | $(B)/shim
	@mkdir -p $(@D)
	$(CC_)$(SHIM_CC) -c -o $@ $<
$(B)/shim/settings/builtin.o: shim/settings/builtin.S $(B)/shim/config/p11shim.conf $(B)/shim/config/modules.conf
	@mkdir -p $(@D)
	$(CC_)$(SHIM_CC) $(foreach text,SETTINGS=p11shim MODULES=modules,-DBUILTIN_$(subst =,='"$(B)/shim/config/,$(text)).conf"') -c -o $@ $<
# Without the comments, which every process would read; their lines stay, for messages.
$(B)/shim/config/%: config/% | $(B)/shim
	@mkdir -p $(@D)
	@sed 's/^;.*//' $< > $@
# Asked for once in a build, and written only if it is another: nothing else is made anew.
$(B)/shim/version: FORCE | $(B)/shim
	@scripts/version $(VERSION) $@
$(B)/shim/entrance/version.o: shim/entrance/version.S $(B)/shim/version
	@mkdir -p $(@D)
	$(CC_)$(SHIM_CC) -DVERSION="\"$$(cat $(B)/shim/version)\"" -c -o $@ $<
$(B)/shim/entrance/door/%.o: shim/entrance/door/%.S | $(B)/shim
	@mkdir -p $(@D)
	$(CC_)$(SHIM_CC) -c -o $@ $<
$(B)/shim/core/gate/%.o: shim/core/gate/%.S shim/core/gate/slots.h shim/base/sizes.h shim/standard/calls.def | $(B)/shim
	@mkdir -p $(@D)
	$(CC_)$(SHIM_CC) -c -o $@ $<
$(B)/shim:
	@mkdir -p $@

# A compiler or a header that is not there is told of in plain words, before anything is compiled.
$(B)/shim/.tools: FORCE | $(B)/shim
	@scripts/tools $@ $(call quote,$(INIH)) $(CC) $(OPT) $(WARNINGS) $(THEIR_CFLAGS) $(THEIR_LDFLAGS)
.PHONY: FORCE
FORCE:

include tests/unit/unit.mk docs/docs.mk scripts/command.mk scripts/release.mk
include $(wildcard tests/programs/programs.mk tests/mock/mock.mk tests/doors/doors.mk tests/bench/bench.mk tests/fork/fork.mk tests/findings/findings.mk tests/trace/trace.mk tests/fuzz/fuzz.mk)

ifneq ($(filter install% uninstall%,$(MAKECMDGOALS)),)
$(call check_names,unfit,DESTDIR PREFIX LIBDIR BINDIR MANDIR DATADIR COMPLETIONDIR ZSHDIR FISHDIR DOCDIR)
endif

# A build directory that was new, or empty but for the lock of scripts/alone, is marked before
# anything is made in it: `make clean` removes no other, whatever a B may name by mistake.
MARK = $(B)/.p11shim-build
mark = mkdir -p $(B) && : >$(MARK)
FLAGS = $(filter-out --%,$(firstword -$(MAKEFLAGS)))
only_shows = $(or $(findstring n,$(FLAGS)),$(findstring q,$(FLAGS)))
ifneq ($(if $(only_shows),,$(filter-out clean help uninstall%,$(or $(MAKECMDGOALS),all))),)
$(shell { if [ -e $(B) ] || [ -L $(B) ]; then names=$$(ls -A $(B)/) || exit; [ "$${names:-.in-use}" = .in-use ] || exit; fi; \
	$(mark); } 2>/dev/null)
endif

TEST_PROGRAMS = $(LIBRARY) $(INFO) $(PROGRAMS) $(MOCK_ALL) $(DOORS_ALL) $(UNIT_TESTS) $(BENCH_ALL) $(FINDINGS_ALL) $(TRACE_ALL)

# What scripts/check-arch and scripts/check-systems need, who may OMIT some.
SANITIZED = %-asan %-tsan %-asan-clang
CORE_TESTS = $(filter-out $(SANITIZED) $(OMIT),$(LIBRARY) $(MOCK_ALL) $(DOORS_ALL) $(UNIT_TESTS) $(TRACE_ALL) $(FINDINGS_ALL))

ifneq ($(OTHER_ARCH),)
# The sanitizers are this machine's, and so are NSS and GnuTLS.
TEST_PROGRAMS := $(filter-out $(SANITIZED) %/nss-gnutls %/nss-wait,$(TEST_PROGRAMS))
$(OBJECTS) $(B)/shim/.tools: | $(SYSROOT)/.build
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
	check-real check-newcomer bench fuzz tests deb
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

# Before a release, on fresh Debians and in several ways; takes hours. NEWCOMER=bookworm/user, say.
check-newcomer:
	@scripts/check-newcomer $(B) $(NEWCOMER)

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
	$(call quiet,INSTALL $(DESTDIR)$(LIBDIR)/libp11shim.so)install -d $(DESTDIR)$(LIBDIR)
	@install -m 644 $(LIBRARY) $(DESTDIR)$(LIBDIR)/libp11shim.so.new
	@mv -f $(DESTDIR)$(LIBDIR)/libp11shim.so.new $(DESTDIR)$(LIBDIR)/libp11shim.so
	@[ -n "$(DESTDIR)" ] || $(LDCONFIG) || echo "run ldconfig as root, if $(LIBDIR) is one of its directories"

uninstall:
	$(call quiet,REMOVE  $(DESTDIR)$(LIBDIR)/libp11shim.so)rm -f $(DESTDIR)$(LIBDIR)/libp11shim.so
	@[ -n "$(DESTDIR)" ] || $(LDCONFIG) || true

# A directory that was named must be one that was made, or empty, for what is built.
clean:
	@[ '$(origin B)' = file ] || { [ ! -e $(B) ] && [ ! -L $(B) ]; } || [ -e $(MARK)$(HOLDS_SOURCE) ] || \
		{ echo "not removed, since it was not made for what is built here; rm -r does it: $(B)" >&2; exit 1; }
	$(call quiet,REMOVE  $(B))rm -rf $(B)
	$(if $(filter-out clean,$(MAKECMDGOALS)),@$(mark))

# First this, then what is made anew.
ifneq ($(filter clean,$(MAKECMDGOALS)),)
.NOTPARALLEL:
endif

help:
	@echo 'make                 the library: $(LIBRARY)'
	@echo 'make demo            what goes wrong without the shim, and right with it, side by side'
	@echo 'make check           the tests, in five minutes; some of them: TESTS="lifecycle trace:SIGKILL"'
	@echo 'make check-all       the longer ones: compilers, packages, the browser, and check-recorded, check-asan,'
	@echo '                     check-tsan, check-i386, check-aarch64, which can be had one by one'
	@echo 'make check-stress    by hand, before a release; also check-real, check-valgrind'
	@echo 'make check-newcomer  make demo and make check on fresh Debians, as root; for hours. NEWCOMER=RELEASE[/WAY]'
	@echo 'make check-compilers that every gcc and clang that Debian has takes it; by hand, root only'
	@echo 'make fuzz            random input, for FUZZ_SECONDS (600)'
	@echo 'make bench           what it costs'
	@echo 'make install         below PREFIX ($(PREFIX)), the library into LIBDIR ($(LIBDIR)); also uninstall.'
	@echo '                     With ARCH the library for it, besides. PREFIX, LIBDIR, MANDIR, DESTDIR'
	@echo 'make man             the manual pages, into $(B)/docs'
	@echo 'make deb             Debian packages of what is committed, into $(B)/deb'
	@echo 'make sbom            what is inside the library: $(SBOM)'
	@echo 'make clean'
	@echo 'Variables: CC, OPT, B (build directory), CPPFLAGS, CFLAGS, LDFLAGS, ARCH (i386, aarch64),'
	@echo '           WERROR=1 (a warning is an error), V=1 (the commands are shown)'
