# What a forked child has of a real module: consumers that fork, for bats/real.
# Included by the Makefile; everything goes to $(B)/fork.
#
#   FORK_ALL   all that is built here
#   fork       builds it

FORK_ALL := $(patsubst tests/fork/%.c,$(B)/fork/%,$(wildcard tests/fork/*.c))

.PHONY: fork
fork: $(FORK_ALL)

$(B)/fork/nss-gnutls-fork: FORK_FLAGS = $$(pkg-config --cflags nss gnutls)
$(B)/fork/nss-gnutls-fork: FORK_LIBS = $$(pkg-config --libs nss gnutls)

$(B)/fork/%: tests/fork/%.c tests/fork/fork.mk
	@mkdir -p $(@D)
	$(LD_)$(TEST_CC) -D_GNU_SOURCE -iquote tests/programs -iquote shim -pthread \
		-MMD -MP $(FORK_FLAGS) $(THEIR_LDFLAGS) $< -o $@ $(FORK_LIBS) -ldl

-include $(wildcard $(B)/fork/*.d)
