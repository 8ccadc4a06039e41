// Embedding, residual + RMSNorm, sums and SwiGLU, vectorised over tokens.
//
// What is computed token by token runs in blocks of tokens, each by one thread; what is summed over
// tokens runs feature by feature, each by one thread. So results do not depend on the number of
// threads. The vector that ends a row may reach into its padding, except where it is summed.
#include <math.h>

#include "kernels/cpu/simd_math.h"
#include "kernels/cpu/simd_ops.h"

#define BLOCK 64 // tokens

// ---- Embedding ----

void SIMD(cpu_embedding_forward)(struct slt_ctx *ctx, struct slt_act y, struct slt_tensor w,
                                 struct slt_tensor tokens)
{
    if (y.tokens == 1 || w.dtype != SLT_F32) {
        ref_embedding_forward(ctx, y, w, tokens);
        return;
    }
    const int64_t t = y.tokens, d = y.features, ld = cpu_act_ld(t);
    const float *table = cpu_tensor(w);
    const int32_t *id = cpu_tensor_i32(tokens);
    float *out = cpu_act(y);
#pragma omp parallel for schedule(static) num_threads(ctx->threads)
    for (int64_t first = 0; first < t; first += 16) {
        const int64_t n = min64(16, t - first);
        const float *row[16];
        for (int64_t i = 0; i < n; i++)
            row[i] = table + id[first + i] * w.ld;
        for (int64_t f = 0; f < d; f++)
            for (int64_t i = 0; i < n; i++)
                out[f * ld + first + i] = row[i][f];
    }
}

// A thread owns a range of features and adds all tokens to it in their order.
void SIMD(cpu_embedding_backward)(struct slt_ctx *ctx, struct slt_tensor dw, double beta,
                                  struct slt_act dy, struct slt_tensor tokens)
{
    const int64_t t = dy.tokens, d = dy.features, ld = cpu_act_ld(t);
    const int32_t *id = cpu_tensor_i32(tokens);
    const float *in = cpu_act(dy), scale = (float)beta;
    float *table = cpu_tensor(dw);
    if (beta != 1) {
#pragma omp parallel for schedule(static) num_threads(ctx->threads)
        for (int64_t row = 0; row < dw.rows; row++)
            for (int64_t f = 0; f < d; f++)
                table[row * dw.ld + f] = beta == 0 ? 0 : scale * table[row * dw.ld + f];
    }
#pragma omp parallel for schedule(static) num_threads(ctx->threads)
    for (int64_t f0 = 0; f0 < d; f0 += 16) {
        const int64_t f1 = min64(f0 + 16, d);
        for (int64_t first = 0; first < t; first += 16) {
            const int64_t n = min64(16, t - first);
            for (int64_t i = 0; i < n; i++) {
                float *row = table + id[first + i] * dw.ld;
                for (int64_t f = f0; f < f1; f++)
                    row[f] += in[f * ld + first + i];
            }
        }
    }
}

// ---- Residual + RMSNorm ----

void SIMD(cpu_rmsnorm_forward)(struct slt_ctx *ctx, struct slt_act y, struct slt_act z,
                               struct slt_tensor rstd, struct slt_act x, struct slt_act r,
                               struct slt_tensor g, double eps)
{
    if (x.tokens == 1) {
        ref_rmsnorm_forward(ctx, y, z, rstd, x, r, g, eps);
        return;
    }
    const int64_t t = x.tokens, d = x.features, ld = cpu_act_ld(t);
    const float *in = cpu_act(x), *add = r.buffer != NULL ? cpu_act(r) : NULL,
                *gain = cpu_tensor(g);
    float *sum_out = add != NULL ? cpu_act(z) : NULL, *out = cpu_act(y),
          *inverse = cpu_tensor(rstd);
#pragma omp parallel for schedule(static) num_threads(ctx->threads)
    for (int64_t first = 0; first < t; first += BLOCK) {
        const int64_t n = min64(BLOCK, t - first);
        const float *stream = add != NULL ? sum_out : in;
        float squares[BLOCK] = {0}, scale[BLOCK];
        for (int64_t f = 0; f < d; f++) {
            const int64_t at = f * ld + first;
            for (int64_t i = 0; i < n; i += VL) {
                vf v = vf_load(in + at + i);
                if (add != NULL) {
                    v += vf_load(add + at + i);
                    vf_store(sum_out + at + i, v);
                }
                vf_store(squares + i, vf_load(squares + i) + v * v);
            }
        }
        for (int64_t i = 0; i < n; i++)
            inverse[first + i] = scale[i] = (float)(1 / sqrt((double)squares[i] / (double)d + eps));
        for (int64_t i = n; i < BLOCK; i++)
            scale[i] = 0;
        for (int64_t f = 0; f < d; f++) {
            const int64_t at = f * ld + first;
            for (int64_t i = 0; i < n; i += VL)
                vf_store(out + at + i, vf_load(stream + at + i) * vf_load(scale + i) * gain[f]);
        }
    }
}

// dg[f] = beta dg[f] + sum over tokens of dy z rstd, by 4 sums of vectors and the tail one by one.
static void gain_gradient(struct slt_ctx *ctx, struct slt_tensor dg, float beta, struct slt_act dy,
                          struct slt_act z, struct slt_tensor rstd)
{
    const int64_t t = z.tokens, ld = cpu_act_ld(t);
    const float *inverse = cpu_tensor(rstd);
    float *to = cpu_tensor(dg);
#pragma omp parallel for schedule(static) num_threads(ctx->threads)
    for (int64_t f = 0; f < z.features; f++) {
        const float *a = cpu_act(dy) + f * ld, *b = cpu_act(z) + f * ld;
        vf sum[4] = {{0}};
        int64_t i = 0;
        for (; i + 4 * VL <= t; i += 4 * VL)
            for (int k = 0; k < 4; k++)
                sum[k] += vf_load(a + i + k * VL) * vf_load(b + i + k * VL) *
                          vf_load(inverse + i + k * VL);
        float total = vf_sum((sum[0] + sum[1]) + (sum[2] + sum[3]));
        for (; i < t; i++)
            total += a[i] * b[i] * inverse[i];
        to[f] = (beta == 0 ? 0 : beta * to[f]) + total;
    }
}

void SIMD(cpu_rmsnorm_backward)(struct slt_ctx *ctx, struct slt_act dx, struct slt_tensor dg,
                                double beta, struct slt_act dy, struct slt_act z,
                                struct slt_tensor rstd, struct slt_tensor g)
{
    if (z.tokens == 1) {
        ref_rmsnorm_backward(ctx, dx, dg, beta, dy, z, rstd, g);
        return;
    }
    const int64_t t = z.tokens, d = z.features, ld = cpu_act_ld(t);
    const float *dout = cpu_act(dy), *in = cpu_act(z), *inverse = cpu_tensor(rstd);
    const float *gain = cpu_tensor(g);
    float *grad = cpu_act(dx);
    if (dg.buffer != NULL)
        gain_gradient(ctx, dg, (float)beta, dy, z, rstd);
#pragma omp parallel for schedule(static) num_threads(ctx->threads)
    for (int64_t first = 0; first < t; first += BLOCK) {
        const int64_t n = min64(BLOCK, t - first);
        float dot[BLOCK] = {0}, scale[BLOCK] = {0};
        for (int64_t f = 0; f < d; f++) {
            const int64_t at = f * ld + first;
            for (int64_t i = 0; i < n; i += VL)
                vf_store(dot + i, vf_load(dot + i) +
                                      vf_load(dout + at + i) * vf_load(in + at + i) * gain[f]);
        }
        for (int64_t i = 0; i < n; i++) {
            scale[i] = inverse[first + i];
            dot[i] *= scale[i] * scale[i] * scale[i] / (float)d;
        }
        for (int64_t f = 0; f < d; f++) {
            const int64_t at = f * ld + first;
            for (int64_t i = 0; i < n; i += VL)
                vf_store(grad + at + i, vf_load(grad + at + i) +
                                            vf_load(dout + at + i) * gain[f] * vf_load(scale + i) -
                                            vf_load(in + at + i) * vf_load(dot + i));
        }
    }
}

void SIMD(cpu_add)(struct slt_ctx *ctx, struct slt_act y, struct slt_act x)
{
    if (x.tokens == 1) {
        ref_add(ctx, y, x);
        return;
    }
    const int64_t t = x.tokens, d = x.features, ld = cpu_act_ld(t);
    const float *in = cpu_act(x);
    float *out = cpu_act(y);
#pragma omp parallel for schedule(static) num_threads(ctx->threads)
    for (int64_t f = 0; f < d; f++)
        for (int64_t i = 0; i < t; i += VL)
            vf_store(out + f * ld + i, vf_load(out + f * ld + i) + vf_load(in + f * ld + i));
}

// ---- SwiGLU ----

void SIMD(cpu_swiglu_forward)(struct slt_ctx *ctx, struct slt_act y, struct slt_act gu)
{
    if (y.tokens == 1) {
        ref_swiglu_forward(ctx, y, gu);
        return;
    }
    const int64_t t = y.tokens, f = y.features, ld = cpu_act_ld(t);
    const float *gate = cpu_act(gu), *up = gate + gu.features / 2 * ld;
    float *out = cpu_act(y);
#pragma omp parallel for schedule(static) num_threads(ctx->threads)
    for (int64_t k = 0; k < f; k++) {
        for (int64_t i = k * ld; i < k * ld + t; i += VL) {
            const vf g = vf_load(gate + i);
            vf_store(out + i, g * vf_sigmoid(g) * vf_load(up + i));
        }
    }
}

void SIMD(cpu_swiglu_backward)(struct slt_ctx *ctx, struct slt_act dgu, struct slt_act dy,
                               struct slt_act gu)
{
    if (dy.tokens == 1) {
        ref_swiglu_backward(ctx, dgu, dy, gu);
        return;
    }
    const int64_t t = dy.tokens, f = dy.features, ld = cpu_act_ld(t), second = gu.features / 2;
    const float *gate = cpu_act(gu), *up = gate + second * ld, *dout = cpu_act(dy);
    float *dgate = cpu_act(dgu), *dup = dgate + second * ld;
#pragma omp parallel for schedule(static) num_threads(ctx->threads)
    for (int64_t k = 0; k < f; k++) {
        for (int64_t i = k * ld; i < k * ld + t; i += VL) {
            const vf g = vf_load(gate + i), u = vf_load(up + i), d = vf_load(dout + i);
            const vf s = vf_sigmoid(g);
            vf_store(dgate + i, d * u * s * (1.0f + g * (1.0f - s)));
            vf_store(dup + i, d * g * s);
        }
    }
    memset(dgate + f * ld, 0, (size_t)((second - f) * ld) * sizeof *dgate);
    memset(dup + f * ld, 0, (size_t)((second - f) * ld) * sizeof *dup);
}
