# The tests of single rooms (cmocka), in the folder of their floor. Each program links the whole shim.

UNIT_SOURCES = $(wildcard tests/unit/*/test-*.c)
UNIT_TESTS = $(patsubst %.c,$(B)/unit/%,$(notdir $(UNIT_SOURCES)))

.PHONY: unit
unit: $(UNIT_TESTS)

$(B)/unit/test-process: UNIT_LINK = -Wl,--wrap=madvise
$(B)/unit/test-object: UNIT_FLAGS = -DHELD=$(call c_string,$(ABSOLUTE_B)/unit/held.so)
$(B)/unit/test-object: $(B)/unit/held.so

# without sanitizers, whose exit handlers do not go with an unloaded library
$(B)/unit/%.so: tests/unit/host/%.c
	@mkdir -p $(@D)
	$(LD_)$(CC) -g $(TEST_WARNINGS) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -std=gnu11 -fno-lto -fPIC -shared -o $@ $<

define unit_test
$$(B)/unit/$(basename $(notdir $1)): $1 tests/unit/unit.h $$(OBJECTS) $$(HEADERS)
	@mkdir -p $$(@D)
	$$(LD_)$$(TEST_CC) -D_GNU_SOURCE -iquote shim -iquote tests/unit $$(UNIT_FLAGS) $$(THEIR_LDFLAGS) -o $$@ $$< \
		$$(OBJECTS) $$(UNIT_LINK) $$(INIH) -lcmocka -lm -ldl -lpthread

endef
$(foreach source,$(UNIT_SOURCES),$(eval $(call unit_test,$(source))))
