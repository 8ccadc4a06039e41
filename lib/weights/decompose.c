// Best low-rank part by SVD, and positions for what is left.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "linalg/svd.h"
#include "weights/decompose.h"

// ---- Largest magnitudes ----

static uint32_t magnitude_bits(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits & 0x7fffffffu; // ascends with |x|
}

// The bits of the count-th largest magnitude of x (n), and in *ties how many of that very magnitude
// are among the count: by its upper, then its lower half.
static uint32_t find_threshold(const float *x, int64_t n, int64_t count, int64_t *ties,
                               int64_t *histogram)
{
    uint32_t upper, lower;
    memset(histogram, 0, 65536 * sizeof *histogram);
    for (int64_t i = 0; i < n; i++)
        histogram[magnitude_bits(x[i]) >> 16]++;
    for (upper = 65535; histogram[upper] < count; upper--)
        count -= histogram[upper];
    memset(histogram, 0, 65536 * sizeof *histogram);
    for (int64_t i = 0; i < n; i++)
        if (magnitude_bits(x[i]) >> 16 == upper)
            histogram[magnitude_bits(x[i]) & 0xffffu]++;
    for (lower = 65535; histogram[lower] < count; lower--)
        count -= histogram[lower];
    *ties = count;
    return upper << 16 | lower;
}

// position (count) = where the largest magnitudes of x (n) are, ascending; of equal ones the first.
static int find_largest(int64_t *position, int64_t count, const float *x, int64_t n,
                        struct slt_error *err)
{
    int64_t *histogram = malloc(65536 * sizeof *histogram), ties = 0, at = 0;
    if (histogram == NULL)
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate a histogram");
    const uint32_t threshold = count > 0 ? find_threshold(x, n, count, &ties, histogram) : 0;
    for (int64_t i = 0; at < count && i < n; i++) {
        const uint32_t bits = magnitude_bits(x[i]);
        if (bits > threshold || (bits == threshold && ties-- > 0))
            position[at++] = i;
    }
    free(histogram);
    return 0;
}

// ---- Parts ----

// The best rank-r part of w, which becomes the residual. A matrix that has no rank r, such as the
// keys of grouped queries, is exact with zeros in the factors' last rows and columns.
static int split(struct slt_decomposition *d, float *w, const struct slt_form *form,
                 struct slt_error *err)
{
    const int64_t m = d->out, n = d->in, k = m < n ? m : n, r = form->rank;
    const double scale = form->scale;
    float *copy = malloc((size_t)(m * n + m * k + k * n + k) * sizeof *copy);
    if (copy == NULL)
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate the SVD of a %lld x %lld matrix",
                             (long long)m, (long long)n);
    float *u = copy + m * n, *v = u + m * k, *sigma = v + k * n;
    memcpy(copy, w, (size_t)(m * n) * sizeof *w);
    int rc = slt_svd(u, sigma, v, slt_matrix(copy, m, n), err);
    for (int64_t i = 0; rc == 0 && i < r; i++) {
        const float root = i < k ? (float)sqrt((double)sigma[i] / scale) : 0;
        for (int64_t j = 0; j < n; j++)
            d->a[i * n + j] = i < k ? root * v[i * n + j] : 0;
        for (int64_t j = 0; j < m; j++)
            d->b[j * r + i] = i < k ? root * u[j * k + i] : 0;
    }
    free(copy);
    if (rc == 0)
        slt_product(slt_matrix(w, m, n), 1, slt_matrix(d->b, m, r), false, slt_matrix(d->a, r, n),
                    false, -scale);
    return rc;
}

static int choose_positions(struct slt_decomposition *d, const struct slt_support *support,
                            const float *residual, struct slt_error *err)
{
    if (support->spec.kind != SLT_SUPPORT_EXPLICIT)
        return slt_support_positions(d->position, support, err);
    return find_largest(d->position, d->nnz, residual, d->out * d->in, err);
}

int slt_decompose(struct slt_decomposition *d, float *w, const struct slt_form *form,
                  const struct slt_support *support, struct slt_error *err)
{
    const int64_t out = support->out, in = support->in;
    const bool sparse = slt_method_has(form->method, SLT_ROLE_SPARSE);
    *d = (struct slt_decomposition){.out = out, .in = in};
    if (sparse)
        d->nnz = slt_support_count(&support->spec, support->density, out, in);
    d->a = malloc((size_t)(form->rank * in) * sizeof *d->a);
    d->b = malloc((size_t)(form->rank * out) * sizeof *d->b);
    d->values = malloc((size_t)d->nnz * sizeof *d->values + 1);
    d->position = malloc((size_t)d->nnz * sizeof *d->position + 1);
    int rc = 0;
    if (d->a == NULL || d->b == NULL || d->values == NULL || d->position == NULL)
        rc = slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate the factors of '%s'",
                           support->name);
    if (rc == 0 && (rc = split(d, w, form, err)) != 0)
        rc = slt_error_prefix(err, rc, "'%s'", support->name);
    if (rc == 0 && sparse)
        rc = choose_positions(d, support, w, err);
    for (int64_t i = 0; rc == 0 && i < d->nnz; i++)
        d->values[i] = w[d->position[i]];
    if (rc != 0)
        slt_decomposition_free(d);
    return rc;
}

void slt_decomposition_free(struct slt_decomposition *d)
{
    free(d->a);
    free(d->b);
    free(d->values);
    free(d->position);
    d->a = d->b = d->values = NULL;
    d->position = NULL;
}
