# The tests of single rooms (cmocka). Each program links the whole shim.

UNIT_TESTS = $(patsubst tests/unit/%.c,$(B)/unit/%,$(wildcard tests/unit/test-*.c))

.PHONY: unit
unit: $(UNIT_TESTS)

$(B)/unit/test-process: UNIT_LINK = -Wl,--wrap=madvise
$(B)/unit/test-scope: UNIT_FLAGS = -DHELD='"$(abspath $(B))/unit/held.so"'
$(B)/unit/test-scope: $(B)/unit/held.so

# without sanitizers, whose exit handlers do not go with an unloaded library
$(B)/unit/%.so: tests/unit/%.c
	@mkdir -p $(@D)
	$(CC) -g -std=gnu11 -Wall -Wextra -fPIC -shared -o $@ $<

$(B)/unit/%: tests/unit/%.c tests/unit/unit.h $(OBJECTS) $(HEADERS)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Werror -Ishim $(UNIT_FLAGS) $(LDFLAGS) -o $@ $< \
		$(OBJECTS) $(UNIT_LINK) -linih -lcmocka -lm -ldl -lpthread
