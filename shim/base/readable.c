/*
 * readable.c: see readable.h.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/readable.h"

/*
 * Is the process under Valgrind? Valgrind complains of memory that a system call would read and that has not
 * been written, as if the program had read it. So under Valgrind the kernel is asked about pages (mincore),
 * which is coarser: what is mapped is not always readable.
 */
static bool by_page;

void readable_start(void)
{
	const char *preload = secure_getenv("LD_PRELOAD");
	by_page = preload && strstr(preload, "vgpreload");
}

static bool is_mapped(uintptr_t address, size_t size)
{
	unsigned char pages[64];
	uintptr_t page = address & ~(uintptr_t)4095, end = address + (size > 0 ? size : 1);
	return address >= 4096 && end > address && end - page <= sizeof pages * 4096 &&
	       syscall(SYS_mincore, page, end - page, pages) == 0;
}

/*
 * Can that memory be read? The kernel reads the set of signals before it finds that it does not know what to
 * do with it (`nonsense`); so nothing is changed.
 */
bool is_readable(const void *start, size_t size)
{
	uintptr_t address = (uintptr_t)start;
	uintptr_t here = (uintptr_t)__builtin_frame_address(0);
	/* The page of this very stack frame can be read, and the results of many a consumer lie on it. */
	if (address >= here && address <= (here | 4095) && size <= (here | 4095) + 1 - address)
		return true;
	const long nonsense = 0x7fff;
	if (by_page)
		return is_mapped(address, size);
	uintptr_t last = address + (size > 8 ? size - 8 : 0);
	if (address < 4096 || last < address)
		return false;
	for (uintptr_t at = address; at < last; at = (at | 4095) + 1)
		if (syscall(SYS_rt_sigprocmask, nonsense, at, NULL, 8L) != 0 && errno == EFAULT)
			return false;
	return syscall(SYS_rt_sigprocmask, nonsense, last, NULL, 8L) == 0 || errno != EFAULT;
}
