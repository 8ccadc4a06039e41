// Causal attention with rotate-half RoPE. Tensor cores (attention_mma.cu) do what they can; the
// kernels here do the rest: F32, and heads that do not fit. A thread owns a query (or, for dk and
// dv, a key) and keeps its row in registers; the block walks the other side in tiles of shared
// memory, so that no L x L matrix exists and no sum has two owners.
//
// Bytes moved: each tile of TILE keys and values is read once by a block of QUERIES queries.
#include "kernels/cuda/attention.h"

#define QUERIES 64 // threads of a block, each with a row
#define TILE    16 // rows of the other side in shared memory

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
        float a[N], b[N];
        cuda_load<N>(a, row);
        cuda_load<N>(b, row + half);
#pragma unroll
        for (int k = 0; k < N; k++) {
            const float sine = r.sign * s[k], turned = a[k] * c[k] - b[k] * sine;
            b[k] = b[k] * c[k] + a[k] * sine;
            a[k] = turned;
        }
        cuda_store<N>(row, a);
        cuda_store<N>(row + half, b);
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

// ---- Tiles ----

// Copies rows [first, first + TILE) of a head into tile, zeros beyond the last.
template <int DIM, class T>
static __device__ void load_tile(float (*tile)[DIM], struct cuda_rows<T> r, int64_t sequence,
                                 int64_t rows, int64_t first, int64_t head, int dim)
{
    const T *at = cuda_head(r, sequence, rows, head, dim);
    for (int k = threadIdx.x; k < TILE * DIM; k += blockDim.x) {
        const int i = k / DIM, f = k % DIM;
        tile[i][f] = first + i < rows && f < dim ? cuda_value(at[(first + i) * r.ld + f]) : 0;
    }
}

template <int DIM, class T>
static __device__ void load_row(float *to, struct cuda_rows<T> r, int64_t sequence, int64_t rows,
                                int64_t i, int64_t head, int dim)
{
    const T *from = cuda_head(r, sequence, rows, head, dim) + i * r.ld;
#pragma unroll
    for (int f = 0; f < DIM; f++)
        to[f] = f < dim ? cuda_value(from[f]) : 0;
}

template <int DIM> static __device__ float dot_row(const float *a, const float *b)
{
    float sum = 0;
#pragma unroll
    for (int f = 0; f < DIM; f++)
        sum += a[f] * b[f];
    return sum;
}

template <int DIM, class T>
static __device__ void store_row(T *to, const float *from, float scale, int dim)
{
#pragma unroll
    for (int f = 0; f < DIM; f++)
        if (f < dim)
            cuda_set(&to[f], from[f] * scale);
}

// ---- Forward ----

// Grid: tiles of queries, heads, sequences. lse may be NULL.
template <int DIM, class T> static __global__ void attend(CUDA_ARGUMENT struct cuda_forward<T> a)
{
    const struct cuda_attention &s = a.shape;
    __shared__ float key[TILE][DIM], value[TILE][DIM];
    const int64_t i = (int64_t)blockIdx.x * QUERIES + threadIdx.x, b = blockIdx.z;
    const int h = blockIdx.y, kv = h / (s.heads / s.kv_heads);
    const bool mine = i < s.seq;
    float row[DIM], out[DIM], most = -INFINITY, sum = 0;
    load_row<DIM>(row, a.q, b, s.seq, mine ? i : 0, h, s.dim);
    for (int f = 0; f < DIM; f++)
        out[f] = 0;
    const int64_t last_query = (int64_t)(blockIdx.x + 1) * QUERIES - 1;
    for (int64_t first = 0; first <= last_query + s.offset && first < s.keys; first += TILE) {
        __syncthreads();
        load_tile<DIM>(key, a.k, b, s.keys, first, kv, s.dim);
        load_tile<DIM>(value, a.v, b, s.keys, first, kv, s.dim);
        __syncthreads();
        for (int j = 0; mine && j < TILE && first + j <= i + s.offset && first + j < s.keys; j++) {
            const float score = dot_row<DIM>(row, key[j]) * s.scale;
            const float top = score > most ? score : most, old = expf(most - top);
            const float p = expf(score - top);
            sum = sum * old + p;
            for (int f = 0; f < DIM; f++)
                out[f] = out[f] * old + p * value[j][f];
            most = top;
        }
    }
    if (!mine)
        return;
    store_row<DIM>(a.o.base + (b * s.seq + i) * a.o.ld + h * s.dim, out, 1 / sum, s.dim);
    if (a.lse != NULL)
        a.lse[h * a.lse_ld + b * s.seq + i] = most + logf(sum);
}

// ---- Backward ----

// dq: a thread for each query. dS = P (do v - do o) scale.
template <int DIM, class T>
static __global__ void attend_backward_q(CUDA_ARGUMENT struct cuda_gradients<T> g)
{
    const struct cuda_attention &s = g.shape;
    __shared__ float key[TILE][DIM], value[TILE][DIM];
    const int64_t i = (int64_t)blockIdx.x * QUERIES + threadIdx.x, b = blockIdx.z;
    const int h = blockIdx.y, kv = h / (s.heads / s.kv_heads);
    const bool mine = i < s.seq;
    float row[DIM], grad[DIM], sum[DIM];
    load_row<DIM>(sum, g.o, b, s.seq, mine ? i : 0, h, s.dim);
    load_row<DIM>(grad, g.do_, b, s.seq, mine ? i : 0, h, s.dim);
    load_row<DIM>(row, g.q, b, s.seq, mine ? i : 0, h, s.dim);
    const float base = dot_row<DIM>(sum, grad),
                log_sum = mine ? g.lse[h * g.lse_ld + b * s.seq + i] : 0;
    for (int f = 0; f < DIM; f++)
        sum[f] = 0;
    const int64_t last_query = (int64_t)(blockIdx.x + 1) * QUERIES - 1;
    for (int64_t first = 0; first <= last_query && first < s.keys; first += TILE) {
        __syncthreads();
        load_tile<DIM>(key, g.k, b, s.keys, first, kv, s.dim);
        load_tile<DIM>(value, g.v, b, s.keys, first, kv, s.dim);
        __syncthreads();
        for (int j = 0; mine && j < TILE && first + j <= i; j++) {
            const float p = expf(dot_row<DIM>(row, key[j]) * s.scale - log_sum);
            const float ds = p * (dot_row<DIM>(grad, value[j]) - base) * s.scale;
            for (int f = 0; f < DIM; f++)
                sum[f] += ds * key[j][f];
        }
    }
    if (mine)
        store_row<DIM>(g.dq.base + (b * s.seq + i) * g.dq.ld + h * s.dim, sum, 1, s.dim);
}

// dk and dv: a thread for each key, over the query heads that read it.
template <int DIM, class T>
static __global__ void attend_backward_kv(CUDA_ARGUMENT struct cuda_gradients<T> g)
{
    const struct cuda_attention &s = g.shape;
    __shared__ float query[TILE][DIM], grad[TILE][DIM], base[TILE], log_sum[TILE];
    const int64_t j = (int64_t)blockIdx.x * QUERIES + threadIdx.x, b = blockIdx.z;
    const int kv = blockIdx.y, readers = s.heads / s.kv_heads;
    const bool mine = j < s.seq;
    float key[DIM], value[DIM], sum_k[DIM], sum_v[DIM];
    load_row<DIM>(key, g.k, b, s.seq, mine ? j : 0, kv, s.dim);
    load_row<DIM>(value, g.v, b, s.seq, mine ? j : 0, kv, s.dim);
    for (int f = 0; f < DIM; f++)
        sum_k[f] = sum_v[f] = 0;
    const int64_t start = (int64_t)blockIdx.x * QUERIES / TILE * TILE;
    for (int h = kv * readers; h < (kv + 1) * readers; h++) {
        for (int64_t first = start; first < s.seq; first += TILE) {
            __syncthreads();
            load_tile<DIM>(query, g.q, b, s.seq, first, h, s.dim);
            load_tile<DIM>(grad, g.do_, b, s.seq, first, h, s.dim);
            __syncthreads();
            if (threadIdx.x < TILE && first + threadIdx.x < s.seq) {
                const T *out = cuda_head(g.o, b, s.seq, h, s.dim) + (first + threadIdx.x) * g.o.ld;
                float sum = 0;
                for (int f = 0; f < s.dim; f++)
                    sum += cuda_value(out[f]) * grad[threadIdx.x][f];
                base[threadIdx.x] = sum;
                log_sum[threadIdx.x] = g.lse[h * g.lse_ld + b * s.seq + first + threadIdx.x];
            }
            __syncthreads();
            for (int i = 0; mine && i < TILE && first + i < s.seq; i++) {
                if (first + i < j)
                    continue;
                const float p = expf(dot_row<DIM>(key, query[i]) * s.scale - log_sum[i]);
                const float ds = p * (dot_row<DIM>(value, grad[i]) - base[i]) * s.scale;
                for (int f = 0; f < DIM; f++) {
                    sum_k[f] += ds * query[i][f];
                    sum_v[f] += p * grad[i][f];
                }
            }
        }
    }
    if (!mine)
        return;
    store_row<DIM>(g.dk.base + (b * s.seq + j) * g.dk.ld + kv * s.dim, sum_k, 1, s.dim);
    store_row<DIM>(g.dv.base + (b * s.seq + j) * g.dv.ld + kv * s.dim, sum_v, 1, s.dim);
}

// ---- Launchers ----

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

// Calls f with the smallest compiled width that holds a head.
#define WITH_DIM(dim, f, ...)                                                                      \
    do {                                                                                           \
        if ((dim) <= 32)                                                                           \
            f<32, T>(__VA_ARGS__);                                                                 \
        else if ((dim) <= 64)                                                                      \
            f<64, T>(__VA_ARGS__);                                                                 \
        else if ((dim) <= 128)                                                                     \
            f<128, T>(__VA_ARGS__);                                                                \
        else                                                                                       \
            f<256, T>(__VA_ARGS__);                                                                \
    } while (0)

template <int DIM, class T>
static void forward(struct slt_ctx *ctx, const struct cuda_forward<T> &a, int64_t batch)
{
    const dim3 grid((unsigned)cuda_blocks(a.shape.seq, QUERIES), (unsigned)a.shape.heads,
                    (unsigned)batch);
    SLT_LAUNCH(ctx, (attend<DIM, T>), grid, QUERIES, a);
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
    WITH_DIM(a.shape.dim, forward, ctx, a, batch);
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

template <int DIM, class T>
static void backward(struct slt_ctx *ctx, const struct cuda_gradients<T> &g, int64_t batch)
{
    const struct cuda_attention s = g.shape;
    const unsigned tiles = (unsigned)cuda_blocks(s.seq, QUERIES);
    SLT_LAUNCH(ctx, (attend_backward_q<DIM, T>), dim3(tiles, (unsigned)s.heads, (unsigned)batch),
               QUERIES, g);
    SLT_LAUNCH(ctx, (attend_backward_kv<DIM, T>),
               dim3(tiles, (unsigned)s.kv_heads, (unsigned)batch), QUERIES, g);
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
    WITH_DIM(g.shape.dim, backward, ctx, g, batch);
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
    forward_best(ctx, f, 1, has_tiles(qkv, o, a) && cache.first % 8 == 0);
}

void cuda_attention_cached(struct slt_ctx *ctx, struct slt_act o, struct slt_act qkv,
                           struct slt_act cache, struct slt_tensor rope, struct slt_attention a)
{
    a.seq = qkv.tokens;
    CUDA_TYPED(qkv.dtype, cached_rows, ctx, o, qkv, cache, rope, a);
}
