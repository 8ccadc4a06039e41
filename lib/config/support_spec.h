// What a support is, without its positions: the grid that they are drawn on.
#ifndef SLT_CONFIG_SUPPORT_SPEC_H
#define SLT_CONFIG_SUPPORT_SPEC_H

#include "slt/config.h"

// Single elements, or blocks of an (out, in) matrix.
struct slt_support_grid {
    int64_t rows, cols, nnz; // in grid cells
    int64_t block_rows, block_cols;
};

struct slt_support_grid slt_support_grid(const struct slt_support_spec *spec, double density,
                                         int64_t out, int64_t in);

#endif
