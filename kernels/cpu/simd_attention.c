// Causal attention with rotary positions, tiled so that no L x L matrix is kept (Dao et al.,
// FlashAttention, 2022).
//
// A job is one sequence and one key-value head with all query heads that read it, so that every
// output is computed whole by one thread. Tiles of 64 queries and 64 keys are copied into
// (head_dim, 64) arrays, zero behind the sequence's end. Scores are kept as S^T (key, query): the
// softmax then runs over rows, without sums across a vector. All products have one form, see
// multiply.
//
// Backward recomputes P from lse. With D = sum dO O over features, and tiles as they lie in memory:
//   dP = V^T dO, dS = P (dP - D)
//   dV += dO P, dQ += K dS, dK += Q dS^T, where for dV and dK P and dS are transposed first.
#include <math.h>
#include <omp.h>

#include "kernels/cpu/product.h"
#include "kernels/cpu/simd_math.h"
#include "kernels/cpu/simd_ops.h"

#define TILE CPU_TILE
#define DIM  CPU_HEAD_DIM_MAX
// Vectors of a row that the product keeps in registers, for 4 rows.
#define NV (VB == 64 ? 4 : 2)

// One thread's tiles in the workspace: (head_dim, 64) of features, (64, 64) of scores.
// CPU_TILES_BYTES is its size.
struct tiles {
    float q[DIM * TILE], k[DIM * TILE], v[DIM * TILE], o[DIM * TILE];
    float dk[DIM * TILE], dv[DIM * TILE], dq[DIM * TILE];
    float p[TILE * TILE], ds[TILE * TILE], turned[TILE * TILE];
    float max[TILE], sum[TILE], lse[TILE], delta[TILE];
};

_Static_assert(sizeof(struct tiles) == CPU_TILES_BYTES, "the workspace is asked for by this size");

struct shape {
    int64_t ld, seq, dim, rows; // rows: dim rounded up to 4
    float scale;                // of scores
};

// c (m, 64) += or = a (m, k) b (k, 64), element (i, j) of a at i*am + j*ak. m is a multiple of 4.
static void multiply(float *c, const float *a, int64_t am, int64_t ak, const float *b, int64_t m,
                     int64_t k, bool add)
{
    for (int64_t i = 0; i < m; i += 4) {
        for (int64_t n = 0; n < TILE; n += NV * VL) {
            vf sum[4][NV];
            for (int r = 0; r < 4; r++)
                for (int x = 0; x < NV; x++)
                    sum[r][x] = add ? vf_load(c + (i + r) * TILE + n + x * VL) : vf_set(0);
            const float *row = b + n, *left = a + i * am;
            for (int64_t j = 0; j < k; j++, row += TILE, left += ak) {
                vf right[NV];
                for (int x = 0; x < NV; x++)
                    right[x] = vf_load(row + x * VL);
                for (int r = 0; r < 4; r++)
                    for (int x = 0; x < NV; x++)
                        sum[r][x] += left[r * am] * right[x];
            }
            for (int r = 0; r < 4; r++)
                for (int x = 0; x < NV; x++)
                    vf_store(c + (i + r) * TILE + n + x * VL, sum[r][x]);
        }
    }
}

// tile (rows, 64) = scale * positions [first, first + n) of x (dim, ld), zeros behind.
static void load_tile(float *tile, const float *x, const struct shape *s, int64_t first, int64_t n,
                      float scale)
{
    for (int64_t d = 0; d < s->dim; d++) {
        const float *from = x + d * s->ld + first;
        float *to = tile + d * TILE;
        if (n == TILE) {
            for (int64_t i = 0; i < TILE; i += VL)
                vf_store(to + i, scale * vf_load(from + i));
            continue;
        }
        for (int64_t i = 0; i < TILE; i++)
            to[i] = i < n ? scale * from[i] : 0;
    }
    memset(tile + s->dim * TILE, 0, (size_t)((s->rows - s->dim) * TILE) * sizeof *tile);
}

// Rotates rows i and i + dim/2 of every head by the position's angle; sign -1 rotates back. The
// rows of one sequence, x (heads * dim, ld).
static void rotate(float *x, int64_t ld, const float *rope, int64_t rope_ld, int64_t dim,
                   int64_t seq, float sign)
{
    const int64_t half = dim / 2;
    for (int64_t d = 0; d < half; d++) {
        float *restrict a = x + d * ld, *restrict b = x + (half + d) * ld;
        const float *cosine = rope + d * rope_ld, *sine = rope + (half + d) * rope_ld;
        for (int64_t i = 0; i < seq; i++) {
            const float first = a[i], second = b[i], si = sign * sine[i];
            a[i] = first * cosine[i] - second * si;
            b[i] = second * cosine[i] + first * si;
        }
    }
}

// The first token of each sequence is at a->position.
static void rotate_heads(struct slt_ctx *ctx, float *x, int64_t ld, struct slt_tensor rope,
                         const struct slt_attention *a, float sign)
{
    const float *angles = cpu_tensor(rope) + a->position;
    const int64_t heads = a->heads + a->kv_heads;
    const bool much = a->batch * a->seq * heads * a->head_dim > 1 << 13;
#pragma omp parallel for schedule(static) num_threads(ctx->threads) if (much)
    for (int64_t job = 0; job < a->batch * heads; job++)
        rotate(x + job % heads * a->head_dim * ld + job / heads * a->seq, ld, angles, rope.ld,
               a->head_dim, a->seq, sign);
}

// ---- Forward ----

// Scores beyond the diagonal of a tile whose queries start at i0 and keys at j0.
static void mask(float *p, int64_t i0, int64_t j0)
{
    for (int64_t j = 0; j < TILE; j++)
        for (int64_t i = 0; i < TILE && i0 + i < j0 + j; i++)
            p[j * TILE + i] = -INFINITY;
}

// One more tile of keys: p becomes exp(p - max), and o, sum and max follow.
static void online_softmax(struct tiles *t, const struct shape *s)
{
    for (int64_t i = 0; i < TILE; i += VL) {
        const vf old = vf_load(t->max + i);
        vf top = old, sum = vf_set(0);
        for (int64_t j = 0; j < TILE; j++)
            top = vf_max(vf_load(t->p + j * TILE + i), top);
        for (int64_t j = 0; j < TILE; j++) {
            const vf e = vf_exp(vf_load(t->p + j * TILE + i) - top);
            vf_store(t->p + j * TILE + i, e);
            sum += e;
        }
        const vf shrink = vf_exp(old - top);
        for (int64_t d = 0; d < s->rows; d++)
            vf_store(t->o + d * TILE + i, vf_load(t->o + d * TILE + i) * shrink);
        vf_store(t->sum + i, vf_load(t->sum + i) * shrink + sum);
        vf_store(t->max + i, top);
    }
}

// Queries [i0, i0 + 64) of one head of one sequence; q, k, v, o and lse point at its first token.
static void forward_tile(struct tiles *t, const struct shape *s, float *o, float *lse,
                         const float *q, const float *k, const float *v, int64_t i0)
{
    const int64_t n = min64(TILE, s->seq - i0);
    load_tile(t->q, q, s, i0, n, s->scale);
    for (int64_t i = 0; i < s->rows * TILE; i++)
        t->o[i] = 0;
    for (int64_t i = 0; i < TILE; i++) {
        t->max[i] = -1e30f;
        t->sum[i] = 0;
    }
    for (int64_t j0 = 0; j0 <= i0; j0 += TILE) {
        const int64_t keys = min64(TILE, s->seq - j0);
        load_tile(t->k, k, s, j0, keys, 1);
        load_tile(t->v, v, s, j0, keys, 1);
        multiply(t->p, t->k, 1, TILE, t->q, TILE, s->rows, false);
        if (j0 == i0)
            mask(t->p, i0, j0);
        online_softmax(t, s);
        multiply(t->o, t->v, TILE, 1, t->p, s->rows, TILE, true);
    }
    for (int64_t i = 0; i < n; i++) {
        lse[i0 + i] = t->max[i] + logf(t->sum[i]);
        t->sum[i] = 1 / t->sum[i];
    }
    for (int64_t d = 0; d < s->dim; d++)
        for (int64_t i = 0; i < n; i++)
            o[d * s->ld + i0 + i] = t->o[d * TILE + i] * t->sum[i];
}

static struct shape shape_of(const struct slt_attention *a, int64_t ld)
{
    return (struct shape){ld, a->seq, a->head_dim, (a->head_dim + 3) / 4 * 4,
                          (float)(1 / sqrt((double)a->head_dim))};
}

void SIMD(cpu_attention_forward)(struct slt_ctx *ctx, struct slt_act o, struct slt_tensor lse,
                                 struct slt_act qkv, struct slt_tensor rope, struct slt_attention a)
{
    const int64_t ld = cpu_act_ld(qkv.tokens), dim = a.head_dim, group = a.heads / a.kv_heads;
    const struct shape s = shape_of(&a, ld);
    const int64_t tiles = (a.seq + TILE - 1) / TILE;
    float *in = cpu_act(qkv), *out = cpu_act(o), *log_sum = cpu_tensor(lse);
    a.position = 0;
    rotate_heads(ctx, in, ld, rope, &a, 1);
#pragma omp parallel for schedule(static) num_threads(ctx->threads)
    for (int64_t job = 0; job < a.batch * a.heads; job++) {
        struct tiles *t = (struct tiles *)ctx->work + omp_get_thread_num();
        const int64_t h = job % a.heads, start = job / a.heads * a.seq;
        const float *k = in + (a.heads + h / group) * dim * ld + start;
        for (int64_t i = 0; i < tiles; i++)
            forward_tile(t, &s, out + h * dim * ld + start, log_sum + h * lse.ld + start,
                         in + h * dim * ld + start, k, k + a.kv_heads * dim * ld, i * TILE);
    }
}

// ---- Backward ----

// One sequence and one of its query heads; pointers at the first token.
struct head {
    const float *q, *k, *v, *o, *dout, *lse;
    float *dq;
};

static void turn(float *to, const float *from)
{
    SIMD(cpu_linear_kernels).transpose(to, TILE, 0, from, TILE, TILE, TILE);
}

// delta (64) = sum over features of dO O; lse (64), large behind the end so that P is zero there.
static void load_sums(struct tiles *t, const struct shape *s, const struct head *h, int64_t i0,
                      int64_t n)
{
    for (int64_t i = 0; i < TILE; i++) {
        t->delta[i] = 0;
        t->lse[i] = i < n ? h->lse[i0 + i] : 1e30f;
    }
    for (int64_t d = 0; d < s->dim; d++)
        for (int64_t i = 0; i < n; i++)
            t->delta[i] += h->o[d * s->ld + i0 + i] * h->dout[d * s->ld + i0 + i];
}

// The tile of queries at i0 against that of keys at j0, whose k and v are loaded: adds to dk, dv
// and dq.
static void backward_tile(struct tiles *t, const struct shape *s, const struct head *h, int64_t i0,
                          int64_t j0)
{
    const int64_t n = min64(TILE, s->seq - i0);
    load_tile(t->q, h->q, s, i0, n, s->scale);
    load_tile(t->o, h->dout, s, i0, n, 1);
    load_sums(t, s, h, i0, n);
    multiply(t->p, t->k, 1, TILE, t->q, TILE, s->rows, false);
    if (i0 == j0)
        mask(t->p, i0, j0);
    multiply(t->ds, t->v, 1, TILE, t->o, TILE, s->rows, false);
    for (int64_t j = 0; j < TILE; j++) {
        for (int64_t i = j * TILE; i < (j + 1) * TILE; i += VL) {
            const int64_t query = i - j * TILE;
            const vf p = vf_exp(vf_load(t->p + i) - vf_load(t->lse + query));
            vf_store(t->p + i, p);
            vf_store(t->ds + i, p * (vf_load(t->ds + i) - vf_load(t->delta + query)));
        }
    }
    turn(t->turned, t->p);
    multiply(t->dv, t->o, TILE, 1, t->turned, s->rows, TILE, true);
    turn(t->turned, t->ds);
    multiply(t->dk, t->q, TILE, 1, t->turned, s->rows, TILE, true);
    multiply(t->dq, t->k, TILE, 1, t->ds, s->rows, TILE, false);
    for (int64_t d = 0; d < s->dim; d++)
        for (int64_t i = 0; i < n; i++)
            h->dq[d * s->ld + i0 + i] += s->scale * t->dq[d * TILE + i];
}

static void store_tile(float *x, const float *tile, const struct shape *s, int64_t first, int64_t n)
{
    for (int64_t d = 0; d < s->dim; d++)
        for (int64_t i = 0; i < n; i++)
            x[d * s->ld + first + i] = tile[d * TILE + i];
}

// All query heads (count) that read one key-value head of one sequence. heads differ by dim rows.
static void backward_job(struct tiles *t, const struct shape *s, struct head h, int64_t count,
                         int64_t lse_ld, float *dk, float *dv)
{
    const int64_t rows = s->dim * s->ld;
    for (int64_t d = 0; d < count * s->dim; d++)
        for (int64_t i = 0; i < s->seq; i++)
            h.dq[d * s->ld + i] = 0;
    for (int64_t j0 = 0; j0 < s->seq; j0 += TILE) {
        const int64_t keys = min64(TILE, s->seq - j0);
        load_tile(t->k, h.k, s, j0, keys, 1);
        load_tile(t->v, h.v, s, j0, keys, 1);
        for (int64_t i = 0; i < s->rows * TILE; i++)
            t->dk[i] = t->dv[i] = 0;
        for (int64_t x = 0; x < count; x++) {
            const struct head one = {
                h.q + x * rows, h.k, h.v, h.o + x * rows, h.dout + x * rows, h.lse + x * lse_ld,
                h.dq + x * rows};
            for (int64_t i0 = j0; i0 < s->seq; i0 += TILE)
                backward_tile(t, s, &one, i0, j0);
        }
        store_tile(dk, t->dk, s, j0, keys);
        store_tile(dv, t->dv, s, j0, keys);
    }
}

void SIMD(cpu_attention_backward)(struct slt_ctx *ctx, struct slt_act dqkv, struct slt_act do_,
                                  struct slt_act qkv, struct slt_act o, struct slt_tensor lse,
                                  struct slt_tensor rope, struct slt_attention a)
{
    const int64_t ld = cpu_act_ld(qkv.tokens), dim = a.head_dim, group = a.heads / a.kv_heads;
    const struct shape s = shape_of(&a, ld);
    const float *in = cpu_act(qkv), *out = cpu_act(o), *dout = cpu_act(do_);
    float *din = cpu_act(dqkv);
    a.position = 0;
#pragma omp parallel for schedule(static) num_threads(ctx->threads)
    for (int64_t job = 0; job < a.batch * a.kv_heads; job++) {
        struct tiles *t = (struct tiles *)ctx->work + omp_get_thread_num();
        const int64_t kv = job % a.kv_heads, first = kv * group, start = job / a.kv_heads * a.seq;
        const int64_t q_at = first * dim * ld + start, k_at = (a.heads + kv) * dim * ld + start;
        const int64_t v_at = k_at + a.kv_heads * dim * ld;
        const struct head h = {in + q_at,  in + k_at,   in + v_at,
                               out + q_at, dout + q_at, cpu_tensor(lse) + first * lse.ld + start,
                               din + q_at};
        backward_job(t, &s, h, group, lse.ld, din + k_at, din + v_at);
    }
    rotate_heads(ctx, din, ld, rope, &a, -1);
}

// ---- With a cache ----

#define CACHED_VECTORS 4 // sums that need not wait for each other

// p = scale q K of the positions [j, count), a block of so many vectors after the other while they
// are whole, or of one vector at a time to the end; top becomes the largest of each lane. Returns
// the position after them. vectors is a constant wherever this is inlined.
ALWAYS_INLINE int64_t scores_block(float *p, vf *top, const float *q, int64_t q_ld, const float *k,
                                   int64_t ld, int64_t dim, int64_t j, int64_t count,
                                   const int vectors)
{
    const float scale = (float)(1 / sqrt((double)dim));
    for (; vectors == 1 ? j < count : j + vectors * VL <= count; j += vectors * VL) {
        vf s[CACHED_VECTORS] = {{0}};
        for (int64_t d = 0; d < dim; d++)
            for (int v = 0; v < vectors; v++)
                s[v] += q[d * q_ld] * vf_load(k + d * ld + j + v * VL);
        for (int v = 0; v < vectors; v++)
            vf_store(p + j + v * VL, s[v] * scale);
        for (int64_t x = count; x < j + vectors * VL; x++)
            p[x] = -INFINITY;
        for (int v = 0; v < vectors; v++)
            *top = vf_max(vf_load(p + j + v * VL), *top);
    }
    return j;
}

// p (count rounded up to a vector) = exp(scale q K - max), K (dim, ld), q's features q_ld apart;
// returns the sum of p.
static float cached_scores(float *p, const float *q, int64_t q_ld, const float *k, int64_t ld,
                           int64_t dim, int64_t count)
{
    vf top = vf_set(-INFINITY), sum = vf_set(0);
    const int64_t whole = scores_block(p, &top, q, q_ld, k, ld, dim, 0, count, CACHED_VECTORS);
    scores_block(p, &top, q, q_ld, k, ld, dim, whole, count, 1);
    float max = top[0];
    for (int i = 1; i < VL; i++)
        max = top[i] > max ? top[i] : max;
    for (int64_t j = 0; j < count; j += VL) {
        const vf e = vf_exp(vf_load(p + j) - max);
        vf_store(p + j, e);
        sum += e;
    }
    return vf_sum(sum);
}

// sum (rows) = vectors whose elements add up to V p of the first rows of V (rows, ld). rows is a
// constant wherever this is inlined.
ALWAYS_INLINE void weighted_rows(vf *sum, const float *v, int64_t ld, const float *p, int64_t count,
                                 const int rows)
{
    vf even[CACHED_VECTORS] = {{0}}, odd[CACHED_VECTORS] = {{0}};
    int64_t j = 0;
    for (; j + 2 * VL <= count; j += 2 * VL)
        for (int r = 0; r < rows; r++) {
            even[r] += vf_load(p + j) * vf_load(v + r * ld + j);
            odd[r] += vf_load(p + j + VL) * vf_load(v + r * ld + j + VL);
        }
    for (; j < count; j += VL)
        for (int r = 0; r < rows; r++)
            even[r] += vf_load(p + j) * vf_load(v + r * ld + j);
    for (int r = 0; r < rows; r++)
        sum[r] = even[r] + odd[r];
}

// out (dim), features out_ld apart, = factor V p.
static void weighted_values(float *out, int64_t out_ld, float factor, const float *v, int64_t ld,
                            const float *p, int64_t dim, int64_t count)
{
    for (int64_t first = 0; first < dim; first += VL) {
        const int64_t n = dim - first < VL ? dim - first : VL;
        vf sum[VL] = {{0}};
        float all[VL];
        int64_t r = 0;
        for (; r + CACHED_VECTORS <= n; r += CACHED_VECTORS)
            weighted_rows(sum + r, v + (first + r) * ld, ld, p, count, CACHED_VECTORS);
        for (; r < n; r++)
            weighted_rows(sum + r, v + (first + r) * ld, ld, p, count, 1);
        vf_store(all, vf_sum_each(sum));
        for (r = 0; r < n; r++)
            out[(first + r) * out_ld] = factor * all[r];
    }
}

// Zeroes what a vector reads of the cache behind its last position: 0 * NaN is NaN.
static void clear_behind(float *row, int64_t count)
{
    for (int64_t j = count; j % VL != 0; j++)
        row[j] = 0;
}

void SIMD(cpu_attention_cached)(struct slt_ctx *ctx, struct slt_act o, struct slt_act qkv,
                                struct slt_act cache, struct slt_tensor rope,
                                struct slt_attention a)
{
    if (cache.tokens == 1) {
        ref_attention_cached(ctx, o, qkv, cache, rope, a);
        return;
    }
    const int64_t t = qkv.tokens, x_ld = cpu_act_ld(t), ld = cpu_act_ld(cache.tokens);
    const int64_t dim = a.head_dim, group = a.heads / a.kv_heads, kv_rows = a.kv_heads * dim;
    float *in = cpu_act(qkv), *out = cpu_act(o), *kept = cpu_act(cache);
    assert(a.position + t <= cache.tokens);
    assert(ctx->work_bytes >= (uint64_t)(ctx->threads * ld) * sizeof(float));
    a.batch = 1;
    a.seq = t;
    rotate_heads(ctx, in, x_ld, rope, &a, 1);
#pragma omp parallel num_threads(ctx->threads) if (t * a.heads * dim * (a.position + t) > 1 << 16)
    {
#pragma omp for schedule(static)
        for (int64_t f = 0; f < 2 * kv_rows; f++) {
            memcpy(kept + f * ld + a.position, in + (a.heads * dim + f) * x_ld,
                   (size_t)t * sizeof *kept);
            clear_behind(kept + f * ld, a.position + t);
        }
#pragma omp for schedule(static)
        for (int64_t job = 0; job < a.heads * t; job++) {
            float *p = (float *)ctx->work + omp_get_thread_num() * ld;
            const int64_t h = job / t, i = job % t, count = a.position + i + 1;
            const float *k = kept + h / group * dim * ld, *v = k + kv_rows * ld;
            const float sum = cached_scores(p, in + h * dim * x_ld + i, x_ld, k, ld, dim, count);
            weighted_values(out + h * dim * x_ld + i, x_ld, 1 / sum, v, ld, p, dim, count);
        }
    }
}
