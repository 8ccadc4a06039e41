// Products, singular vectors and orthonormal bases on the host, by BLAS and LAPACK, in one thread.
// Matrices are row-major, rows one after the other.
#ifndef SLT_LINALG_SVD_H
#define SLT_LINALG_SVD_H

#include <stdbool.h>
#include <stdint.h>

#include "slt/error.h"
#include "slt/random.h"

struct slt_matrix {
    float *x; // (rows, cols)
    int64_t rows, cols;
};

static inline struct slt_matrix slt_matrix(float *x, int64_t rows, int64_t cols)
{
    return (struct slt_matrix){x, rows, cols};
}

// a (m, n) = u diag(s) v with k = min(m, n): u (m, k), s (k) descending, v (k, n); u and v may be
// NULL together. The sign of each pair of vectors is such that the element of v with the largest
// magnitude is positive. a is overwritten. Errors: SLT_ERR_MEMORY; SLT_ERR_NUMERIC if a has a value
// that is not finite or the iteration does not converge.
int slt_svd(float *u, float *s, float *v, struct slt_matrix a,
            struct slt_error *err) SLT_CHECK_RESULT;

// Makes the rows of y (k, n), k <= n, an orthonormal basis of a space that holds the rows it had
// (Householder). Errors as above.
int slt_orthonormalize(struct slt_matrix y, struct slt_error *err) SLT_CHECK_RESULT;

// Eigenvectors of a symmetric matrix a (k, k) as rows of e (k, k), by descending eigenvalues.
int slt_symmetric_eigenvectors(float *e, const float *a, int64_t k,
                               struct slt_error *err) SLT_CHECK_RESULT;

// A randomized range finder (Halko, Martinsson, Tropp 2011, algorithm 4.4).
struct slt_range_finder {
    int64_t wanted; // k: triples
    int64_t margin; // vectors that it keeps besides
    int power;      // steps
    struct slt_random_key key;
};

// The leading k singular triples of a (m, n), which is kept: u (m, k), s (k), v (k, n), by a range
// finder with k + margin <= min(m, n). *error bounds how far each s is below its value but for a
// probability of 1e-10: 10 sqrt(2/pi) times the largest of ten |(a - a P) x|, P the projection on
// the range found and x normal (the same, equation 4.3). Signs as in slt_svd.
int slt_svd_leading(float *u, float *s, float *v, double *error, struct slt_matrix a,
                    const struct slt_range_finder *finder, struct slt_error *err) SLT_CHECK_RESULT;

// c = beta c + alpha op(a) op(b), op transposes if its flag is set.
void slt_product(struct slt_matrix c, float beta, struct slt_matrix a, bool transpose_a,
                 struct slt_matrix b, bool transpose_b, double alpha);

#endif
