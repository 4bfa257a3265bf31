/*
 * consumer.h: small libraries that use a PKCS #11 module. consumer-1.so and so
 * on come from one source; each is a consumer of its own, since its lookups
 * come from its own code, and tags its sessions with its own address.
 *
 *   const struct consumer *a = load_consumer(1);
 *   void *module = a->load(build_path("mock/mock.so"));
 *   CK_FUNCTION_LIST *list = a->list(module);
 *   a->initialise(list);
 */
#ifndef CONSUMER_H
#define CONSUMER_H

#include "standard/pkcs11.h"
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct consumer {
	const void *tag; /* pApplication of its sessions */

	/* dlopen (RTLD_NOW), dlclose and dlsym, called from this library */
	void *(*load)(const char *path);
	int (*unload)(void *module);
	void *(*symbol)(void *module, const char *name);

	/* The functions that give lists, looked up and called here; CKR_GENERAL_ERROR if there is none. */
	CK_RV (*ask_list)(void *module, CK_FUNCTION_LIST **list);
	CK_RV(*ask_interface)
	(void *module, const char *name, CK_VERSION *version, CK_INTERFACE **interface, CK_FLAGS flags);
	CK_RV (*ask_interfaces)(void *module, CK_INTERFACE *interfaces, CK_ULONG *count);

	/* The list, and the standard interface's list of a version (0, 0: the default), or NULL. */
	CK_FUNCTION_LIST *(*list)(void *module);
	void *(*list_3)(void *module, int major, int minor);

	/* Calls through a list: OS locking; a tagged read-write session; sign with the first private key. */
	CK_RV (*initialise)(CK_FUNCTION_LIST *list);
	CK_RV (*finalise)(CK_FUNCTION_LIST *list);
	CK_RV (*open)(CK_FUNCTION_LIST *list, CK_SLOT_ID slot, CK_SESSION_HANDLE *session);
	CK_RV (*login)(CK_FUNCTION_LIST *list, CK_SESSION_HANDLE session, const char *pin);
	CK_RV(*sign)
	(CK_FUNCTION_LIST *list, CK_SESSION_HANDLE session, const void *data, CK_ULONG size,
	 CK_BYTE *signature, CK_ULONG *signature_size);
};

/* A path below the build directory, which is $BUILD or found from where the program lies. */
__attribute__((unused)) static const char *build_path(const char *name)
{
	static _Thread_local char path[8192];
	const char *build = getenv("BUILD");
	char *end;
	ssize_t size;

	if (build) {
		snprintf(path, sizeof path, "%s/%s", build, name);
		return path;
	}
	size = readlink("/proc/self/exe", path, 4096);
	path[size < 0 ? 0 : size] = 0;
	end = strstr(path, "/mock/drivers/");
	if (!end)
		end = strstr(path, "/stress/");
	if (!end) {
		fprintf(stderr, "where is the build directory? Set BUILD\n");
		exit(2);
	}
	snprintf(end, (size_t)(path + sizeof path - end), "/%s", name);
	return path;
}

__attribute__((unused)) static const struct consumer *load_consumer_file(const char *path)
{
	void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	const struct consumer *consumer = library ? dlsym(library, "consumer") : NULL;

	if (!consumer) {
		fprintf(stderr, "%s\n", dlerror());
		exit(2);
	}
	return consumer;
}

__attribute__((unused)) static const struct consumer *load_consumer(int n)
{
	char name[64];

	snprintf(name, sizeof name, "consumers/consumer-%d.so", n);
	return load_consumer_file(build_path(name));
}

#endif
