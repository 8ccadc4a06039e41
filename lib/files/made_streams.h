// Streams that are not the operating system's: an input whose bytes are made when they are asked
// for, and an output that hands its bytes on.
#ifndef SLT_FILES_MADE_STREAMS_H
#define SLT_FILES_MADE_STREAMS_H

#include "slt/stream.h"

// Makes the next bytes, at most so many; *got is 0 only at the end.
typedef int slt_input_make(void *user, void *data, size_t bytes, size_t *got,
                           struct slt_error *err);
// The input owns user from now on, also on failure, and calls close (if it is not NULL) for it.
int slt_input_made(struct slt_input **in, const char *name, slt_input_make *make,
                   void (*close)(void *user), void *user, slt_stop_flag *stop,
                   struct slt_error *err) SLT_CHECK_RESULT;

// Takes the bytes that were written.
typedef int slt_output_take(void *user, const void *data, size_t bytes, struct slt_error *err);
// user stays the caller's.
int slt_output_handed(struct slt_output **out, const char *name, slt_output_take *take, void *user,
                      struct slt_error *err) SLT_CHECK_RESULT;

#endif
