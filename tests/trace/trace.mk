# trace.mk: what bats/trace.bats, bats/journal.bats and bats/secrets.bats run.
# Included by the Makefile at the top; everything goes to $(B)/trace.

B ?= build
TRACE_CFLAGS = -D_GNU_SOURCE -iquote tests/programs -iquote tests/trace \
	-iquote tests/mock -iquote shim
TRACE_HEADERS = shim/standard/pkcs11.h shim/standard/calls.h shim/standard/calls.def shim/standard/returns.def tests/mock/each.h tests/trace/answers.h \
	tests/programs/names.h tests/trace/trace.mk

TRACE_PROGRAMS = $(addprefix $(B)/trace/,steps parameters secrets)
TRACE_ALL = $(TRACE_PROGRAMS) $(B)/trace/answers.so

# Callers are told apart by the object that they are in: no tail calls.
$(TRACE_PROGRAMS): $(B)/trace/%: tests/trace/%.c $(TRACE_HEADERS)
	@mkdir -p $(@D)
	$(LD_)$(TEST_CC) $(TRACE_CFLAGS) -fno-optimize-sibling-calls $(THEIR_LDFLAGS) -o $@ $< -pthread -ldl

$(B)/trace/answers.so: tests/trace/answers.c $(TRACE_HEADERS)
	@mkdir -p $(@D)
	$(LD_)$(TEST_CC) $(TRACE_CFLAGS) $(THEIR_LDFLAGS) -fPIC -shared -fvisibility=hidden -Wl,-z,defs -Wl,-soname,$(@F) -o $@ $<

.PHONY: trace
trace: $(TRACE_ALL)
