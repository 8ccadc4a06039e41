// LM head and cross-entropy by chunks of tokens, of which each goes through the vocabulary twice,
// run by run of words: logits by GEMM and the maxima and sums of their exponentials (rescaled as the
// maximum grows); then the gradient in the logits' place and its two GEMMs. So what a GEMM leaves
// and what it reads is still cached. Vectorised over tokens; only one chunk's logits exist.
//
// Workspace: logits (V, ld of a chunk), x^T of the chunk (chunk, d), losses (T).
#include <math.h>

#include "kernels/cpu/simd_math.h"
#include "kernels/cpu/simd_ops.h"

#define AHEAD 64   // tokens whose logits are asked for before they are read
#define ROWS  16   // logits between two rescalings
#define RUN   4096 // words whose logits of a chunk stay in the last-level cache

struct chunk {
    float *logits; // (V, ld)
    int64_t ld, tokens, vocab;
    const int32_t *target; // (tokens)
    float *loss;           // (tokens)
    float scale;           // of the gradient
};

// The largest logit of each token so far and the sum of exp(logit - largest); then the log of the
// softmax's denominator, and the factor of the gradient: 0 for tokens without a target.
struct sums {
    float max[CPU_HEAD_CHUNK], sum[CPU_HEAD_CHUNK];
    float lse[CPU_HEAD_CHUNK], factor[CPU_HEAD_CHUNK];
};

// Share i of the chunk's tokens: [tokens_before(i), tokens_before(i + 1)), whole vectors but for the
// chunk's last one, behind which is room for a whole one.
static int64_t tokens_before(const struct slt_ctx *ctx, const struct chunk *c, int64_t i)
{
    const int64_t units = (c->tokens + VL - 1) / VL;
    return units * i / ctx->threads * VL;
}

// Words [v, end) of the tokens [from, to).
static void add_logits(struct sums *s, const struct chunk *c, int64_t v, int64_t end, int64_t from,
                       int64_t to)
{
    for (; v < end; v += ROWS) {
        const int64_t last = min64(v + ROWS, end);
        for (int64_t t = from; t < to; t += VL) {
            const float *column = c->logits + t;
            const vf before = vf_load(s->max + t);
            vf top = before;
            for (int64_t row = v; row < last; row++) {
                __builtin_prefetch(column + row * c->ld + AHEAD);
                top = vf_max(vf_load(column + row * c->ld), top);
            }
            vf sum = vf_load(s->sum + t) * vf_exp(before - top);
            for (int64_t row = v; row < last; row++)
                sum += vf_exp(vf_load(column + row * c->ld) - top);
            vf_store(s->sum + t, sum);
            vf_store(s->max + t, top);
        }
    }
}

// Logits to softmax times factor.
static void to_gradient(const struct sums *s, const struct chunk *c, int64_t v, int64_t end,
                        int64_t from, int64_t to)
{
    for (; v < end; v++) {
        float *row = c->logits + v * c->ld;
        for (int64_t t = from; t < to; t += VL)
            vf_store(row + t,
                     vf_exp(vf_load(row + t) - vf_load(s->lse + t)) * vf_load(s->factor + t));
    }
}

// The losses of a chunk, and what its gradient needs.
static void finish_sums(struct sums *s, const struct chunk *c)
{
    for (int64_t t = 0; t < c->tokens; t++) {
        const int32_t target = c->target[t];
        s->lse[t] = s->max[t] + logf(s->sum[t]);
        s->factor[t] = target >= 0 ? c->scale : 0;
        c->loss[t] = target < 0 ? 0 : s->lse[t] - c->logits[target * c->ld + t];
    }
}

// out (tokens, d) = the transpose of x^T (d, ld).
static void transpose(struct slt_ctx *ctx, float *out, const float *x, int64_t ld, int64_t tokens,
                      int64_t d)
{
#pragma omp parallel for schedule(static) num_threads(ctx->threads)
    for (int64_t first = 0; first < tokens; first += 16) {
        const int64_t n = min64(16, tokens - first);
        for (int64_t f = 0; f < d; f++)
            for (int64_t i = 0; i < n; i++)
                out[(first + i) * d + f] = x[f * ld + first + i];
    }
}

// logits (words, tokens) = w x^T of the words [v, end) and the chunk's tokens, the first of which is
// token first of x.
static void compute_logits(struct slt_ctx *ctx, const struct chunk *c, struct slt_act x,
                           struct slt_tensor w, int64_t first, int64_t v, int64_t end)
{
    const struct cpu_product p = {.m = end - v,
                                  .n = c->tokens,
                                  .k = x.features,
                                  .c = c->logits + v * c->ld,
                                  .ldc = c->ld,
                                  .a = cpu_tensor(w) + v * w.ld,
                                  .lda = w.ld,
                                  .b = cpu_act(x) + first,
                                  .ldb = cpu_act_ld(x.tokens),
                                  .alpha = 1};
    cpu_sgemm(ctx, &p);
}

// dw (words, d) = beta dw + G x, G (words, tokens) the gradient in the place of the logits; xt
// (tokens, d) is x.
static void add_weight_gradient(struct slt_ctx *ctx, struct slt_tensor dw, float beta,
                                const struct chunk *c, const float *xt, int64_t v, int64_t end)
{
    const struct cpu_product p = {.m = end - v,
                                  .n = dw.cols,
                                  .k = c->tokens,
                                  .c = cpu_tensor(dw) + v * dw.ld,
                                  .ldc = dw.ld,
                                  .beta = beta,
                                  .a = c->logits + v * c->ld,
                                  .lda = c->ld,
                                  .b = xt,
                                  .ldb = dw.cols,
                                  .alpha = 1};
    cpu_sgemm(ctx, &p);
}

// dx (tokens, d) = G^T w, or += behind the first words.
static void add_input_gradient(struct slt_ctx *ctx, struct slt_act dx, const struct chunk *c,
                               struct slt_tensor w, int64_t first, int64_t v, int64_t end)
{
    const struct cpu_product p = {.m = dx.features,
                                  .n = c->tokens,
                                  .k = end - v,
                                  .c = cpu_act(dx) + first,
                                  .ldc = cpu_act_ld(dx.tokens),
                                  .beta = v > 0 ? 1 : 0,
                                  .a = cpu_tensor(w) + v * w.ld,
                                  .lda = w.ld,
                                  .transpose_a = true,
                                  .b = c->logits + v * c->ld,
                                  .ldb = c->ld,
                                  .alpha = 1};
    cpu_sgemm(ctx, &p);
}

// Logits and losses of a chunk.
static void forward_chunk(struct slt_ctx *ctx, struct sums *s, const struct chunk *c,
                          struct slt_act x, struct slt_tensor w, int64_t first)
{
    for (int64_t t = 0; t < CPU_HEAD_CHUNK; t++) {
        s->max[t] = -INFINITY;
        s->sum[t] = 0;
    }
    for (int64_t v = 0; v < c->vocab; v += RUN) {
        const int64_t end = min64(v + RUN, c->vocab);
        compute_logits(ctx, c, x, w, first, v, end);
#pragma omp parallel for schedule(static) num_threads(ctx->threads)
        for (int64_t i = 0; i < ctx->threads; i++)
            add_logits(s, c, v, end, tokens_before(ctx, c, i), tokens_before(ctx, c, i + 1));
    }
    finish_sums(s, c);
}

// Words [v, end) of a chunk's logits to their gradient (softmax - one-hot) * scale.
static void softmax_gradient(struct slt_ctx *ctx, const struct sums *s, const struct chunk *c,
                             int64_t v, int64_t end)
{
#pragma omp parallel for schedule(static) num_threads(ctx->threads)
    for (int64_t i = 0; i < ctx->threads; i++)
        to_gradient(s, c, v, end, tokens_before(ctx, c, i), tokens_before(ctx, c, i + 1));
    for (int64_t t = 0; t < c->tokens; t++)
        if (c->target[t] >= v && c->target[t] < end)
            c->logits[c->target[t] * c->ld + t] -= c->scale;
}

void SIMD(cpu_head_loss)(struct slt_ctx *ctx, struct slt_tensor scalars, struct slt_act dx,
                         struct slt_tensor dw, double beta, struct slt_act x, struct slt_tensor w,
                         struct slt_tensor targets)
{
    const int64_t t = x.tokens, d = x.features, vocab = w.rows;
    const int64_t most = min64(t, CPU_HEAD_CHUNK), chunk_ld = cpu_head_ld(most);
    double *scalar = cpu_tensor_f64(scalars);
    float *logits = (float *)ctx->work, *xt = logits + vocab * chunk_ld, *loss = xt + most * d;
    struct sums sums = {.lse = {0}, .factor = {0}};
    for (int64_t first = 0; first < t; first += most) {
        const struct chunk c = {.logits = logits,
                                .ld = chunk_ld,
                                .tokens = min64(most, t - first),
                                .vocab = vocab,
                                .target = cpu_tensor_i32(targets) + first,
                                .loss = loss + first,
                                .scale = (float)scalar[SLT_SCALAR_LOSS_SCALE]};
        forward_chunk(ctx, &sums, &c, x, w, first);
        if (dx.buffer == NULL)
            continue;
        if (dw.buffer != NULL)
            transpose(ctx, xt, cpu_act(x) + first, cpu_act_ld(t), c.tokens, d);
        for (int64_t v = 0; v < vocab; v += RUN) {
            const int64_t end = min64(v + RUN, vocab);
            softmax_gradient(ctx, &sums, &c, v, end);
            if (dw.buffer != NULL)
                add_weight_gradient(ctx, dw, first == 0 ? (float)beta : 1, &c, xt, v, end);
            add_input_gradient(ctx, dx, &c, w, first, v, end);
        }
    }
    for (int64_t i = 0; i < t; i++)
        scalar[SLT_SCALAR_LOSS] += (double)loss[i];
}
