# mock.mk: the mock modules, consumer libraries, drivers and stress programs.
# Included by the Makefile at the top, which sets B and TEST_CC.

B ?= build
MOCK_HEADERS = $(wildcard tests/mock/*.h) tests/mock/options.def shim/standard/pkcs11.h shim/standard/calls.def
MOCK_CFLAGS = -D_GNU_SOURCE -iquote shim -iquote tests/mock -iquote tests/consumers -pthread
MOCK_MODULE_FLAGS = -fPIC -shared -fvisibility=hidden -Wl,-Bsymbolic -Wl,-z,defs

# One source, several modules: each object is compiled once, and once more for
# every variant that it has.
MOCK_OBJECTS = $(addprefix $(B)/mock/objects/,mock.o mock-immortal.o token.o stubs.o lists.o lists-noifc.o lists-list.o lists-same.o)
$(B)/mock/objects/mock-immortal.o: MOCK_VARIANT = -DMOCK_NO_DESTRUCTOR
$(B)/mock/objects/lists-noifc.o: MOCK_VARIANT = -DMOCK_NO_INTERFACES
$(B)/mock/objects/lists-list.o: MOCK_VARIANT = -DMOCK_ONLY_LIST
$(B)/mock/objects/lists-same.o: MOCK_VARIANT = -DMOCK_SAME_ENTRIES
$(MOCK_OBJECTS): $(MOCK_HEADERS)
$(B)/mock/objects/lists-%.o: tests/mock/lists.c
	@mkdir -p $(@D)
	$(CC_)$(TEST_CC) $(MOCK_CFLAGS) -fPIC -fvisibility=hidden $(MOCK_VARIANT) -c -o $@ $<
$(B)/mock/objects/mock-%.o: tests/mock/mock.c
	@mkdir -p $(@D)
	$(CC_)$(TEST_CC) $(MOCK_CFLAGS) -fPIC -fvisibility=hidden $(MOCK_VARIANT) -c -o $@ $<
$(B)/mock/objects/%.o: tests/mock/%.c
	@mkdir -p $(@D)
	$(CC_)$(TEST_CC) $(MOCK_CFLAGS) -fPIC -fvisibility=hidden -c -o $@ $<

MOCK_MODULES = mock mock2 mock3 mock-noifc mock-list mock-same mock-immortal mock-dep
MOCK_LIBRARIES = $(MOCK_MODULES:%=$(B)/mock/%.so)
mock_parts = $(1:%=$(B)/mock/objects/%.o) $(B)/mock/objects/token.o $(B)/mock/objects/stubs.o
$(B)/mock/mock.so $(B)/mock/mock2.so $(B)/mock/mock3.so: $(call mock_parts,mock lists)
$(B)/mock/mock-noifc.so $(B)/mock/mock-dep.so: $(call mock_parts,mock lists-noifc)
$(B)/mock/mock-list.so: $(call mock_parts,mock lists-list)
$(B)/mock/mock-same.so: $(call mock_parts,mock lists-same)
$(B)/mock/mock-immortal.so: $(call mock_parts,mock-immortal lists)
# A 2.x module linked to a 3.x one: dlsym finds the dependency's C_GetInterface.
$(B)/mock/mock-dep.so: $(B)/mock/mock.so
$(B)/mock/mock-dep.so: private MOCK_LINK = -Wl,--no-as-needed $(B)/mock/mock.so -Wl,-rpath,'$$ORIGIN'
$(MOCK_LIBRARIES):
	$(LD_)$(TEST_CC) $(THEIR_LDFLAGS) $(MOCK_MODULE_FLAGS) -Wl,-soname,$(@F) -o $@ $(filter %.o,$^) $(MOCK_LINK) -pthread

# Another module, and a consumer with a destructor: see their sources.
TINY = $(B)/mock/tiny.so
$(TINY): tests/mock/tiny.c
DESTRUCTOR = $(B)/consumers/destructor.so
$(DESTRUCTOR): tests/consumers/destructor.c
$(TINY) $(DESTRUCTOR): shim/standard/pkcs11.h
	@mkdir -p $(@D)
	$(LD_)$(TEST_CC) $(MOCK_CFLAGS) $(THEIR_LDFLAGS) $(MOCK_MODULE_FLAGS) -fno-optimize-sibling-calls -Wl,-soname,$(@F) -o $@ $(filter %.c,$^)

# Consumers are told apart by the object that a lookup comes from: no tail calls.
CONSUMERS = $(foreach n,1 2 3 4,$(B)/consumers/consumer-$(n).so)
$(CONSUMERS): tests/consumers/consumer.c tests/consumers/consumer.h $(MOCK_HEADERS)
	@mkdir -p $(@D)
	$(LD_)$(TEST_CC) $(MOCK_CFLAGS) $(THEIR_LDFLAGS) $(MOCK_MODULE_FLAGS) -fno-optimize-sibling-calls -Wl,-soname,$(@F) -o $@ tests/consumers/consumer.c

MOCK_DRIVERS = $(patsubst tests/mock/drivers/%.c,$(B)/mock/drivers/%,$(wildcard tests/mock/drivers/*.c))
$(MOCK_DRIVERS): $(B)/mock/drivers/%: tests/mock/drivers/%.c tests/mock/drivers/driver.h tests/consumers/consumer.h $(MOCK_HEADERS)
	@mkdir -p $(@D)
	$(LD_)$(TEST_CC) $(MOCK_CFLAGS) -iquote tests/mock/drivers $(THEIR_LDFLAGS) -o $@ $< $(MOCK_LINK)
$(B)/mock/drivers/exit-linked: $(DESTRUCTOR)
$(B)/mock/drivers/exit-linked: private MOCK_LINK = $(DESTRUCTOR) -Wl,-rpath,'$$ORIGIN/../../consumers'

STRESS = $(patsubst tests/stress/%.c,$(B)/stress/%,$(wildcard tests/stress/*.c))
$(STRESS): $(B)/stress/%: tests/stress/%.c tests/consumers/consumer.h $(MOCK_HEADERS)
	@mkdir -p $(@D)
	$(LD_)$(TEST_CC) $(MOCK_CFLAGS) $(THEIR_LDFLAGS) -o $@ $<

MOCK_ALL = $(MOCK_LIBRARIES) $(TINY) $(CONSUMERS) $(DESTRUCTOR) $(MOCK_DRIVERS) $(STRESS)
.PHONY: mock
mock: $(MOCK_ALL)
