// Byte streams of the tools: an input that may be a file, a pipe or memory, and an output that
// appears whole or not at all. Both check the caller's stop flag around every system call that may
// block.
#ifndef SLT_STREAM_H
#define SLT_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "slt/error.h"

struct slt_input;

#define SLT_PEEK_MAX ((size_t)192 << 10)

// What an input holds, plain or zstd-compressed.
enum slt_file_kind { SLT_FILE_UNKNOWN, SLT_FILE_CHECKPOINT, SLT_FILE_TOKENS };

// Opens path for reading; "-" is standard input, named "<stdin>". The input does not own a
// descriptor of "-".
SLT_API int slt_input_open(struct slt_input **in, const char *path, slt_stop_flag *stop,
                           struct slt_error *err) SLT_CHECK_RESULT;
// An input over caller's memory (for tests and fuzzing), which must outlive it.
SLT_API int slt_input_memory(struct slt_input **in, const char *name, const void *data,
                             size_t bytes, struct slt_error *err) SLT_CHECK_RESULT;
SLT_API const char *slt_input_name(const struct slt_input *in); // for messages, owned by in
SLT_API bool slt_input_is_terminal(const struct slt_input *in);
// Reads up to bytes; *got is 0 only at the end.
SLT_API int slt_input_read(struct slt_input *in, void *data, size_t bytes, size_t *got,
                           struct slt_error *err) SLT_CHECK_RESULT;
// Looks at the first bytes (at most SLT_PEEK_MAX) without consuming them; *got is less than bytes
// only at the end.
SLT_API int slt_input_peek(struct slt_input *in, void *data, size_t bytes, size_t *got,
                           struct slt_error *err) SLT_CHECK_RESULT;
// Maps a regular file that has not been read from yet: *data and *bytes stay valid until close.
// SLT_ERR_RANGE if it is not a regular file (then read it as a stream).
SLT_API int slt_input_map(struct slt_input *in, const void **data, uint64_t *bytes,
                          struct slt_error *err) SLT_CHECK_RESULT;
// Recognises an input by its first bytes, without consuming them.
SLT_API int slt_input_recognise(enum slt_file_kind *kind, struct slt_input *in,
                                struct slt_error *err) SLT_CHECK_RESULT;
SLT_API void slt_input_close(struct slt_input *in);

// Reads a whole small file into memory (NUL-terminated, *bytes without the NUL), refusing more than
// limit bytes. The caller frees *data.
SLT_API int slt_file_read(void **data, size_t *bytes, const char *path, size_t limit,
                          slt_stop_flag *stop, struct slt_error *err) SLT_CHECK_RESULT;

// Whether there is something of this name. What cannot be found out is SLT_ERR_IO: it may be there.
SLT_API int slt_file_exists(bool *exists, const char *path, struct slt_error *err) SLT_CHECK_RESULT;

struct slt_output;

// Opens path for writing; "-" is standard output, named "<stdout>". A regular file is written as a
// temporary beside the target (symbolic links resolved) and renamed by publish; a FIFO or device is
// written directly.
SLT_API int slt_output_open(struct slt_output **out, const char *path, slt_stop_flag *stop,
                            struct slt_error *err) SLT_CHECK_RESULT;
SLT_API const char *slt_output_name(const struct slt_output *out);
SLT_API bool slt_output_is_terminal(const struct slt_output *out);
SLT_API int slt_output_write(struct slt_output *out, const void *data, size_t bytes,
                             struct slt_error *err) SLT_CHECK_RESULT;
SLT_API int slt_output_printf(struct slt_output *out, struct slt_error *err, const char *format,
                              ...) SLT_PRINTF(3, 4) SLT_CHECK_RESULT;
// Sends buffered bytes to the operating system, so that a reader of a pipe sees them now.
SLT_API int slt_output_flush(struct slt_output *out, struct slt_error *err) SLT_CHECK_RESULT;
SLT_API uint64_t slt_output_bytes(const struct slt_output *out); // written so far
// Flushes and syncs to disk without renaming; after it only publish or abandon may follow. Two
// outputs that belong together are both finished before either is published.
SLT_API int slt_output_finish(struct slt_output *out, struct slt_error *err) SLT_CHECK_RESULT;
// Finishes if that was not done, renames the temporary onto the target, syncs the directory and
// frees out, also on failure (then the temporary is removed).
SLT_API int slt_output_publish(struct slt_output *out, struct slt_error *err) SLT_CHECK_RESULT;
// Removes the temporary, if any, and frees out. NULL is fine.
SLT_API void slt_output_abandon(struct slt_output *out);

#endif
