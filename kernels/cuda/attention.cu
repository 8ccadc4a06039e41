// Causal attention with rotate-half RoPE. A thread owns a query (or, for dk and dv, a key) and
// keeps its row in registers; the block walks the other side in tiles of shared memory, so that no
// L x L matrix exists and no sum has two owners.
//
// Bytes moved: each tile of TILE keys and values is read once by a block of QUERIES queries.
#include "kernels/cuda/cuda.h"

#define QUERIES 64 // threads of a block, each with a row
#define TILE    16 // rows of the other side in shared memory

// Where rows lie: those of head h of sequence b start at base + (b * seq) * ld + h * head_dim.
struct rows {
    float *base;
    int64_t ld;
};

struct shape {
    int64_t seq, keys; // queries and keys of a sequence
    int64_t offset;    // query i sees keys j <= i + offset
    int heads, kv_heads, dim;
    float scale; // 1 / sqrt(dim)
};

static __device__ __forceinline__ const float *row_of(struct rows r, int64_t sequence, int64_t rows,
                                                      int64_t i, int64_t head, int dim)
{
    return r.base + (sequence * rows + i) * r.ld + head * dim;
}

// ---- Rotation ----

// A thread for each pair (f, f + half) of q and k heads of each token; sign -1 turns back.
static __global__ void rotate_pairs(struct rows x, const float *rope, int64_t positions,
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
    float *row = x.base + t * x.ld + h * dim;
    const float a = row[f], b = row[half + f];
    row[f] = a * c - b * s;
    row[half + f] = b * c + a * s;
}

static void rotate(struct slt_ctx *ctx, struct slt_act x, struct slt_tensor rope,
                   struct slt_attention a, float sign)
{
    const struct rows r = {cuda_act(x), x.width};
    const int heads = (int)(a.heads + a.kv_heads);
    const int64_t n = x.tokens * heads * (a.head_dim / 2);
    SLT_LAUNCH_FLAT(ctx, rotate_pairs, (unsigned)cuda_blocks(n, CUDA_BLOCK), CUDA_BLOCK, r,
                    cuda_tensor(rope), rope.ld, a.seq, a.position, heads, (int)a.head_dim, sign, n);
}

// ---- Tiles ----

// Copies rows [first, first + TILE) of a head into tile, zeros beyond the last.
template <int DIM>
static __device__ void load_tile(float (*tile)[DIM], struct rows r, int64_t sequence, int64_t rows,
                                 int64_t first, int64_t head, int dim)
{
    for (int k = threadIdx.x; k < TILE * DIM; k += blockDim.x) {
        const int i = k / DIM, f = k % DIM;
        tile[i][f] =
            first + i < rows && f < dim ? row_of(r, sequence, rows, first + i, head, dim)[f] : 0;
    }
}

template <int DIM>
static __device__ void load_row(float *to, struct rows r, int64_t sequence, int64_t rows, int64_t i,
                                int64_t head, int dim)
{
    const float *from = row_of(r, sequence, rows, i, head, dim);
#pragma unroll
    for (int f = 0; f < DIM; f++)
        to[f] = f < dim ? from[f] : 0;
}

template <int DIM> static __device__ float dot_row(const float *a, const float *b)
{
    float sum = 0;
#pragma unroll
    for (int f = 0; f < DIM; f++)
        sum += a[f] * b[f];
    return sum;
}

template <int DIM>
static __device__ void store_row(float *to, const float *from, float scale, int dim)
{
#pragma unroll
    for (int f = 0; f < DIM; f++)
        if (f < dim)
            to[f] = from[f] * scale;
}

// ---- Forward ----

// Grid: tiles of queries, heads, sequences. lse may be NULL.
template <int DIM>
static __global__ void attend(struct rows o, float *lse, int64_t lse_ld, struct rows q,
                              struct rows k, struct rows v, struct shape s)
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
template <int DIM>
static __global__ void attend_backward_q(struct rows dq, struct rows q, struct rows k,
                                         struct rows v, struct rows o, struct rows do_,
                                         const float *lse, int64_t lse_ld, struct shape s)
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
template <int DIM>
static __global__ void
attend_backward_kv(struct rows dk, struct rows dv, struct rows q, struct rows k, struct rows v,
                   struct rows o, struct rows do_, const float *lse, int64_t lse_ld, struct shape s)
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
                const float *out = row_of(o, b, s.seq, first + threadIdx.x, h, s.dim);
                float sum = 0;
                for (int f = 0; f < s.dim; f++)
                    sum += out[f] * grad[threadIdx.x][f];
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

static struct shape shape_of(struct slt_attention a, int64_t keys)
{
    struct shape s = {a.seq,
                      keys,
                      a.position,
                      (int)a.heads,
                      (int)a.kv_heads,
                      (int)a.head_dim,
                      1 / sqrtf((float)a.head_dim)};
    return s;
}

// Rows of the heads from number head on.
static struct rows heads_from(struct slt_act x, int64_t head, int64_t dim)
{
    struct rows r = {cuda_act(x) + head * dim, x.width};
    return r;
}

// Calls f with the smallest compiled width that holds a head.
#define WITH_DIM(dim, f, ...)                                                                      \
    do {                                                                                           \
        if ((dim) <= 32)                                                                           \
            f<32>(__VA_ARGS__);                                                                    \
        else if ((dim) <= 64)                                                                      \
            f<64>(__VA_ARGS__);                                                                    \
        else if ((dim) <= 128)                                                                     \
            f<128>(__VA_ARGS__);                                                                   \
        else                                                                                       \
            f<256>(__VA_ARGS__);                                                                   \
    } while (0)

template <int DIM>
static void forward(struct slt_ctx *ctx, struct rows o, float *lse, int64_t lse_ld, struct rows q,
                    struct rows k, struct rows v, struct shape s, int64_t batch)
{
    const dim3 grid((unsigned)cuda_blocks(s.seq, QUERIES), (unsigned)s.heads, (unsigned)batch);
    SLT_LAUNCH(ctx, attend<DIM>, grid, QUERIES, o, lse, lse_ld, q, k, v, s);
}

void cuda_attention_forward(struct slt_ctx *ctx, struct slt_act o, struct slt_tensor lse,
                            struct slt_act qkv, struct slt_tensor rope, struct slt_attention a)
{
    const int64_t dim = a.head_dim;
    a.position = 0;
    rotate(ctx, qkv, rope, a, 1);
    WITH_DIM(dim, forward, ctx, heads_from(o, 0, dim), cuda_tensor(lse), lse.ld,
             heads_from(qkv, 0, dim), heads_from(qkv, a.heads, dim),
             heads_from(qkv, a.heads + a.kv_heads, dim), shape_of(a, a.seq), a.batch);
}

template <int DIM>
static void backward(struct slt_ctx *ctx, struct slt_act dqkv, struct slt_act do_,
                     struct slt_act qkv, struct slt_act o, struct slt_tensor lse,
                     struct slt_attention a)
{
    const struct shape s = shape_of(a, a.seq);
    const int64_t dim = a.head_dim, v_head = a.heads + a.kv_heads;
    const unsigned tiles = (unsigned)cuda_blocks(a.seq, QUERIES);
    const struct rows q = heads_from(qkv, 0, dim), k = heads_from(qkv, a.heads, dim);
    const struct rows v = heads_from(qkv, v_head, dim), out = heads_from(o, 0, dim);
    const struct rows dout = heads_from(do_, 0, dim);
    SLT_LAUNCH(ctx, attend_backward_q<DIM>, dim3(tiles, (unsigned)a.heads, (unsigned)a.batch),
               QUERIES, heads_from(dqkv, 0, dim), q, k, v, out, dout, cuda_tensor(lse), lse.ld, s);
    SLT_LAUNCH(ctx, attend_backward_kv<DIM>, dim3(tiles, (unsigned)a.kv_heads, (unsigned)a.batch),
               QUERIES, heads_from(dqkv, a.heads, dim), heads_from(dqkv, v_head, dim), q, k, v, out,
               dout, cuda_tensor(lse), lse.ld, s);
}

void cuda_attention_backward(struct slt_ctx *ctx, struct slt_act dqkv, struct slt_act do_,
                             struct slt_act qkv, struct slt_act o, struct slt_tensor lse,
                             struct slt_tensor rope, struct slt_attention a)
{
    a.position = 0;
    WITH_DIM(a.head_dim, backward, ctx, dqkv, do_, qkv, o, lse, a);
    rotate(ctx, dqkv, rope, a, -1);
}

void cuda_attention_cached(struct slt_ctx *ctx, struct slt_act o, struct slt_act qkv,
                           struct slt_act cache, struct slt_tensor rope, struct slt_attention a)
{
    const int64_t dim = a.head_dim, kv = a.kv_heads * dim;
    a.seq = qkv.tokens;
    rotate(ctx, qkv, rope, a, 1);
    cuda_check(ctx,
               cudaMemcpy2DAsync(cuda_act(cache) + a.position * cache.width,
                                 (size_t)cache.width * sizeof(float), cuda_act(qkv) + a.heads * dim,
                                 (size_t)qkv.width * sizeof(float),
                                 (size_t)(2 * kv) * sizeof(float), (size_t)qkv.tokens,
                                 cudaMemcpyDeviceToDevice, ctx->stream),
               "filling the cache");
    WITH_DIM(dim, forward, ctx, heads_from(o, 0, dim), NULL, 0, heads_from(qkv, 0, dim),
             heads_from(cache, 0, dim), heads_from(cache, a.kv_heads, dim),
             shape_of(a, a.position + a.seq), 1);
}
