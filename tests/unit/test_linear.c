// Linear products: the fast backend against the reference, over few and many tokens, and the same
// bytes with any number of threads.
#include "products.h"

// Sums of up to a few thousand products in a different order, each exact to 2^-24.
#define LIMIT 1e-11

struct sample {
    const char *name;
    int64_t tokens, in, out;
};

static const struct sample samples[] = {
    {"one token", 1, 131, 77},          {"one token, many rows", 1, 300, 517},
    {"two tokens", 2, 64, 65},          {"three tokens", 3, 7, 5},
    {"four tokens", 4, 200, 90},        {"five tokens", 5, 33, 21},
    {"16 tokens", 16, 50, 40},          {"100 tokens", 100, 129, 257},
    {"257 tokens", 257, 33, 17},        {"wide", 70, 1100, 30},
    {"two slabs, product by chunks", 20, 1300, 530}, {"two slabs", 20, 530, 1300},
    {"one of each", 1, 1, 1},           {"no input", 20, 0, 9},
    {"no input, one token", 1, 0, 9},   {"small weight, many tokens", 4099, 70, 33},
};

struct outcome {
    float *y, *dx, *dw;  // (T, out), (T, in), (out, in)
    float *c[4];         // (m, n): a b, a^T b, a b^T, a^T b^T
};

static void outcome_free(struct outcome *o)
{
    free(o->y);
    free(o->dx);
    free(o->dw);
    for (int i = 0; i < 4; i++)
        free(o->c[i]);
}

static const int64_t m = 37, n = 133, k = 2050;

static void compute_matmul(const struct backend *b, struct outcome *o, double beta)
{
    for (int i = 0; i < 4; i++) {
        const bool transpose_a = i & 1, transpose_b = i & 2;
        float *a_host = random_values(m * k, 1), *b_host = random_values(k * n, 2);
        float *c_host = random_values(m * n, 3);
        const struct slt_tensor a = transpose_a ? tensor_with(b, SLT_F32, k, m, a_host)
                                                : tensor_with(b, SLT_F32, m, k, a_host);
        const struct slt_tensor right = transpose_b ? tensor_with(b, SLT_F32, n, k, b_host)
                                                    : tensor_with(b, SLT_F32, k, n, b_host);
        const struct slt_tensor c = tensor_with(b, SLT_F32, m, n, c_host);
        b->ops->matmul(b->ctx, c, beta, a, transpose_a, right, transpose_b, 0.7);
        o->c[i] = tensor_values(b, c);
        b->ops->buffer_free(b->ctx, a.buffer);
        b->ops->buffer_free(b->ctx, right.buffer);
        free(a_host);
        free(b_host);
        free(c_host);
    }
}

static struct outcome compute(const struct slt_ops *ops, int threads, const struct sample *s,
                              double beta)
{
    const int64_t t = s->tokens, in = s->in, out = s->out;
    const struct slt_op_shape shape = {.dtype = SLT_F32, .tokens = t, .in = in, .out = out};
    struct backend b = backend_open(ops, threads, SLT_OP_LINEAR, &shape);
    float *x_host = random_values(t * in, 1), *dy_host = random_values(t * out, 2);
    float *w_host = random_values(out * in, 3);
    const struct slt_act x = act_with(&b, t, in, x_host), dy = act_with(&b, t, out, dy_host);
    const struct slt_tensor w = tensor_with(&b, SLT_F32, out, in, w_host);
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
    compute_matmul(&b, &o, beta);
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

static void test_against_reference(const struct sample *s, double beta)
{
    struct outcome want = compute(&slt_cpu_reference_ops, 1, s, beta);
    struct outcome got = compute(&slt_cpu_ops, 2, s, beta);
    const double y = error_of(got.y, want.y, s->tokens * s->out);
    const double dx = error_of(got.dx, want.dx, s->tokens * s->in);
    const double dw = error_of(got.dw, want.dw, s->out * s->in);
    CHECK(y <= LIMIT, "%s, beta %g: error of y is %g", s->name, beta, y);
    CHECK(dx <= LIMIT, "%s, beta %g: error of dx is %g", s->name, beta, dx);
    CHECK(dw <= LIMIT, "%s, beta %g: error of dw is %g", s->name, beta, dw);
    for (int i = 0; i < 4; i++) {
        const double c = error_of(got.c[i], want.c[i], m * n);
        CHECK(c <= LIMIT, "matmul %d, beta %g: error is %g", i, beta, c);
    }
    outcome_free(&want);
    outcome_free(&got);
}

static void test_same_bytes(const struct sample *s, double beta)
{
    const size_t y = (size_t)(s->tokens * s->out) * sizeof(float);
    const size_t dx = (size_t)(s->tokens * s->in) * sizeof(float);
    const size_t dw = (size_t)(s->out * s->in) * sizeof(float);
    struct outcome one = compute(&slt_cpu_ops, 1, s, beta);
    for (int threads = 2; threads <= 5; threads++) {
        struct outcome more = compute(&slt_cpu_ops, threads, s, beta);
        CHECK(memcmp(one.y, more.y, y) == 0, "%s: y, %d threads", s->name, threads);
        CHECK(memcmp(one.dx, more.dx, dx) == 0, "%s: dx, %d threads", s->name, threads);
        CHECK(memcmp(one.dw, more.dw, dw) == 0, "%s: dw, %d threads", s->name, threads);
        for (int i = 0; i < 4; i++)
            CHECK(memcmp(one.c[i], more.c[i], (size_t)(m * n) * sizeof(float)) == 0,
                  "matmul %d, %d threads", i, threads);
        outcome_free(&more);
    }
    outcome_free(&one);
}

int main(void)
{
    for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++) {
        test_against_reference(&samples[i], 0);
        test_against_reference(&samples[i], 1);
        test_against_reference(&samples[i], 0.25);
        test_same_bytes(&samples[i], 0.25);
    }
    return TEST_END();
}
