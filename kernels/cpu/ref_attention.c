// Reference: causal attention with rotate-half RoPE, forward, backward and with a cache.
#include "kernels/cpu/ref.h"

// One head's features in one sequence.
struct head {
    struct slt_act act;
    int64_t start; // first token
};

static struct head head_of(struct slt_act act, int64_t start, int64_t head, int64_t head_dim)
{
    return (struct head){slt_act_slice(act, head * head_dim, head_dim), start};
}

static double value(struct head h, int64_t token, int64_t f)
{
    return (double)*ref_at(h.act, h.start + token, f);
}

static double dot(struct head a, int64_t i, struct head b, int64_t j)
{
    double sum = 0;
    for (int64_t f = 0; f < a.act.features; f++)
        sum += value(a, i, f) * value(b, j, f);
    return sum;
}

// Rotates the pair (f, f + half) of token t by the angle of its position; sign -1 turns it back.
static void rotate(struct slt_act x, int64_t t, struct slt_tensor rope, int64_t position, int sign)
{
    const int64_t half = x.features / 2;
    for (int64_t f = 0; f < half; f++) {
        const double c = (double)ref_tensor(rope)[f * rope.ld + position];
        const double s = sign * (double)ref_tensor(rope)[(half + f) * rope.ld + position];
        const double a = (double)*ref_at(x, t, f), b = (double)*ref_at(x, t, half + f);
        *ref_at(x, t, f) = (real)(a * c - b * s);
        *ref_at(x, t, half + f) = (real)(b * c + a * s);
    }
}

static void rotate_all(struct slt_act x, struct slt_tensor rope, struct slt_attention s, int sign)
{
    for (int64_t t = 0; t < x.tokens; t++)
        for (int64_t h = 0; h < s.heads + s.kv_heads; h++)
            rotate(slt_act_slice(x, h * s.head_dim, s.head_dim), t, rope, s.position + t % s.seq,
                   sign);
}

// o[i] = softmax over j < count of q[i] k[j] / sqrt(hd), times v; returns the log of the
// denominator. out (hd) is scratch.
static double attend(struct head o, struct head q, int64_t i, struct head k, struct head v,
                     int64_t count, double *out)
{
    const int64_t hd = q.act.features;
    double max = -INFINITY, sum = 0;
    for (int64_t j = 0; j < count; j++)
        max = fmax(max, dot(q, i, k, j) / sqrt((double)hd));
    for (int64_t f = 0; f < hd; f++)
        out[f] = 0;
    for (int64_t j = 0; j < count; j++) {
        const double p = exp(dot(q, i, k, j) / sqrt((double)hd) - max);
        sum += p;
        for (int64_t f = 0; f < hd; f++)
            out[f] += p * value(v, j, f);
    }
    for (int64_t f = 0; f < hd; f++)
        *ref_at(o.act, o.start + i, f) = (real)(out[f] / sum);
    return max + log(sum);
}

void REF(ref_attention_forward)(struct slt_ctx *ctx, struct slt_act o, struct slt_tensor lse,
                                struct slt_act qkv, struct slt_tensor rope, struct slt_attention s)
{
    double *out = ref_work(ctx, s.head_dim); // (hd)
    s.position = 0;
    rotate_all(qkv, rope, s, 1);
    for (int64_t b = 0; b < s.batch; b++)
        for (int64_t h = 0; h < s.heads; h++) {
            const int64_t start = b * s.seq, kv = h / (s.heads / s.kv_heads);
            const struct head q = head_of(qkv, start, h, s.head_dim);
            const struct head k = head_of(qkv, start, s.heads + kv, s.head_dim);
            const struct head v = head_of(qkv, start, s.heads + s.kv_heads + kv, s.head_dim);
            const struct head to = head_of(o, start, h, s.head_dim);
            for (int64_t i = 0; i < s.seq; i++)
                ref_tensor(lse)[h * lse.ld + start + i] = (real)attend(to, q, i, k, v, i + 1, out);
        }
}

// What the backward of attention reads.
struct inputs {
    struct slt_act qkv, o, do_;
    struct slt_tensor lse;
    struct slt_attention shape;
};

// What that of one query head in one sequence reads.
struct backward {
    struct head q, k, v, o, do_;
    const real *lse; // (L)
};

static struct backward backward_of(const struct inputs *in, int64_t b, int64_t h)
{
    const struct slt_attention s = in->shape;
    const int64_t start = b * s.seq, kv = h / (s.heads / s.kv_heads);
    return (struct backward){
        .q = head_of(in->qkv, start, h, s.head_dim),
        .k = head_of(in->qkv, start, s.heads + kv, s.head_dim),
        .v = head_of(in->qkv, start, s.heads + s.kv_heads + kv, s.head_dim),
        .o = head_of(in->o, start, h, s.head_dim),
        .do_ = head_of(in->do_, start, h, s.head_dim),
        .lse = ref_tensor(in->lse) + h * in->lse.ld + start,
    };
}

// p = P[i, j]; returns the gradient at the score q[i] k[j], dS = P (dP - do o) / sqrt(hd).
static double score_gradient(const struct backward *a, int64_t i, int64_t j, double *p)
{
    const double scale = 1 / sqrt((double)a->q.act.features);
    *p = exp(dot(a->q, i, a->k, j) * scale - (double)a->lse[i]);
    return *p * (dot(a->do_, i, a->v, j) - dot(a->do_, i, a->o, i)) * scale;
}

// dq (L, hd) of query head h; sum (hd) is scratch.
static void backward_q(struct slt_act dqkv, const struct inputs *in, int64_t b, int64_t h,
                       double *sum)
{
    const struct slt_attention s = in->shape;
    const struct backward a = backward_of(in, b, h);
    for (int64_t i = 0; i < s.seq; i++) {
        for (int64_t f = 0; f < s.head_dim; f++)
            sum[f] = 0;
        for (int64_t j = 0; j <= i; j++) {
            double p;
            const double ds = score_gradient(&a, i, j, &p);
            for (int64_t f = 0; f < s.head_dim; f++)
                sum[f] += ds * value(a.k, j, f);
        }
        for (int64_t f = 0; f < s.head_dim; f++)
            *ref_at(dqkv, b * s.seq + i, h * s.head_dim + f) = (real)sum[f];
    }
}

// dk and dv of key j of a kv head, summed over the query heads that read it; sum (2 hd) is scratch.
static void backward_kv(struct slt_act dqkv, const struct inputs *in, int64_t b, int64_t kv,
                        int64_t j, double *sum)
{
    const struct slt_attention s = in->shape;
    const int64_t hd = s.head_dim, readers = s.heads / s.kv_heads;
    for (int64_t f = 0; f < 2 * hd; f++)
        sum[f] = 0;
    for (int64_t h = kv * readers; h < (kv + 1) * readers; h++) {
        const struct backward a = backward_of(in, b, h);
        for (int64_t i = j; i < s.seq; i++) {
            double p;
            const double ds = score_gradient(&a, i, j, &p);
            for (int64_t f = 0; f < hd; f++) {
                sum[f] += ds * value(a.q, i, f);
                sum[hd + f] += p * value(a.do_, i, f);
            }
        }
    }
    for (int64_t f = 0; f < hd; f++) {
        *ref_at(dqkv, b * s.seq + j, (s.heads + kv) * hd + f) = (real)sum[f];
        *ref_at(dqkv, b * s.seq + j, (s.heads + s.kv_heads + kv) * hd + f) = (real)sum[hd + f];
    }
}

void REF(ref_attention_backward)(struct slt_ctx *ctx, struct slt_act dqkv, struct slt_act do_,
                                 struct slt_act qkv, struct slt_act o, struct slt_tensor lse,
                                 struct slt_tensor rope, struct slt_attention s)
{
    const struct inputs in = {qkv, o, do_, lse, s};
    double *sum = ref_work(ctx, 2 * s.head_dim);
    for (int64_t b = 0; b < s.batch; b++) {
        for (int64_t h = 0; h < s.heads; h++)
            backward_q(dqkv, &in, b, h, sum);
        for (int64_t kv = 0; kv < s.kv_heads; kv++)
            for (int64_t j = 0; j < s.seq; j++)
                backward_kv(dqkv, &in, b, kv, j, sum);
    }
    s.position = 0;
    rotate_all(dqkv, rope, s, -1);
}

void REF(ref_attention_cached)(struct slt_ctx *ctx, struct slt_act o, struct slt_act qkv,
                               struct slt_act cache, struct slt_tensor rope, struct slt_attention s)
{
    const int64_t hd = s.head_dim, kv_features = s.kv_heads * hd;
    double *out = ref_work(ctx, hd); // (hd)
    assert(s.position + qkv.tokens <= cache.tokens);
    s.seq = qkv.tokens;
    rotate_all(qkv, rope, s, 1);
    for (int64_t t = 0; t < qkv.tokens; t++)
        for (int64_t f = 0; f < 2 * kv_features; f++)
            *ref_at(cache, s.position + t, f) = *ref_at(qkv, t, s.heads * hd + f);
    for (int64_t h = 0; h < s.heads; h++) {
        const int64_t kv = h / (s.heads / s.kv_heads);
        for (int64_t i = 0; i < qkv.tokens; i++)
            attend(head_of(o, 0, h, hd), head_of(qkv, 0, h, hd), i, head_of(cache, 0, kv, hd),
                   head_of(cache, 0, s.kv_heads + kv, hd), s.position + i + 1, out);
    }
}
