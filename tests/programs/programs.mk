# The sample programs: real libraries and plain callers that share a module.
# Included by the Makefile; everything goes to $(B)/programs.
#
#   PROGRAMS   all that is built here
#   programs   builds it

PROGRAMS := $(addprefix $(B)/programs/,nss-gnutls two-plugins race exit-call wait-answers nss-wait event-watch plugin-a.so plugin-b.so)
PROGRAMS += $(B)/programs/every-function
PROGRAMS += $(addprefix $(B)/programs/,arguments crowds plugin-callbacks.so plugin-either.so)

.PHONY: programs
programs: $(PROGRAMS)

$(B)/programs/arguments $(B)/programs/crowds: PROGRAM_FLAGS = -D_GNU_SOURCE -iquote tests/consumers
$(B)/programs/arguments $(B)/programs/crowds: PROGRAM_LIBS = -pthread
$(B)/programs/plugin-callbacks.so: PLUGIN_FLAGS = -DPLUGIN_CALLBACKS=0
$(B)/programs/plugin-either.so: PLUGIN_FLAGS = -DPLUGIN_CALLBACKS=CKF_OS_LOCKING_OK

$(B)/programs/nss-gnutls: PROGRAM_FLAGS = $$(pkg-config --cflags nss gnutls)
$(B)/programs/nss-gnutls: PROGRAM_LIBS = $$(pkg-config --libs nss gnutls)
$(B)/programs/event-watch: PROGRAM_LIBS = -pthread
$(B)/programs/event-watch: PROGRAM_FLAGS = -D_GNU_SOURCE -iquote tests/consumers
$(B)/programs/wait-answers: PROGRAM_LIBS = -pthread
$(B)/programs/wait-answers: PROGRAM_FLAGS = -D_GNU_SOURCE
$(B)/programs/nss-wait: PROGRAM_FLAGS = -D_GNU_SOURCE $$(pkg-config --cflags nss)
$(B)/programs/nss-wait: PROGRAM_LIBS = $$(pkg-config --libs nss) -pthread
$(B)/programs/race: PROGRAM_LIBS = -pthread
$(B)/programs/exit-call: PROGRAM_LIBS = -pthread
$(B)/programs/every-function: PROGRAM_FLAGS = -D_GNU_SOURCE -iquote tests/mock

$(B)/programs/%.so: tests/programs/plugin.c tests/programs/programs.mk
	@mkdir -p $(@D)
	$(LD_)$(TEST_CC) -iquote shim -MMD -MP $(PLUGIN_FLAGS) $(THEIR_LDFLAGS) -fPIC -shared $< -o $@ -ldl

$(B)/programs/%: tests/programs/%.c tests/programs/programs.mk
	@mkdir -p $(@D)
	$(LD_)$(TEST_CC) -iquote shim -MMD -MP $(PROGRAM_FLAGS) $(THEIR_LDFLAGS) $< -o $@ \
		$(PROGRAM_LIBS) -ldl

-include $(wildcard $(B)/programs/*.d)
