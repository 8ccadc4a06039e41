// The bands of a support of blocks: runs of SLT_BAND_ROWS rows with the same columns, which a
// backend multiplies as small dense matrices (kernels/ops.h, struct slt_csr).
#ifndef SLT_MODEL_BANDS_H
#define SLT_MODEL_BANDS_H

#include "kernels/ops.h"
#include "model/support.h"

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

// Finds the bands of a support of out x in that has them (every row with positions is in one). Free
// with slt_bands_free.
int slt_bands_find(struct slt_bands *bands, const struct slt_support_rows *rows, int64_t out,
                   int64_t in, struct slt_error *err) SLT_CHECK_RESULT;
void slt_bands_free(struct slt_bands *bands);

#endif
