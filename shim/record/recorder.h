/*
 * recorder.h: the top of this floor. It listens to the events of the lower floors, and to the calls,
 * and hands them to the journal and to the findings.
 */
#ifndef P11SHIM_RECORDER_H
#define P11SHIM_RECORDER_H

struct settings_recording;

/*
 * Starts recording as the settings ask; called once. From then on the recorder is told of everything
 * (host/events.h), unless no sink could be opened. May load a library; no lock may be held.
 */
void recorder_start(const struct settings_recording *settings);

#endif
