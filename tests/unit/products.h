// What the tests of linear and sparse products share: a backend with buffers of its own, random
// values, and activations whose padding is poisoned, as is the workspace.
#ifndef SLT_TESTS_PRODUCTS_H
#define SLT_TESTS_PRODUCTS_H

#include <math.h>
#include <stdlib.h>

#include "check.h"
#include "core/bfloat.h"
#include "kernels/ops.h"

struct backend {
    const struct slt_ops *ops;
    struct slt_ctx *ctx;
    struct slt_buffer *work;
    enum slt_dtype compute; // of activations and weights
};

// Uniform in [-1, 1) from a linear congruential generator.
static float random_value(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (float)(int32_t)(*state >> 32) / 2147483648.0f;
}

static float *random_values(int64_t n, uint64_t seed)
{
    float *v = malloc((size_t)(n + 1) * sizeof *v);
    for (int64_t i = 0; i < n; i++)
        v[i] = random_value(&seed);
    return v;
}

static struct backend backend_open(const struct slt_ops *ops, int threads, enum slt_op op,
                                   const struct slt_op_shape *shape)
{
    struct slt_error err = {0};
    struct backend b = {.ops = ops, .compute = shape->dtype};
    CHECK_OK(ops->open(&b.ctx, &(struct slt_ops_options){.threads = threads}, &err), err);
    const uint64_t bytes = ops->work_bytes(b.ctx, op, shape);
    CHECK_OK(ops->buffer_create(b.ctx, &b.work, "work", bytes + 64, &err), err);
    char *nan = malloc(bytes + 1);
    memset(nan, 0xff, bytes + 1);
    ops->write(b.ctx, b.work, 0, nan, bytes);
    free(nan);
    ops->set_workspace(b.ctx, b.work, 0, bytes);
    return b;
}

static void backend_close(struct backend *b)
{
    struct slt_error err = {0};
    CHECK_OK(b->ops->synchronize(b->ctx, &err), err);
    b->ops->buffer_free(b->ctx, b->work);
    b->ops->close(b->ctx);
}

static struct slt_buffer *buffer_with(const struct backend *b, const void *data, uint64_t bytes)
{
    struct slt_error err = {0};
    struct slt_buffer *buffer = NULL;
    CHECK_OK(b->ops->buffer_create(b->ctx, &buffer, "test", bytes + 64, &err), err);
    if (data && bytes > 0)
        b->ops->write(b->ctx, buffer, 0, data, bytes);
    return buffer;
}

static struct slt_tensor tensor_with(const struct backend *b, enum slt_dtype dtype, int64_t rows,
                                     int64_t cols, const void *data)
{
    const uint64_t bytes = (uint64_t)(rows * cols) * slt_dtype_size(dtype);
    return slt_tensor_view(buffer_with(b, data, bytes), 0, dtype, rows, cols);
}

// values in the type that weights have.
static inline struct slt_tensor weight_with(const struct backend *b, int64_t rows, int64_t cols,
                                            const float *values)
{
    if (b->compute != SLT_BF16)
        return tensor_with(b, SLT_F32, rows, cols, values);
    uint16_t *half = malloc((size_t)(rows * cols) * sizeof *half + 1);
    for (int64_t i = 0; i < rows * cols; i++)
        half[i] = slt_bf16_nearest(values[i]);
    const struct slt_tensor t = tensor_with(b, SLT_BF16, rows, cols, half);
    free(half);
    return t;
}

// An activation (tokens, features) inside a wider one; whatever is not of it is NaN.
static struct slt_act act_with(const struct backend *b, int64_t tokens, int64_t features,
                               const float *values)
{
    const int64_t before = 3, after = 2, width = before + features + after;
    const uint64_t bytes = b->ops->act_bytes(b->ctx, b->compute, tokens, width);
    char *nan = malloc(bytes + 1);
    memset(nan, 0xff, bytes);
    struct slt_act all = slt_act_view(buffer_with(b, nan, bytes), 0, b->compute, tokens, width);
    free(nan);
    const struct slt_act act = slt_act_slice(all, before, features);
    if (values)
        b->ops->act_write(b->ctx, act, values);
    return act;
}

static float *act_values(const struct backend *b, struct slt_act act)
{
    float *v = malloc((size_t)(act.tokens * act.features + 1) * sizeof *v);
    b->ops->act_read(b->ctx, v, act);
    b->ops->buffer_free(b->ctx, act.buffer);
    return v;
}

static inline float *tensor_values(const struct backend *b, struct slt_tensor t)
{
    const int64_t n = t.rows * t.cols;
    float *v = malloc((size_t)(n + 1) * sizeof *v);
    uint16_t *half =
        (uint16_t *)v + n; // widened from the start on, ahead of what is yet to be read
    b->ops->read(b->ctx, t.dtype == SLT_BF16 ? (void *)half : (void *)v, t.buffer, t.offset,
                 (uint64_t)n * slt_dtype_size(t.dtype));
    for (int64_t i = 0; t.dtype == SLT_BF16 && i < n; i++) {
        const float value = slt_bf16_value(half[i]);
        memcpy(v + i, &value, sizeof value);
    }
    b->ops->buffer_free(b->ctx, t.buffer);
    return v;
}

// The squared error of got over the squares of want.
static double error_of(const float *got, const float *want, int64_t n)
{
    double error = 0, square = 0;
    for (int64_t i = 0; i < n; i++) {
        error += ((double)got[i] - want[i]) * ((double)got[i] - want[i]);
        square += (double)want[i] * want[i];
    }
    return square > 0 ? error / square : error;
}

#endif
