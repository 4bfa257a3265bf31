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
MAKE_SBOM = scripts/sbom "$$(cat $(B)/shim/version)" $(call quote,$(INIH_VERSION)) $(CC) $(THEIR_CFLAGS)
$(SBOM): $(B)/shim/version FORCE | $(B)/shim/.tools
	$(call quiet,SBOM    $@)$(MAKE_SBOM) >$@.new
	@mv -f $@.new $@

# Another architecture's library is made of the same.
ifeq ($(OTHER_ARCH),)
install: install-sbom
uninstall: uninstall-sbom
endif

# Not by way of the build directory, which may be another user's than who installs.
INSTALLED_SBOM = $(DESTDIR)$(DOCDIR)/$(notdir $(SBOM))
install-sbom: $(B)/shim/version | $(B)/shim/.tools
	$(call quiet,INSTALL $(INSTALLED_SBOM))install -d $(DESTDIR)$(DOCDIR)
	@$(MAKE_SBOM) >$(INSTALLED_SBOM).new || { rm -f $(INSTALLED_SBOM).new; exit 1; }
	@chmod 644 $(INSTALLED_SBOM).new
	@mv -f $(INSTALLED_SBOM).new $(INSTALLED_SBOM)

uninstall-sbom:
	$(call quiet,REMOVE  $(INSTALLED_SBOM))rm -f $(INSTALLED_SBOM)
	@rmdir $(DESTDIR)$(DOCDIR) 2>/dev/null || true

.PHONY: check-compilers
check-compilers:
	@scripts/check-compilers $(B)
