/*
 * start.h: the first meeting of the process with PKCS #11: the settings are read, and the recording that they
 * ask for begins.
 */
#ifndef P11SHIM_START_H
#define P11SHIM_START_H

#include "base/common.h"

/*
 * To be called before the settings are asked for anything. No lock of the shim may be held, since this
 * may read files and load a library. errno is kept.
 */
void start(void);

#endif
