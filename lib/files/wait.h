// Waiting for a pipe or terminal without missing a signal.
#ifndef SLT_FILES_WAIT_H
#define SLT_FILES_WAIT_H

#include <stdbool.h>

#include "slt/stream.h"

// True if the caller asked to stop.
static inline bool slt_stopped(slt_stop_flag *stop)
{
    return stop != NULL && *stop != 0;
}

// The sentence of a function that gives up because of the flag.
static inline int slt_error_stopped(struct slt_error *err)
{
    return slt_error_set(err, SLT_ERR_STOPPED, "stopped");
}

// Waits until fd can be read (or written) or the flag is set. A signal that comes just before a
// blocking call, or to another thread, does not interrupt it; therefore the wait wakes up a few
// times a second. Returns 0, SLT_ERR_STOPPED, or SLT_ERR_IO; name is for the sentence.
int slt_wait_readable(int fd, const char *name, slt_stop_flag *stop, struct slt_error *err);
int slt_wait_writable(int fd, const char *name, slt_stop_flag *stop, struct slt_error *err);

#endif
