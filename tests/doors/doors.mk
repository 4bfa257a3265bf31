# doors.mk: the programs and libraries of bats/doors.bats, in $(B)/doors/.
# Included by the top Makefile. B is the build directory; DOORS_ALL lists what
# is made; the target is `doors`. The shim itself is no part of this: any build
# of it can be tested with the same programs.

DOORS_DIR = tests/doors
DOORS_OUT = $(B)/doors

# Not optimised: a caller must be seen as the caller, with its own frame. (Functions that
# check their arguments want an optimiser.)
DOORS_CFLAGS = -std=gnu11 -iquote shim -U_FORTIFY_SOURCE -O0 -g -fno-lto -fno-optimize-sibling-calls
DOORS_DEFS = -DDOORS=$(call c_string,$(ABSOLUTE_B)/doors)
DOORS_CC = $(LD_)$(CC) $(TEST_WARNINGS) $(THEIR_CFLAGS) $(DOORS_CFLAGS) $(DOORS_DEFS) $(THEIR_LDFLAGS)
# Of those that have a compiler of their own; others' flags need not be for that one.
DOORS_OTHER_CC = $(TEST_WARNINGS) $(DOORS_CFLAGS) $(DOORS_DEFS)
DOORS_HEADERS = $(DOORS_DIR)/doors.h shim/standard/pkcs11.h shim/standard/calls.def
# $(call doors_needs,NAME...): link to these libraries of ours, used or not
doors_needs = -Wl,--no-as-needed $(patsubst %,-L$(DOORS_OUT) -ldoor-%,$(1)) $(call run_path,$(ABSOLUTE_B)/doors)

DOORS_PROGRAMS = answerer chain constructor constructor-plugin forks linked locks lookups missing \
	namespace next owner quiet runpath scope unload versions-new versions-old watch \
	lookups-asan lookups-tsan
DOORS_LIBRARIES = dlsym-preload early empty finder-nopath finder-rpath finder-runpath \
	half malloc-preload module next-a next-b notmodule other scope-deep scope-plugin \
	upper watch-preload wrapper
# clang's sanitizers are linked statically, so they load in another way.
ifneq ($(shell command -v clang),)
DOORS_PROGRAMS += lookups-asan-clang
endif

DOORS_ALL = $(DOORS_PROGRAMS:%=$(DOORS_OUT)/%) $(DOORS_LIBRARIES:%=$(DOORS_OUT)/libdoor-%.so) $(DOORS_OUT)/deep/libdoor-found.so

.PHONY: doors
doors: $(DOORS_ALL)

$(DOORS_OUT)/%: $(DOORS_DIR)/%.c $(DOORS_HEADERS)
	@mkdir -p $(@D)
	$(DOORS_CC) $< -o $@ $(DOORS_LINK) -pthread

$(DOORS_OUT)/libdoor-%.so: $(DOORS_DIR)/%.c $(DOORS_HEADERS)
	@mkdir -p $(@D)
	$(DOORS_CC) -fPIC -shared $< -o $@ $(DOORS_LINK)

# Programs with something special
$(DOORS_OUT)/versions-old: $(DOORS_DIR)/versions.c $(DOORS_HEADERS)
	@mkdir -p $(@D)
	$(DOORS_CC) -DOLD $< -o $@
$(DOORS_OUT)/versions-new: $(DOORS_DIR)/versions.c $(DOORS_HEADERS)
	@mkdir -p $(@D)
	$(DOORS_CC) $< -o $@
$(DOORS_OUT)/constructor-plugin: $(DOORS_DIR)/constructor.c $(DOORS_HEADERS)
	@mkdir -p $(@D)
	$(DOORS_CC) -DPLUGIN $< -o $@
$(DOORS_OUT)/constructor: $(DOORS_OUT)/libdoor-early.so
$(DOORS_OUT)/constructor: private DOORS_LINK = $(call doors_needs,early)
$(DOORS_OUT)/linked: $(DOORS_OUT)/libdoor-module.so
$(DOORS_OUT)/linked: private DOORS_LINK = $(call doors_needs,module)

$(DOORS_OUT)/lookups-asan: $(DOORS_DIR)/lookups.c $(DOORS_HEADERS)
	@mkdir -p $(@D)
	$(LD_)gcc $(DOORS_OTHER_CC) -Wno-use-after-free -fsanitize=address $< -o $@ -pthread
$(DOORS_OUT)/lookups-tsan: $(DOORS_DIR)/lookups.c $(DOORS_HEADERS)
	@mkdir -p $(@D)
	$(LD_)gcc $(DOORS_OTHER_CC) -Wno-use-after-free -fsanitize=thread $< -o $@ -pthread
$(DOORS_OUT)/lookups-asan-clang: $(DOORS_DIR)/lookups.c $(DOORS_HEADERS)
	@mkdir -p $(@D)
	$(LD_)clang $(DOORS_OTHER_CC) -fsanitize=address $< -o $@ -pthread
# The mistake it makes when asked to is meant.
$(DOORS_OUT)/lookups: private DOORS_LINK = -Wno-use-after-free -Wno-unknown-warning-option

# Libraries with something special
$(DOORS_OUT)/libdoor-next-a.so $(DOORS_OUT)/libdoor-next-b.so: $(DOORS_OUT)/libdoor-next-%.so: $(DOORS_DIR)/next-preload.c $(DOORS_HEADERS)
	@mkdir -p $(@D)
	$(DOORS_CC) -DCOUNT=door_next_$* -fPIC -shared $< -o $@
$(DOORS_OUT)/libdoor-other.so: $(DOORS_DIR)/module.c $(DOORS_HEADERS)
	@mkdir -p $(@D)
	$(DOORS_CC) -DNAME='"other"' -DINTERFACES -Wl,-Bsymbolic -fPIC -shared $< -o $@
$(DOORS_OUT)/libdoor-upper.so: $(DOORS_DIR)/module.c $(DOORS_HEADERS) $(DOORS_OUT)/libdoor-other.so
	@mkdir -p $(@D)
	$(DOORS_CC) -DNAME='"upper"' -Wl,-Bsymbolic -fPIC -shared $< -o $@ $(call doors_needs,other)
# Each module keeps to its own functions, as real ones do.
$(DOORS_OUT)/libdoor-module.so: private DOORS_LINK = -Wl,-Bsymbolic
$(DOORS_OUT)/libdoor-wrapper.so: $(DOORS_OUT)/libdoor-module.so
$(DOORS_OUT)/libdoor-wrapper.so: private DOORS_LINK = $(call doors_needs,module)
$(DOORS_OUT)/libdoor-half.so: $(DOORS_DIR)/wrapper.c $(DOORS_HEADERS) $(DOORS_OUT)/libdoor-module.so
	@mkdir -p $(@D)
	$(DOORS_CC) -DHALF -fPIC -shared $< -o $@ $(call doors_needs,module)
$(DOORS_OUT)/libdoor-scope-plugin.so: $(DOORS_OUT)/libdoor-scope-deep.so
$(DOORS_OUT)/libdoor-scope-plugin.so: private DOORS_LINK = $(call doors_needs,scope-deep)

# One finder for each way to write a path down; `deep` is where they lead.
$(DOORS_OUT)/libdoor-finder-runpath.so $(DOORS_OUT)/libdoor-finder-rpath.so $(DOORS_OUT)/libdoor-finder-nopath.so: $(DOORS_OUT)/libdoor-finder-%.so: $(DOORS_DIR)/finder.c $(DOORS_HEADERS)
	@mkdir -p $(@D)
	$(DOORS_CC) -fPIC -shared $< -o $@ $(DOORS_LINK)
$(DOORS_OUT)/libdoor-finder-runpath.so: private DOORS_LINK = -Wl,--enable-new-dtags,-rpath,'$$ORIGIN/deep'
$(DOORS_OUT)/libdoor-finder-rpath.so: private DOORS_LINK = -Wl,--disable-new-dtags $(call run_path,$(ABSOLUTE_B)/doors/deep)
$(DOORS_OUT)/deep/libdoor-found.so: $(DOORS_DIR)/found.c
	@mkdir -p $(@D)
	$(DOORS_CC) -fPIC -shared $< -o $@
