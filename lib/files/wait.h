// Waiting and working without missing a signal.
#ifndef SLT_FILES_WAIT_H
#define SLT_FILES_WAIT_H

#include "slt/stream.h"

// The flag that an input was opened with, for what goes on for long without reading; may be NULL.
slt_stop_flag *slt_input_stop_flag(const struct slt_input *in);

// Waits until fd can be read (or written) or the flag is set. A signal that comes just before a
// blocking call, or to another thread, does not interrupt it; therefore the wait wakes up a few
// times a second. Returns 0, SLT_ERR_STOPPED, or SLT_ERR_IO; name is for the sentence.
int slt_wait_readable(int fd, const char *name, slt_stop_flag *stop,
                      struct slt_error *err) SLT_CHECK_RESULT;
int slt_wait_writable(int fd, const char *name, slt_stop_flag *stop,
                      struct slt_error *err) SLT_CHECK_RESULT;
// Opens a file with open's flags: a FIFO waits for its other end, or until the flag is set. Errors
// as above.
int slt_open_waiting(int *fd, const char *path, int flags, slt_stop_flag *stop,
                     struct slt_error *err) SLT_CHECK_RESULT;

#endif
