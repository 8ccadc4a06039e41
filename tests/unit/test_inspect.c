// Spectra: singular values against NumPy's and LAPACK's double-precision routine, leading ones
// against all of them, and the numbers of a spectrum and of a residual on cases that are known.
#include <lapacke.h>
#include <math.h>
#include <stdlib.h>

#include "linalg/spectrum.h"
#include "linalg/svd.h"
#include "vectors.h"

static void make_matrix(float *a, int seed, int64_t m, int64_t n)
{
    double *values = malloc((size_t)(m * n) * sizeof *values);
    vector_hashed(values, seed, m * n);
    for (int64_t i = 0; i < m * n; i++)
        a[i] = (float)values[i];
    free(values);
}

// Largest difference over the largest value.
static double difference(const float *s, const double *want, int64_t k)
{
    double worst = 0;
    for (int64_t i = 0; i < k; i++)
        worst = fmax(worst, fabs((double)s[i] - want[i]));
    return worst / want[0];
}

static void check_values(const struct vector_file *v, int seed, int64_t m, int64_t n, int64_t r)
{
    struct slt_error err;
    char name[40];
    size_t count;
    const int64_t k = m < n ? m : n;
    float *a = malloc((size_t)(m * n) * sizeof *a), *s = malloc((size_t)k * sizeof *s);
    double *copy = malloc((size_t)(m * n) * sizeof *copy), *all = malloc((size_t)k * sizeof *all);
    if (r == 0) {
        make_matrix(a, seed, m, n);
    } else {
        double *x = malloc((size_t)(m * r) * sizeof *x), *y = malloc((size_t)(r * n) * sizeof *y);
        vector_hashed(x, seed, m * r);
        vector_hashed(y, seed + 100, r * n);
        for (int64_t i = 0; i < m * n; i++) {
            double sum = 0;
            for (int64_t p = 0; p < r; p++)
                sum += x[i / n * r + p] * y[p * n + i % n];
            a[i] = (float)sum;
        }
        free(x);
        free(y);
    }
    for (int64_t i = 0; i < m * n; i++)
        copy[i] = (double)a[i];
    snprintf(name, sizeof name, "%dx%dx%d", (int)m, (int)n, (int)r);
    const double *want = vector_find(v, "", name, &count);
    CHECK((int64_t)count == k, "%s: %zu values", name, count);
    CHECK_OK(slt_svd(NULL, s, NULL, slt_matrix(a, m, n), &err), err);
    CHECK(difference(s, want, k) <= 1e-5, "%s: off NumPy's by %g", name, difference(s, want, k));
    CHECK(LAPACKE_dgesdd(LAPACK_ROW_MAJOR, 'N', (int)m, (int)n, copy, (int)n, all, NULL, (int)m,
                         NULL, (int)n) == 0,
          "%s", name);
    CHECK(difference(s, all, k) <= 1e-5, "%s: off LAPACK's by %g", name, difference(s, all, k));
    free(a);
    free(s);
    free(copy);
    free(all);
}

// A diagonal spectrum 2^-i in a random basis: the leading values, their bound, and the vectors.
static void check_leading(int64_t m, int64_t n, int64_t k)
{
    struct slt_error err;
    const int64_t full = m < n ? m : n;
    float *a = malloc((size_t)(m * n) * sizeof *a), *u = malloc((size_t)(m * full) * sizeof *u);
    float *s = malloc((size_t)full * sizeof *s), *v = malloc((size_t)(full * n) * sizeof *v);
    double error;
    make_matrix(a, 7, m, n);
    CHECK_OK(slt_svd(u, s, v, slt_matrix(a, m, n), &err), err);
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < full; j++)
            u[i * full + j] *= (float)pow(0.8, (double)j);
    slt_product(slt_matrix(a, m, n), 0, slt_matrix(u, m, full), false, slt_matrix(v, full, n),
                false, 1);
    const struct slt_range_finder finder = {k, 8, 2, slt_random_key("t", "l", 1)};
    CHECK_OK(slt_svd_leading(u, s, v, &error, slt_matrix(a, m, n), &finder, &err), err);
    const double next = pow(0.8, (double)(k + 8));
    CHECK(error >= next && error <= 300 * next, "bound %g, next value %g", error, next);
    for (int64_t i = 0; i < k; i++) {
        const double want = pow(0.8, (double)i), got = (double)s[i];
        CHECK(fabs(got - want) <= 1e-4 && want - got <= error, "value %d: %g, not %g", (int)i, got,
              want);
    }
    float *product = malloc((size_t)(m * k) * sizeof *product);
    slt_product(slt_matrix(product, m, k), 0, slt_matrix(a, m, n), false, slt_matrix(v, k, n), true,
                1);
    double off = 0;
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < k; j++)
            off = fmax(off, fabs((double)product[i * k + j] - (double)u[i * k + j] * (double)s[j]));
    CHECK(off <= 1e-3, "a v = u s is off by %g", off);
    free(product);
    free(a);
    free(u);
    free(s);
    free(v);
}

static void check_measures(void)
{
    struct slt_error err;
    double four[] = {2, 2, 2, 2}, falling[] = {3, 2, 1, 0};
    struct slt_spectrum s = {.count = 4, .value = four};
    slt_spectrum_measure(&s, 16, 2);
    CHECK(fabs(s.effective_rank - 4) < 1e-12 && fabs(s.stable_rank - 4) < 1e-12 &&
              fabs(s.energy_at_rank - 0.5) < 1e-12 && fabs(s.frobenius - 4) < 1e-12 &&
              s.rank_90 == 4 && s.rank_99 == 4,
          "equal values: %g %g %g", s.effective_rank, s.stable_rank, s.energy_at_rank);
    s = (struct slt_spectrum){.count = 4, .value = falling};
    slt_spectrum_measure(&s, 14, 1);
    const double entropy = -(log(0.5) / 2 + log(1.0 / 3) / 3 + log(1.0 / 6) / 6);
    CHECK(fabs(s.effective_rank - exp(entropy)) < 1e-12 && fabs(s.stable_rank - 14.0 / 9) < 1e-12 &&
              fabs(s.energy_at_rank - 9.0 / 14) < 1e-12 && s.rank_90 == 2 && s.rank_99 == 3,
          "falling values: %g", s.effective_rank);
    // Where values are missing, so is what needs all of them.
    s = (struct slt_spectrum){.count = 2, .value = falling, .error = 0.1};
    slt_spectrum_measure(&s, 14, 2);
    CHECK(isnan(s.effective_rank) && s.rank_90 == 2 && s.rank_99 == 0, "two values");
    struct slt_spectrum zero = {.count = 2, .value = (double[]){0, 0}};
    slt_spectrum_measure(&zero, 0, 1);
    CHECK(zero.effective_rank == 0 && zero.stable_rank == 0 && zero.energy_at_rank == 0, "zeros");

    enum { N = 4001 };
    float x[N];
    double magnitude[SLT_INSPECT_SHARES + 1], below;
    for (int i = 0; i < N; i++) // 0 .. 4000 in another order, of either sign
        x[i] = (float)((i * 1237) % N) * (i % 2 ? -1.0f : 1.0f);
    CHECK_OK(slt_magnitudes_measure(magnitude, &below, x, N, 999, &err), err);
    CHECK(fabs(below - 1000.0 / N) < 1e-12, "below the cut-off: %g", below);
    for (int i = 0; i <= SLT_INSPECT_SHARES; i += 50)
        CHECK(magnitude[i] == 4.0 * i, "share %d: %g", i, magnitude[i]);
}

int main(void)
{
    static const int shapes[][3] = {{40, 24, 0}, {24, 40, 0}, {1, 17, 0},
                                    {17, 1, 0},  {64, 64, 0}, {33, 48, 5}};
    struct vector_file v;
    vector_file_read(&v, "svd");
    for (int i = 0; i < 6; i++)
        check_values(&v, i, shapes[i][0], shapes[i][1], shapes[i][2]);
    vector_file_free(&v);
    check_leading(60, 45, 10);
    check_leading(45, 60, 10);
    check_measures();
    return TEST_END();
}
