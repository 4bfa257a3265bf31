/*
 * model.c: see model.h.
 */
#include "core/model.h"

struct module modules[MODULES];
_Atomic(unsigned) modules_made;

struct view views[VIEWS];
_Atomic(unsigned) views_made;
