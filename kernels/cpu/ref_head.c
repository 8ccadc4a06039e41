// Reference: LM head and cross-entropy, token by token.
#include "kernels/cpu/ref.h"

// w[v] x[t].
static double logit(struct slt_tensor w, int64_t v, struct slt_act x, int64_t t)
{
    double sum = 0;
    for (int64_t f = 0; f < x.features; f++)
        sum += (double)ref_tensor(w)[v * w.ld + f] * (double)*ref_at(x, t, f);
    return sum;
}

// logits (V) of token t; returns the log of the sum of their exponentials.
static double forward(double *logits, struct slt_tensor w, struct slt_act x, int64_t t)
{
    double max = -INFINITY, sum = 0;
    for (int64_t v = 0; v < w.rows; v++) {
        logits[v] = logit(w, v, x, t);
        max = fmax(max, logits[v]);
    }
    for (int64_t v = 0; v < w.rows; v++)
        sum += exp(logits[v] - max);
    return max + log(sum);
}

// dx[t] = scale (softmax(logits) - onehot(target)) w; zero if not predicted.
static void backward_input(struct slt_act dx, int64_t t, const double *logits, double lse,
                           int32_t target, struct slt_tensor w, double scale)
{
    for (int64_t f = 0; f < dx.features; f++) {
        double sum = 0;
        for (int64_t v = 0; target >= 0 && v < w.rows; v++)
            sum += (exp(logits[v] - lse) - (v == target)) * (double)ref_tensor(w)[v * w.ld + f];
        *ref_at(dx, t, f) = (real)(scale * sum);
    }
}

// What the gradient of the weights is made of.
struct predictions {
    struct slt_act x;    // (T, d)
    struct slt_tensor w; // (V, d)
    const int32_t *target;
    const double *lse; // (T)
    double scale;
};

// dw[v] = beta dw[v] + scale sum over predicted t of (softmax - onehot)[t, v] x[t]; sum (d) is
// scratch.
static void backward_row(struct slt_tensor dw, double beta, int64_t v, const struct predictions *p,
                         double *sum)
{
    const struct slt_act x = p->x;
    for (int64_t f = 0; f < x.features; f++)
        sum[f] = 0;
    for (int64_t t = 0; t < x.tokens; t++) {
        if (p->target[t] < 0)
            continue;
        const double d = exp(logit(p->w, v, x, t) - p->lse[t]) - (v == p->target[t]);
        for (int64_t f = 0; f < x.features; f++)
            sum[f] += d * (double)*ref_at(x, t, f);
    }
    for (int64_t f = 0; f < x.features; f++)
        ref_blend(&ref_tensor(dw)[v * dw.ld + f], beta, p->scale * sum[f]);
}

void REF(ref_head_loss)(struct slt_ctx *ctx, struct slt_tensor scalars, struct slt_act dx,
                        struct slt_tensor dw, double beta, struct slt_act x, struct slt_tensor w,
                        struct slt_tensor targets)
{
    double *logits = ref_work(ctx, w.rows + x.features + x.tokens); // (V)
    double *sum = logits + w.rows;                                  // (d)
    double *lse = sum + x.features;                                 // (T)
    double *scalar = cpu_tensor_f64(scalars);
    const int32_t *target = cpu_tensor_i32(targets);
    const double scale = scalar[SLT_SCALAR_LOSS_SCALE];
    double loss = 0;

    for (int64_t t = 0; t < x.tokens; t++) {
        if (target[t] >= 0) {
            lse[t] = forward(logits, w, x, t);
            loss += lse[t] - logits[target[t]];
        }
        if (dx.buffer != NULL)
            backward_input(dx, t, logits, lse[t], target[t], w, scale);
    }
    scalar[SLT_SCALAR_LOSS] += loss;
    const struct predictions p = {x, w, target, lse, scale};
    for (int64_t v = 0; dx.buffer != NULL && dw.buffer != NULL && v < w.rows; v++)
        backward_row(dw, beta, v, &p, sum);
}
