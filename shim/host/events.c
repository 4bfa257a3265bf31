/*
 * events.c: see events.h.
 */
#include "host/events.h"

_Atomic(const struct recorder *) recorder;
