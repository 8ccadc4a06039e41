// Norms and optimizer steps, in fixed blocks of elements, each by one thread.
#include <math.h>

#include "kernels/cpu/codes.h"
#include "kernels/cpu/simd_ops.h"
#include "kernels/norm.h"

#define RUN   CPU_ADAM_RUN
#define BLOCK SLT_NORM_BLOCK

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

// The sums of the squares of a tensor's blocks; returns how many there are.
static int64_t block_squares(struct slt_ctx *ctx, double *sums, struct slt_tensor t)
{
    const int64_t n = elements(t), blocks = (n + BLOCK - 1) / BLOCK;
    const float *x = n > 0 ? cpu_tensor(t) : NULL;
#pragma omp parallel for schedule(static) num_threads(ctx->threads) if (n > 16 * BLOCK)
    for (int64_t b = 0; b < blocks; b++)
        sums[b] = sum_squares(x + b * BLOCK, min64(BLOCK, n - b * BLOCK));
    return blocks;
}

// The squares of a tensor's elements; the sums of blocks are added in their order, to sum.
static double add_squares(struct slt_ctx *ctx, double sum, struct slt_tensor t)
{
    double *sums = (double *)ctx->work;
    const int64_t blocks = block_squares(ctx, sums, t);
    for (int64_t b = 0; b < blocks; b++)
        sum += sums[b];
    return sum;
}

void SIMD(cpu_grad_squares)(struct slt_ctx *ctx, struct slt_tensor sums, struct slt_tensor grad)
{
    block_squares(ctx, cpu_tensor_f64(sums), grad);
}

void SIMD(cpu_grad_norm)(struct slt_ctx *ctx, struct slt_tensor scalars,
                         const struct slt_tensor *grads, int64_t count)
{
    double sum = 0;
    for (int64_t k = 0; k < count; k++)
        sum = add_squares(ctx, sum, grads[k]);
    slt_norm_finish(cpu_tensor_f64(scalars), sqrt(sum));
}

void SIMD(cpu_normalize)(struct slt_ctx *ctx, struct slt_tensor x, struct slt_tensor norm)
{
    const int64_t n = elements(x);
    const double length = sqrt(add_squares(ctx, 0, x));
    const float inverse = length > 0 ? (float)(1 / length) : 0;
    float *restrict to = cpu_tensor(x);
#pragma omp parallel for schedule(static) num_threads(ctx->threads) if (n > 16 * BLOCK)
    for (int64_t at = 0; at < n; at += BLOCK)
        for (int64_t i = at; i < min64(at + BLOCK, n); i++)
            to[i] *= inverse;
    if (norm.buffer != NULL)
        *cpu_tensor(norm) = (float)length;
}

// ---- Steps ----

struct update {
    float beta1, add1, beta2, add2; // add = 1 - beta, rounded once
    float keep, keep_last, lr, rate, eps, scale, direction;
    bool nesterov;
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
    const float now = u->nesterov ? 1 : 0, then = u->nesterov ? u->beta1 : 1;
    for (int64_t i = 0; i < n; i++) {
        const float g = grad[i] * u->scale;
        m[i] = u->beta1 * m[i] + g;
        step[i] = u->lr * (now * g + then * m[i]);
    }
}

static void subtract(float *restrict p, const float *restrict step, int64_t n,
                     const struct update *u)
{
    for (int64_t i = 0; i < n; i++)
        p[i] = (p[i] * u->keep - step[i]) * u->keep_last;
}

// Where steps go: off the parameters, or into the direction.
static void apply(const struct slt_adam_item *it, int64_t at, float *restrict step, int64_t n,
                  const struct update *u)
{
    if (it->direction.buffer == NULL) {
        subtract(cpu_tensor(it->param) + at, step, n, u);
        return;
    }
    float *restrict to = cpu_tensor(it->direction) + at;
    for (int64_t i = 0; i < n; i++)
        to[i] = u->direction * step[i];
}

// The step that is given in place of a gradient, or none.
static void given_step(const struct slt_adam_item *it, int64_t at, int64_t n,
                       const struct update *u)
{
    float step[RUN] = {0};
    if (it->direction.buffer != NULL) {
        const float *restrict from = cpu_tensor(it->direction) + at;
        for (int64_t i = 0; i < n; i++)
            step[i] = u->lr * from[i];
    }
    subtract(cpu_tensor(it->param) + at, step, n, u);
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

// Decodes n elements of a moment, whose largest magnitude is max.
static void decode(float *restrict x, const uint8_t *restrict code, int64_t n, float max,
                   const struct cpu_codes *codes)
{
    for (int64_t i = 0; i < n; i++)
        x[i] = codes->map[code[i]] * max;
}

// Their nearest codes, with the signs that they have. Returns the largest magnitude.
static float encode(uint8_t *restrict code, const float *restrict x, int64_t n,
                    const struct cpu_codes *codes)
{
    const float max = largest(x, n), inverse = max > 0 ? 1 / max : 0;
    for (int64_t i = 0; i < n; i++) {
        const uint8_t c = cpu_codes_nearest(codes, x[i] * inverse);
        const bool flips = !signbit(codes->map[c]) != !signbit(x[i]);
        code[i] = (uint8_t)(flips ? x[i] > 0 ? c + 1 : c - 1 : c);
    }
    return max;
}

// One block of 8-bit moments, [at, at + n).
static void update_u8(const struct slt_adam_item *it, int64_t at, int64_t n, const struct update *u)
{
    float m[RUN], v[RUN], step[RUN];
    uint8_t *code = (uint8_t *)cpu_pointer(it->m) + at;
    float *m_max = cpu_tensor(it->m_max) + at / u->block;
    const float *grad = cpu_tensor(it->grad) + at;
    const struct cpu_codes *with_sign = &u->codes[1], *without = &u->codes[0];
    decode(m, code, n, *m_max, with_sign);
    if (it->v.buffer == NULL) {
        momentum(step, grad, m, n, u);
    } else {
        uint8_t *code_v = (uint8_t *)cpu_pointer(it->v) + at;
        float *v_max = cpu_tensor(it->v_max) + at / u->block;
        decode(v, code_v, n, *v_max, without);
        moments(step, grad, m, v, n, u);
        *v_max = encode(code_v, v, n, without);
    }
    apply(it, at, step, n, u);
    *m_max = encode(code, m, n, with_sign);
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
            given_step(it, at, count, u);
        } else if (coded) {
            update_u8(it, at, count, u);
        } else {
            update_f32(it, at, count, u);
        }
    }
}

static struct update update_of(const struct slt_ctx *ctx, const struct slt_adam_item *it,
                               const struct slt_adam *h, const double *s)
{
    const double root = sqrt(s[SLT_SCALAR_C2]), lr = s[SLT_SCALAR_LR] * it->rate;
    const double keep = 1 - lr * h->weight_decay;
    double divisor = it->divisors.cols > 0 ? 0 : 1;
    for (int64_t k = 0; k < it->divisors.cols; k++)
        divisor += (double)cpu_tensor(it->divisors)[k];
    return (struct update){.beta1 = (float)h->beta1,
                           .add1 = (float)(1 - h->beta1),
                           .beta2 = (float)h->beta2,
                           .add2 = (float)(1 - h->beta2),
                           .keep = h->decay_last ? 1 : (float)keep,
                           .keep_last = h->decay_last ? (float)keep : 1,
                           .lr = divisor > 0 ? (float)(lr / divisor) : 0,
                           .rate = (float)(lr * root / s[SLT_SCALAR_C1]),
                           .eps = (float)(h->eps_corrected ? h->eps * root : h->eps),
                           .scale = (float)s[SLT_SCALAR_GRAD_SCALE],
                           .direction = (float)h->scale,
                           .nesterov = h->nesterov,
                           .block = h->block,
                           .codes = ctx->codes};
}

void SIMD(cpu_adam_step)(struct slt_ctx *ctx, const struct slt_adam_item *items, int64_t count,
                         const struct slt_adam *h, struct slt_tensor scalars)
{
    const double *s = cpu_tensor_f64(scalars);
    if (s[SLT_SCALAR_SKIP] != 0)
        return;
    assert(h->block <= RUN);
    for (int64_t k = 0; k < count; k++) {
        const struct update u = update_of(ctx, &items[k], h, s);
        update_tensor(ctx, &items[k], &u);
    }
}
