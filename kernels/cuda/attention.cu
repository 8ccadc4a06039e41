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

// A thread for each pair (f, f + half) of q and k heads of each token; sign -1 turns back.
template <class T>
static __global__ void rotate_pairs(struct cuda_rows<T> x, const float *rope, int64_t positions,
                                    int64_t seq, int64_t first, int heads, int dim, float sign,
                                    int64_t n)
{
    const int64_t i = cuda_index(), half = dim / 2;
    if (i >= n)
        return;
    const int64_t f = i % half, h = i / half % heads, t = i / half / heads;
    const int64_t position = first + t % seq;
    const float c = rope[f * positions + position];
    const float s = sign * rope[(half + f) * positions + position];
    T *row = x.base + t * x.ld + h * dim;
    const float a = cuda_value(row[f]), b = cuda_value(row[half + f]);
    cuda_set(&row[f], a * c - b * s);
    cuda_set(&row[half + f], b * c + a * s);
}

template <class T>
static void rotate(struct slt_ctx *ctx, struct slt_act x, struct slt_tensor rope,
                   struct slt_attention a, float sign)
{
    const struct cuda_rows<T> r = {
        cuda_act<T>(x), cuda_ld(x)
    };
    const int heads = (int)(a.heads + a.kv_heads);
    const int64_t n = x.tokens * heads * (a.head_dim / 2);
    SLT_LAUNCH_FLAT(ctx, rotate_pairs<T>, (unsigned)cuda_blocks(n, CUDA_BLOCK), CUDA_BLOCK, r,
                    cuda_tensor(rope), rope.ld, a.seq, a.position, heads, (int)a.head_dim, sign, n);
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
template <int DIM, class T>
static __global__ void attend(struct cuda_rows<T> o, float *lse, int64_t lse_ld,
                              struct cuda_rows<T> q, struct cuda_rows<T> k, struct cuda_rows<T> v,
                              struct cuda_attention s)
{
    __shared__ float key[TILE][DIM], value[TILE][DIM];
    const int64_t i = (int64_t)blockIdx.x * QUERIES + threadIdx.x, b = blockIdx.z;
    const int h = blockIdx.y, kv = h / (s.heads / s.kv_heads);
    const bool mine = i < s.seq;
    float row[DIM], out[DIM], most = -INFINITY, sum = 0;
    load_row<DIM>(row, q, b, s.seq, mine ? i : 0, h, s.dim);
    for (int f = 0; f < DIM; f++)
        out[f] = 0;
    const int64_t last_query = (int64_t)(blockIdx.x + 1) * QUERIES - 1;
    for (int64_t first = 0; first <= last_query + s.offset && first < s.keys; first += TILE) {
        __syncthreads();
        load_tile<DIM>(key, k, b, s.keys, first, kv, s.dim);
        load_tile<DIM>(value, v, b, s.keys, first, kv, s.dim);
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
    store_row<DIM>(o.base + (b * s.seq + i) * o.ld + h * s.dim, out, 1 / sum, s.dim);
    if (lse != NULL)
        lse[h * lse_ld + b * s.seq + i] = most + logf(sum);
}

// ---- Backward ----

// dq: a thread for each query. dS = P (do v - do o) scale.
template <int DIM, class T>
static __global__ void attend_backward_q(struct cuda_rows<T> dq, struct cuda_rows<T> q,
                                         struct cuda_rows<T> k, struct cuda_rows<T> v,
                                         struct cuda_rows<T> o, struct cuda_rows<T> do_,
                                         const float *lse, int64_t lse_ld, struct cuda_attention s)
{
    __shared__ float key[TILE][DIM], value[TILE][DIM];
    const int64_t i = (int64_t)blockIdx.x * QUERIES + threadIdx.x, b = blockIdx.z;
    const int h = blockIdx.y, kv = h / (s.heads / s.kv_heads);
    const bool mine = i < s.seq;
    float row[DIM], grad[DIM], sum[DIM];
    load_row<DIM>(sum, o, b, s.seq, mine ? i : 0, h, s.dim);
    load_row<DIM>(grad, do_, b, s.seq, mine ? i : 0, h, s.dim);
    load_row<DIM>(row, q, b, s.seq, mine ? i : 0, h, s.dim);
    const float base = dot_row<DIM>(sum, grad),
                log_sum = mine ? lse[h * lse_ld + b * s.seq + i] : 0;
    for (int f = 0; f < DIM; f++)
        sum[f] = 0;
    const int64_t last_query = (int64_t)(blockIdx.x + 1) * QUERIES - 1;
    for (int64_t first = 0; first <= last_query && first < s.keys; first += TILE) {
        __syncthreads();
        load_tile<DIM>(key, k, b, s.keys, first, kv, s.dim);
        load_tile<DIM>(value, v, b, s.keys, first, kv, s.dim);
        __syncthreads();
        for (int j = 0; mine && j < TILE && first + j <= i; j++) {
            const float p = expf(dot_row<DIM>(row, key[j]) * s.scale - log_sum);
            const float ds = p * (dot_row<DIM>(grad, value[j]) - base) * s.scale;
            for (int f = 0; f < DIM; f++)
                sum[f] += ds * key[j][f];
        }
    }
    if (mine)
        store_row<DIM>(dq.base + (b * s.seq + i) * dq.ld + h * s.dim, sum, 1, s.dim);
}

// dk and dv: a thread for each key, over the query heads that read it.
template <int DIM, class T>
static __global__ void attend_backward_kv(struct cuda_rows<T> dk, struct cuda_rows<T> dv,
                                          struct cuda_rows<T> q, struct cuda_rows<T> k,
                                          struct cuda_rows<T> v, struct cuda_rows<T> o,
                                          struct cuda_rows<T> do_, const float *lse, int64_t lse_ld,
                                          struct cuda_attention s)
{
    __shared__ float query[TILE][DIM], grad[TILE][DIM], base[TILE], log_sum[TILE];
    const int64_t j = (int64_t)blockIdx.x * QUERIES + threadIdx.x, b = blockIdx.z;
    const int kv = blockIdx.y, readers = s.heads / s.kv_heads;
    const bool mine = j < s.seq;
    float key[DIM], value[DIM], sum_k[DIM], sum_v[DIM];
    load_row<DIM>(key, k, b, s.seq, mine ? j : 0, kv, s.dim);
    load_row<DIM>(value, v, b, s.seq, mine ? j : 0, kv, s.dim);
    for (int f = 0; f < DIM; f++)
        sum_k[f] = sum_v[f] = 0;
    const int64_t start = (int64_t)blockIdx.x * QUERIES / TILE * TILE;
    for (int h = kv * readers; h < (kv + 1) * readers; h++) {
        for (int64_t first = start; first < s.seq; first += TILE) {
            __syncthreads();
            load_tile<DIM>(query, q, b, s.seq, first, h, s.dim);
            load_tile<DIM>(grad, do_, b, s.seq, first, h, s.dim);
            __syncthreads();
            if (threadIdx.x < TILE && first + threadIdx.x < s.seq) {
                const T *out = cuda_head(o, b, s.seq, h, s.dim) + (first + threadIdx.x) * o.ld;
                float sum = 0;
                for (int f = 0; f < s.dim; f++)
                    sum += cuda_value(out[f]) * grad[threadIdx.x][f];
                base[threadIdx.x] = sum;
                log_sum[threadIdx.x] = lse[h * lse_ld + b * s.seq + first + threadIdx.x];
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
    store_row<DIM>(dk.base + (b * s.seq + j) * dk.ld + kv * s.dim, sum_k, 1, s.dim);
    store_row<DIM>(dv.base + (b * s.seq + j) * dv.ld + kv * s.dim, sum_v, 1, s.dim);
}

// ---- Launchers ----

static struct cuda_attention shape_of(struct slt_attention a, int64_t keys)
{
    struct cuda_attention s = {a.seq,
                               keys,
                               a.position,
                               (int)a.heads,
                               (int)a.kv_heads,
                               (int)a.head_dim,
                               1 / sqrtf((float)a.head_dim)};
    return s;
}

// Rows of the heads from number head on.
template <class T>
static struct cuda_rows<T> heads_from(struct slt_act x, int64_t head, int64_t dim) {
    struct cuda_rows<T> r = {
        cuda_act<T>(x) + head *dim, cuda_ld(x)
    };
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
static void forward(struct slt_ctx *ctx, struct cuda_rows<T> o, float *lse, int64_t lse_ld,
                    struct cuda_rows<T> q, struct cuda_rows<T> k, struct cuda_rows<T> v,
                    struct cuda_attention s, int64_t batch)
{
    const dim3 grid((unsigned)cuda_blocks(s.seq, QUERIES), (unsigned)s.heads, (unsigned)batch);
    SLT_LAUNCH(ctx, (attend<DIM, T>), grid, QUERIES, o, lse, lse_ld, q, k, v, s);
}

template <class T>
static void forward_rows(struct slt_ctx *ctx, struct slt_act o, struct slt_tensor lse,
                         struct slt_act qkv, struct slt_tensor rope, struct slt_attention a)
{
    const int64_t dim = a.head_dim;
    rotate<T>(ctx, qkv, rope, a, 1);
    if (cuda_attention_has_tiles(qkv, o, dim))
        cuda_attention_tiles(ctx, heads_from<bf16>(o, 0, dim), cuda_tensor(lse), lse.ld,
                             heads_from<bf16>(qkv, 0, dim), heads_from<bf16>(qkv, a.heads, dim),
                             heads_from<bf16>(qkv, a.heads + a.kv_heads, dim), shape_of(a, a.seq),
                             a.batch);
    else
        WITH_DIM(dim, forward, ctx, heads_from<T>(o, 0, dim), cuda_tensor(lse), lse.ld,
                 heads_from<T>(qkv, 0, dim), heads_from<T>(qkv, a.heads, dim),
                 heads_from<T>(qkv, a.heads + a.kv_heads, dim), shape_of(a, a.seq), a.batch);
}

void cuda_attention_forward(struct slt_ctx *ctx, struct slt_act o, struct slt_tensor lse,
                            struct slt_act qkv, struct slt_tensor rope, struct slt_attention a)
{
    a.position = 0;
    CUDA_TYPED(qkv.dtype, forward_rows, ctx, o, lse, qkv, rope, a);
}

template <int DIM, class T>
static void backward(struct slt_ctx *ctx, struct slt_act dqkv, struct slt_act do_,
                     struct slt_act qkv, struct slt_act o, struct slt_tensor lse,
                     struct slt_attention a)
{
    const struct cuda_attention s = shape_of(a, a.seq);
    const int64_t dim = a.head_dim, v_head = a.heads + a.kv_heads;
    const unsigned tiles = (unsigned)cuda_blocks(a.seq, QUERIES);
    const struct cuda_rows<T> q = heads_from<T>(qkv, 0, dim), k = heads_from<T>(qkv, a.heads, dim);
    const struct cuda_rows<T> v = heads_from<T>(qkv, v_head, dim), out = heads_from<T>(o, 0, dim);
    const struct cuda_rows<T> dout = heads_from<T>(do_, 0, dim);
    SLT_LAUNCH(ctx, (attend_backward_q<DIM, T>), dim3(tiles, (unsigned)a.heads, (unsigned)a.batch),
               QUERIES, heads_from<T>(dqkv, 0, dim), q, k, v, out, dout, cuda_tensor(lse), lse.ld,
               s);
    SLT_LAUNCH(ctx, (attend_backward_kv<DIM, T>),
               dim3(tiles, (unsigned)a.kv_heads, (unsigned)a.batch), QUERIES,
               heads_from<T>(dqkv, a.heads, dim), heads_from<T>(dqkv, v_head, dim), q, k, v, out,
               dout, cuda_tensor(lse), lse.ld, s);
}

static void backward_tiles(struct slt_ctx *ctx, struct slt_act dqkv, struct slt_act do_,
                           struct slt_act qkv, struct slt_act o, struct slt_tensor lse,
                           struct slt_attention a)
{
    const int64_t dim = a.head_dim, v_head = a.heads + a.kv_heads;
    const struct cuda_gradients g = {heads_from<bf16>(dqkv, 0, dim),
                                     heads_from<bf16>(dqkv, a.heads, dim),
                                     heads_from<bf16>(dqkv, v_head, dim),
                                     heads_from<bf16>(qkv, 0, dim),
                                     heads_from<bf16>(qkv, a.heads, dim),
                                     heads_from<bf16>(qkv, v_head, dim),
                                     heads_from<bf16>(o, 0, dim),
                                     heads_from<bf16>(do_, 0, dim),
                                     cuda_tensor(lse),
                                     lse.ld,
                                     shape_of(a, a.seq)};
    cuda_attention_tiles_backward(ctx, &g, qkv.tokens);
}

template <class T>
static void backward_rows(struct slt_ctx *ctx, struct slt_act dqkv, struct slt_act do_,
                          struct slt_act qkv, struct slt_act o, struct slt_tensor lse,
                          struct slt_tensor rope, struct slt_attention a)
{
    if (cuda_attention_has_tiles(qkv, o, a.head_dim))
        backward_tiles(ctx, dqkv, do_, qkv, o, lse, a);
    else
        WITH_DIM(a.head_dim, backward, ctx, dqkv, do_, qkv, o, lse, a);
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
    WITH_DIM(dim, forward, ctx, heads_from<T>(o, 0, dim), NULL, 0, heads_from<T>(qkv, 0, dim),
             heads_from<T>(cache, 0, dim), heads_from<T>(cache, a.kv_heads, dim),
             shape_of(a, a.position + a.seq), 1);
}

void cuda_attention_cached(struct slt_ctx *ctx, struct slt_act o, struct slt_act qkv,
                           struct slt_act cache, struct slt_tensor rope, struct slt_attention a)
{
    a.seq = qkv.tokens;
    CUDA_TYPED(qkv.dtype, cached_rows, ctx, o, qkv, cache, rope, a);
}
