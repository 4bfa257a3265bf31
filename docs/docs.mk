# Included by the Makefile: the manual pages, made from docs/*.scd by scdoc.
#
# make man         builds them; make install does too, where there is a scdoc
MANDIR ?= $(PREFIX)/share/man

MAN_PAGES = $(patsubst docs/%.scd,$(B)/docs/%,$(sort $(wildcard docs/*.scd)))

# A page with tables says so in its first line, for groff.
$(B)/docs/%: docs/%.scd docs/docs.mk Makefile | $(B)/docs
	$(call quiet,MAN     $@)sed 's/@VERSION@/$(VERSION)/' $< | scdoc >$@.page
	@{ ! grep -q '^\.TS' $@.page || echo "'\\\" t"; cat $@.page; } >$@.new
	@rm $@.page
	@mv -f $@.new $@
$(B)/docs:
	@mkdir -p $@

.PHONY: man install-man uninstall-man
man: $(MAN_PAGES)

ifeq ($(OTHER_ARCH),)
install: install-man
uninstall: uninstall-man
endif

install-man:
	@if command -v scdoc >/dev/null; then \
		$(MAKE) --no-print-directory man && \
		for page in $(MAN_PAGES); do \
			directory=$(DESTDIR)$(MANDIR)/man$${page##*.}; \
			install -d "$$directory" && install -m 644 "$$page" "$$directory" || exit; \
		done; \
	else \
		echo "no scdoc here, so no manual pages; they can be read in docs/"; \
	fi

uninstall-man:
	$(call quiet,REMOVE  the manual pages)rm -f $(foreach page,$(MAN_PAGES),$(DESTDIR)$(MANDIR)/man$(subst .,,$(suffix $(page)))/$(notdir $(page)))
