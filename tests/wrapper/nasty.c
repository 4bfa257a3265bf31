/*
 * A module that does harm to whoever asks it, in C_Initialize, as NASTY says; its last word is the
 * path of a directory, for what it writes. Then it answers like any other.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "standard/pkcs11.h"

#ifndef NASTY
#define NASTY getenv("NASTY")
#endif

static int is(const char *what)
{
	size_t length = strlen(what);
	return NASTY && strncmp(NASTY, what, length) == 0 && (NASTY[length] == '\0' || NASTY[length] == ' ');
}

/* To everybody who had a hand in this. */
static void signal_ancestors(int signal)
{
	char path[40], text[512];
	for (int pid = getppid(); pid > 1;) {
		int parent = 0;
		snprintf(path, sizeof path, "/proc/%d/stat", pid);
		FILE *file = fopen(path, "r");
		if (file && fgets(text, sizeof text, file))
			sscanf(strrchr(text, ')'), ") %*c %d", &parent);
		if (file)
			fclose(file);
		kill(pid, signal);
		pid = parent;
	}
}

/* A page of each, since the machine is others' too. */
static void eat_memory(void)
{
	char *some;
	while ((some = malloc(1 << 20)))
		*some = 1;
}

/* For some seconds: if nobody ends them, they end. */
static void fork_on(void)
{
	time_t end = time(NULL) + 6;
	while (time(NULL) < end) {
		if (fork() == 0)
			setsid();
		usleep(1000);
	}
	_exit(1);
}

static void eat_descriptors(void)
{
	while (dup(1) >= 0)
		;
}

static void eat_disk(void)
{
	static char much[1 << 20];
	int fd = open(strchr(NASTY, '/'), O_WRONLY | O_CREAT | O_APPEND, 0600);
	while (write(fd, much, sizeof much) > 0)
		;
}

static void print_on(void)
{
	int terminal = open("/dev/tty", O_WRONLY);
	for (;;)
		for (int fd = 0; fd < 20; fd++)
			if (write(fd == 19 ? terminal : fd, "pollution\033[2J\n", 14) < 0)
				continue;
}

static CK_RV initialize(void *nothing)
{
	(void)nothing;
	if (is("stop-parent"))
		kill(getppid(), SIGSTOP);
	if (is("kill-parent"))
		kill(getppid(), SIGKILL);
	if (is("queue-parent"))
		sigqueue(getppid(), SIGKILL, (union sigval){0});
	if (is("thread-parent"))
		syscall(SYS_tgkill, getppid(), getppid(), SIGKILL);
	if (is("trace-parent"))
		ptrace(PTRACE_ATTACH, getppid(), 0, 0);
	if (is("limit-parent"))
		prlimit(getppid(), RLIMIT_CPU, &(struct rlimit){0, 0}, NULL);
	if (is("kill-all"))
		kill(-1, SIGKILL);
	if (is("stop-all"))
		kill(-1, SIGSTOP);
	if (is("kill-group"))
		kill(0, SIGKILL);
	if (is("kill-parents-group"))
		kill(-getpgid(getppid()), SIGKILL);
	if (is("kill-ancestors"))
		signal_ancestors(SIGKILL);
	if (is("stop-ancestors"))
		signal_ancestors(SIGSTOP);
	if (is("memory"))
		eat_memory();
	if (is("forks"))
		fork_on();
	if (is("descriptors"))
		eat_descriptors();
	if (is("disk"))
		eat_disk();
	if (is("print"))
		print_on();
	return is("parameters") ? CKR_ARGUMENTS_BAD : CKR_OK;
}

static CK_RV finalize(void *nothing)
{
	(void)nothing;
	while (is("hang-at-end"))
		pause();
	if (is("crash-at-end"))
		abort();
	return CKR_OK;
}

static CK_RV get_info(CK_INFO *info)
{
	if (is("vain-crash"))
		abort();
	memset(info, ' ', sizeof *info);
	memcpy(info->libraryDescription, "Nasty", 5);
	memcpy(info->manufacturerID, "Nobody", 6);
	info->libraryVersion = (CK_VERSION){1, 2};
	return CKR_OK;
}

static struct {
	CK_VERSION version;
	CK_RV (*functions[4])();
} list = {{2, 40}, {(CK_RV(*)())initialize, (CK_RV(*)())finalize, (CK_RV(*)())get_info}};

CK_RV C_GetFunctionList(void **to)
{
	*to = &list;
	return CKR_OK;
}
