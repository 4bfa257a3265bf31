/*
 * answers.h: the module `answers` (answers.c), to be found with dlsym.
 */
#ifndef P11SHIM_TEST_ANSWERS_H
#define P11SHIM_TEST_ANSWERS_H

#include "standard/pkcs11.h"

typedef void answers_setter(CK_RV rv, CK_SESSION_HANDLE handle);
answers_setter answers_set;

#endif
