# Included by the Makefile: the manual pages, made from docs/*.scd by scdoc.
#
# make man         builds them; make install does too, where there is a scdoc
MANDIR ?= $(PREFIX)/share/man

MAN_PAGES = $(patsubst docs/%.scd,$(B)/docs/%,$(sort $(wildcard docs/*.scd)))

# $(call make_page,SOURCE,PAGE): a page with tables says so in its first line, for groff.
make_page = { sed 's/@VERSION@/$(VERSION)/' $1 | scdoc >$2.page && \
	{ ! grep -q '^\.TS' $2.page || echo "'\\\" t"; cat $2.page; } >$2.new && rm -f $2.page && mv -f $2.new $2; } || \
	{ rm -f $2.page $2.new; exit 1; }
$(B)/docs/%: docs/%.scd docs/docs.mk Makefile | $(B)/docs
	$(call quiet,MAN     $@)$(call make_page,$<,$@)
$(B)/docs:
	@mkdir -p $@

.PHONY: man install-man uninstall-man
man: $(MAN_PAGES)

ifeq ($(OTHER_ARCH),)
install: install-man
uninstall: uninstall-man
endif

# Not by way of the build directory, which may be another user's than who installs.
install-man:
	@if command -v scdoc >/dev/null; then \
		for page in $(notdir $(MAN_PAGES)); do \
			directory=$(DESTDIR)$(MANDIR)/man$${page##*.}; \
			install -d "$$directory" || exit; \
			$(call make_page,"docs/$$page.scd","$$directory/$$page"); \
			chmod 644 "$$directory/$$page" || exit; \
		done; \
	else \
		echo "no scdoc here, so no manual pages; they can be read in docs/"; \
	fi

uninstall-man:
	$(call quiet,REMOVE  the manual pages)rm -f $(foreach page,$(MAN_PAGES),$(DESTDIR)$(MANDIR)/man$(subst .,,$(suffix $(page)))/$(notdir $(page)))
