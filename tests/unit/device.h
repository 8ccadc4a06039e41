// What the tests of operations share: a backend with a workspace, and values of it as host doubles.
// All memory of a device starts as NaN, so that whoever reads what nobody wrote is found out.
#ifndef SLT_TESTS_DEVICE_H
#define SLT_TESTS_DEVICE_H

#include <math.h>
#include <stdlib.h>

#include "check.h"
#include "core/bfloat.h"
#include "kernels/ops.h"
#include "slt/random.h"

#define DEVICE_BUFFERS 64

struct device {
    const struct slt_ops *ops;
    struct slt_ctx *ctx;
    enum slt_dtype dtype;   // of tensors
    enum slt_dtype compute; // of activations and weights: dtype, or BF16
    struct slt_buffer *buffer[DEVICE_BUFFERS];
    int buffers;
};

static inline struct device device_open(const struct slt_ops *ops, enum slt_dtype dtype,
                                        int threads)
{
    struct device d = {.ops = ops, .dtype = dtype == SLT_BF16 ? SLT_F32 : dtype, .compute = dtype};
    struct slt_error err = {0};
    const struct slt_ops_options options = {.threads = threads};
    CHECK_OK(ops->open(&d.ctx, &options, &err), err);
    return d;
}

static inline struct slt_buffer *device_buffer(struct device *d, uint64_t bytes)
{
    struct slt_error err = {0};
    if (d->buffers == DEVICE_BUFFERS)
        abort();
    struct slt_buffer **buffer = &d->buffer[d->buffers++];
    CHECK_OK(d->ops->buffer_create(d->ctx, buffer, "test", bytes, &err), err);
    void *nan = malloc(bytes + 1);
    memset(nan, 0xff, bytes); // NaN as float and as double
    d->ops->write(d->ctx, *buffer, 0, nan, bytes);
    free(nan);
    return *buffer;
}

// Frees all buffers and closes; no operation may have failed.
static inline void device_close(struct device *d)
{
    struct slt_error err = {0};
    CHECK_OK(d->ops->synchronize(d->ctx, &err), err);
    for (int i = 0; i < d->buffers; i++)
        d->ops->buffer_free(d->ctx, d->buffer[i]);
    d->ops->close(d->ctx);
}

// Exactly the workspace that an operation asks for.
static inline void device_work(struct device *d, enum slt_op op, struct slt_op_shape shape)
{
    shape.dtype = d->compute;
    CHECK(d->ops->supports(d->ctx, op, &shape), "operation %d", (int)op);
    const uint64_t bytes = d->ops->work_bytes(d->ctx, op, &shape);
    d->ops->set_workspace(d->ctx, device_buffer(d, bytes), 0, bytes);
}

// Values of dtype F32, F64 or BF16 from host doubles (the caller frees), and back.
static inline void *device_pack(enum slt_dtype dtype, const double *values, int64_t count)
{
    void *packed = malloc((size_t)count * slt_dtype_size(dtype) + 1);
    for (int64_t i = 0; i < count; i++)
        if (dtype == SLT_F32)
            ((float *)packed)[i] = (float)values[i];
        else if (dtype == SLT_BF16)
            ((uint16_t *)packed)[i] = slt_bf16_nearest((float)values[i]);
        else
            ((double *)packed)[i] = values[i];
    return packed;
}

static inline void device_unpack(double *values, enum slt_dtype dtype, const void *packed,
                                 int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        values[i] = dtype == SLT_F32    ? (double)((const float *)packed)[i]
                    : dtype == SLT_BF16 ? (double)slt_bf16_value(((const uint16_t *)packed)[i])
                                        : ((const double *)packed)[i];
}

// values (tokens, features); NULL leaves NaN.
static inline void device_put_act(struct device *d, struct slt_act act, const double *values)
{
    void *packed = device_pack(d->dtype, values, act.tokens * act.features);
    d->ops->act_write(d->ctx, act, packed);
    free(packed);
}

static inline struct slt_act device_act(struct device *d, int64_t tokens, int64_t features,
                                        const double *values)
{
    const uint64_t bytes = d->ops->act_bytes(d->ctx, d->compute, tokens, features);
    struct slt_act act = slt_act_view(device_buffer(d, bytes), 0, d->compute, tokens, features);
    if (values != NULL)
        device_put_act(d, act, values);
    return act;
}

static inline void device_get_act(struct device *d, double *values, struct slt_act act)
{
    const int64_t count = act.tokens * act.features;
    void *packed = malloc((size_t)count * slt_dtype_size(d->dtype) + 1);
    d->ops->act_read(d->ctx, packed, act);
    device_unpack(values, d->dtype, packed, count);
    free(packed);
}

static inline void device_put(struct device *d, struct slt_tensor t, const double *values)
{
    void *packed = device_pack(t.dtype, values, t.rows * t.cols);
    d->ops->write(d->ctx, t.buffer, t.offset, packed,
                  (uint64_t)(t.rows * t.cols) * slt_dtype_size(t.dtype));
    free(packed);
}

static inline struct slt_tensor device_typed(struct device *d, enum slt_dtype dtype, int64_t rows,
                                             int64_t cols, const double *values)
{
    const uint64_t bytes = (uint64_t)(rows * cols) * slt_dtype_size(dtype);
    struct slt_tensor t = slt_tensor_view(device_buffer(d, bytes), 0, dtype, rows, cols);
    if (values != NULL)
        device_put(d, t, values);
    return t;
}

static inline struct slt_tensor device_tensor(struct device *d, int64_t rows, int64_t cols,
                                              const double *values)
{
    return device_typed(d, d->dtype, rows, cols, values);
}

static inline struct slt_tensor device_weight(struct device *d, int64_t rows, int64_t cols,
                                              const double *values)
{
    return device_typed(d, d->compute, rows, cols, values);
}

static inline void device_get(struct device *d, double *values, struct slt_tensor t)
{
    const int64_t count = t.rows * t.cols;
    void *packed = malloc((size_t)count * slt_dtype_size(t.dtype) + 1);
    d->ops->read(d->ctx, packed, t.buffer, t.offset, (uint64_t)count * slt_dtype_size(t.dtype));
    device_unpack(values, t.dtype, packed, count);
    free(packed);
}

static inline struct slt_tensor device_bytes(struct device *d, enum slt_dtype dtype, int64_t count,
                                             const void *data)
{
    const uint64_t bytes = (uint64_t)count * slt_dtype_size(dtype);
    struct slt_tensor t = slt_tensor_view(device_buffer(d, bytes), 0, dtype, 1, count);
    d->ops->write(d->ctx, t.buffer, 0, data, bytes);
    return t;
}

// Scalars, all 0 but the one given.
static inline struct slt_tensor device_scalars(struct device *d, enum slt_scalar which,
                                               double value)
{
    double scalars[SLT_SCALARS] = {0};
    scalars[which] = value;
    return device_bytes(d, SLT_F64, SLT_SCALARS, scalars);
}

static inline double device_scalar(struct device *d, struct slt_tensor scalars,
                                   enum slt_scalar which)
{
    double values[SLT_SCALARS];
    device_get(d, values, scalars);
    return values[which];
}

// ---- Host values ----

// count values uniform on [-bound, bound], a function of the name; exact as floats. The caller
// frees.
static inline double *host_random(const char *name, int64_t count, double bound)
{
    float *unit = malloc((size_t)count * sizeof *unit + 1);
    double *values = malloc((size_t)count * sizeof *values + 1);
    slt_random_uniform(unit, slt_random_key("slt-test", name, 1), 0, (size_t)count, (float)bound);
    for (int64_t i = 0; i < count; i++)
        values[i] = (double)unit[i];
    free(unit);
    return values;
}

// count integers in [low, high), a function of the name. The caller frees.
static inline int32_t *host_integers(const char *name, int64_t count, int32_t low, int32_t high)
{
    double *unit = host_random(name, count, 0.5);
    int32_t *values = malloc((size_t)count * sizeof *values + 1);
    for (int64_t i = 0; i < count; i++) {
        values[i] = low + (int32_t)((unit[i] + 0.5) * (high - low));
        if (values[i] >= high)
            values[i] = high - 1;
    }
    free(unit);
    return values;
}

// The table of rotations (head_dim, positions) for theta 10000. The caller frees.
static inline double *host_rope(int64_t head_dim, int64_t positions)
{
    double *rope = malloc((size_t)(head_dim * positions) * sizeof *rope);
    for (int64_t i = 0; i < head_dim / 2; i++)
        for (int64_t p = 0; p < positions; p++) {
            const double angle = (double)p * pow(10000, -2.0 * (double)i / (double)head_dim);
            rope[i * positions + p] = cos(angle);
            rope[(head_dim / 2 + i) * positions + p] = sin(angle);
        }
    return rope;
}

static inline double host_dot(const double *a, const double *b, int64_t count)
{
    double sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += a[i] * b[i];
    return sum;
}

// ||a - b|| / ||b||, NaN if either has one; 0 if both are 0.
static inline double host_distance(const double *a, const double *b, int64_t count)
{
    double error = 0, norm = 0;
    for (int64_t i = 0; i < count; i++) {
        error += (a[i] - b[i]) * (a[i] - b[i]);
        norm += b[i] * b[i];
    }
    return error == 0 ? 0 : sqrt(error / norm);
}

#endif
