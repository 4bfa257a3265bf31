/*
 * audit: a library for LD_AUDIT, DT_AUDIT and DT_DEPAUDIT. Makes the file that MARK names
 * when a dynamic linker that was itself called has it do something.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

unsigned int la_version(unsigned int version)
{
	char self[4096] = "";
	const char *mark = getenv("MARK");
	if (mark && readlink("/proc/self/exe", self, sizeof self - 1) > 0 && strstr(self, "/ld"))
		close(open(mark, O_WRONLY | O_CREAT, 0600));
	return version;
}
