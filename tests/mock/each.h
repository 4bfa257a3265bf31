/*
 * each.h: what a call of calls.def needs in order to be written out as a
 * function: EACH(macro, parameters...) applies a macro to each parameter.
 *
 *   #define CALL(name, route, ...)  CK_RV name(EACH(TYPED, __VA_ARGS__)) \
 *                                   { return other(EACH(NAMED, __VA_ARGS__)); }
 *   #define P PAIR
 *   #include "standard/calls.def"
 */
#ifndef MOCK_EACH_H
#define MOCK_EACH_H

/* A parameter travels as a pair in parentheses, so that it can be written in more than one way. */
#define PAIR(type, name, kind) (type, name)
#define TYPED(pair) TYPED_ pair
#define TYPED_(type, name) type name
#define NAMED(pair) NAMED_ pair
#define NAMED_(type, name) name
#define WORD(pair) WORD_ pair
#define WORD_(type, name) (uintptr_t) name

#define EACH(m, ...) EACH_PICK(__VA_ARGS__, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1)(m, __VA_ARGS__)
#define EACH_PICK(a, b, c, d, e, f, g, h, i, j, n, ...) EACH_GLUE(EACH_, n)
#define EACH_GLUE(a, b) EACH_GLUE_(a, b)
#define EACH_GLUE_(a, b) a##b
#define EACH_1(m, a) m(a)
#define EACH_2(m, a, ...) m(a), EACH_1(m, __VA_ARGS__)
#define EACH_3(m, a, ...) m(a), EACH_2(m, __VA_ARGS__)
#define EACH_4(m, a, ...) m(a), EACH_3(m, __VA_ARGS__)
#define EACH_5(m, a, ...) m(a), EACH_4(m, __VA_ARGS__)
#define EACH_6(m, a, ...) m(a), EACH_5(m, __VA_ARGS__)
#define EACH_7(m, a, ...) m(a), EACH_6(m, __VA_ARGS__)
#define EACH_8(m, a, ...) m(a), EACH_7(m, __VA_ARGS__)
#define EACH_9(m, a, ...) m(a), EACH_8(m, __VA_ARGS__)
#define EACH_10(m, a, ...) m(a), EACH_9(m, __VA_ARGS__)

#endif
