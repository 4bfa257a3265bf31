# The sample programs of contract I4 and I5: one mistake each. Included by the
# Makefile; everything goes to $(B)/findings.
#
#   FINDINGS_ALL   all that is built here
#   findings       builds it

FINDINGS_LIBRARIES := $(B)/findings/guest.so $(B)/findings/fragile.so
FINDINGS_ALL := $(FINDINGS_LIBRARIES) $(patsubst tests/findings/%.c,$(B)/findings/%,\
	$(filter-out tests/findings/guest.c tests/findings/fragile.c,$(wildcard tests/findings/*.c)))

.PHONY: findings
findings: $(FINDINGS_ALL)

# Every function of the source is to be found in a stack: none is inlined, none
# left by a jump.
FINDINGS_CFLAGS = -D_GNU_SOURCE -iquote shim -iquote tests/findings -pthread \
	-MMD -MP -U_FORTIFY_SOURCE -O0 -g -fno-inline -fno-omit-frame-pointer

$(FINDINGS_LIBRARIES): $(B)/findings/%.so: tests/findings/%.c tests/findings/findings.mk
	@mkdir -p $(@D)
	$(LD_)$(TEST_CC) $(FINDINGS_CFLAGS) $(THEIR_LDFLAGS) -fPIC -shared -Wl,-soname,$(@F) $< -o $@ -ldl

$(B)/findings/%: tests/findings/%.c tests/findings/findings.mk $(B)/findings/guest.so
	@mkdir -p $(@D)
	$(LD_)$(TEST_CC) $(FINDINGS_CFLAGS) $(THEIR_LDFLAGS) $< -o $@ -L$(B)/findings -Wl,--as-needed -l:guest.so -Wl,-rpath,'$$ORIGIN' -ldl

-include $(wildcard $(B)/findings/*.d)
