// Reference: norms, Adam, SGD with momentum, and steps that are given.
#include "core/codes.h"
#include "kernels/cpu/ref.h"
#include "kernels/norm.h"

// Of elements [first, first + SLT_NORM_BLOCK) of a tensor without gaps, as far as it has them.
static double block_squares(struct slt_tensor t, int64_t first)
{
    const int64_t n = t.rows * t.cols;
    double squares = 0;
    for (int64_t i = first; i < n && i < first + SLT_NORM_BLOCK; i++)
        squares += (double)ref_tensor(t)[i] * (double)ref_tensor(t)[i];
    return squares;
}

void REF(ref_grad_squares)(struct slt_ctx *ctx, struct slt_tensor sums, struct slt_tensor grad)
{
    for (int64_t b = 0; b < sums.cols; b++)
        cpu_tensor_f64(sums)[b] = block_squares(grad, b * SLT_NORM_BLOCK);
}

void REF(ref_grad_norm)(struct slt_ctx *ctx, struct slt_tensor scalars,
                        const struct slt_tensor *grads, int64_t count)
{
    double squares = 0;
    for (int64_t k = 0; k < count; k++)
        for (int64_t at = 0; at < grads[k].rows * grads[k].cols; at += SLT_NORM_BLOCK)
            squares += block_squares(grads[k], at);
    slt_norm_finish(cpu_tensor_f64(scalars), sqrt(squares));
}

struct rates {
    double scale;    // of gradients
    double lr, rate; // of steps, and of those of Adam
    double eps;      // under the division
    double keep;     // of parameters
};

static struct rates rates_of(const struct slt_adam_item *it, const struct slt_adam *h,
                             const double *scalar)
{
    const double root = sqrt(scalar[SLT_SCALAR_C2]), lr = scalar[SLT_SCALAR_LR] * it->rate;
    return (struct rates){scalar[SLT_SCALAR_GRAD_SCALE], lr, lr * root / scalar[SLT_SCALAR_C1],
                          h->eps_corrected ? h->eps * root : h->eps, 1 - lr * h->weight_decay};
}

static void subtract(const struct slt_adam_item *it, int64_t i, double step,
                     const struct slt_adam *h, const struct rates *r)
{
    const double p = (double)ref_tensor(it->param)[i];
    ref_tensor(it->param)[i] = (real)(h->decay_last ? (p - step) * r->keep : p * r->keep - step);
}

// The step of element i goes off the parameter, or into the direction.
static void apply(const struct slt_adam_item *it, int64_t i, double step, const struct slt_adam *h,
                  const struct rates *r)
{
    if (it->direction.buffer != NULL)
        ref_tensor(it->direction)[i] = (real)(h->scale * step);
    else
        subtract(it, i, step, h, r);
}

// The step of SGD: m is updated.
static double momentum(double *m, double g, const struct slt_adam *h, const struct rates *r)
{
    *m = h->beta1 * *m + g;
    return r->lr * (h->nesterov ? g + h->beta1 * *m : *m);
}

// Updates one element's moments and applies the step.
static void adam_element(const struct slt_adam_item *it, int64_t i, double *m, double *v,
                         const struct slt_adam *h, const struct rates *r)
{
    const double g = (double)ref_tensor(it->grad)[i] * r->scale;
    if (v == NULL) {
        apply(it, i, momentum(m, g, h, r), h, r);
        return;
    }
    *m = h->beta1 * *m + (1 - h->beta1) * g;
    *v = h->beta2 * *v + (1 - h->beta2) * g * g;
    apply(it, i, r->rate * *m / (sqrt(*v) + r->eps), h, r);
}

// One of an item's moments as 8-bit codes.
struct coded {
    float map[SLT_CODES_8BIT];
    uint8_t *code;
    double old_max, max; // of a block
};

static struct coded coded_moment(struct slt_tensor codes, bool has_sign)
{
    struct coded c = {.code = codes.buffer != NULL ? cpu_pointer(codes) : NULL};
    slt_codes_dynamic(c.map, has_sign);
    return c;
}

static void encode(struct coded *c, int64_t i, double value)
{
    c->code[i] =
        slt_codes_nearest(c->map, SLT_CODES_8BIT, c->max > 0 ? (float)(value / c->max) : 0);
    if (!signbit(c->map[c->code[i]]) != !signbit(value)) // the code keeps the sign
        c->code[i] = (uint8_t)(value > 0 ? c->code[i] + 1 : c->code[i] - 1);
}

// Elements [first, last) share their maxima, which are known only after all of them: the moments
// are worked out twice, the first time for a parameter that stays.
static void adam_block(const struct slt_adam_item *it, int64_t first, int64_t last, int64_t block,
                       const struct slt_adam *h, const struct rates *r)
{
    struct coded m = coded_moment(it->m, true), v = coded_moment(it->v, false);
    m.old_max = (double)ref_tensor(it->m_max)[block];
    v.old_max = v.code != NULL ? (double)ref_tensor(it->v_max)[block] : 0;
    for (int pass = 0; pass < 2; pass++) {
        for (int64_t i = first; i < last; i++) {
            double m_i = (double)m.map[m.code[i]] * m.old_max, v_i = 0;
            if (v.code != NULL)
                v_i = (double)v.map[v.code[i]] * v.old_max;
            if (pass == 0) {
                const double g = (double)ref_tensor(it->grad)[i] * r->scale;
                const double add = v.code != NULL ? (1 - h->beta1) * g : g;
                m.max = fmax(m.max, fabs(h->beta1 * m_i + add));
                v.max = fmax(v.max, h->beta2 * v_i + (1 - h->beta2) * g * g);
                continue;
            }
            adam_element(it, i, &m_i, v.code != NULL ? &v_i : NULL, h, r);
            encode(&m, i, m_i);
            if (v.code != NULL)
                encode(&v, i, v_i);
        }
    }
    ref_tensor(it->m_max)[block] = (real)m.max;
    if (v.code != NULL)
        ref_tensor(it->v_max)[block] = (real)v.max;
}

// Without a gradient: the step that is given, or none.
static void given_step(const struct slt_adam_item *it, int64_t n, const struct slt_adam *h,
                       const struct rates *r)
{
    double divisor = it->divisors.cols > 0 ? 0 : 1;
    for (int64_t k = 0; k < it->divisors.cols; k++)
        divisor += (double)ref_tensor(it->divisors)[k];
    const double lr = it->direction.buffer != NULL && divisor > 0 ? r->lr / divisor : 0;
    for (int64_t i = 0; i < n; i++)
        subtract(it, i, lr != 0 ? lr * (double)ref_tensor(it->direction)[i] : 0, h, r);
}

static void adam_tensor(const struct slt_adam_item *it, const struct slt_adam *h,
                        const struct rates *r)
{
    const struct slt_tensor shape = it->grad.buffer != NULL ? it->grad : it->param;
    const int64_t n = shape.rows * shape.cols;
    assert(shape.ld == shape.cols || shape.rows == 1);
    if (it->grad.buffer == NULL) {
        given_step(it, n, h, r);
    } else if (it->m_max.buffer != NULL) {
        for (int64_t at = 0; at < n; at += h->block)
            adam_block(it, at, at + h->block < n ? at + h->block : n, at / h->block, h, r);
    } else {
        const bool has_v = it->v.buffer != NULL;
        for (int64_t i = 0; i < n; i++) {
            double m = (double)ref_tensor(it->m)[i], v = has_v ? (double)ref_tensor(it->v)[i] : 0;
            adam_element(it, i, &m, has_v ? &v : NULL, h, r);
            ref_tensor(it->m)[i] = (real)m;
            if (has_v)
                ref_tensor(it->v)[i] = (real)v;
        }
    }
}

void REF(ref_adam_step)(struct slt_ctx *ctx, const struct slt_adam_item *items, int64_t count,
                        const struct slt_adam *hyper, struct slt_tensor scalars)
{
    const double *scalar = cpu_tensor_f64(scalars);
    for (int64_t i = 0; scalar[SLT_SCALAR_SKIP] == 0 && i < count; i++) {
        const struct rates r = rates_of(&items[i], hyper, scalar);
        adam_tensor(&items[i], hyper, &r);
    }
}

void REF(ref_normalize)(struct slt_ctx *ctx, struct slt_tensor x, struct slt_tensor norm)
{
    const int64_t n = x.rows * x.cols;
    double squares = 0;
    assert(x.ld == x.cols || x.rows == 1);
    for (int64_t i = 0; i < n; i++)
        squares += (double)ref_tensor(x)[i] * (double)ref_tensor(x)[i];
    const double inverse = squares > 0 ? 1 / sqrt(squares) : 0;
    for (int64_t i = 0; i < n; i++)
        ref_tensor(x)[i] = (real)((double)ref_tensor(x)[i] * inverse);
    if (norm.buffer != NULL)
        *ref_tensor(norm) = (real)sqrt(squares);
}
