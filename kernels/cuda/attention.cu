// Causal attention with rotate-half RoPE: what turns q and k, and which kernels do the rest: those
// on tensor cores (attention_mma.cu), where they can; those for F32 and other heads
// (attention_rows.cu); those for a few new tokens of generation (attention_few.cu).
#include "kernels/cuda/attention.h"

// ---- Rotation ----

struct rotation {
    const float *rope; // (dim, positions)
    int64_t positions;
    int64_t seq, first; // of each sequence: its tokens, the position of the first one
    int heads, dim;     // of q and k
    float sign;         // -1 turns back
};

// A pass over q and k, for kernels that do not turn them as they load them, and for the cache,
// which keeps k turned. A block for each ROTATED tokens: their angles go through shared memory,
// since the table has the positions of a feature next to each other and a token wants its features.
// A thread turns N neighbours of both halves of a head at once.
//
// Bytes moved: q and k are read and written once: of a layer of 350m with 16,384 tokens in BF16
// 134 MB, 40 us at 3.35 TB/s, 28 at 4.8.
#define ROTATED 32

template <class T, int N>
static __global__ void rotate_rows(struct cuda_rows<T> x, CUDA_ARGUMENT struct rotation r,
                                   int64_t tokens)
{
    __shared__ __align__(16) float angle[ROTATED * (CUDA_HEAD_DIM_MAX + 4)];
    const int64_t first = (int64_t)blockIdx.x * ROTATED;
    const int here = tokens - first < ROTATED ? (int)(tokens - first) : ROTATED;
    const int half = r.dim / 2, ld = r.dim + 4, packs = half / N;
    for (int i = threadIdx.x; i < ROTATED * r.dim; i += blockDim.x) {
        const int t = i % ROTATED, f = i / ROTATED;
        if (t < here)
            angle[t * ld + f] = r.rope[f * r.positions + r.first + (first + t) % r.seq];
    }
    __syncthreads();
    for (int i = threadIdx.x; i < here * r.heads * packs; i += blockDim.x) {
        const int f = i % packs * N, h = i / packs % r.heads, t = i / packs / r.heads;
        const float *c = &angle[t * ld + f], *s = c + half;
        T *row = x.base + (first + t) * x.ld + h * r.dim + f;
        cuda_turn_pack<N>(row, row + half, c, s, 1, r.sign);
    }
}

template <class T>
static void rotate(struct slt_ctx *ctx, struct slt_act x, struct slt_tensor rope,
                   struct slt_attention a, float sign)
{
    const cuda_rows<T> rows = {cuda_act<T>(x), cuda_ld(x)};
    const struct rotation r = {cuda_tensor(rope),           rope.ld,         a.seq, a.position,
                               (int)(a.heads + a.kv_heads), (int)a.head_dim, sign};
    const unsigned blocks = (unsigned)cuda_blocks(x.tokens, ROTATED);
    constexpr int N = 16 / sizeof(T);
    if (cuda_aligned<T>(a.head_dim / 2, rows.base))
        SLT_LAUNCH(ctx, (rotate_rows<T, N>), blocks, CUDA_BLOCK, rows, r, x.tokens);
    else
        SLT_LAUNCH(ctx, (rotate_rows<T, 1>), blocks, CUDA_BLOCK, rows, r, x.tokens);
}

// ---- Training ----

// Of queries that stand behind so many keys of before.
static struct cuda_attention shape_of(struct slt_attention a, int64_t before)
{
    struct cuda_attention s = {a.seq,
                               before + a.seq,
                               before,
                               (int)a.heads,
                               (int)a.kv_heads,
                               (int)a.head_dim,
                               1 / sqrtf((float)a.head_dim)};
    return s;
}

// Rows of the heads from number head on.
template <class T> static cuda_rows<T> heads_from(struct slt_act x, int64_t head, int64_t dim)
{
    const cuda_rows<T> r = {cuda_act<T>(x) + head * dim, cuda_ld(x)};
    return r;
}

// On tensor cores if they can do it, which they cannot of floats.
template <class T>
static void forward_best(struct slt_ctx *ctx, const struct cuda_forward<T> &a, int64_t batch,
                         bool has_tiles)
{
    if constexpr (sizeof(T) == sizeof(bf16)) {
        if (has_tiles) {
            cuda_attention_tiles(ctx, a, batch);
            return;
        }
    }
    cuda_attention_rows(ctx, a, batch);
}

// Tensor cores read and write 16 bytes at a time: BF16, heads of a multiple of 8 features. Their
// kernels count the tokens of a sequence in 32 bits.
static bool has_tiles(struct slt_act qkv, struct slt_act o, struct slt_attention a)
{
    return qkv.dtype == SLT_BF16 && a.head_dim % 8 == 0 && a.head_dim <= 128 &&
           qkv.first % 8 == 0 && o.first % 8 == 0 && a.position + a.seq <= INT32_MAX / 2;
}

// Whether the kernels on tensor cores turn q and k as they load them, and dq and dk back before
// they store them, so that qkv keeps what the linear wrote. Of a layer of 350m with 16,384 tokens:
//
// The passes over q, k, dq and dk cost 268 MB, 80 us at 3.35 TB/s. Inside, only the table is read
// besides, 256 bytes a position, from caches. Turning 64 rows of 64 takes four schedulers about 150
// cycles (4096 values to convert and to round, 8192 multiply-adds, 4096 angles, 16-byte accesses of
// shared memory), 2.6 us for all of q or of k on 132 multiprocessors. Forward turns each q once and
// each k for every tile of 128 queries that sees it, r = (L / 128 + 1) / 2 times; backward q, k,
// dq, dk once, k r times, q r times: (5 + 3 r) 2.6 us. That is 25 us for L = 256, 33 for 512, 79
// for 2048, where it has eaten what it saved, and 142 for 4096. The estimate may be off by two: up
// to 512.
#define TURNED_INSIDE 512

static bool turns_inside(struct slt_act qkv, struct slt_act o, struct slt_attention a)
{
    return has_tiles(qkv, o, a) && a.head_dim % 16 == 0 && a.seq <= TURNED_INSIDE;
}

static struct cuda_rope rope_of(struct slt_tensor rope)
{
    const cuda_rope r = {cuda_tensor(rope), rope.ld};
    return r;
}

template <class T>
static void forward_rows(struct slt_ctx *ctx, struct slt_act o, struct slt_tensor lse,
                         struct slt_act qkv, struct slt_tensor rope, struct slt_attention a)
{
    const int64_t dim = a.head_dim;
    const bool inside = turns_inside(qkv, o, a);
    const cuda_forward<T> f = {heads_from<T>(o, 0, dim),
                               cuda_tensor(lse),
                               lse.ld,
                               heads_from<T>(qkv, 0, dim),
                               heads_from<T>(qkv, a.heads, dim),
                               heads_from<T>(qkv, a.heads + a.kv_heads, dim),
                               inside ? rope_of(rope) : cuda_rope{},
                               shape_of(a, 0)};
    if (!inside)
        rotate<T>(ctx, qkv, rope, a, 1);
    forward_best(ctx, f, a.batch, has_tiles(qkv, o, a));
}

void cuda_attention_forward(struct slt_ctx *ctx, struct slt_act o, struct slt_tensor lse,
                            struct slt_act qkv, struct slt_tensor rope, struct slt_attention a)
{
    a.position = 0;
    CUDA_TYPED(qkv.dtype, forward_rows, ctx, o, lse, qkv, rope, a);
}

template <class T>
static void backward_best(struct slt_ctx *ctx, const struct cuda_gradients<T> &g, int64_t batch,
                          bool has_tiles)
{
    if constexpr (sizeof(T) == sizeof(bf16)) {
        if (has_tiles) {
            cuda_attention_tiles_backward(ctx, g, batch);
            return;
        }
    }
    cuda_attention_rows_backward(ctx, g, batch);
}

template <class T>
static void backward_rows(struct slt_ctx *ctx, struct slt_act dqkv, struct slt_act do_,
                          struct slt_act qkv, struct slt_act o, struct slt_tensor lse,
                          struct slt_tensor rope, struct slt_attention a)
{
    const int64_t dim = a.head_dim, v_head = a.heads + a.kv_heads;
    const bool inside = turns_inside(qkv, o, a);
    const cuda_gradients<T> g = {heads_from<T>(dqkv, 0, dim),
                                 heads_from<T>(dqkv, a.heads, dim),
                                 heads_from<T>(dqkv, v_head, dim),
                                 heads_from<T>(qkv, 0, dim),
                                 heads_from<T>(qkv, a.heads, dim),
                                 heads_from<T>(qkv, v_head, dim),
                                 heads_from<T>(o, 0, dim),
                                 heads_from<T>(do_, 0, dim),
                                 cuda_tensor(lse),
                                 lse.ld,
                                 inside ? rope_of(rope) : cuda_rope{},
                                 shape_of(a, 0)};
    backward_best(ctx, g, a.batch, has_tiles(qkv, o, a));
    if (!inside)
        rotate<T>(ctx, dqkv, rope, a, -1);
}

void cuda_attention_backward(struct slt_ctx *ctx, struct slt_act dqkv, struct slt_act do_,
                             struct slt_act qkv, struct slt_act o, struct slt_tensor lse,
                             struct slt_tensor rope, struct slt_attention a)
{
    a.position = 0;
    CUDA_TYPED(qkv.dtype, backward_rows, ctx, dqkv, do_, qkv, o, lse, rope, a);
}

// ---- Generation ----

template <class T>
static void cached_rows(struct slt_ctx *ctx, struct slt_act o, struct slt_act qkv,
                        struct slt_act cache, struct slt_tensor rope, struct slt_attention a)
{
    const int64_t dim = a.head_dim, kv = a.kv_heads * dim;
    rotate<T>(ctx, qkv, rope, a, 1);
    cuda_check(ctx,
               cudaMemcpy2DAsync(cuda_act<T>(cache) + a.position * cuda_ld(cache),
                                 (size_t)cuda_ld(cache) * sizeof(T),
                                 cuda_act<T>(qkv) + a.heads * dim, (size_t)cuda_ld(qkv) * sizeof(T),
                                 (size_t)(2 * kv) * sizeof(T), (size_t)qkv.tokens,
                                 cudaMemcpyDeviceToDevice, ctx->stream),
               "filling the cache");
    const cuda_forward<T> f = {heads_from<T>(o, 0, dim),
                               NULL,
                               0,
                               heads_from<T>(qkv, 0, dim),
                               heads_from<T>(cache, 0, dim),
                               heads_from<T>(cache, a.kv_heads, dim),
                               cuda_rope{},
                               shape_of(a, a.position)};
    if (a.seq <= CUDA_ATTENTION_FEW)
        cuda_attention_few(ctx, f);
    else
        forward_best(ctx, f, 1, has_tiles(qkv, o, a) && cache.first % 8 == 0);
}

void cuda_attention_cached(struct slt_ctx *ctx, struct slt_act o, struct slt_act qkv,
                           struct slt_act cache, struct slt_tensor rope, struct slt_attention a)
{
    a.seq = qkv.tokens;
    CUDA_TYPED(qkv.dtype, cached_rows, ctx, o, qkv, cache, rope, a);
}

uint64_t cuda_attention_work_bytes(const struct slt_op_shape *s)
{
    const uint64_t sums = (uint64_t)(s->attention.heads * s->tokens) * sizeof(float);
    if (s->attention.position > 0)
        return cuda_attention_few_bytes(s->attention, s->tokens);
    return s->dtype == SLT_BF16 ? sums : 0;
}
