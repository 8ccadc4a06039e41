// A dense weight as a low-rank product plus a sparse part.
#ifndef SLT_WEIGHTS_DECOMPOSE_H
#define SLT_WEIGHTS_DECOMPOSE_H

#include "slt/config.h"
#include "slt/support.h"

// W (out, in) = scale B A + R: A = sqrt(sigma / scale) v^T (r, in) and B = u sqrt(sigma / scale)
// (out, r) of the r largest singular values, so that scale B A is the best approximation of rank r
// (Eckart, Young 1936); the sparse part has values of the residual R.
struct slt_decomposition {
    int64_t out, in, nnz;
    float *a, *b;      // (r, in), (out, r)
    float *values;     // (nnz)
    int64_t *position; // (nnz)
};

// Decomposes w, which becomes R, for a linear of this form (method lowrank or sltrain) and support,
// whose name, out and in are the linear's without S too; an explicit one gets the positions of R's
// largest magnitudes. Errors: SLT_ERR_MEMORY, SLT_ERR_NUMERIC.
int slt_decompose(struct slt_decomposition *d, float *w, const struct slt_form *form,
                  const struct slt_support *support, struct slt_error *err) SLT_CHECK_RESULT;
void slt_decomposition_free(struct slt_decomposition *d);

#endif
