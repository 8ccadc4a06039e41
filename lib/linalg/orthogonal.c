// Newton-Schulz iterations, from products of matrices alone.
#include "linalg/orthogonal.h"

#define STEPS 5 // an odd number: the result lies in turn

static const double coefficient[3] = {3.4445, -4.7750, 2.0315};

static struct slt_tensor shaped(struct slt_tensor scratch, int64_t rows, int64_t cols)
{
    return slt_tensor_view(scratch.buffer, scratch.offset, scratch.dtype, rows, cols);
}

struct slt_tensor slt_orthogonalize(const struct slt_orthogonal *o, struct slt_tensor x)
{
    const bool tall = x.rows > x.cols;
    const int64_t n = tall ? x.cols : x.rows;
    const struct slt_tensor g = shaped(o->gram[0], n, n), p = shaped(o->gram[1], n, n);
    struct slt_tensor y = shaped(o->turn, x.rows, x.cols);
    o->ops->normalize(o->ctx, x, (struct slt_tensor){0});
    for (int step = 0; step < STEPS; step++) {
        o->ops->matmul(o->ctx, g, 0, x, tall, x, !tall, 1);
        // p = b g + c g^2, y = a x + p x
        o->ops->convert(o->ctx, p, g, NULL);
        o->ops->matmul(o->ctx, p, coefficient[1], g, false, g, false, coefficient[2]);
        o->ops->convert(o->ctx, y, x, NULL);
        o->ops->matmul(o->ctx, y, coefficient[0], tall ? x : p, false, tall ? p : x, false, 1);
        const struct slt_tensor turned = x;
        x = y;
        y = turned;
    }
    return x;
}
