# mock.mk: the mock modules, consumer libraries, drivers and stress programs.
# Included by the Makefile at the top, which sets B, CC and CFLAGS.

B ?= build
MOCK_SOURCES = tests/mock/mock.c tests/mock/lists.c tests/mock/token.c tests/mock/stubs.c
MOCK_HEADERS = $(wildcard tests/mock/*.h) tests/mock/options.def shim/pkcs11.h shim/calls.def
MOCK_CFLAGS = -std=gnu11 -O1 -g -D_GNU_SOURCE -Wall -Wextra -Werror -iquote shim -iquote tests/mock -iquote tests/consumers -pthread
MOCK_MODULE_FLAGS = -fPIC -shared -fvisibility=hidden -Wl,-Bsymbolic -Wl,-z,defs

# One source, several modules; each variant's flags stand below.
MOCK_MODULES = mock mock2 mock3 mock-noifc mock-list mock-same mock-immortal mock-dep
MOCK_LIBRARIES = $(MOCK_MODULES:%=$(B)/mock/%.so)
$(B)/mock/mock-noifc.so: MOCK_VARIANT = -DMOCK_NO_INTERFACES
$(B)/mock/mock-list.so: MOCK_VARIANT = -DMOCK_ONLY_LIST
$(B)/mock/mock-same.so: MOCK_VARIANT = -DMOCK_SAME_ENTRIES
$(B)/mock/mock-immortal.so: MOCK_VARIANT = -DMOCK_NO_DESTRUCTOR
# A 2.x module linked to a 3.x one: dlsym finds the dependency's C_GetInterface.
$(B)/mock/mock-dep.so: MOCK_VARIANT = -DMOCK_NO_INTERFACES
$(B)/mock/mock-dep.so: MOCK_LINK = -Wl,--no-as-needed $(B)/mock/mock.so -Wl,-rpath,'$$ORIGIN'
$(B)/mock/mock-dep.so: $(B)/mock/mock.so

$(MOCK_LIBRARIES): $(MOCK_SOURCES) $(MOCK_HEADERS)
	@mkdir -p $(@D)
	$(CC) $(MOCK_CFLAGS) $(CFLAGS) $(MOCK_MODULE_FLAGS) $(MOCK_VARIANT) -Wl,-soname,$(@F) $(LDFLAGS) -o $@ $(MOCK_SOURCES) $(MOCK_LINK)

# Consumers are told apart by the object that a lookup comes from: no tail calls.
CONSUMERS = $(foreach n,1 2 3 4,$(B)/consumers/consumer-$(n).so)
$(CONSUMERS): tests/consumers/consumer.c tests/consumers/consumer.h $(MOCK_HEADERS)
	@mkdir -p $(@D)
	$(CC) $(MOCK_CFLAGS) $(CFLAGS) $(MOCK_MODULE_FLAGS) -fno-optimize-sibling-calls -Wl,-soname,$(@F) $(LDFLAGS) -o $@ tests/consumers/consumer.c

MOCK_DRIVERS = $(patsubst tests/mock/drivers/%.c,$(B)/mock/drivers/%,$(wildcard tests/mock/drivers/*.c))
$(MOCK_DRIVERS): $(B)/mock/drivers/%: tests/mock/drivers/%.c tests/mock/drivers/driver.h tests/consumers/consumer.h $(MOCK_HEADERS)
	@mkdir -p $(@D)
	$(CC) $(MOCK_CFLAGS) $(CFLAGS) -iquote tests/mock/drivers $(LDFLAGS) -o $@ $<

STRESS = $(patsubst tests/stress/%.c,$(B)/stress/%,$(wildcard tests/stress/*.c))
$(STRESS): $(B)/stress/%: tests/stress/%.c tests/consumers/consumer.h $(MOCK_HEADERS)
	@mkdir -p $(@D)
	$(CC) $(MOCK_CFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $<

MOCK_ALL = $(MOCK_LIBRARIES) $(CONSUMERS) $(MOCK_DRIVERS) $(STRESS)
.PHONY: mock
mock: $(MOCK_ALL)
