# Included by the Makefile: what belongs to a release.
#
#   make sbom              what is inside the library, as SPDX; installed into DOCDIR
#   make check-compilers   every compiler that Debian has (scripts/check-compilers)
#
# DOCDIR is not taken from the environment, where others may mean theirs.
DOCDIR = $(DATADIR)/doc/libp11shim
SBOM = $(B)/libp11shim.spdx.json

# Who links an inih of their own says which one it is.
ifeq ($(origin INIH),file)
INIH_VERSION =
else
INIH_VERSION ?= NOASSERTION
endif

.PHONY: sbom install-sbom uninstall-sbom
sbom: $(SBOM)
$(SBOM): $(B)/shim/version FORCE | $(B)/shim/.tools
	$(call quiet,SBOM    $@)scripts/sbom "$$(cat $<)" '$(INIH_VERSION)' $(CC) $(THEIR_CFLAGS) >$@.new
	@mv -f $@.new $@

# Another architecture's library is made of the same.
ifeq ($(OTHER_ARCH),)
install: install-sbom
uninstall: uninstall-sbom
endif

install-sbom: $(SBOM)
	$(call quiet,INSTALL $(DESTDIR)$(DOCDIR)/$(<F))install -d $(DESTDIR)$(DOCDIR)
	@install -m 644 $< $(DESTDIR)$(DOCDIR)

uninstall-sbom:
	$(call quiet,REMOVE  $(DESTDIR)$(DOCDIR)/$(notdir $(SBOM)))rm -f $(DESTDIR)$(DOCDIR)/$(notdir $(SBOM))
	@rmdir $(DESTDIR)$(DOCDIR) 2>/dev/null || true

.PHONY: check-compilers
check-compilers:
	@scripts/check-compilers $(B)
