// Reference: norm of all gradients, AdamW.
#include "kernels/cpu/ref.h"

void REF(ref_grad_norm)(struct slt_ctx *ctx, struct slt_tensor scalars,
                        const struct slt_tensor *grads, int64_t count)
{
    double *scalar = cpu_tensor_f64(scalars);
    const double clip = scalar[SLT_SCALAR_CLIP];
    double squares = 0;
    for (int64_t k = 0; k < count; k++)
        for (int64_t i = 0; i < grads[k].rows; i++)
            for (int64_t j = 0; j < grads[k].cols; j++) {
                const double g = (double)ref_tensor(grads[k])[i * grads[k].ld + j];
                squares += g * g;
            }
    const double norm = sqrt(squares);
    scalar[SLT_SCALAR_NORM] = norm;
    scalar[SLT_SCALAR_GRAD_SCALE] = clip > 0 && norm > clip ? clip / (norm + 1e-6) : 1;
    scalar[SLT_SCALAR_SKIP] = !isfinite(norm);
}

static void adamw_element(real *p, real grad, real *m, real *v, const struct slt_adamw *h,
                          const double *scalar)
{
    const double lr = scalar[SLT_SCALAR_LR];
    const double g = (double)grad * scalar[SLT_SCALAR_GRAD_SCALE];
    const double decayed = (double)*p * (1 - lr * h->weight_decay);
    *m = (real)(h->beta1 * (double)*m + (1 - h->beta1) * g);
    *v = (real)(h->beta2 * (double)*v + (1 - h->beta2) * g * g);
    const double root = sqrt((double)*v) / sqrt(scalar[SLT_SCALAR_C2]) + h->eps;
    *p = (real)(decayed - lr / scalar[SLT_SCALAR_C1] * (double)*m / root);
}

void REF(ref_adamw_step)(struct slt_ctx *ctx, const struct slt_adamw_item *items, int64_t count,
                         const struct slt_adamw *hyper, struct slt_tensor scalars)
{
    const double *scalar = cpu_tensor_f64(scalars);
    if (scalar[SLT_SCALAR_SKIP] != 0)
        return;
    for (const struct slt_adamw_item *it = items; it < items + count; it++)
        for (int64_t i = 0; i < it->param.rows; i++)
            for (int64_t j = 0; j < it->param.cols; j++)
                adamw_element(&ref_tensor(it->param)[i * it->param.ld + j],
                              ref_tensor(it->grad)[i * it->grad.ld + j],
                              &ref_tensor(it->m)[i * it->m.ld + j],
                              &ref_tensor(it->v)[i * it->v.ld + j], hyper, scalar);
}
