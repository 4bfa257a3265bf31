/*
 * notmodule.c: a library that is not a module: it has no C_GetFunctionList,
 * though other names of it are spelled like the standard's.
 */
#include <string.h>

unsigned long C_Initialize(void *arguments);
unsigned long C_Sign(void);
unsigned long C_GetInterface(void);
unsigned long C_Unheard(void);
const void *door_own(const char *name);
extern int C_Login;

/* Not even a function. */
int C_Login = 5;

unsigned long C_Initialize(void *arguments)
{
	(void)arguments;
	return 12345;
}

unsigned long C_Sign(void)
{
	return 23456;
}

unsigned long C_GetInterface(void)
{
	return 34567;
}

unsigned long C_Unheard(void)
{
	return 45678;
}

/* Where this library itself says that its symbols are. */
const void *door_own(const char *name)
{
	if (!strcmp(name, "C_Login"))
		return &C_Login;
	if (!strcmp(name, "C_Initialize"))
		return (void *)C_Initialize;
	if (!strcmp(name, "C_Sign"))
		return (void *)C_Sign;
	if (!strcmp(name, "C_GetInterface"))
		return (void *)C_GetInterface;
	return (void *)C_Unheard;
}
