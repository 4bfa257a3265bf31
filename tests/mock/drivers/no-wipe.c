/*
 * no-wipe.c: for contract F1, runs a program on a kernel that does not know MADV_WIPEONFORK, as
 * far as the program can tell: a seccomp filter answers EINVAL.
 *
 *	no-wipe PROGRAM [ARGUMENTS]
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define WIPE_ON_FORK 18 /* MADV_WIPEONFORK, of Linux 4.14 */

int main(int argc, char **argv)
{
	struct sock_filter refuse[] = {
	        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_madvise, 0, 3),
	        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
	        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, WIPE_ON_FORK, 0, 1),
	        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
	        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {sizeof refuse / sizeof *refuse, refuse};
	static char page[8192];

	if (argc < 2) {
		fprintf(stderr, "usage: no-wipe PROGRAM [ARGUMENTS]\n");
		return 2;
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) {
		perror("no-wipe: seccomp");
		return 2;
	}
	if (madvise((char *)(((size_t)page + 4095) & ~(size_t)4095), 4096, WIPE_ON_FORK) == 0) {
		fprintf(stderr, "no-wipe: the kernel still wipes\n");
		return 2;
	}
	execvp(argv[1], argv + 1);
	perror(argv[1]);
	return 127;
}
