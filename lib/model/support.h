// Supports by rows, inside of the library.
#ifndef SLT_MODEL_SUPPORT_H
#define SLT_MODEL_SUPPORT_H

#include "slt/support.h"

// Makes the arrays of a support that has its number of positions. SLT_ERR_MEMORY; to be freed after
// an error too.
int slt_support_rows_create(struct slt_support_rows *rows, const struct slt_support *support,
                            struct slt_error *err) SLT_CHECK_RESULT;
void slt_support_rows_free(struct slt_support_rows *rows);

// The bytes of a column, and column i, of linears with so many inputs.
static inline size_t slt_support_column_size(int64_t in)
{
    return in <= 65536 ? sizeof(uint16_t) : sizeof(int32_t);
}

static inline int64_t slt_support_column(const struct slt_support_rows *rows, int64_t in, int64_t i)
{
    return in <= 65536 ? (int64_t)((const uint16_t *)rows->column)[i]
                       : ((const int32_t *)rows->column)[i];
}

// position (nnz) = row * in + column, ascending.
void slt_support_flatten(int64_t *position, const struct slt_support_rows *rows,
                         const struct slt_support *support);

// Adds a linear's CRC to a model's, as slt_support_crc does.
uint32_t slt_support_crc_add(uint32_t crc, uint32_t linear_crc);

#endif
