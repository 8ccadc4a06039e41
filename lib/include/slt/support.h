// Supports of the sparse part: fixed positions drawn from a seed, by rows with ascending columns.
//
// The random draw of nnz positions of an (out, in) matrix, exactly uniform without replacement, in
// integers only. Let block(index, lane) be slt_random_block under the key
// slt_random_key("slt-support-1", name, seed).
//  - Row counts: draw n = 0, 1, ... takes u, v = words 2(n%2), 2(n%2)+1 of block(n/2, 2^64-1); row
//  = u*out >> 32,
//    slot = v*in >> 32; it is accepted, and the row's count raised by one, if slot >= the row's
//    count, until nnz are.
//  - Columns of row i: draw t = 0, 1, ... takes word t%4 of block(t/4, i); column = word*in >> 32,
//  taken if not yet
//    taken, until the row's count is reached.
// A block support draws blocks in the same way on the grid of floor(out/R) x floor(in/C) blocks of
// R x C positions; left-over rows and columns have no sparse part.
#ifndef SLT_SUPPORT_H
#define SLT_SUPPORT_H

#include <stdint.h>

#include "slt/config.h"
#include "slt/error.h"

// The number of positions: (int64)(density * (double)(out * in)); for blocks R*C times
// (int64)(density * (double)(blocks of the grid)).
SLT_API int64_t slt_support_count(const struct slt_support_spec *spec, double density, int64_t out,
                                  int64_t in);

// Draws the support of the linear called name: row_start (out + 1) with row_start[0] = 0, and
// column (nnz) ascending in each row. column16 is filled when in <= 65536, else column32; the other
// may be NULL. Errors: SLT_ERR_MEMORY, SLT_ERR_RANGE.
SLT_API int slt_support_draw(int64_t *row_start, uint16_t *column16, int32_t *column32,
                             const struct slt_support_spec *spec, double density, int64_t out,
                             int64_t in, const char *name, uint64_t seed, struct slt_error *err);

// The same draw as positions row * in + column (nnz), ascending.
SLT_API int slt_support_positions(int64_t *position, const struct slt_support_spec *spec,
                                  double density, int64_t out, int64_t in, const char *name,
                                  uint64_t seed, struct slt_error *err);

// The support whose positions row * in + column are given, ascending, in the same arrays.
// SLT_ERR_FORMAT if they do not ascend within [0, out * in).
SLT_API int slt_support_take(int64_t *row_start, uint16_t *column16, int32_t *column32,
                             const int64_t *position, int64_t count, int64_t out, int64_t in,
                             const char *name, struct slt_error *err);

// The CRC-32 of one linear's positions: of each row*in + column as 8 little-endian bytes.
SLT_API uint32_t slt_support_linear_crc(const int64_t *row_start, const uint16_t *column16,
                                        const int32_t *column32, int64_t out, int64_t in);

// The check of a model's supports: the CRC-32 over the CRC-32 of each linear in file order, as 4
// little-endian bytes each. Stored in config.json, so that a reader that would draw other positions
// finds out; 0 for explicit positions.
SLT_API int slt_support_crc(uint32_t *crc, const struct slt_config *config, struct slt_error *err);

#endif
