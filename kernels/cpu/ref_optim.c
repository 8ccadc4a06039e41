// Reference: norm of all gradients, Adam, SGD with momentum.
#include "core/codes.h"
#include "kernels/cpu/ref.h"
#include "kernels/norm.h"

void REF(ref_grad_norm)(struct slt_ctx *ctx, struct slt_tensor scalars,
                        const struct slt_tensor *grads, int64_t count)
{
    double *scalar = cpu_tensor_f64(scalars);
    double squares = 0;
    for (int64_t k = 0; k < count; k++)
        for (int64_t i = 0; i < grads[k].rows; i++)
            for (int64_t j = 0; j < grads[k].cols; j++) {
                const double g = (double)ref_tensor(grads[k])[i * grads[k].ld + j];
                squares += g * g;
            }
    slt_norm_finish(scalar, sqrt(squares));
}

struct rates {
    double scale;    // of gradients
    double lr, rate; // of steps, and of those of Adam
    double eps;      // under the division
    double keep;     // of parameters
};

static struct rates rates_of(const struct slt_adam *h, const double *scalar)
{
    const double root = sqrt(scalar[SLT_SCALAR_C2]), lr = scalar[SLT_SCALAR_LR];
    return (struct rates){scalar[SLT_SCALAR_GRAD_SCALE], lr, lr * root / scalar[SLT_SCALAR_C1],
                          h->eps_corrected ? h->eps * root : h->eps, 1 - lr * h->weight_decay};
}

// The step of element i goes off the parameter, or into the direction.
static void apply(const struct slt_adam_item *it, int64_t i, double step, const struct slt_adam *h,
                  const struct rates *r)
{
    if (it->direction.buffer != NULL) {
        ref_tensor(it->direction)[i] = (real)(h->scale * step);
        return;
    }
    const double p = (double)ref_tensor(it->param)[i];
    ref_tensor(it->param)[i] = (real)(h->decay_last ? (p - step) * r->keep : p * r->keep - step);
}

// Updates one element's moments and applies the step.
static void adam_element(const struct slt_adam_item *it, int64_t i, double *m, double *v,
                         const struct slt_adam *h, const struct rates *r)
{
    const double g = (double)ref_tensor(it->grad)[i] * r->scale;
    *m = h->beta1 * *m + (1 - h->beta1) * g;
    *v = h->beta2 * *v + (1 - h->beta2) * g * g;
    apply(it, i, r->rate * *m / (sqrt(*v) + r->eps), h, r);
}

// Elements [first, last) share their maxima.
static void adam_block(const struct slt_adam_item *it, int64_t first, int64_t last, int64_t block,
                       const struct slt_adam *h, const struct rates *r)
{
    float map[SLT_CODES_8BIT], map_v[SLT_CODES_8BIT];
    uint8_t *code = cpu_pointer(it->m), *code_v = cpu_pointer(it->v);
    real *m_max = &ref_tensor(it->m_max)[block], *v_max = &ref_tensor(it->v_max)[block];
    double top = 0, top_v = 0;
    slt_codes_dynamic(map, true);
    slt_codes_dynamic(map_v, false);
    // The new maxima are known only after all elements: the moments are worked out twice.
    for (int pass = 0; pass < 2; pass++) {
        for (int64_t i = first; i < last; i++) {
            double m = (double)map[code[i]] * (double)*m_max;
            double v = (double)map_v[code_v[i]] * (double)*v_max;
            if (pass == 0) {
                const double g = (double)ref_tensor(it->grad)[i] * r->scale;
                top = fmax(top, fabs(h->beta1 * m + (1 - h->beta1) * g));
                top_v = fmax(top_v, h->beta2 * v + (1 - h->beta2) * g * g);
                continue;
            }
            adam_element(it, i, &m, &v, h, r);
            code[i] = slt_codes_nearest(map, SLT_CODES_8BIT, top > 0 ? (float)(m / top) : 0);
            code_v[i] =
                slt_codes_nearest(map_v, SLT_CODES_8BIT, top_v > 0 ? (float)(v / top_v) : 0);
            if (!signbit(map[code[i]]) != !signbit(m))
                code[i] = (uint8_t)(m > 0 ? code[i] + 1 : code[i] - 1);
        }
    }
    *m_max = (real)top;
    *v_max = (real)top_v;
}

static void adam_tensor(const struct slt_adam_item *it, const struct slt_adam *h,
                        const struct rates *r)
{
    const struct slt_tensor shape = it->grad.buffer != NULL ? it->grad : it->param;
    const int64_t n = shape.rows * shape.cols;
    assert(shape.ld == shape.cols || shape.rows == 1);
    if (it->grad.buffer == NULL) {
        for (int64_t i = 0; i < n; i++)
            ref_tensor(it->param)[i] = (real)((double)ref_tensor(it->param)[i] * r->keep);
    } else if (it->m_max.buffer != NULL) {
        for (int64_t at = 0; at < n; at += h->block)
            adam_block(it, at, at + h->block < n ? at + h->block : n, at / h->block, h, r);
    } else if (it->v.buffer == NULL) {
        for (int64_t i = 0; i < n; i++) {
            const double g = (double)ref_tensor(it->grad)[i] * r->scale;
            const double m = h->beta1 * (double)ref_tensor(it->m)[i] + g;
            ref_tensor(it->m)[i] = (real)m;
            apply(it, i, r->lr * m, h, r);
        }
    } else {
        for (int64_t i = 0; i < n; i++) {
            double m = (double)ref_tensor(it->m)[i], v = (double)ref_tensor(it->v)[i];
            adam_element(it, i, &m, &v, h, r);
            ref_tensor(it->m)[i] = (real)m;
            ref_tensor(it->v)[i] = (real)v;
        }
    }
}

void REF(ref_adam_step)(struct slt_ctx *ctx, const struct slt_adam_item *items, int64_t count,
                        const struct slt_adam *hyper, struct slt_tensor scalars)
{
    const double *scalar = cpu_tensor_f64(scalars);
    const struct rates r = rates_of(hyper, scalar);
    for (int64_t i = 0; scalar[SLT_SCALAR_SKIP] == 0 && i < count; i++)
        adam_tensor(&items[i], hyper, &r);
}
