// Starts of the factors of a new model that are made by decompositions.
#ifndef SLT_WEIGHTS_STARTS_H
#define SLT_WEIGHTS_STARTS_H

#include "slt/init.h"
#include "weights/decompose.h"

// The factors of one linear of a new model.
struct slt_start_linear {
    const struct slt_config *config;
    const char *name; // of the linear
    struct slt_form form;
    int64_t out, in;
};

// About the Frobenius norm of the best approximation of rank r of a normal(0, deviation) matrix
// (m, n), by the law of Marchenko and Pastur (1967). With p = min(m, n), lambda = p / max(m, n) and
// x(phi) = 1 + lambda + 2 sqrt(lambda) cos phi, it is
//   deviation sqrt(m n (theta - sin theta cos theta) / pi),
// where r / p = integral from 0 to theta of 2 sin(phi)^2 / (pi x(phi)).
double slt_start_norm(int64_t m, int64_t n, int64_t r, double deviation);

// SLT_FACTORS_SVD: w (out, in) = W0 = normal(0, initializer_range), the values that a full-rank
// model has there, and its best part of the form's rank in d; w is left with the rest. Errors:
// SLT_ERR_MEMORY, SLT_ERR_NUMERIC; after all of them there is nothing to free.
int slt_start_svd(struct slt_decomposition *d, float *w, const struct slt_start_linear *linear,
                  struct slt_error *err) SLT_CHECK_RESULT;
// SLT_FACTORS_ORTHOGONAL: the rows of A and the columns of B orthonormal times the same c, of
// normal(0, 1) matrices drawn in their names, with c such that
//   |s B A|_F = s c^2 sqrt(min(r, out, in)) = slt_start_norm(out, in, r, initializer_range).
// Of a factor that has more than its other side, those are zeros. Errors as above.
int slt_start_orthogonal(struct slt_decomposition *d, const struct slt_start_linear *linear,
                         struct slt_error *err) SLT_CHECK_RESULT;

#endif
