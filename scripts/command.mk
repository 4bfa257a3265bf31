# Included by the Makefile: the command, p11shim, and its parts.
#
#   BINDIR/p11shim                   the command
#   DATADIR/p11shim                  its parts, p11shim-report with its own, and the built-in
#                                    settings, to read; the command looks in ../share
#   LIBDIR/p11shim/p11shim-info      what asks modules; for the machine that LIBDIR is for
#   COMPLETIONDIR/p11shim            for bash; ZSHDIR/_p11shim, FISHDIR/p11shim.fish
#
# None of these is taken from the environment, where others may mean theirs.
BINDIR = $(PREFIX)/bin
DATADIR = $(PREFIX)/share
COMPLETIONDIR = $(DATADIR)/bash-completion/completions
ZSHDIR = $(DATADIR)/zsh/site-functions
FISHDIR = $(DATADIR)/fish/vendor_completions.d
COMPLETIONS = $(COMPLETIONDIR)/p11shim $(ZSHDIR)/_p11shim $(FISHDIR)/p11shim.fish

INFO = $(B)/p11shim-info
PARTS = $(addprefix scripts/command/p11shim-,text.sh elf.sh programs.sh preload.sh words.sh starters.sh named.sh modules.sh list.sh run.sh complete.sh)
REPORT_PARTS = $(wildcard scripts/command/report/*)
CONFIG_FILES = config/p11shim.conf config/modules.conf

# What there is in DATADIR/p11shim, for both to go by.
SHARED = $(notdir $(PARTS)) p11shim-report $(REPORT_PARTS:scripts/command/%=%) $(CONFIG_FILES)
SHARE = $(DESTDIR)$(DATADIR)/p11shim

all: $(INFO)

# It loads foreign code and reads its answers, as an ordinary program: hardened as one, unless
# they have flags for that themselves, or none can be: checks of arguments want an optimiser,
# and sanitizers have their own.
INFO_FORTIFY = $(if $(or $(findstring _FORTIFY_SOURCE,$(THEIR_CFLAGS)),$(findstring -fsanitize,$(THEIR_CFLAGS)),$(filter \
	-O0,$(lastword -O $(filter -O%,$(OPT) $(THEIR_CFLAGS))))),,-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
INFO_FLAGS = -Ishim $(OPT) -g $(WARNINGS) -fstack-protector-strong $(INFO_FORTIFY) $(REPRODUCIBLE) -fPIE -pie \
	-Wl,-z,relro,-z,now,-z,noexecstack $(THEIR_CFLAGS) $(THEIR_LDFLAGS) -std=gnu11 -D_GNU_SOURCE -Wl,--wrap=fgets

INFO_SOURCES = $(addprefix scripts/command/p11shim-,info.c ask.c guard.c settings.c info.h guard.h)
INFO_OBJECTS = $(addprefix $(B)/shim/,$(addprefix settings/,settings.o read.o keys.o nearest.o match.o file.o builtin.o) entrance/version.o base/text.o)
$(INFO): $(INFO_SOURCES) $(INFO_OBJECTS) $(HEADERS)
	$(LD_)$(REPRODUCIBLE_CC) $(INFO_FLAGS) -o $@.new $(filter %.c %.o,$^) $(INIH) -ldl
	@mv -f $@.new $@

.PHONY: install-info uninstall-info install-command uninstall-command
install: install-info
install-info: $(INFO)
	$(call quiet,INSTALL $(DESTDIR)$(LIBDIR)/p11shim/p11shim-info)install -d $(DESTDIR)$(LIBDIR)/p11shim
	@install -m 755 $(INFO) $(DESTDIR)$(LIBDIR)/p11shim

# File by file, and of the directories those that are empty then.
uninstall: uninstall-info
uninstall-info:
	$(call quiet,REMOVE  $(DESTDIR)$(LIBDIR)/p11shim/p11shim-info)rm -f $(DESTDIR)$(LIBDIR)/p11shim/p11shim-info
	@rmdir $(DESTDIR)$(LIBDIR)/p11shim 2>/dev/null || true

# The rest serves programs of every architecture.
ifeq ($(OTHER_ARCH),)
install: install-command
uninstall: uninstall-command
endif

install-command: $(B)/shim/version
	$(call quiet,INSTALL $(DESTDIR)$(BINDIR)/p11shim)install -d $(DESTDIR)$(BINDIR) $(SHARE)/report $(SHARE)/config $(addprefix $(DESTDIR),$(dir $(COMPLETIONS)))
	@sed -e "s|^version=.*|version='$$(cat $<)'|" -e "s|^libdir=.*|libdir='$(LIBDIR)'|" \
		scripts/command/p11shim >$(DESTDIR)$(BINDIR)/p11shim.new
	@chmod 755 $(DESTDIR)$(BINDIR)/p11shim.new
	@mv -f $(DESTDIR)$(BINDIR)/p11shim.new $(DESTDIR)$(BINDIR)/p11shim
	@install -m 644 $(PARTS) $(SHARE)
	@install -m 755 scripts/command/p11shim-report $(SHARE)
	@install -m 644 $(REPORT_PARTS) $(SHARE)/report
	@install -m 644 $(CONFIG_FILES) $(SHARE)/config
	@install -m 644 scripts/command/p11shim-completion.bash $(DESTDIR)$(COMPLETIONDIR)/p11shim
	@install -m 644 scripts/command/p11shim-completion.zsh $(DESTDIR)$(ZSHDIR)/_p11shim
	@install -m 644 scripts/command/p11shim-completion.fish $(DESTDIR)$(FISHDIR)/p11shim.fish

uninstall-command: $(B)/shim/version
	$(call quiet,REMOVE  $(DESTDIR)$(BINDIR)/p11shim)rm -f $(addprefix $(DESTDIR),$(BINDIR)/p11shim $(COMPLETIONS)) $(addprefix $(SHARE)/,$(SHARED))
	@rmdir $(SHARE)/report $(SHARE)/config $(SHARE) 2>/dev/null || true
