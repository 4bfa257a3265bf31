# Included by the Makefile: the command, p11shim, and its parts.
#
#   BINDIR/p11shim                   the command
#   DATADIR                          its parts, p11shim-report with its own, and the built-in
#                                    settings, to read
#   LIBDIR/p11shim/p11shim-info      what asks modules; for the machine that LIBDIR is for
#   COMPLETIONDIR/p11shim            for bash
BINDIR ?= $(PREFIX)/bin
DATADIR ?= $(PREFIX)/share/p11shim
COMPLETIONDIR ?= $(PREFIX)/share/bash-completion/completions

INFO = $(B)/p11shim-info
PARTS = scripts/p11shim-programs.sh scripts/p11shim-modules.sh

all: $(INFO)

$(INFO): scripts/p11shim-info.c scripts/p11shim-settings.c scripts/p11shim-info.h $(B)/shim/config.o \
		$(B)/shim/builtin.o $(B)/shim/text.o $(HEADERS)
	$(CC) $(CFLAGS) -std=gnu11 -D_GNU_SOURCE $(WARNINGS) -Ishim $(LDFLAGS) -Wl,--wrap=fgets -o $@.new \
		$(filter %.c %.o,$^) -Wl,-Bstatic -linih -Wl,-Bdynamic -ldl
	mv -f $@.new $@

.PHONY: install-command uninstall-command
install: install-command
install-command: $(INFO)
	install -d $(DESTDIR)$(BINDIR) $(DESTDIR)$(DATADIR)/report $(DESTDIR)$(DATADIR)/config \
		$(DESTDIR)$(LIBDIR)/p11shim $(DESTDIR)$(COMPLETIONDIR)
	sed -e "s|^version=.*|version='$(VERSION)'|" -e "s|^libdir=.*|libdir='$(LIBDIR)'|" \
		scripts/p11shim >$(B)/p11shim.install
	install -m 755 $(B)/p11shim.install $(DESTDIR)$(BINDIR)/p11shim
	install -m 644 $(PARTS) $(DESTDIR)$(DATADIR)
	install -m 755 scripts/p11shim-report $(DESTDIR)$(DATADIR)
	install -m 644 $(wildcard scripts/report/*) $(DESTDIR)$(DATADIR)/report
	install -m 644 config/p11shim.conf config/modules.conf $(DESTDIR)$(DATADIR)/config
	install -m 755 $(INFO) $(DESTDIR)$(LIBDIR)/p11shim
	install -m 644 scripts/p11shim-completion.bash $(DESTDIR)$(COMPLETIONDIR)/p11shim

uninstall: uninstall-command
uninstall-command:
	rm -f $(DESTDIR)$(BINDIR)/p11shim $(DESTDIR)$(COMPLETIONDIR)/p11shim
	rm -rf $(DESTDIR)$(DATADIR) $(DESTDIR)$(LIBDIR)/p11shim
