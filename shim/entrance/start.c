/*
 * start.c: see start.h.
 *
 * The thread that reads the settings starts the recorder and hands it the mistakes in them. That takes a
 * while. A thread that comes meanwhile waits, so that nothing is done that would not be recorded. It does not
 * wait for long: the first thread may in turn be waiting for a lock of the dynamic linker that this one has,
 * or, in a forked child, may not exist.
 */
#include <errno.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "entrance/start.h"
#include "host/events.h"
#include "host/linker.h"
#include "record/recorder.h"
#include "settings/settings.h"

static _Atomic(bool) started;

static void wait_until_started(void)
{
	const struct timespec pause = {0, 1000000};
	for (int i = 0; i < 200 && !atomic_load_explicit(&started, memory_order_acquire); i++)
		syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &pause, NULL);
	atomic_store(&started, true);
}

static void tell_problem(void *nothing, const char *problem)
{
	(void)nothing;
	tell_event(.kind = EVENT_PROBLEM, .text = problem);
}

/* `environ` is looked up only when it is needed: a reference to it would cost every process at its start. */
static void start_recording(void)
{
	struct settings_recording recording = settings_recording();
	if (recording.log || recording.trace || recording.on_crash) {
		recorder_start(&recording);
		char ***environment = (char ***)linker_dlsym(RTLD_DEFAULT, "environ");
		settings_problems(environment ? *environment : NULL, tell_problem, NULL);
	}
	atomic_store_explicit(&started, true, memory_order_release);
}

void start(void)
{
	if (atomic_load_explicit(&started, memory_order_acquire))
		return;
	int error = errno;
	switch (settings_read()) {
	case SETTINGS_NEW:
		start_recording();
		break;
	case SETTINGS_THERE:
		wait_until_started();
		break;
	case SETTINGS_MISSING:
		break; /* the next call tries again */
	}
	errno = error;
}
