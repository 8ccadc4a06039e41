// Linear products: the fast backend against the reference, over few and many tokens, and the same
// bytes with any number of threads.
#include "emulated.h"
#include "products.h"

// Sums of up to a few thousand products in a different order, each exact to 2^-24.
#define LIMIT 1e-11
// The same of factors and results in bfloat16, rounded to 2^-9.
#define LIMIT_BF16 1e-4

static double limit_of(enum slt_dtype dtype)
{
    return dtype == SLT_BF16 ? LIMIT_BF16 : LIMIT;
}

struct sample {
    const char *name;
    int64_t tokens, in, out;
};

static const struct sample samples[] = {
    {"one token", 1, 131, 77},
    {"one token, many rows", 1, 300, 517},
    {"two tokens", 2, 64, 65},
    {"three tokens", 3, 7, 5},
    {"four tokens", 4, 200, 90},
    {"five tokens", 5, 33, 21},
    {"16 tokens", 16, 50, 40},
    {"100 tokens", 100, 129, 257},
    {"257 tokens", 257, 33, 17},
    {"wide", 70, 1100, 30},
    {"two slabs, product by chunks", 20, 1300, 530},
    {"two slabs", 20, 530, 1300},
    {"one of each", 1, 1, 1},
    {"no input", 20, 0, 9},
    {"no input, one token", 1, 0, 9},
    {"small weight, many tokens", 4099, 70, 33},
};

struct outcome {
    float *y, *dx, *dw; // (T, out), (T, in), (out, in)
};

static void outcome_free(struct outcome *o)
{
    free(o->y);
    free(o->dx);
    free(o->dw);
}

static struct outcome compute(const struct slt_ops *ops, enum slt_dtype dtype, int threads,
                              const struct sample *s, double beta)
{
    const int64_t t = s->tokens, in = s->in, out = s->out;
    const struct slt_op_shape shape = {.dtype = dtype, .tokens = t, .in = in, .out = out};
    struct backend b = backend_open(ops, threads, SLT_OP_LINEAR, &shape);
    float *x_host = random_values(t * in, 1), *dy_host = random_values(t * out, 2);
    float *w_host = random_values(out * in, 3);
    const struct slt_act x = act_with(&b, t, in, x_host), dy = act_with(&b, t, out, dy_host);
    const struct slt_tensor w = weight_with(&b, out, in, w_host);
    for (int64_t i = 0; i < t * out && beta == 0; i++)
        dy_host[i] = NAN;
    for (int64_t i = 0; i < t * in && beta == 0; i++)
        x_host[i] = NAN;
    for (int64_t i = 0; i < out * in && beta == 0; i++)
        w_host[i] = NAN;
    const struct slt_act y = act_with(&b, t, out, dy_host), dx = act_with(&b, t, in, x_host);
    const struct slt_tensor dw = tensor_with(&b, SLT_F32, out, in, w_host);
    struct outcome o;
    ops->linear_forward(b.ctx, y, beta, x, w, 1.5);
    ops->linear_backward_input(b.ctx, dx, beta, dy, w, 1.5);
    ops->linear_backward_weight(b.ctx, dw, beta, dy, x, 1.5);
    o.y = act_values(&b, y);
    o.dx = act_values(&b, dx);
    o.dw = tensor_values(&b, dw);
    b.ops->buffer_free(b.ctx, x.buffer);
    b.ops->buffer_free(b.ctx, dy.buffer);
    b.ops->buffer_free(b.ctx, w.buffer);
    backend_close(&b);
    free(x_host);
    free(dy_host);
    free(w_host);
    return o;
}

static void test_against_reference(const struct slt_ops *ops, enum slt_dtype dtype,
                                   const struct sample *s, double beta)
{
    const double limit = limit_of(dtype);
    struct outcome want = compute(&slt_cpu_reference_ops, SLT_F32, 1, s, beta);
    struct outcome got = compute(ops, dtype, 2, s, beta);
    const double y = error_of(got.y, want.y, s->tokens * s->out);
    const double dx = error_of(got.dx, want.dx, s->tokens * s->in);
    const double dw = error_of(got.dw, want.dw, s->out * s->in);
    CHECK(y <= limit, "%s, beta %g: error of y is %g", s->name, beta, y);
    CHECK(dx <= limit, "%s, beta %g: error of dx is %g", s->name, beta, dx);
    CHECK(dw <= limit, "%s, beta %g: error of dw is %g", s->name, beta, dw);
    outcome_free(&want);
    outcome_free(&got);
}

static void test_same_bytes(const struct sample *s, double beta)
{
    const size_t y = (size_t)(s->tokens * s->out) * sizeof(float);
    const size_t dx = (size_t)(s->tokens * s->in) * sizeof(float);
    const size_t dw = (size_t)(s->out * s->in) * sizeof(float);
    struct outcome one = compute(slt_cpu_ops(NULL), SLT_F32, 1, s, beta);
    for (int threads = 2; threads <= 5; threads++) {
        struct outcome more = compute(slt_cpu_ops(NULL), SLT_F32, threads, s, beta);
        CHECK(memcmp(one.y, more.y, y) == 0, "%s: y, %d threads", s->name, threads);
        CHECK(memcmp(one.dx, more.dx, dx) == 0, "%s: dx, %d threads", s->name, threads);
        CHECK(memcmp(one.dw, more.dw, dw) == 0, "%s: dw, %d threads", s->name, threads);
        outcome_free(&more);
    }
    outcome_free(&one);
}

// c (m, n) = beta c + 0.7 op(a) op(b).
static float *multiply(const struct slt_ops *ops, enum slt_dtype dtype, int threads,
                       const int64_t size[3], double beta, bool transpose_a, bool transpose_b)
{
    const int64_t m = size[0], n = size[1], k = size[2];
    const int64_t wide = n > k ? n : k, high = m > k ? m : k, most = wide > m ? wide : m;
    const struct slt_op_shape shape = {
        .dtype = dtype, .tokens = high, .in = most, .out = high, .nnz = high * (most + 7)};
    struct backend b = backend_open(ops, threads, SLT_OP_LINEAR, &shape);
    float *a_host = random_values(m * k, 1), *b_host = random_values(k * n, 2);
    float *c_host = random_values(m * n, 3);
    const struct slt_tensor left =
        tensor_with(&b, SLT_F32, transpose_a ? k : m, transpose_a ? m : k, a_host);
    const struct slt_tensor right =
        weight_with(&b, transpose_b ? n : k, transpose_b ? k : n, b_host);
    const struct slt_tensor c = tensor_with(&b, SLT_F32, m, n, c_host);
    ops->matmul(b.ctx, c, beta, left, transpose_a, right, transpose_b, 0.7);
    float *values = tensor_values(&b, c);
    ops->buffer_free(b.ctx, left.buffer);
    ops->buffer_free(b.ctx, right.buffer);
    backend_close(&b);
    free(a_host);
    free(b_host);
    free(c_host);
    return values;
}

static void test_matmul(int64_t m, int64_t n, int64_t k, bool transpose_a, bool transpose_b)
{
    const int64_t size[3] = {m, n, k};
    float *want = multiply(&slt_cpu_reference_ops, SLT_F32, 1, size, 0.5, transpose_a, transpose_b);
    float *one = multiply(slt_cpu_ops(NULL), SLT_F32, 1, size, 0.5, transpose_a, transpose_b);
    const double error = error_of(one, want, m * n);
    CHECK(error <= LIMIT, "%d x %d x %d: error is %g", (int)m, (int)n, (int)k, error);
    for (int i = 0; i < 2; i++) { // in BF16 beside a factor in F32
        const enum slt_dtype dtype = i == 0 ? SLT_F32 : SLT_BF16;
        float *emulated = multiply(emulated_ops(), dtype, 1, size, 0.5, transpose_a, transpose_b);
        CHECK(error_of(emulated, want, m * n) <= limit_of(dtype), "emulated %d x %d x %d", (int)m,
              (int)n, (int)k);
        free(emulated);
    }
    for (int threads = 2; threads <= 5; threads++) {
        float *more =
            multiply(slt_cpu_ops(NULL), SLT_F32, threads, size, 0.5, transpose_a, transpose_b);
        CHECK(memcmp(one, more, (size_t)(m * n) * sizeof *one) == 0,
              "%d x %d x %d, transposed %d %d, %d threads", (int)m, (int)n, (int)k, transpose_a,
              transpose_b, threads);
        free(more);
    }
    free(want);
    free(one);
}

// A GPU that is not there: a sentence, and nothing left of what an error held before.
static void test_no_such_gpu(void)
{
    struct slt_ctx *ctx;
    struct slt_error err = {.message = "old", .hint = "old"};
    const struct slt_ops_options options = {.chosen = 1000};
    if (emulated_ops() == NULL)
        return;
    CHECK(emulated_ops()->open(&ctx, &options, &err) == SLT_ERR_DEVICE, "code %d", err.code);
    CHECK(strstr(err.message, "cannot use device 'cuda") != NULL, "%s", err.message);
    CHECK(err.hint[0] == '\0', "hint: %s", err.hint);
}

int main(void)
{
    test_no_such_gpu();
    const struct slt_ops *fast = slt_cpu_ops(NULL);
    if (emulated_ops() == NULL)
        return TEST_END();
    for (int i = 0; i < 4; i++) {
        test_matmul(37, 21, 50, i & 1, i & 2);
        test_matmul(100, 129, 300, i & 1, i & 2);
        test_matmul(160, 160, 2048, i & 1, i & 2);
        test_matmul(300, 1, 1000, i & 1, i & 2);
        test_matmul(1, 300, 1000, i & 1, i & 2);
    }
    for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++) {
        test_against_reference(fast, SLT_F32, &samples[i], 0);
        test_against_reference(fast, SLT_F32, &samples[i], 1);
        test_against_reference(fast, SLT_F32, &samples[i], 0.25);
        for (int beta = 0; beta < 2; beta++) {
            test_against_reference(emulated_ops(), SLT_F32, &samples[i], 0.25 * beta);
            test_against_reference(emulated_ops(), SLT_BF16, &samples[i], 0.25 * beta);
        }
        test_same_bytes(&samples[i], 0.25);
    }
    return TEST_END();
}
