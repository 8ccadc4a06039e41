// LAPACK behind our own signatures. A row-major matrix is the transpose of a column-major one, so
// that none has to be turned: the SVD of a is asked for as that of a^T, with u and v exchanged.
#include <cblas.h>
#include <lapacke.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "linalg/svd.h"

static int not_finite(const float *a, int64_t count, struct slt_error *err)
{
    for (int64_t i = 0; i < count; i++)
        if (!isfinite(a[i]))
            return slt_error_set(err, SLT_ERR_NUMERIC, "a matrix has a value that is not finite");
    return 0;
}

static int lapack_error(lapack_int info, const char *what, struct slt_error *err)
{
    if (info == 0)
        return 0;
    if (info == LAPACK_WORK_MEMORY_ERROR || info == LAPACK_TRANSPOSE_MEMORY_ERROR)
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate the workspace of %s", what);
    return slt_error_set(err, SLT_ERR_NUMERIC, "%s did not converge (%d)", what, (int)info);
}

// Turns each pair of vectors so that the largest element of the row of v is positive.
static void fix_signs(float *u, float *v, int64_t m, int64_t n, int64_t k)
{
    for (int64_t i = 0; i < k; i++) {
        int64_t at = 0;
        for (int64_t j = 1; j < n; j++)
            if (fabsf(v[i * n + j]) > fabsf(v[i * n + at]))
                at = j;
        if (v[i * n + at] >= 0)
            continue;
        for (int64_t j = 0; j < n; j++)
            v[i * n + j] = -v[i * n + j];
        for (int64_t j = 0; j < m; j++)
            u[j * k + i] = -u[j * k + i];
    }
}

int slt_svd(float *u, float *s, float *v, float *a, int64_t m, int64_t n, struct slt_error *err)
{
    const lapack_int rows = (lapack_int)n, cols = (lapack_int)m, k = rows < cols ? rows : cols;
    int rc = not_finite(a, m * n, err);
    if (rc != 0)
        return rc;
    rc = lapack_error(LAPACKE_sgesdd(LAPACK_COL_MAJOR, u != NULL ? 'S' : 'N', rows, cols, a, rows,
                                     s, v, rows, u, k),
                      "the singular value decomposition", err);
    if (rc == 0 && u != NULL)
        fix_signs(u, v, m, n, k);
    return rc;
}

int slt_orthonormalize(float *y, int64_t k, int64_t n, struct slt_error *err)
{
    float *tau = malloc((size_t)k * sizeof *tau);
    if (tau == NULL)
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate an orthonormal basis");
    const lapack_int rows = (lapack_int)n, cols = (lapack_int)k;
    int rc = not_finite(y, k * n, err);
    if (rc == 0)
        rc = lapack_error(LAPACKE_sgeqrf(LAPACK_COL_MAJOR, rows, cols, y, rows, tau),
                          "the orthonormalization", err);
    if (rc == 0)
        rc = lapack_error(LAPACKE_sorgqr(LAPACK_COL_MAJOR, rows, cols, cols, y, rows, tau),
                          "the orthonormalization", err);
    free(tau);
    return rc;
}

int slt_symmetric_eigenvectors(float *e, const float *a, int64_t k, struct slt_error *err)
{
    double *work = malloc((size_t)(k * k + k) * sizeof *work), *values = work + k * k;
    if (work == NULL)
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate eigenvectors");
    int rc = not_finite(a, k * k, err);
    for (int64_t i = 0; i < k * k; i++)
        work[i] = (double)a[i];
    if (rc == 0)
        rc = lapack_error(
            LAPACKE_dsyevd(LAPACK_COL_MAJOR, 'V', 'U', (lapack_int)k, work, (lapack_int)k, values),
            "the eigenvalue decomposition", err);
    // LAPACK's eigenvectors are columns, by ascending eigenvalues.
    for (int64_t i = 0; rc == 0 && i < k; i++)
        for (int64_t j = 0; j < k; j++)
            e[i * k + j] = (float)work[(k - 1 - i) * k + j];
    free(work);
    return rc;
}

// ---- Leading triples ----

enum { PROBES = 10 };

// 10 sqrt(2/pi) max |x a - (x a) y' y| over PROBES normal rows x (m): how much of a lies outside
// the rows of y (k, n). x (PROBES, m), b (PROBES, n) and c (PROBES, k) are scratch.
static double missed(const float *a, const float *y, float *x, float *b, float *c, int64_t m,
                     int64_t n, int64_t k, struct slt_random_key key)
{
    double most = 0;
    slt_random_normal(x, key, (uint64_t)(k * m), (size_t)(PROBES * m), 1);
    slt_product(b, 0, x, false, a, false, PROBES, n, m, 1);
    slt_product(c, 0, b, false, y, true, PROBES, k, n, 1);
    slt_product(b, 1, c, false, y, false, PROBES, n, k, -1);
    for (int p = 0; p < PROBES; p++) {
        double sum = 0;
        for (int64_t j = 0; j < n; j++)
            sum += (double)b[p * n + j] * (double)b[p * n + j];
        most = sum > most ? sum : most;
    }
    return 10 * sqrt(2 / acos(-1)) * sqrt(most);
}

int slt_svd_leading(float *u, float *s, float *v, double *error, const float *a, int64_t m,
                    int64_t n, int64_t k, int64_t margin, int power, struct slt_random_key key,
                    struct slt_error *err)
{
    const int64_t w = k + margin, rows = w > PROBES ? w : PROBES;
    float *x = malloc((size_t)(rows * (m + n + w) + 2 * m * w + 2 * w * w + w) * sizeof *x);
    if (x == NULL)
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate a basis of %lld vectors",
                             (long long)w);
    float *y = x + rows * m, *c = y + rows * n, *t = c + rows * w, *p = t + m * w;
    float *q = p + m * w, *values = q + 2 * w * w;
    int rc = not_finite(a, m * n, err);
    if (rc != 0)
        goto out;
    slt_random_normal(x, key, 0, (size_t)(w * m), 1);
    for (int pass = 0; pass <= power; pass++) {
        slt_product(y, 0, x, false, a, false, w, n, m, 1);
        if ((rc = slt_orthonormalize(y, w, n, err)) != 0)
            goto out;
        if (pass < power) {
            slt_product(x, 0, y, false, a, true, w, m, n, 1);
            if ((rc = slt_orthonormalize(x, w, m, err)) != 0)
                goto out;
        }
    }
    // a is near (a y') y: the triples of t = a y' (m, w), turned by y.
    slt_product(t, 0, a, false, y, true, m, w, n, 1);
    if ((rc = slt_svd(p, values, q, t, m, w, err)) != 0)
        goto out;
    for (int64_t i = 0; i < m; i++)
        memcpy(u + i * k, p + i * w, (size_t)k * sizeof *u);
    memcpy(s, values, (size_t)k * sizeof *s);
    slt_product(v, 0, q, false, y, false, k, n, w, 1);
    fix_signs(u, v, m, n, k);
    float *b = malloc((size_t)(PROBES * n) * sizeof *b);
    if (b == NULL)
        rc = slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate probes");
    else
        *error = missed(a, y, x, b, c, m, n, w, key);
    free(b);
out:
    free(x);
    return rc;
}

void slt_product(float *c, float beta, const float *a, bool transpose_a, const float *b,
                 bool transpose_b, int64_t m, int64_t n, int64_t k, double alpha)
{
    cblas_sgemm(CblasRowMajor, transpose_a ? CblasTrans : CblasNoTrans,
                transpose_b ? CblasTrans : CblasNoTrans, (int)m, (int)n, (int)k, (float)alpha, a,
                (int)(transpose_a ? m : k), b, (int)(transpose_b ? k : n), beta, c, (int)n);
}
