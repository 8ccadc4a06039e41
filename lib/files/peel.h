// Compressed inputs of any kind, read as what was packed.
#ifndef SLT_FILES_PEEL_H
#define SLT_FILES_PEEL_H

#include "slt/stream.h"

#define SLT_PEEL_MOST 4 // layers, one around the other

// Puts an unpacking input in the place of *in as often as it is compressed with gzip, zstd, xz,
// bzip2 or lz4, recognised by their first bytes. It owns the one that was there. All checksums that
// these formats have are verified, a stream that ends early or has something else behind it is
// SLT_ERR_FORMAT, and so are more layers than SLT_PEEL_MOST. On failure *in is still to be closed.
int slt_peel(struct slt_input **in, struct slt_error *err) SLT_CHECK_RESULT;

#endif
