// Norm of all gradients and AdamW, in fixed blocks of elements, each by one thread.
#include <math.h>

#include "kernels/cpu/simd_math.h"
#include "kernels/cpu/simd_ops.h"

#define BLOCK CPU_NORM_BLOCK

static int64_t elements(struct slt_tensor t)
{
    assert(t.ld == t.cols || t.rows == 1);
    return t.rows * t.cols;
}

static double sum_squares(const float *x, int64_t n)
{
    double sum[16] = {0}, total = 0;
    int64_t i = 0;
    for (; i + 16 <= n; i += 16)
        for (int k = 0; k < 16; k++)
            sum[k] += (double)x[i + k] * (double)x[i + k];
    for (int k = 0; k < 16; k++)
        total += sum[k];
    for (; i < n; i++)
        total += (double)x[i] * (double)x[i];
    return total;
}

// The sums of blocks are added in their order.
void SIMD(cpu_grad_norm)(struct slt_ctx *ctx, struct slt_tensor scalars,
                         const struct slt_tensor *grads, int64_t count)
{
    double *scalar = cpu_tensor_f64(scalars), *partial = (double *)ctx->work, sum = 0;
    for (int64_t k = 0; k < count; k++) {
        const float *x = cpu_tensor(grads[k]);
        const int64_t n = elements(grads[k]), blocks = (n + BLOCK - 1) / BLOCK;
#pragma omp parallel for schedule(static) num_threads(ctx->threads)
        for (int64_t b = 0; b < blocks; b++)
            partial[b] = sum_squares(x + b * BLOCK, min64(BLOCK, n - b * BLOCK));
        for (int64_t b = 0; b < blocks; b++)
            sum += partial[b];
    }
    const double norm = sqrt(sum), clip = scalar[SLT_SCALAR_CLIP];
    scalar[SLT_SCALAR_NORM] = norm;
    scalar[SLT_SCALAR_GRAD_SCALE] = clip > 0 && norm > clip ? clip / (norm + 1e-6) : 1;
    scalar[SLT_SCALAR_SKIP] = !isfinite(norm);
}

struct update {
    float beta1, add1, beta2, add2; // add = 1 - beta, rounded once
    float keep, rate, root_c2, eps, scale;
};

static void update_block(float *restrict p, const float *restrict grad, float *restrict m,
                         float *restrict v, int64_t n, const struct update *u)
{
    for (int64_t i = 0; i < n; i++) {
        const float g = grad[i] * u->scale;
        const float mi = u->beta1 * m[i] + u->add1 * g;
        const float vi_ = u->beta2 * v[i] + u->add2 * g * g;
        m[i] = mi;
        v[i] = vi_;
        p[i] = p[i] * u->keep - u->rate * mi / (sqrtf(vi_) * u->root_c2 + u->eps);
    }
}

void SIMD(cpu_adamw_step)(struct slt_ctx *ctx, const struct slt_adamw_item *items, int64_t count,
                          const struct slt_adamw *hyper, struct slt_tensor scalars)
{
    const double *s = cpu_tensor_f64(scalars);
    if (s[SLT_SCALAR_SKIP] != 0)
        return;
    const struct update u = {.beta1 = (float)hyper->beta1,
                             .add1 = (float)(1 - hyper->beta1),
                             .beta2 = (float)hyper->beta2,
                             .add2 = (float)(1 - hyper->beta2),
                             .keep = (float)(1 - s[SLT_SCALAR_LR] * hyper->weight_decay),
                             .rate = (float)(s[SLT_SCALAR_LR] / s[SLT_SCALAR_C1]),
                             .root_c2 = (float)(1 / sqrt(s[SLT_SCALAR_C2])),
                             .eps = (float)hyper->eps,
                             .scale = (float)s[SLT_SCALAR_GRAD_SCALE]};
    for (int64_t k = 0; k < count; k++) {
        float *p = cpu_tensor(items[k].param), *m = cpu_tensor(items[k].m);
        float *v = cpu_tensor(items[k].v);
        const float *g = cpu_tensor(items[k].grad);
        const int64_t n = elements(items[k].param);
#pragma omp parallel for schedule(static) num_threads(ctx->threads) if (n > BLOCK)
        for (int64_t at = 0; at < n; at += BLOCK)
            update_block(p + at, g + at, m + at, v + at, min64(BLOCK, n - at), &u);
    }
}
