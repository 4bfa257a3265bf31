/*
 * crash.c: see crash.h.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "core/view.h"
#include "host/process.h"
#include "record/crash.h"
#include "record/flights.h"
#include "record/log.h"
#include "record/stack.h"
#include "record/trace.h"
#include "standard/calls.h"

static const struct fatal {
	int number;
	char name[8];
} fatal[] = {{SIGSEGV, "SIGSEGV"}, {SIGBUS, "SIGBUS"}, {SIGILL, "SIGILL"},  {SIGFPE, "SIGFPE"},
             {SIGABRT, "SIGABRT"}, {SIGSYS, "SIGSYS"}, {SIGTRAP, "SIGTRAP"}};

static struct sigaction before[COUNT(fatal)];
static _Atomic(int) writer; /* the thread that writes, or has written */
static _Atomic(bool) done;

/* These do not lie on the stack, since a stack for signals may be small. One thread alone writes. */
static char buffer[1024];
static void *frames[64];
static uintptr_t addresses[COUNT(frames)];

static struct text new_line(const char *start)
{
	struct text text = text_in(buffer, sizeof buffer - 1);
	text_put(&text, start);
	return text;
}

static void put_line(struct text *text)
{
	text->end++;
	text_put(text, "\n");
	log_last_word(buffer, text_length(text));
}

static void put_title(const char *title)
{
	struct text text = new_line("==p11shim== ");
	text_put(&text, title);
	put_line(&text);
}

static void put_flights(void)
{
	uint64_t now = clock_at(CLOCK_MONOTONIC);
	for (unsigned i = 0; i < FLIGHTS; i++) {
		struct flying f;
		struct text text = new_line("  ");
		if (!flight_at(i, &f))
			continue;
		text_put(&text, calls[f.function].name);
		text_put(&text, " by ");
		text_foreign(&text, f.view->name);
		text_put(&text, " in ");
		text_foreign(&text, f.view->module->name);
		text_put(&text, ", thread ");
		text_number(&text, (uint64_t)f.tid);
		text_put(&text, ", for ");
		text_microseconds(&text, now > f.began ? now - f.began : 0);
		text_put(&text, " us, called from ");
		stack_print_address(&text, (uintptr_t)f.caller - 1, false);
		put_line(&text);
	}
}

static void put_head(const char *name, const siginfo_t *info)
{
	struct text text = new_line("==p11shim== ");
	text_put(&text, name);
	text_put(&text, " in process ");
	text_number(&text, (uint64_t)syscall(SYS_getpid));
	text_put(&text, ", thread ");
	text_number(&text, (uint64_t)syscall(SYS_gettid));
	if (info->si_code > 0) {
		text_put(&text, ", address ");
		text_hex(&text, (uintptr_t)info->si_addr);
	} else {
		text_put(&text, ", sent by process ");
		text_number(&text, (uint64_t)info->si_pid);
	}
	put_line(&text);
}

static uintptr_t where(const ucontext_t *context)
{
#if defined __x86_64__
	return (uintptr_t)context->uc_mcontext.gregs[REG_RIP];
#elif defined __i386__
	return (uintptr_t)context->uc_mcontext.gregs[REG_EIP];
#elif defined __aarch64__
	return (uintptr_t)context->uc_mcontext.pc;
#endif
}

/* Finds the stack that the signal came into; all but the innermost address are return addresses. */
static unsigned find_stack(uintptr_t innermost)
{
	int n = stack_frames(frames, COUNT(frames)), first = 0;
	unsigned count = 0;
	while (first < n && (uintptr_t)frames[first] != innermost)
		first++;
	addresses[count++] = innermost;
	for (int i = first + 1; i < n; i++)
		addresses[count++] = (uintptr_t)frames[i] - 1;
	return count;
}

/* stack_frames() comes last: in the middle of anything it is the least certain to work. */
static void tell(const struct fatal *signal, const siginfo_t *info, const ucontext_t *context)
{
	put_head(signal->name, info);
	put_title("the last life-cycle events:");
	log_last_lines();
	put_title("calls that were running:");
	put_flights();
	put_title("the stack, as objects and offsets:");
	unsigned count = find_stack(where(context));
	for (unsigned i = 0; i < count; i++) {
		struct text text = new_line("  #");
		text_number(&text, i);
		text_put(&text, " ");
		stack_print_address(&text, addresses[i], false);
		put_line(&text);
	}
	trace_crash(signal->name, info->si_code > 0 ? (uintptr_t)info->si_addr : 0, addresses, count);
}

/*
 * Is there room on the stack? A program's stack for signals may be too small for more than its own handler. A
 * function of libc that is called for the first time costs some thousand bytes of it, since the library is
 * bound lazily; syscall() has been called by then.
 */
#define STACK_WANTED 4096
#define WORDS (8 / sizeof(long)) /* in the kernel's sets of signals */
static bool has_room(void)
{
	stack_t now;
	uintptr_t here = (uintptr_t)__builtin_frame_address(0);
	return syscall(SYS_sigaltstack, NULL, &now) != 0 || !(now.ss_flags & SS_ONSTACK) ||
	       here - (uintptr_t)now.ss_sp > STACK_WANTED;
}

/*
 * Another thread is writing, and this one dies too. It waits, since it would else end the process in the
 * middle of the other's lines.
 */
static void wait_for_writer(void)
{
	const struct timespec pause = {0, 10000000};
	for (int i = 0; i < 300 && !atomic_load(&done); i++)
		syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &pause, NULL);
}

/*
 * A program may handle such signals itself, outside of PKCS #11, and live on (the JVM does). Then its handler
 * is called as if the shim's were not there, with those signals blocked that the kernel would have blocked
 * for it, and the shim's handler stays. False: the program has no handler, or this thread is in a recorded
 * call, or the handler is to be called only once, which is better left to the kernel.
 */
static bool leave_to_program(const struct sigaction *its, int number, siginfo_t *info, ucontext_t *context)
{
	if (its->sa_handler == SIG_DFL || its->sa_handler == SIG_IGN || its->sa_flags & SA_RESETHAND ||
	    flight_of_this_thread())
		return false;
	unsigned long blocked[WORDS], its_own[WORDS]; /* copied by hand: see has_room() */
	memcpy(blocked, &context->uc_sigmask, sizeof blocked);
	memcpy(its_own, &its->sa_mask, sizeof its_own);
	for (unsigned i = 0; i < WORDS; i++)
		blocked[i] |= its_own[i];
	if (!(its->sa_flags & SA_NODEFER))
		blocked[0] |= 1ul << (number - 1);
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, blocked, NULL,
	        sizeof blocked); /* undone when the signal is over */
	if (its->sa_flags & SA_SIGINFO)
		its->sa_sigaction(number, info, context);
	else
		its->sa_handler(number);
	return true;
}

static const struct fatal *which(int number)
{
	const struct fatal *f = fatal;
	while (f->number != number)
		f++;
	return f;
}

/*
 * When this returns, the signal's previous disposition stands again. A fault then happens again, at the same
 * instruction. A trap is over, and so is a signal that was sent: it is sent again as it was. All signals are
 * blocked in here, so it is taken when this has returned. (A fault in here ends the process at once, as the
 * signal would have.)
 */
static void on_fatal(int number, siginfo_t *info, void *context)
{
	const struct fatal *signal = which(number);
	const struct sigaction *its = &before[signal - fatal];
	int nobody = 0, error = errno;
	bool happens_again = info->si_code > 0 && number != SIGTRAP && number != SIGSYS;
	if (leave_to_program(its, number, info, context))
		return;
	if (has_room() && atomic_compare_exchange_strong(&writer, &nobody, (int)syscall(SYS_gettid))) {
		tell(signal, info, context);
		atomic_store(&done, true);
	} else if (atomic_load(&writer)) {
		wait_for_writer();
	}
	sigaction(number, its, NULL);
	if (!happens_again)
		syscall(SYS_rt_tgsigqueueinfo, syscall(SYS_getpid), syscall(SYS_gettid), number, info);
	errno = error;
}

void crash_start(void)
{
	struct sigaction action = {.sa_sigaction = on_fatal};
	memset(&action.sa_mask, 0xff, sizeof action.sa_mask); /* all */
	for (unsigned i = 0; i < COUNT(fatal); i++) {
		if (sigaction(fatal[i].number, NULL, &before[i]) != 0 || before[i].sa_handler == SIG_IGN)
			continue;
		/*
		 * The flags of the shim's handler decide whether a system call goes on afterwards, and on
		 * which stack.
		 */
		action.sa_flags = SA_SIGINFO | (before[i].sa_handler == SIG_DFL
		                                        ? SA_ONSTACK
		                                        : before[i].sa_flags & (SA_ONSTACK | SA_RESTART));
		sigaction(fatal[i].number, &action, NULL);
	}
}
