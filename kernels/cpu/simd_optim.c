// Norm of all gradients and Adam, in fixed blocks of elements, each by one thread.
#include <math.h>

#include "kernels/cpu/codes.h"
#include "kernels/cpu/simd_ops.h"
#include "kernels/norm.h"

#define BLOCK CPU_NORM_BLOCK
#define RUN   CPU_ADAM_RUN

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
        const int64_t n = elements(grads[k]), blocks = (n + BLOCK - 1) / BLOCK;
        const float *x = n > 0 ? cpu_tensor(grads[k]) : NULL;
#pragma omp parallel for schedule(static) num_threads(ctx->threads)
        for (int64_t b = 0; b < blocks; b++)
            partial[b] = sum_squares(x + b * BLOCK, min64(BLOCK, n - b * BLOCK));
        for (int64_t b = 0; b < blocks; b++)
            sum += partial[b];
    }
    slt_norm_finish(scalar, sqrt(sum));
}

struct update {
    float beta1, add1, beta2, add2; // add = 1 - beta, rounded once
    float keep, keep_last, lr, rate, eps, scale, direction;
    int64_t block; // of 8-bit moments
    const struct cpu_codes *codes;
};

// Moments and steps of n elements: step is the step itself.
static void moments(float *restrict step, const float *restrict grad, float *restrict m,
                    float *restrict v, int64_t n, const struct update *u)
{
    for (int64_t i = 0; i < n; i++) {
        const float g = grad[i] * u->scale;
        const float m_new = u->beta1 * m[i] + u->add1 * g;
        const float v_new = u->beta2 * v[i] + u->add2 * g * g;
        m[i] = m_new;
        v[i] = v_new;
        step[i] = u->rate * m_new / (sqrtf(v_new) + u->eps);
    }
}

// The same of SGD with momentum.
static void momentum(float *restrict step, const float *restrict grad, float *restrict m, int64_t n,
                     const struct update *u)
{
    for (int64_t i = 0; i < n; i++) {
        m[i] = u->beta1 * m[i] + grad[i] * u->scale;
        step[i] = u->lr * m[i];
    }
}

// Where steps go: off the parameters, or into the direction.
static void apply(const struct slt_adam_item *it, int64_t at, float *restrict step, int64_t n,
                  const struct update *u)
{
    if (it->direction.buffer != NULL) {
        float *restrict to = cpu_tensor(it->direction) + at;
        for (int64_t i = 0; i < n; i++)
            to[i] = u->direction * step[i];
        return;
    }
    float *restrict p = cpu_tensor(it->param) + at;
    for (int64_t i = 0; i < n; i++)
        p[i] = (p[i] * u->keep - step[i]) * u->keep_last;
}

static float largest(const float *x, int64_t n)
{
    float top = 0;
    for (int64_t i = 0; i < n; i++)
        top = fabsf(x[i]) > top ? fabsf(x[i]) : top;
    return top;
}

// Elements [at, at + n) of F32 moments; n is at most RUN.
static void update_f32(const struct slt_adam_item *it, int64_t at, int64_t n,
                       const struct update *u)
{
    float step[RUN], *m = cpu_tensor(it->m) + at;
    const float *grad = cpu_tensor(it->grad) + at;
    if (it->v.buffer == NULL)
        momentum(step, grad, m, n, u);
    else
        moments(step, grad, m, cpu_tensor(it->v) + at, n, u);
    apply(it, at, step, n, u);
}

// One block of 8-bit moments, [at, at + n).
static void update_u8(const struct slt_adam_item *it, int64_t at, int64_t n, const struct update *u)
{
    float m[RUN], v[RUN], step[RUN];
    uint8_t *code = (uint8_t *)cpu_pointer(it->m) + at,
            *code_v = (uint8_t *)cpu_pointer(it->v) + at;
    float *m_max = cpu_tensor(it->m_max) + at / u->block,
          *v_max = cpu_tensor(it->v_max) + at / u->block;
    const struct cpu_codes *with_sign = &u->codes[1], *without = &u->codes[0];
    for (int64_t i = 0; i < n; i++) {
        m[i] = with_sign->map[code[i]] * *m_max;
        v[i] = without->map[code_v[i]] * *v_max;
    }
    moments(step, cpu_tensor(it->grad) + at, m, v, n, u);
    apply(it, at, step, n, u);
    *m_max = largest(m, n);
    *v_max = largest(v, n);
    const float inverse = *m_max > 0 ? 1 / *m_max : 0, inverse_v = *v_max > 0 ? 1 / *v_max : 0;
    for (int64_t i = 0; i < n; i++) {
        const uint8_t c = cpu_codes_nearest(with_sign, m[i] * inverse);
        const bool flips = !signbit(with_sign->map[c]) != !signbit(m[i]);
        code[i] = (uint8_t)(flips ? m[i] > 0 ? c + 1 : c - 1 : c);
        code_v[i] = cpu_codes_nearest(without, v[i] * inverse_v);
    }
}

// Runs of elements are dealt out to threads; blocks of moments are not cut.
static void update_tensor(struct slt_ctx *ctx, const struct slt_adam_item *it,
                          const struct update *u)
{
    const bool coded = it->m_max.buffer != NULL;
    const int64_t n = elements(it->grad.buffer != NULL ? it->grad : it->param);
    const int64_t run = coded ? u->block : RUN;
#pragma omp parallel for schedule(static) num_threads(ctx->threads) if (n > BLOCK)
    for (int64_t at = 0; at < n; at += run) {
        const int64_t count = min64(run, n - at);
        if (it->grad.buffer == NULL) {
            for (int64_t i = at; i < at + count; i++)
                cpu_tensor(it->param)[i] *= u->keep * u->keep_last;
        } else if (coded) {
            update_u8(it, at, count, u);
        } else {
            update_f32(it, at, count, u);
        }
    }
}

void SIMD(cpu_adam_step)(struct slt_ctx *ctx, const struct slt_adam_item *items, int64_t count,
                         const struct slt_adam *h, struct slt_tensor scalars)
{
    const double *s = cpu_tensor_f64(scalars);
    if (s[SLT_SCALAR_SKIP] != 0)
        return;
    const double root = sqrt(s[SLT_SCALAR_C2]), keep = 1 - s[SLT_SCALAR_LR] * h->weight_decay;
    const struct update u = {.beta1 = (float)h->beta1,
                             .add1 = (float)(1 - h->beta1),
                             .beta2 = (float)h->beta2,
                             .add2 = (float)(1 - h->beta2),
                             .keep = h->decay_last ? 1 : (float)keep,
                             .keep_last = h->decay_last ? (float)keep : 1,
                             .lr = (float)s[SLT_SCALAR_LR],
                             .rate = (float)(s[SLT_SCALAR_LR] * root / s[SLT_SCALAR_C1]),
                             .eps = (float)(h->eps_corrected ? h->eps * root : h->eps),
                             .scale = (float)s[SLT_SCALAR_GRAD_SCALE],
                             .direction = (float)h->scale,
                             .block = h->block,
                             .codes = ctx->codes};
    assert(h->block <= RUN);
    for (int64_t k = 0; k < count; k++)
        update_tensor(ctx, &items[k], &u);
}
