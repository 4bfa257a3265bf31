/*
 * specimen: a program that can be built in many ways, for `p11shim check` to look at and
 * for `p11shim run` to run.
 *
 *	specimen [STATUS]
 *
 * Prints the libp11shim.so that it has mapped, or `none`, and exits with STATUS (0).
 * Makes the file that MARK names as soon as any of its code runs.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

__attribute__((constructor)) static void mark(void)
{
	const char *name = getenv("MARK");
	FILE *file = name ? fopen(name, "w") : NULL;
	if (file)
		fclose(file);
}

int main(int count, char **argument)
{
	char line[1024];
	const char *found = NULL;
	FILE *maps = fopen("/proc/self/maps", "r");
	while (maps && !found && fgets(line, sizeof line, maps)) {
		char *path = strchr(line, '/');
		if (path && strstr(path, "/libp11shim.so"))
			found = path;
	}
	fputs(found ? found : "none\n", stdout);
	return count > 1 ? atoi(argument[1]) : 0;
}
