// LM head and cross-entropy by chunks of tokens: logits by GEMM, then softmax and its gradient in
// place, vectorised over tokens: the vocabulary is walked downwards, once for maxima and sums
// (rescaled as the maximum grows), once for the gradient. Only one chunk's logits exist.
//
// Workspace: logits (V, ld of a chunk), x^T of the chunk (chunk, d), losses (T).
#include <math.h>

#include "kernels/cpu/simd_math.h"
#include "kernels/cpu/simd_ops.h"

#define BLOCK CPU_HEAD_BLOCK
#define ROWS  16 // logits between two rescalings

struct chunk {
    float *logits; // (V, ld)
    int64_t ld, tokens, vocab;
    const int32_t *target; // (tokens)
    float *loss;           // (tokens)
    float scale;           // of the gradient
    bool gradient;
};

// lse (BLOCK) of the tokens from first on.
static void log_sum_exp(float *lse, const struct chunk *c, int64_t first)
{
    enum { N = BLOCK / VL };
    vf max[N], sum[N];
    for (int k = 0; k < N; k++) {
        max[k] = vf_set(-INFINITY);
        sum[k] = vf_set(0);
    }
    for (int64_t v0 = 0; v0 < c->vocab; v0 += ROWS) {
        const int64_t v1 = min64(v0 + ROWS, c->vocab);
        for (int k = 0; k < N; k++) {
            const float *column = c->logits + first + k * VL;
            vf top = max[k];
            for (int64_t v = v0; v < v1; v++)
                top = vf_max(vf_load(column + v * c->ld), top);
            vf add = sum[k] * vf_exp(max[k] - top);
            for (int64_t v = v0; v < v1; v++)
                add += vf_exp(vf_load(column + v * c->ld) - top);
            sum[k] = add;
            max[k] = top;
        }
    }
    for (int i = 0; i < BLOCK; i++)
        lse[i] = max[i / VL][i % VL] + logf(sum[i / VL][i % VL]);
}

// Logits to (softmax - one-hot) * scale, zero for tokens without a target.
static void to_gradient(const float *lse, const struct chunk *c, int64_t first, int64_t n)
{
    enum { N = BLOCK / VL };
    float factor[BLOCK] = {0};
    for (int64_t i = 0; i < n; i++)
        factor[i] = c->target[first + i] >= 0 ? c->scale : 0;
    for (int64_t v = 0; v < c->vocab; v++) {
        float *row = c->logits + v * c->ld + first;
        for (int k = 0; k < N; k++)
            vf_store(row + k * VL, vf_exp(vf_load(row + k * VL) - vf_load(lse + k * VL)) *
                                       vf_load(factor + k * VL));
    }
    for (int64_t i = 0; i < n; i++)
        if (c->target[first + i] >= 0)
            c->logits[c->target[first + i] * c->ld + first + i] -= c->scale;
}

// Losses of a chunk, and its logits to their gradient if that is asked for.
static void softmax_chunk(struct slt_ctx *ctx, const struct chunk *c)
{
#pragma omp parallel for schedule(static) num_threads(ctx->threads)
    for (int64_t first = 0; first < c->tokens; first += BLOCK) {
        const int64_t n = min64(BLOCK, c->tokens - first);
        float lse[BLOCK];
        log_sum_exp(lse, c, first);
        for (int64_t i = 0; i < n; i++) {
            const int32_t target = c->target[first + i];
            c->loss[first + i] = target < 0 ? 0 : lse[i] - c->logits[target * c->ld + first + i];
        }
        if (c->gradient)
            to_gradient(lse, c, first, n);
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

// logits (V, tokens) = w x^T of the chunk's tokens, the first of which is token first of x.
static void compute_logits(struct slt_ctx *ctx, const struct chunk *c, struct slt_act x,
                           struct slt_tensor w, int64_t first)
{
    const struct cpu_product p = {.m = c->vocab,
                                  .n = c->tokens,
                                  .k = x.features,
                                  .c = c->logits,
                                  .ldc = c->ld,
                                  .a = cpu_tensor(w),
                                  .lda = w.ld,
                                  .b = cpu_act(x) + first,
                                  .ldb = cpu_act_ld(x.tokens),
                                  .alpha = 1};
    cpu_sgemm(ctx, &p);
}

// dw (V, d) = beta dw + G x, G (V, tokens) the gradient in the place of the logits; xt (tokens, d)
// is scratch.
static void add_weight_gradient(struct slt_ctx *ctx, struct slt_tensor dw, float beta,
                                const struct chunk *c, struct slt_act x, int64_t first, float *xt)
{
    const int64_t d = x.features, ld = cpu_act_ld(x.tokens);
    const struct cpu_product p = {.m = c->vocab,
                                  .n = d,
                                  .k = c->tokens,
                                  .c = cpu_tensor(dw),
                                  .ldc = dw.ld,
                                  .beta = beta,
                                  .a = c->logits,
                                  .lda = c->ld,
                                  .b = xt,
                                  .ldb = d,
                                  .alpha = 1};
    transpose(ctx, xt, cpu_act(x) + first, ld, c->tokens, d);
    cpu_sgemm(ctx, &p);
}

// dx (tokens, d) = G^T w.
static void input_gradient(struct slt_ctx *ctx, struct slt_act dx, const struct chunk *c,
                           struct slt_tensor w, int64_t first)
{
    const struct cpu_product p = {.m = dx.features,
                                  .n = c->tokens,
                                  .k = c->vocab,
                                  .c = cpu_act(dx) + first,
                                  .ldc = cpu_act_ld(dx.tokens),
                                  .a = cpu_tensor(w),
                                  .lda = w.ld,
                                  .transpose_a = true,
                                  .b = c->logits,
                                  .ldb = c->ld,
                                  .alpha = 1};
    cpu_sgemm(ctx, &p);
}

void SIMD(cpu_head_loss)(struct slt_ctx *ctx, struct slt_tensor scalars, struct slt_act dx,
                         struct slt_tensor dw, double beta, struct slt_act x, struct slt_tensor w,
                         struct slt_tensor targets)
{
    const int64_t t = x.tokens, d = x.features, vocab = w.rows;
    const int64_t most = min64(t, CPU_HEAD_CHUNK), chunk_ld = cpu_head_ld(most);
    double *scalar = cpu_tensor_f64(scalars);
    float *logits = (float *)ctx->work, *xt = logits + vocab * chunk_ld, *loss = xt + most * d;
    for (int64_t first = 0; first < t; first += most) {
        const struct chunk c = {.logits = logits,
                                .ld = chunk_ld,
                                .tokens = min64(most, t - first),
                                .vocab = vocab,
                                .target = cpu_tensor_i32(targets) + first,
                                .loss = loss + first,
                                .scale = (float)scalar[SLT_SCALAR_LOSS_SCALE],
                                .gradient = dx.buffer != NULL};
        compute_logits(ctx, &c, x, w, first);
        softmax_chunk(ctx, &c);
        if (dx.buffer == NULL)
            continue;
        if (dw.buffer != NULL)
            add_weight_gradient(ctx, dw, first == 0 ? (float)beta : 1, &c, x, first, xt);
        input_gradient(ctx, dx, &c, w, first);
    }
    for (int64_t i = 0; i < t; i++)
        scalar[SLT_SCALAR_LOSS] += (double)loss[i];
}
