// LAPACK behind our own signatures. A row-major matrix is the transpose of a column-major one, so
// that none has to be turned: the SVD of a is asked for as that of a^T, with u and v exchanged.
#include <assert.h>
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

// Turns each pair of vectors, a column of u (m, k) and a row of v (k, n), so that the largest
// element of the one of v is positive.
static void fix_signs(struct slt_matrix u, struct slt_matrix v)
{
    for (int64_t i = 0; i < v.rows; i++) {
        float *row = v.x + i * v.cols;
        int64_t at = 0;
        for (int64_t j = 1; j < v.cols; j++)
            if (fabsf(row[j]) > fabsf(row[at]))
                at = j;
        if (row[at] >= 0)
            continue;
        for (int64_t j = 0; j < v.cols; j++)
            row[j] = -row[j];
        for (int64_t j = 0; j < u.rows; j++)
            u.x[j * u.cols + i] = -u.x[j * u.cols + i];
    }
}

int slt_svd(float *u, float *s, float *v, struct slt_matrix a, struct slt_error *err)
{
    const lapack_int rows = (lapack_int)a.cols, cols = (lapack_int)a.rows;
    const lapack_int k = rows < cols ? rows : cols;
    int rc = not_finite(a.x, a.rows * a.cols, err);
    if (rc != 0)
        return rc;
    rc = lapack_error(LAPACKE_sgesdd(LAPACK_COL_MAJOR, u != NULL ? 'S' : 'N', rows, cols, a.x, rows,
                                     s, v, rows, u, k),
                      "the singular value decomposition", err);
    if (rc == 0 && u != NULL)
        fix_signs(slt_matrix(u, a.rows, k), slt_matrix(v, k, a.cols));
    return rc;
}

int slt_orthonormalize(struct slt_matrix y, struct slt_error *err)
{
    float *tau = malloc((size_t)y.rows * sizeof *tau);
    if (tau == NULL)
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate an orthonormal basis");
    const lapack_int rows = (lapack_int)y.cols, cols = (lapack_int)y.rows;
    int rc = not_finite(y.x, y.rows * y.cols, err);
    if (rc == 0)
        rc = lapack_error(LAPACKE_sgeqrf(LAPACK_COL_MAJOR, rows, cols, y.x, rows, tau),
                          "the orthonormalization", err);
    if (rc == 0)
        rc = lapack_error(LAPACKE_sorgqr(LAPACK_COL_MAJOR, rows, cols, cols, y.x, rows, tau),
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

// 10 sqrt(2/pi) max |x a - (x a) y' y| over PROBES normal rows x (m): how much of a (m, n) lies
// outside the rows of y (k, n). x (PROBES, m), b (PROBES, n) and c (PROBES, k) are scratch.
static double missed(struct slt_matrix a, struct slt_matrix y, struct slt_matrix x,
                     struct slt_matrix b, struct slt_matrix c, struct slt_random_key key)
{
    double most = 0;
    slt_random_normal(x.x, key, (uint64_t)(y.rows * a.rows), (size_t)(x.rows * x.cols), 1);
    slt_product(b, 0, x, false, a, false, 1);
    slt_product(c, 0, b, false, y, true, 1);
    slt_product(b, 1, c, false, y, false, -1);
    for (int64_t p = 0; p < b.rows; p++) {
        double sum = 0;
        for (int64_t j = 0; j < b.cols; j++)
            sum += (double)b.x[p * b.cols + j] * (double)b.x[p * b.cols + j];
        most = sum > most ? sum : most;
    }
    return 10 * sqrt(2 / acos(-1)) * sqrt(most);
}

// An orthonormal basis y (w, n) of nearly the leading w right singular vectors of a (m, n); x
// (w, m) is scratch.
static int find_range(struct slt_matrix y, struct slt_matrix x, struct slt_matrix a,
                      const struct slt_range_finder *f, struct slt_error *err)
{
    int rc = 0;
    slt_random_normal(x.x, f->key, 0, (size_t)(x.rows * x.cols), 1);
    for (int pass = 0; pass <= f->power; pass++) {
        slt_product(y, 0, x, false, a, false, 1);
        if ((rc = slt_orthonormalize(y, err)) != 0 || pass == f->power)
            break;
        slt_product(x, 0, y, false, a, true, 1);
        if ((rc = slt_orthonormalize(x, err)) != 0)
            break;
    }
    return rc;
}

int slt_svd_leading(float *u, float *s, float *v, double *error, struct slt_matrix a,
                    const struct slt_range_finder *f, struct slt_error *err)
{
    const int64_t m = a.rows, n = a.cols, k = f->wanted, w = k + f->margin;
    const int64_t rows = w > PROBES ? w : PROBES;
    float *x = malloc((size_t)(rows * (m + n + w) + 2 * m * w + 2 * w * w + w) * sizeof *x);
    if (x == NULL)
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate a basis of %lld vectors",
                             (long long)w);
    const struct slt_matrix y = slt_matrix(x + rows * m, w, n);
    const struct slt_matrix c = slt_matrix(x + rows * (m + n), PROBES, w);
    const struct slt_matrix t = slt_matrix(x + rows * (m + n + w), m, w);
    const struct slt_matrix p = slt_matrix(t.x + m * w, m, w), q = slt_matrix(p.x + m * w, w, w);
    float *values = q.x + 2 * w * w;
    int rc = not_finite(a.x, a.rows * a.cols, err);
    if (rc == 0)
        rc = find_range(y, slt_matrix(x, w, m), a, f, err);
    if (rc != 0)
        goto out;
    // a is near (a y') y: the triples of t = a y' (m, w), turned by y.
    slt_product(t, 0, a, false, y, true, 1);
    if ((rc = slt_svd(p.x, values, q.x, t, err)) != 0)
        goto out;
    for (int64_t i = 0; i < m; i++)
        memcpy(u + i * k, p.x + i * w, (size_t)k * sizeof *u);
    memcpy(s, values, (size_t)k * sizeof *s);
    slt_product(slt_matrix(v, k, n), 0, slt_matrix(q.x, k, w), false, y, false, 1);
    fix_signs(slt_matrix(u, m, k), slt_matrix(v, k, n));
    float *b = malloc((size_t)(PROBES * n) * sizeof *b);
    if (b == NULL)
        rc = slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate probes");
    else
        *error = missed(a, y, slt_matrix(x, PROBES, m), slt_matrix(b, PROBES, n), c, f->key);
    free(b);
out:
    free(x);
    return rc;
}

void slt_product(struct slt_matrix c, float beta, struct slt_matrix a, bool transpose_a,
                 struct slt_matrix b, bool transpose_b, double alpha)
{
    const int64_t k = transpose_a ? a.rows : a.cols;
    assert((transpose_a ? a.cols : a.rows) == c.rows && (transpose_b ? b.cols : b.rows) == k &&
           (transpose_b ? b.rows : b.cols) == c.cols);
    cblas_sgemm(CblasRowMajor, transpose_a ? CblasTrans : CblasNoTrans,
                transpose_b ? CblasTrans : CblasNoTrans, (int)c.rows, (int)c.cols, (int)k,
                (float)alpha, a.x, (int)a.cols, b.x, (int)b.cols, beta, c.x, (int)c.cols);
}
