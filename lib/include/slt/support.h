// Supports of the sparse part: fixed positions drawn from a seed, by rows with ascending columns.
//
// The random draw of nnz positions of an (out, in) matrix, exactly uniform without replacement, in
// integers only. Let block(index, lane) be slt_random_block under the key
// slt_random_key("slt-support-1", name, seed).
//  - Row counts: draw n = 0, 1, ... takes u, v = words 2(n%2), 2(n%2)+1 of block(n/2, 2^64-1);
//    row = u*out >> 32, slot = v*in >> 32; it is accepted, and the row's count raised by one, if
//    slot >= the row's count, until nnz are.
//  - Columns of row i: draw t = 0, 1, ... takes word t%4 of block(t/4, i); column = word*in >> 32,
//    taken if not yet taken, until the row's count is reached.
// A rows support has, in the place of the draw of counts, floor(nnz/out) positions in each row and
// one more in the floor((i+1) rest/out) - floor(i rest/out) of row i, rest = nnz mod out.
// A block support draws blocks in the same way on the grid of floor(out/R) x floor(in/C) blocks of
// R x C positions; left-over rows and columns have no sparse part. A channels support is the one
// with blocks of out x 1.
#ifndef SLT_SUPPORT_H
#define SLT_SUPPORT_H

#include <stdint.h>

#include "slt/config.h"
#include "slt/error.h"

// The support of one linear: all that its positions follow from.
struct slt_support {
    const char *name; // the linear's, see slt_linear_name; borrowed
    int64_t out, in;
    struct slt_support_spec spec;
    double density;
    uint64_t seed;
};

// Its positions by rows, in arrays of the caller.
struct slt_support_rows {
    int64_t *row_start; // (out + 1): where each row's positions start, row_start[0] = 0
    void *column;       // (nnz), ascending in each row: uint16_t if in <= 65536, else int32_t
};

// The support of a linear (out, in) of a model, which has this form.
SLT_API struct slt_support slt_config_support(const struct slt_config *config,
                                              const struct slt_form *form, const char *name,
                                              int64_t out, int64_t in);

// Draws a support. Errors: SLT_ERR_MEMORY.
SLT_API int slt_support_draw(const struct slt_support_rows *rows, const struct slt_support *support,
                             struct slt_error *err) SLT_CHECK_RESULT;

// The same draw as positions row * in + column (nnz), ascending.
SLT_API int slt_support_positions(int64_t *position, const struct slt_support *support,
                                  struct slt_error *err) SLT_CHECK_RESULT;

// Fills rows from positions row * in + column (count), of a support whose name, out and in alone
// count. SLT_ERR_FORMAT if they do not ascend within [0, out * in).
SLT_API int slt_support_take(const struct slt_support_rows *rows, const struct slt_support *support,
                             const int64_t *position, int64_t count,
                             struct slt_error *err) SLT_CHECK_RESULT;

// The CRC-32 of a linear's positions: of each row*in + column as 8 little-endian bytes.
SLT_API uint32_t slt_support_linear_crc(const struct slt_support_rows *rows,
                                        const struct slt_support *support);

// The check of a model's supports: the CRC-32 over the CRC-32 of each linear in file order, as 4
// little-endian bytes each. Stored in config.json, so that a reader that would draw other positions
// finds out; 0 for explicit positions.
SLT_API int slt_support_crc(uint32_t *crc, const struct slt_config *config,
                            struct slt_error *err) SLT_CHECK_RESULT;

#endif
