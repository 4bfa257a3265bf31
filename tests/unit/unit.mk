# The tests of single rooms (cmocka). Each program links the whole shim.

UNIT_TESTS = $(patsubst tests/unit/%.c,$(B)/unit/%,$(wildcard tests/unit/test-*.c))

.PHONY: unit
unit: $(UNIT_TESTS)

$(B)/unit/test-process: UNIT_LINK = -Wl,--wrap=madvise
$(B)/unit/test-object: UNIT_FLAGS = -DHELD=$(call c_string,$(ABSOLUTE_B)/unit/held.so)
$(B)/unit/test-object: $(B)/unit/held.so

# without sanitizers, whose exit handlers do not go with an unloaded library
$(B)/unit/%.so: tests/unit/%.c
	@mkdir -p $(@D)
	$(LD_)$(CC) -g $(TEST_WARNINGS) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -std=gnu11 -fno-lto -fPIC -shared -o $@ $<

$(B)/unit/%: tests/unit/%.c tests/unit/unit.h $(OBJECTS) $(HEADERS)
	@mkdir -p $(@D)
	$(LD_)$(TEST_CC) -D_GNU_SOURCE -iquote shim $(UNIT_FLAGS) $(THEIR_LDFLAGS) -o $@ $< \
		$(OBJECTS) $(UNIT_LINK) $(INIH) -lcmocka -lm -ldl -lpthread
