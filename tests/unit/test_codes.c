// Weights in 8-bit codes: the forward pass with them against sums of the values that they stand
// for, on every backend that takes them, over few and many tokens and rows out of the middle of a
// tensor, whose blocks begin anywhere; and the same bytes with any number of threads.
#include "products.h"

#define LIMIT 1e-11 // of sums of floats

struct sample {
    int64_t tokens, in, rows, first, out, block; // rows [first, first + out) are multiplied
};

static const struct sample samples[] = {
    {1, 64, 40, 0, 40, 256},         {1, 131, 77, 3, 70, 256},    {1, 300, 517, 16, 501, 64},
    {2, 64, 65, 1, 64, 7},           {3, 7, 5, 0, 5, 1},          {4, 200, 90, 20, 33, 1000},
    {5, 33, 21, 2, 19, 32},          {70, 129, 257, 9, 240, 256}, {1, 1, 1, 0, 1, 256},
    {20, 1100, 1700, 5, 1690, 4096}, {1, 0, 9, 0, 9, 256},        {20, 0, 9, 0, 9, 256},
};

// The tensor of all rows: codes of -127 ... 127, then the scales.
static struct slt_tensor coded_with(const struct backend *b, const struct sample *s,
                                    const int8_t *code, const float *absmax)
{
    const int64_t count = s->rows * s->in, blocks = count / s->block + 1;
    const uint64_t scales = (uint64_t)count / 64 * 64 + 64;
    char *all = calloc(scales + (uint64_t)blocks * sizeof *absmax, 1);
    memcpy(all, code, (size_t)count);
    memcpy(all + scales, absmax, (size_t)blocks * sizeof *absmax);
    struct slt_tensor t = slt_tensor_view(
        buffer_with(b, all, scales + (uint64_t)blocks * sizeof *absmax), 0, SLT_I8, s->rows, s->in);
    t.absmax = scales;
    t.block = s->block;
    free(all);
    return t;
}

struct made {
    int8_t *code;
    float *absmax, *x, *y, *w; // w: the values
};

static struct made make(const struct sample *s)
{
    const int64_t count = s->rows * s->in;
    struct made m = {.code = malloc((size_t)count + 1),
                     .absmax = random_values(count / s->block + 1, 1),
                     .x = random_values(s->tokens * s->in, 2),
                     .y = random_values(s->tokens * s->out, 3),
                     .w = random_values(count, 4)};
    for (int64_t i = 0; i < count; i++) {
        float *scale = &m.absmax[i / s->block];
        *scale = fabsf(*scale);
        m.code[i] = (int8_t)lrintf(m.w[i] * 127);
        m.w[i] = (float)m.code[i] / 127 * *scale;
    }
    return m;
}

static void made_free(struct made *m)
{
    free(m->code);
    free(m->absmax);
    free(m->x);
    free(m->y);
    free(m->w);
}

static float *forward(const struct slt_ops *ops, int threads, const struct sample *s,
                      const struct made *m, double beta)
{
    const struct slt_op_shape shape = {
        .dtype = SLT_F32, .tokens = s->tokens, .in = s->in, .out = s->out, .nnz = s->rows * s->in};
    struct backend b = backend_open(ops, threads, SLT_OP_LINEAR, &shape);
    const struct slt_act x = act_with(&b, s->tokens, s->in, m->x);
    const struct slt_act y = act_with(&b, s->tokens, s->out, m->y);
    const struct slt_tensor w = coded_with(&b, s, m->code, m->absmax);
    ops->linear_forward(b.ctx, y, beta, x, slt_tensor_rows(w, s->first, s->out), 1.5);
    float *values = act_values(&b, y);
    b.ops->buffer_free(b.ctx, x.buffer);
    b.ops->buffer_free(b.ctx, w.buffer);
    backend_close(&b);
    return values;
}

static void test_linear(const struct slt_ops *ops, const char *name, const struct sample *s,
                        double beta)
{
    struct made m = make(s);
    float *want = malloc((size_t)(s->tokens * s->out + 1) * sizeof *want);
    for (int64_t t = 0; t < s->tokens; t++)
        for (int64_t o = 0; o < s->out; o++) {
            double sum = 0;
            for (int64_t i = 0; i < s->in; i++)
                sum += (double)m.x[t * s->in + i] * (double)m.w[(s->first + o) * s->in + i];
            float *at = &want[t * s->out + o];
            *at = (float)(beta * (double)m.y[t * s->out + o] + 1.5 * sum);
        }
    float *got = forward(ops, 1, s, &m, beta);
    const double error = error_of(got, want, s->tokens * s->out);
    CHECK(error <= LIMIT, "%s, %d tokens of %d, beta %g: error %g", name, (int)s->tokens,
          (int)s->in, beta, error);
    for (int threads = 2; threads <= 3; threads++) {
        float *more = forward(ops, threads, s, &m, beta);
        CHECK(memcmp(got, more, (size_t)(s->tokens * s->out) * sizeof *got) == 0,
              "%s, %d tokens of %d, %d threads", name, (int)s->tokens, (int)s->in, threads);
        free(more);
    }
    free(got);
    free(want);
    made_free(&m);
}

// The values of the tokens' rows, to the last bit.
static void test_embedding(const struct slt_ops *ops, const char *name, int64_t tokens)
{
    const struct sample s = {.tokens = tokens, .in = 50, .rows = 30, .out = 1, .block = 64};
    const struct slt_op_shape shape = {
        .dtype = SLT_F32, .tokens = tokens, .in = s.in, .out = s.rows};
    struct made m = make(&s);
    struct backend b = backend_open(ops, 2, SLT_OP_EMBEDDING, &shape);
    int32_t id[20];
    for (int64_t t = 0; t < tokens; t++)
        id[t] = (int32_t)(t * 11 % s.rows);
    const struct slt_act y = act_with(&b, tokens, s.in, NULL);
    const struct slt_tensor w = coded_with(&b, &s, m.code, m.absmax);
    const struct slt_tensor ids = tensor_with(&b, SLT_I32, 1, tokens, id);
    ops->embedding_forward(b.ctx, y, w, ids);
    float *got = act_values(&b, y);
    int wrong = 0;
    for (int64_t t = 0; t < tokens; t++)
        for (int64_t f = 0; f < s.in; f++)
            wrong += got[t * s.in + f] != m.w[id[t] * s.in + f];
    CHECK(wrong == 0, "%s, embedding of %d tokens: %d values are wrong", name, (int)tokens, wrong);
    b.ops->buffer_free(b.ctx, w.buffer);
    b.ops->buffer_free(b.ctx, ids.buffer);
    backend_close(&b);
    free(got);
    made_free(&m);
}

static void test_backend(const struct slt_ops *ops, const char *name)
{
    for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++) {
        test_linear(ops, name, &samples[i], 0);
        test_linear(ops, name, &samples[i], 0.5);
    }
    test_embedding(ops, name, 1);
    test_embedding(ops, name, 20);
}

int main(void)
{
    static const char *const isa[] = {"avx512", "avx2", "plain"};
    test_backend(&slt_cpu_reference_ops, "reference");
    for (size_t i = 0; i < sizeof isa / sizeof isa[0]; i++)
        if (slt_cpu_ops(isa[i]) != NULL)
            test_backend(slt_cpu_ops(isa[i]), isa[i]);
    return TEST_END();
}
