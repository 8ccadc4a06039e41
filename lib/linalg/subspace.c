// Leading singular subspaces, exact and randomized.
#include <stdlib.h>

#include "core/least.h"
#include "linalg/subspace.h"
#include "linalg/svd.h"

int64_t slt_subspace_scratch(int64_t m, int64_t n, int64_t r)
{
    const int64_t most = m > n ? m : n, least = m < n ? m : n;
    const int64_t k = slt_least(r + SLT_SUBSPACE_MARGIN, least);
    const int64_t turned = r * k + r * least; // of a p in BF16
    return turned > k * most ? turned : k * most;
}

static uint64_t bytes_of(int64_t elements)
{
    return (uint64_t)elements * sizeof(float);
}

static void read_tensor(const struct slt_subspace *s, float *values, struct slt_tensor t)
{
    s->ops->read(s->ctx, values, t.buffer, t.offset, bytes_of(t.rows * t.cols));
}

static void write_tensor(const struct slt_subspace *s, struct slt_tensor t, const float *values)
{
    s->ops->write(s->ctx, t.buffer, t.offset, values, bytes_of(t.rows * t.cols));
}

// Where p is worked out: itself, or behind so many elements of a scratch.
static struct slt_tensor place_of(struct slt_tensor p, struct slt_tensor scratch, int64_t skipped)
{
    return p.dtype == SLT_F32 ? p
                              : slt_tensor_view(scratch.buffer, scratch.offset + bytes_of(skipped),
                                                SLT_F32, p.rows, p.cols);
}

static void round_into(const struct slt_subspace *s, struct slt_tensor p, struct slt_tensor place)
{
    if (p.dtype != SLT_F32)
        s->ops->convert(s->ctx, p, place, NULL);
}

int slt_subspace_exact(const struct slt_subspace *s, struct slt_tensor p, struct slt_tensor g,
                       bool right, struct slt_error *err)
{
    const int64_t m = g.rows, n = g.cols, k = slt_least(m, n), r = p.rows;
    float *a = malloc(bytes_of(m * n + m * k + k * n + k + r * m));
    if (a == NULL)
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate the SVD of a %lld x %lld matrix",
                             (long long)m, (long long)n);
    float *u = a + m * n, *v = u + m * k, *values = v + k * n, *turned = values + k;
    read_tensor(s, a, g);
    int rc = slt_svd(u, values, v, slt_matrix(a, m, n), err);
    for (int64_t i = 0; rc == 0 && !right && i < r; i++)
        for (int64_t j = 0; j < m; j++)
            turned[i * m + j] = u[j * k + i];
    if (rc == 0) {
        const struct slt_tensor place = place_of(p, s->scratch[0], 0);
        write_tensor(s, place, right ? v : turned);
        round_into(s, p, place);
    }
    free(a);
    return rc;
}

// A view of a scratch as (rows, cols).
static struct slt_tensor view(struct slt_tensor scratch, int64_t rows, int64_t cols)
{
    return slt_tensor_view(scratch.buffer, scratch.offset, SLT_F32, rows, cols);
}

static int orthonormalize(const struct slt_subspace *s, struct slt_tensor y, float *host,
                          struct slt_error *err)
{
    read_tensor(s, host, y);
    int rc = slt_orthonormalize(slt_matrix(host, y.rows, y.cols), err);
    if (rc == 0)
        write_tensor(s, y, host);
    return rc;
}

// With z the side that p's vectors live on and o the other one: y (k, z) spans the leading
// subspace, and the k x k matrix y G' G y^T turns it to the singular vectors.
int slt_subspace_randomized(const struct slt_subspace *s, struct slt_tensor p, struct slt_tensor g,
                            bool right, struct slt_error *err)
{
    const int64_t z = right ? g.cols : g.rows, o = right ? g.rows : g.cols, r = p.rows;
    const int64_t k = slt_least(r + SLT_SUBSPACE_MARGIN, slt_least(z, o)), most = z > o ? z : o;
    const struct slt_tensor y = view(s->scratch[0], k, z), x = view(s->scratch[1], k, o);
    const struct slt_tensor square = view(s->scratch[0], k, k);
    float *host = malloc(bytes_of(k * most + 2 * k * k)), *e = host + k * most, *gram = e + k * k;
    int rc;
    if (host == NULL)
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate a basis of %lld vectors",
                             (long long)k);
    slt_random_normal(host, s->key, 0, (size_t)(k * o), 1);
    write_tensor(s, x, host);
    for (int pass = 0; pass < 2; pass++) {
        s->ops->matmul(s->ctx, y, 0, x, false, g, !right, 1);
        if ((rc = orthonormalize(s, y, host, err)) != 0)
            goto out;
        s->ops->matmul(s->ctx, x, 0, y, false, g, right, 1);
        if (pass == 0 && (rc = orthonormalize(s, x, host, err)) != 0)
            goto out;
    }
    // host still holds y, so that its scratch can take the square matrix and then y again.
    s->ops->matmul(s->ctx, square, 0, x, false, x, true, 1);
    read_tensor(s, gram, square);
    if ((rc = slt_symmetric_eigenvectors(e, gram, k, err)) != 0)
        goto out;
    write_tensor(s, y, host);
    const struct slt_tensor leading = view(s->scratch[1], r, k);
    write_tensor(s, leading, e);
    const struct slt_tensor place = place_of(p, s->scratch[1], r * k);
    s->ops->matmul(s->ctx, place, 0, leading, false, y, false, 1);
    round_into(s, p, place);
out:
    free(host);
    return rc;
}
