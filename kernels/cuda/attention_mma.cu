// Causal attention on tensor cores, for BF16 and heads of up to 128 features (Dao,
// FlashAttention-2, 2023: online softmax, nothing of size L x L). A block of four warps has 64
// rows, a warp 16 of them; tiles of the other side pass through shared memory, in rows that are 16
// bytes longer than a multiple of 128, so that fragments load without conflicts of banks. dq comes
// from one kernel, dk and dv from another; in both every sum has one owner.
//
// Workspace of the backward pass: do . o for each query and head, (heads, T).
#include "kernels/cuda/attention.h"
#include "kernels/cuda/mma.h"

#define ROWS  64  // of a block
#define BLOCK 128 // its threads
#define PAD   8

// Copies rows [first, first + count) of a head into a tile, zeros beyond the last row and feature.
template <int HD>
static __device__ void load_tile(bf16 *tile, const bf16 *head, int64_t ld, int64_t first, int count,
                                 int64_t rows, int dim)
{
    for (int k = threadIdx.x; k < count * (HD / 8); k += BLOCK) {
        const int i = k / (HD / 8), f = k % (HD / 8) * 8;
        cuda_pack<bf16, 8> pack = {};
        if (first + i < rows && f < dim)
            pack = *(const cuda_pack<bf16, 8> *)(const void *)(head + (first + i) * ld + f);
        *(cuda_pack<bf16, 8> *)(void *)(tile + i * (HD + PAD) + f) = pack;
    }
}

// A warp's 16 rows of a tile as fragments.
template <int HD>
static __device__ __forceinline__ void load_fragments(uint32_t (*a)[4], const bf16 *tile)
{
#pragma unroll
    for (int k = 0; k < HD / 16; k++)
        cuda_load_a<HD + PAD>(a[k], tile + threadIdx.x / CUDA_WARP * 16 * (HD + PAD) + k * 16);
}

// s (16, N) = a t^T for a tile t (N, HD).
template <int HD, int N>
static __device__ __forceinline__ void times_transposed(float (*s)[4], const uint32_t (*a)[4],
                                                        const bf16 *tile)
{
#pragma unroll
    for (int n = 0; n < N / 8; n++)
        s[n][0] = s[n][1] = s[n][2] = s[n][3] = 0;
#pragma unroll
    for (int k = 0; k < HD / 16; k++)
#pragma unroll
        for (int n = 0; n < N / 16; n++) {
            uint32_t b[4];
            cuda_load_b<HD + PAD>(b, tile + n * 16 * (HD + PAD) + k * 16);
            cuda_mma(s[2 * n], a[k], b);
            cuda_mma(s[2 * n + 1], a[k], b + 2);
        }
}

// sum (16, HD) += p t for p (16, N), rounded, and a tile t (N, HD).
template <int HD, int N>
static __device__ __forceinline__ void add_times(float (*sum)[4], const float (*p)[4],
                                                 const bf16 *tile)
{
#pragma unroll
    for (int k = 0; k < N / 16; k++) {
        uint32_t a[4];
        cuda_as_a(a, p[2 * k], p[2 * k + 1]);
#pragma unroll
        for (int n = 0; n < HD / 16; n++) {
            uint32_t b[4];
            cuda_load_b_rows<HD + PAD>(b, tile + k * 16 * (HD + PAD) + n * 16);
            cuda_mma(sum[2 * n], a, b);
            cuda_mma(sum[2 * n + 1], a, b + 2);
        }
    }
}

// Where a warp's fragments C lie: rows row and row + 8 of the block's, column pairs at column.
struct place {
    int row, column;
};

static __device__ __forceinline__ struct place place_of_lane()
{
    const int lane = threadIdx.x % CUDA_WARP;
    const struct place p = {(int)(threadIdx.x / CUDA_WARP) * 16 + lane / 4, lane % 4 * 2};
    return p;
}

// Rows of a warp's result (16, HD), the upper eight times scale[0], the lower scale[1].
template <int HD>
static __device__ void store_rows(bf16 *head, int64_t ld, int64_t first, int64_t rows, int dim,
                                  const float (*sum)[4], const float scale[2])
{
    const struct place at = place_of_lane();
#pragma unroll
    for (int n = 0; n < HD / 8; n++)
#pragma unroll
        for (int half = 0; half < 2; half++) {
            const int64_t i = first + at.row + half * 8;
            const int f = n * 8 + at.column;
            const float pair[2] = {sum[n][2 * half] * scale[half],
                                   sum[n][2 * half + 1] * scale[half]};
            if (i < rows && f < dim)
                cuda_store<2>(head + i * ld + f, pair);
        }
}

// ---- Forward ----

// Grid: tiles of queries, heads, sequences.
template <int HD>
static __global__ void __launch_bounds__(BLOCK)
    attend_mma(CUDA_ARGUMENT struct cuda_forward<bf16> a)
{
    const struct cuda_attention &s = a.shape;
    __shared__ __align__(16) bf16 key[ROWS * (HD + PAD)], value[ROWS * (HD + PAD)];
    const int64_t first_query = (int64_t)blockIdx.x * ROWS, b = blockIdx.z;
    const int h = blockIdx.y, kv = h / (s.heads / s.kv_heads);
    const struct place at = place_of_lane();
    uint32_t query[HD / 16][4];
    float sum[HD / 8][4] = {}, most[2] = {-INFINITY, -INFINITY}, total[2] = {0, 0};
    load_tile<HD>(key, cuda_head(a.q, b, s.seq, h, s.dim), a.q.ld, first_query, ROWS, s.seq, s.dim);
    __syncthreads();
    load_fragments<HD>(query, key);
    for (int64_t first = 0; first < first_query + ROWS && first < s.seq; first += ROWS) {
        float p[ROWS / 8][4];
        __syncthreads();
        load_tile<HD>(key, cuda_head(a.k, b, s.seq, kv, s.dim), a.k.ld, first, ROWS, s.seq, s.dim);
        load_tile<HD>(value, cuda_head(a.v, b, s.seq, kv, s.dim), a.v.ld, first, ROWS, s.seq,
                      s.dim);
        __syncthreads();
        times_transposed<HD, ROWS>(p, query, key);
#pragma unroll
        for (int half = 0; half < 2; half++) {
            const int64_t i = first_query + at.row + half * 8;
            float top = most[half], added = 0;
#pragma unroll
            for (int n = 0; n < ROWS / 8; n++)
#pragma unroll
                for (int c = 2 * half; c < 2 * half + 2; c++) {
                    const int64_t j = first + n * 8 + at.column + c % 2;
                    p[n][c] = j <= i && j < s.seq ? p[n][c] * s.scale : -INFINITY;
                    top = fmaxf(top, p[n][c]);
                }
            top = fmaxf(top, __shfl_xor_sync(0xffffffffu, top, 1));
            top = fmaxf(top, __shfl_xor_sync(0xffffffffu, top, 2));
#pragma unroll
            for (int n = 0; n < ROWS / 8; n++)
#pragma unroll
                for (int c = 2 * half; c < 2 * half + 2; c++) {
                    p[n][c] = expf(p[n][c] - top);
                    added += p[n][c];
                }
            const float old = expf(most[half] - top);
            total[half] = total[half] * old + added; // of this lane's columns
            most[half] = top;
#pragma unroll
            for (int n = 0; n < HD / 8; n++) {
                sum[n][2 * half] *= old;
                sum[n][2 * half + 1] *= old;
            }
        }
        add_times<HD, ROWS>(sum, p, value);
    }
    float inverse[2];
#pragma unroll
    for (int half = 0; half < 2; half++) {
        const int64_t i = first_query + at.row + half * 8;
        total[half] += __shfl_xor_sync(0xffffffffu, total[half], 1);
        total[half] += __shfl_xor_sync(0xffffffffu, total[half], 2);
        inverse[half] = 1 / total[half];
        if (at.column == 0 && i < s.seq)
            a.lse[h * a.lse_ld + b * s.seq + i] = most[half] + logf(total[half]);
    }
    store_rows<HD>(cuda_head(a.o, b, s.seq, h, s.dim), a.o.ld, first_query, s.seq, s.dim, sum,
                   inverse);
}

template <int HD>
static void forward(struct slt_ctx *ctx, const struct cuda_forward<bf16> &a, int64_t batch)
{
    const dim3 grid((unsigned)cuda_blocks(a.shape.seq, ROWS), (unsigned)a.shape.heads,
                    (unsigned)batch);
    SLT_LAUNCH(ctx, attend_mma<HD>, grid, BLOCK, a);
}

// ---- Backward ----

// delta[h, t] = do . o: a warp for each.
static __global__ void dot_rows(float *delta, int64_t tokens, struct cuda_rows<bf16> o,
                                struct cuda_rows<bf16> do_, struct cuda_attention s)
{
    const int64_t t = (int64_t)blockIdx.x * (BLOCK / CUDA_WARP) + threadIdx.x / CUDA_WARP;
    const int h = blockIdx.y;
    const bool mine = t < tokens;
    float sum = 0;
    for (int f = threadIdx.x % CUDA_WARP; mine && f < s.dim; f += CUDA_WARP)
        sum += cuda_value(o.base[t * o.ld + h * s.dim + f]) *
               cuda_value(do_.base[t * do_.ld + h * s.dim + f]);
    for (int step = CUDA_WARP / 2; step > 0; step /= 2)
        sum += __shfl_xor_sync(0xffffffffu, sum, step);
    if (mine && threadIdx.x % CUDA_WARP == 0)
        delta[h * tokens + t] = sum;
}

// dq: a block for 64 queries. dS = P (do v^T - delta) scale, dq = dS k.
template <int HD, int KEYS>
static __global__ void __launch_bounds__(BLOCK)
    attend_mma_q(CUDA_ARGUMENT struct cuda_gradients<bf16> g, const float *delta, int64_t tokens)
{
    const struct cuda_attention &s = g.shape;
    __shared__ __align__(16) bf16 key[ROWS * (HD + PAD)], value[ROWS * (HD + PAD)];
    const int64_t first_query = (int64_t)blockIdx.x * ROWS, b = blockIdx.z;
    const int h = blockIdx.y, kv = h / (s.heads / s.kv_heads);
    const struct place at = place_of_lane();
    uint32_t query[HD / 16][4], grad[HD / 16][4];
    float sum[HD / 8][4] = {}, log_sum[2] = {0, 0}, base[2] = {0, 0};
    load_tile<HD>(key, cuda_head(g.q, b, s.seq, h, s.dim), g.q.ld, first_query, ROWS, s.seq, s.dim);
    load_tile<HD>(value, cuda_head(g.do_, b, s.seq, h, s.dim), g.do_.ld, first_query, ROWS, s.seq,
                  s.dim);
    __syncthreads();
    load_fragments<HD>(query, key);
    load_fragments<HD>(grad, value);
#pragma unroll
    for (int half = 0; half < 2; half++) {
        const int64_t i = first_query + at.row + half * 8;
        if (i < s.seq) {
            log_sum[half] = g.lse[h * g.lse_ld + b * s.seq + i];
            base[half] = delta[h * tokens + b * s.seq + i];
        }
    }
    for (int64_t first = 0; first < first_query + ROWS && first < s.seq; first += KEYS) {
        float p[KEYS / 8][4], dp[KEYS / 8][4];
        __syncthreads();
        load_tile<HD>(key, cuda_head(g.k, b, s.seq, kv, s.dim), g.k.ld, first, KEYS, s.seq, s.dim);
        load_tile<HD>(value, cuda_head(g.v, b, s.seq, kv, s.dim), g.v.ld, first, KEYS, s.seq,
                      s.dim);
        __syncthreads();
        times_transposed<HD, KEYS>(p, query, key);
        times_transposed<HD, KEYS>(dp, grad, value);
#pragma unroll
        for (int n = 0; n < KEYS / 8; n++)
#pragma unroll
            for (int c = 0; c < 4; c++) {
                const int64_t i = first_query + at.row + c / 2 * 8;
                const int64_t j = first + n * 8 + at.column + c % 2;
                const bool seen = j <= i && i < s.seq;
                p[n][c] = seen ? expf(p[n][c] * s.scale - log_sum[c / 2]) *
                                     (dp[n][c] - base[c / 2]) * s.scale
                               : 0;
            }
        add_times<HD, KEYS>(sum, p, key);
    }
    const float one[2] = {1, 1};
    store_rows<HD>(cuda_head(g.dq, b, s.seq, h, s.dim), g.dq.ld, first_query, s.seq, s.dim, sum,
                   one);
}

// dk and dv: a block for 64 keys, over the query heads that read them. Everything is transposed:
// rows are keys, columns queries. dv = P^T do, dk = dS^T q.
template <int HD, int QUERIES>
static __global__ void __launch_bounds__(BLOCK)
    attend_mma_kv(CUDA_ARGUMENT struct cuda_gradients<bf16> g, const float *delta, int64_t tokens)
{
    const struct cuda_attention &s = g.shape;
    __shared__ __align__(16) bf16 key[ROWS * (HD + PAD)], value[ROWS * (HD + PAD)];
    __shared__ __align__(16) bf16 query[QUERIES * (HD + PAD)], grad[QUERIES * (HD + PAD)];
    __shared__ float log_sum[QUERIES], base[QUERIES];
    const int64_t first_key = (int64_t)blockIdx.x * ROWS, b = blockIdx.z;
    const int kv = blockIdx.y, readers = s.heads / s.kv_heads;
    const struct place at = place_of_lane();
    float sum_k[HD / 8][4] = {}, sum_v[HD / 8][4] = {};
    load_tile<HD>(key, cuda_head(g.k, b, s.seq, kv, s.dim), g.k.ld, first_key, ROWS, s.seq, s.dim);
    load_tile<HD>(value, cuda_head(g.v, b, s.seq, kv, s.dim), g.v.ld, first_key, ROWS, s.seq,
                  s.dim);
    for (int h = kv * readers; h < (kv + 1) * readers; h++)
        for (int64_t first = first_key; first < s.seq; first += QUERIES) {
            float p[QUERIES / 8][4], dp[QUERIES / 8][4];
            uint32_t a[HD / 16][4];
            __syncthreads();
            load_tile<HD>(query, cuda_head(g.q, b, s.seq, h, s.dim), g.q.ld, first, QUERIES, s.seq,
                          s.dim);
            load_tile<HD>(grad, cuda_head(g.do_, b, s.seq, h, s.dim), g.do_.ld, first, QUERIES,
                          s.seq, s.dim);
            if (threadIdx.x < QUERIES && first + threadIdx.x < s.seq) {
                const int64_t t = b * s.seq + first + threadIdx.x;
                log_sum[threadIdx.x] = g.lse[h * g.lse_ld + t];
                base[threadIdx.x] = delta[h * tokens + t];
            }
            __syncthreads();
            load_fragments<HD>(a, key);
            times_transposed<HD, QUERIES>(p, a, query);
            load_fragments<HD>(a, value);
            times_transposed<HD, QUERIES>(dp, a, grad);
#pragma unroll
            for (int n = 0; n < QUERIES / 8; n++)
#pragma unroll
                for (int c = 0; c < 4; c++) {
                    const int column = n * 8 + at.column + c % 2;
                    const int64_t i = first + column, j = first_key + at.row + c / 2 * 8;
                    const bool seen = j <= i && i < s.seq;
                    p[n][c] = seen ? expf(p[n][c] * s.scale - log_sum[column]) : 0;
                    dp[n][c] = seen ? p[n][c] * (dp[n][c] - base[column]) * s.scale : 0;
                }
            add_times<HD, QUERIES>(sum_v, p, grad);
            add_times<HD, QUERIES>(sum_k, dp, query);
        }
    const float one[2] = {1, 1};
    store_rows<HD>(cuda_head(g.dk, b, s.seq, kv, s.dim), g.dk.ld, first_key, s.seq, s.dim, sum_k,
                   one);
    store_rows<HD>(cuda_head(g.dv, b, s.seq, kv, s.dim), g.dv.ld, first_key, s.seq, s.dim, sum_v,
                   one);
}

template <int HD, int KEYS, int QUERIES>
static void backward(struct slt_ctx *ctx, const struct cuda_gradients<bf16> &g, int64_t tokens)
{
    const struct cuda_attention &s = g.shape;
    const unsigned tiles = (unsigned)cuda_blocks(s.seq, ROWS), batch = (unsigned)(tokens / s.seq);
    float *delta = (float *)(void *)ctx->work;
    SLT_LAUNCH(ctx, dot_rows,
               dim3((unsigned)cuda_blocks(tokens, BLOCK / CUDA_WARP), (unsigned)s.heads), BLOCK,
               delta, tokens, g.o, g.do_, s);
    SLT_LAUNCH(ctx, (attend_mma_q<HD, KEYS>), dim3(tiles, (unsigned)s.heads, batch), BLOCK, g,
               delta, tokens);
    SLT_LAUNCH(ctx, (attend_mma_kv<HD, QUERIES>), dim3(tiles, (unsigned)s.kv_heads, batch), BLOCK,
               g, delta, tokens);
}

// ---- Entries ----

bool cuda_attention_has_tiles(struct slt_act qkv, struct slt_act o, int64_t dim)
{
    return qkv.dtype == SLT_BF16 && dim % 8 == 0 && dim <= 128 && qkv.first % 8 == 0 &&
           o.first % 8 == 0;
}

void cuda_attention_tiles(struct slt_ctx *ctx, const struct cuda_forward<bf16> &a, int64_t batch)
{
    if (a.shape.dim <= 64)
        forward<64>(ctx, a, batch);
    else
        forward<128>(ctx, a, batch);
}

void cuda_attention_tiles_backward(struct slt_ctx *ctx, const struct cuda_gradients<bf16> &g,
                                   int64_t tokens)
{
    if (g.shape.dim <= 64)
        backward<64, 64, 32>(ctx, g, tokens);
    else
        backward<128, 32, 16>(ctx, g, tokens);
}
