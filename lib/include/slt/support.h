// Supports of the sparse part: fixed positions drawn from a seed, by rows with ascending columns.
#ifndef SLT_SUPPORT_H
#define SLT_SUPPORT_H

#include <stdint.h>

#include "slt/config.h"
#include "slt/error.h"

// floor(density * out * in) positions, or for block supports whole blocks: floor(density * rows * cols) blocks of the
// grid of floor(out/R) x floor(in/C), each R*C positions.
SLT_API int64_t slt_support_count(const struct slt_support_spec *spec, double density, int64_t out, int64_t in);

// Draws the support of the linear called name: row_start (out + 1) with row_start[0] = 0, and column (nnz) ascending in
// each row. Philox keyed by ("slt-support-1", name, seed); exactly uniform without replacement, rows independent given
// their counts. column16 is filled when in <= 65536, else column32; the other is NULL.
SLT_API int slt_support_draw(int64_t *row_start, uint16_t *column16, uint32_t *column32,
                             const struct slt_support_spec *spec, double density, int64_t out, int64_t in,
                             const char *name, uint64_t seed, struct slt_error *err);

// The CRC-32 over all supports of a model in file order: of each, its flat positions row*in + column as 8 little-endian
// bytes. Stored in config.json; a reader that draws another support finds out.
SLT_API int slt_support_crc(uint32_t *crc, const struct slt_config *config, struct slt_error *err);

#endif
