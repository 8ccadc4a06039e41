// The bytes of an input, decompressed if they are zstd frames (recognised by their magic number).
#ifndef SLT_FILES_UNPACK_H
#define SLT_FILES_UNPACK_H

#include "slt/stream.h"

struct slt_unpack;

// in stays the caller's and must outlive the unpacker.
int slt_unpack_open(struct slt_unpack **unpack, struct slt_input *in,
                    struct slt_error *err) SLT_CHECK_RESULT;
// Reads until bytes are there; *got < bytes only at the end. A frame that is cut short is
// SLT_ERR_FORMAT.
int slt_unpack_read(struct slt_unpack *unpack, void *data, size_t bytes, size_t *got,
                    struct slt_error *err) SLT_CHECK_RESULT;
void slt_unpack_close(struct slt_unpack *unpack);

// True if the input begins with a zstd frame; *is_zstd is set on success.
int slt_unpack_recognise(bool *is_zstd, struct slt_input *in,
                         struct slt_error *err) SLT_CHECK_RESULT;

#endif
