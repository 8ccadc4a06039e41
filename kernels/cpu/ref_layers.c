// Reference: embedding, RMSNorm, addition, SwiGLU.
#include "core/bfloat.h"
#include "kernels/cpu/ref.h"

static real embedding_at(struct slt_tensor w, int64_t i)
{
    if (w.dtype == SLT_BF16)
        return (real)slt_bf16_value(((const uint16_t *)cpu_pointer(w))[i]);
    return w.dtype == SLT_I8 ? (real)cpu_coded_value(w, i) : ref_tensor(w)[i];
}

void REF(ref_embedding_forward)(struct slt_ctx *ctx, struct slt_act y, struct slt_tensor w,
                                struct slt_tensor tokens)
{
    const int32_t *id = cpu_tensor_i32(tokens);
    for (int64_t t = 0; t < y.tokens; t++)
        for (int64_t f = 0; f < y.features; f++)
            *ref_at(y, t, f) = embedding_at(w, id[t] * w.ld + f);
}

void REF(ref_embedding_backward)(struct slt_ctx *ctx, struct slt_tensor dw, double beta,
                                 struct slt_act dy, struct slt_tensor tokens)
{
    const int32_t *id = cpu_tensor_i32(tokens);
    double *sum = ref_work(ctx, dw.cols); // (d)
    for (int64_t v = 0; v < dw.rows; v++) {
        for (int64_t f = 0; f < dw.cols; f++)
            sum[f] = 0;
        for (int64_t t = 0; t < dy.tokens; t++)
            for (int64_t f = 0; id[t] == v && f < dw.cols; f++)
                sum[f] += (double)*ref_at(dy, t, f);
        for (int64_t f = 0; f < dw.cols; f++)
            ref_blend(&ref_tensor(dw)[v * dw.ld + f], beta, sum[f]);
    }
}

void REF(ref_rmsnorm_forward)(struct slt_ctx *ctx, struct slt_act y, struct slt_act z,
                              struct slt_tensor rstd, struct slt_act x, struct slt_act r,
                              struct slt_tensor g, double eps)
{
    const int64_t d = x.features;
    if (r.buffer == NULL)
        z = x;
    for (int64_t t = 0; t < x.tokens; t++) {
        double squares = 0;
        for (int64_t f = 0; f < d; f++) {
            if (r.buffer != NULL)
                *ref_at(z, t, f) = *ref_at(x, t, f) + *ref_at(r, t, f);
            squares += (double)*ref_at(z, t, f) * (double)*ref_at(z, t, f);
        }
        const double inverse = 1 / sqrt(squares / (double)d + eps);
        ref_tensor(rstd)[t] = (real)inverse;
        for (int64_t f = 0; f < d; f++)
            *ref_at(y, t, f) =
                (real)((double)*ref_at(z, t, f) * inverse * (double)ref_tensor(g)[f]);
    }
}

// With n = z rstd: dx += rstd (dy g - n mean(dy g n)).
void REF(ref_rmsnorm_backward)(struct slt_ctx *ctx, struct slt_act dx, struct slt_tensor dg,
                               double beta, struct slt_act dy, struct slt_act z,
                               struct slt_tensor rstd, struct slt_tensor g)
{
    const int64_t d = z.features;
    for (int64_t f = 0; dg.buffer != NULL && f < d; f++) {
        double sum = 0;
        for (int64_t t = 0; t < z.tokens; t++)
            sum +=
                (double)*ref_at(dy, t, f) * (double)*ref_at(z, t, f) * (double)ref_tensor(rstd)[t];
        ref_blend(&ref_tensor(dg)[f], beta, sum);
    }
    for (int64_t t = 0; t < z.tokens; t++) {
        const double inverse = (double)ref_tensor(rstd)[t];
        double mean = 0;
        for (int64_t f = 0; f < d; f++)
            mean += (double)*ref_at(dy, t, f) * (double)ref_tensor(g)[f] *
                    (double)*ref_at(z, t, f) * inverse / (double)d;
        for (int64_t f = 0; f < d; f++) {
            const double dn = (double)*ref_at(dy, t, f) * (double)ref_tensor(g)[f];
            const double n = (double)*ref_at(z, t, f) * inverse;
            ref_blend(ref_at(dx, t, f), 1, inverse * (dn - n * mean));
        }
    }
}

void REF(ref_add)(struct slt_ctx *ctx, struct slt_act y, struct slt_act x)
{
    for (int64_t t = 0; t < x.tokens; t++)
        for (int64_t f = 0; f < x.features; f++)
            *ref_at(y, t, f) += *ref_at(x, t, f);
}

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

void REF(ref_swiglu_forward)(struct slt_ctx *ctx, struct slt_act y, struct slt_act gu)
{
    for (int64_t t = 0; t < y.tokens; t++)
        for (int64_t f = 0; f < y.features; f++) {
            const double gate = (double)*ref_at(gu, t, f);
            const double up = (double)*ref_at(gu, t, gu.features / 2 + f);
            *ref_at(y, t, f) = (real)(gate * sigmoid(gate) * up);
        }
}

// silu'(x) = sigmoid(x) (1 + x (1 - sigmoid(x))).
void REF(ref_swiglu_backward)(struct slt_ctx *ctx, struct slt_act dgu, struct slt_act dy,
                              struct slt_act gu)
{
    const int64_t second = gu.features / 2;
    for (int64_t t = 0; t < dy.tokens; t++) {
        for (int64_t f = 0; f < dy.features; f++) {
            const double gate = (double)*ref_at(gu, t, f);
            const double up = (double)*ref_at(gu, t, second + f);
            const double s = sigmoid(gate), d = (double)*ref_at(dy, t, f);
            *ref_at(dgu, t, f) = (real)(d * up * s * (1 + gate * (1 - s)));
            *ref_at(dgu, t, second + f) = (real)(d * gate * s);
        }
        for (int64_t f = dy.features; f < second; f++)
            *ref_at(dgu, t, f) = *ref_at(dgu, t, second + f) = 0;
    }
}
