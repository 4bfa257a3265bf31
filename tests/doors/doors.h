/*
 * doors.h: what the door tests share: a check that prints what went wrong and
 * lets the program go on, and the question every one of them asks, "which
 * object does this address belong to?".
 *
 * A program that sees the same with the shim as without it prints the same
 * and exits 0; bats/doors.bats compares.
 */
#ifndef DOORS_H
#define DOORS_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The first version of dlsym, dlopen and dlclose on each machine. */
#if defined(__x86_64__)
#define FIRST_VERSION "GLIBC_2.2.5"
#elif defined(__i386__)
#define FIRST_VERSION "GLIBC_2.0"
#elif defined(__aarch64__)
#define FIRST_VERSION "GLIBC_2.17"
#else
#error "which version of glibc brought dlsym to this machine?"
#endif

/* Where the libraries of these tests are, as an absolute path. */
#ifndef DOORS
#error "compile with -DDOORS=\"directory\""
#endif

static int door_failures __attribute__((unused));

#define CHECK(truth, ...)                               \
	do {                                            \
		if (!(truth)) {                         \
			door_failures++;                \
			printf("FAILED: " __VA_ARGS__); \
			putchar('\n');                  \
		}                                       \
	} while (0)

/* The file name of the object that holds an address. */
static inline const char *object_of(const void *address)
{
	const char *slash;
	Dl_info info;

	if (!address || !dladdr(address, &info) || !info.dli_fname)
		return "nowhere";
	slash = strrchr(info.dli_fname, '/');
	return slash ? slash + 1 : info.dli_fname;
}

/* A library that a test cannot do without. */
static inline void *need_library(const char *path)
{
	void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);

	if (!handle) {
		printf("FAILED: %s\n", dlerror());
		exit(1);
	}
	return handle;
}

#endif
