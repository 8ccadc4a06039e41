// Products, singular vectors and orthonormal bases on the host, by BLAS and LAPACK, in one thread.
// Matrices are row-major.
#ifndef SLT_LINALG_SVD_H
#define SLT_LINALG_SVD_H

#include <stdbool.h>
#include <stdint.h>

#include "slt/error.h"
#include "slt/random.h"

// a (m, n) = u diag(s) v with k = min(m, n): u (m, k), s (k) descending, v (k, n); u and v may be
// NULL together. The sign of each pair of vectors is such that the element of v with the largest
// magnitude is positive. a is overwritten. Errors: SLT_ERR_MEMORY; SLT_ERR_NUMERIC if a has a value
// that is not finite or the iteration does not converge.
int slt_svd(float *u, float *s, float *v, float *a, int64_t m, int64_t n, struct slt_error *err);

// Makes the rows of y (k, n), k <= n, an orthonormal basis of a space that holds the rows it had
// (Householder). Errors as above.
int slt_orthonormalize(float *y, int64_t k, int64_t n, struct slt_error *err);

// Eigenvectors of a symmetric matrix a (k, k) as rows of e (k, k), by descending eigenvalues.
int slt_symmetric_eigenvectors(float *e, const float *a, int64_t k, struct slt_error *err);

// The leading k singular triples of a (m, n), u (m, k), s (k), v (k, n), by a randomized range
// finder with power power steps (Halko, Martinsson, Tropp 2011, algorithm 4.4) that keeps margin
// more vectors, k + margin <= min(m, n). *error bounds how far each s is below its value but for a
// probability of 1e-10: 10 sqrt(2/pi) times the largest of ten |(a - a P) x|, P the projection on
// the range found and x normal (the same, equation 4.3). Signs as in slt_svd.
int slt_svd_leading(float *u, float *s, float *v, double *error, const float *a, int64_t m,
                    int64_t n, int64_t k, int64_t margin, int power, struct slt_random_key key,
                    struct slt_error *err);

// c (m, n) = beta c + alpha op(a) op(b), op transposes if its flag is set; op(a) (m, k), op(b)
// (k, n).
void slt_product(float *c, float beta, const float *a, bool transpose_a, const float *b,
                 bool transpose_b, int64_t m, int64_t n, int64_t k, double alpha);

#endif
