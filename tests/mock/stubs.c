/*
 * stubs.c: every function of calls.def, answering MOCK_ANSWER(). Those that
 * mock.c, token.c and lists.c write out in full replace these.
 */
#include "rooms.h"

#define NOT_USED(pair) (void)NAMED(pair)
#define CALL(name, route, ...)                                                                 \
	__attribute__((weak)) CK_RV mock_##name(enum mock_list list, EACH(TYPED, __VA_ARGS__)) \
	{                                                                                      \
		EACH(NOT_USED, __VA_ARGS__);                                                   \
		return MOCK_ANSWER(list, MOCK_##name);                                         \
	}
#define P PAIR
#include "standard/calls.def"
