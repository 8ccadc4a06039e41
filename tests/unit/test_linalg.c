// Singular value decompositions and leading subspaces.
#include "device.h"
#include "linalg/subspace.h"
#include "linalg/svd.h"

static float *random_matrix(const char *name, int64_t count)
{
    float *values = malloc((size_t)count * sizeof *values);
    slt_random_normal(values, slt_random_key("slt-test", name, 1), 0, (size_t)count, 1);
    return values;
}

// ||u diag(s) v - a|| / ||a||, and how far u's columns and v's rows are from orthonormal.
static void check_svd(int64_t m, int64_t n, int64_t rank)
{
    struct slt_error err;
    const int64_t k = m < n ? m : n;
    float *left = random_matrix("left", m * rank), *right = random_matrix("right", rank * n);
    float *a = calloc((size_t)(m * n), sizeof *a), *spent = malloc((size_t)(m * n) * sizeof *spent);
    float *u = malloc((size_t)(m * k) * sizeof *u), *s = malloc((size_t)k * sizeof *s);
    float *v = malloc((size_t)(k * n) * sizeof *v);
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++)
            for (int64_t r = 0; r < rank; r++)
                a[i * n + j] += left[i * rank + r] * right[r * n + j];
    memcpy(spent, a, (size_t)(m * n) * sizeof *a);
    CHECK_OK(slt_svd(u, s, v, slt_matrix(spent, m, n), &err), err);
    double error = 0, norm = 0, crooked = 0;
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            double sum = -(double)a[i * n + j];
            for (int64_t r = 0; r < k; r++)
                sum += (double)u[i * k + r] * (double)s[r] * (double)v[r * n + j];
            error += sum * sum;
            norm += (double)a[i * n + j] * (double)a[i * n + j];
        }
    for (int64_t x = 0; x < k; x++)
        for (int64_t y = 0; y < k; y++) {
            double rows = x == y ? -1 : 0, columns = rows;
            for (int64_t j = 0; j < n; j++)
                rows += (double)v[x * n + j] * (double)v[y * n + j];
            for (int64_t i = 0; i < m; i++)
                columns += (double)u[i * k + x] * (double)u[i * k + y];
            crooked = fmax(crooked, fmax(fabs(rows), fabs(columns)));
        }
    CHECK(sqrt(error / norm) <= 1e-5, "%d x %d: off by %g", (int)m, (int)n, sqrt(error / norm));
    CHECK(crooked <= 1e-5, "%d x %d: vectors are off by %g", (int)m, (int)n, crooked);
    for (int64_t r = 1; r < k; r++)
        CHECK(s[r] <= s[r - 1], "value %d rises", (int)r);
    for (int64_t r = rank; r < k; r++)
        CHECK(s[r] <= 1e-5f * s[0], "rank %d: value %d is %g", (int)rank, (int)r, (double)s[r]);
    memcpy(spent, a, (size_t)(m * n) * sizeof *a);
    spent[m * n - 1] = NAN;
    CHECK(slt_svd(u, s, v, slt_matrix(spent, m, n), &err) == SLT_ERR_NUMERIC, "NaN");
    free(left);
    free(right);
    free(a);
    free(spent);
    free(u);
    free(s);
    free(v);
}

// The squared norm of g p^T (right) or p g that the rows of p capture.
static double captured(struct device *d, struct slt_tensor p, const float *g, int64_t m, int64_t n,
                       bool right)
{
    double *rows = malloc((size_t)(p.rows * p.cols) * sizeof *rows), sum = 0;
    device_get(d, rows, p);
    for (int64_t r = 0; r < p.rows; r++)
        for (int64_t i = 0; i < (right ? m : n); i++) {
            double dot = 0;
            for (int64_t j = 0; j < p.cols; j++)
                dot += rows[r * p.cols + j] * (double)(right ? g[i * n + j] : g[j * n + i]);
            sum += dot * dot;
        }
    free(rows);
    return sum;
}

// A matrix whose singular values fall like 1/(1 + i/4): the range finder captures nearly what is
// best.
static void check_subspace(int64_t m, int64_t n, int64_t r, bool right, enum slt_dtype dtype)
{
    struct slt_error err;
    const int64_t k = m < n ? m : n, side = right ? n : m;
    float *spent = random_matrix("subspace", m * n), *g = calloc((size_t)(m * n), sizeof *g);
    float *u = malloc((size_t)(m * k) * sizeof *u), *s = malloc((size_t)k * sizeof *s);
    float *v = malloc((size_t)(k * n) * sizeof *v);
    CHECK_OK(slt_svd(u, s, v, slt_matrix(spent, m, n), &err), err);
    double best = 0;
    for (int64_t x = 0; x < k; x++) {
        const double value = 1 / (1 + (double)x / 4);
        best += x < r ? value * value : 0;
        for (int64_t i = 0; i < m; i++)
            for (int64_t j = 0; j < n; j++)
                g[i * n + j] += (float)(value * (double)u[i * k + x] * (double)v[x * n + j]);
    }
    struct device d = device_open(slt_cpu_ops(NULL), SLT_F32, 2);
    device_work(&d, SLT_OP_LINEAR, (struct slt_op_shape){.tokens = 1, .in = 1, .out = 1});
    const struct slt_tensor p = device_typed(&d, dtype, r, side, NULL);
    const double limit =
        dtype == SLT_BF16 ? 4e-3 : 1e-4; // vectors of length 1 but for their rounding
    const struct slt_tensor on_device =
        slt_tensor_view(device_bytes(&d, SLT_F32, m * n, g).buffer, 0, SLT_F32, m, n);
    const int64_t scratch = slt_subspace_scratch(m, n, r);
    const struct slt_subspace how = {
        d.ops,
        d.ctx,
        {device_tensor(&d, 1, scratch, NULL), device_tensor(&d, 1, scratch, NULL)},
        slt_random_key("slt-test", "sketch", 1)};
    CHECK_OK(slt_subspace_exact(&how, p, on_device, right, &err), err);
    const double exact = captured(&d, p, g, m, n, right);
    CHECK(fabs(exact - best) <= limit * best, "%d x %d exact: %g of %g", (int)m, (int)n, exact,
          best);
    CHECK_OK(slt_subspace_randomized(&how, p, on_device, right, &err), err);
    const double found = captured(&d, p, g, m, n, right);
    CHECK(found >= 0.98 * best && found <= best * (1 + limit), "%d x %d, rank %d: %g of %g", (int)m,
          (int)n, (int)r, found, best);
    device_close(&d);
    free(spent);
    free(g);
    free(u);
    free(s);
    free(v);
}

int main(void)
{
    check_svd(12, 12, 12);
    check_svd(30, 7, 7);
    check_svd(5, 40, 5);
    check_svd(20, 16, 3);
    check_svd(1, 9, 1);
    check_svd(9, 1, 1);
    for (int i = 0; i < 2; i++) {
        const enum slt_dtype dtype = i == 0 ? SLT_F32 : SLT_BF16;
        check_subspace(60, 45, 8, true, dtype);
        check_subspace(45, 60, 8, false, dtype);
        check_subspace(40, 40, 40, true, dtype);
        check_subspace(90, 20, 1, true, dtype);
    }
    return TEST_END();
}
