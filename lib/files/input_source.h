// What the readers of files know of an input beyond slt/stream.h.
#ifndef SLT_FILES_INPUT_SOURCE_H
#define SLT_FILES_INPUT_SOURCE_H

#include "slt/stream.h"

// The flag that an input was opened with, for what goes on for long without reading; may be NULL.
slt_stop_flag *slt_input_stop_flag(const struct slt_input *in);

// Where an input that is no file has its bytes from, such as the unpacked bytes of another input.
struct slt_input_source {
    void *user;
    // As slt_input_read: *got is 0 only at the end.
    int (*read)(void *user, void *data, size_t bytes, size_t *got, struct slt_error *err);
    void (*close)(void *user); // with the input; NULL: nothing to do
};
// An input over a source, which it owns from success on.
int slt_input_over(struct slt_input **in, const char *name, slt_stop_flag *stop,
                   struct slt_input_source source, struct slt_error *err) SLT_CHECK_RESULT;

#endif
