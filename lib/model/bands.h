// The bands of a support of blocks: runs of SLT_BAND_ROWS rows with the same columns, which a
// backend multiplies as small dense matrices (kernels/ops.h, struct slt_csr).
#ifndef SLT_MODEL_BANDS_H
#define SLT_MODEL_BANDS_H

#include "kernels/ops.h"
#include "slt/config.h"
#include "slt/error.h"

struct slt_bands {
    int64_t bands, groups, parts;
    int32_t *row;   // (slt_bands_most(rows)): first rows, -1 behind the last one
    int32_t *start; // (groups + 1)
    int32_t *part;  // (parts, 3): first row of a band, first position, positions
};

// Whether a support has bands; the most bands, the groups, and the most parts that out x in ones
// with nnz positions can have.
bool slt_bands_fit(const struct slt_support_spec *support);
int64_t slt_bands_most(int64_t out);
int64_t slt_bands_groups(int64_t in);
int64_t slt_bands_most_parts(int64_t nnz);

// Finds the bands of rows that have them (every row with positions is in one). column (nnz) is
// uint16_t if cols <= 65536, else int32_t. Free with slt_bands_free.
int slt_bands_find(struct slt_bands *bands, const int64_t *row_start, const void *column,
                   int64_t rows, int64_t cols, struct slt_error *err);
void slt_bands_free(struct slt_bands *bands);

#endif
