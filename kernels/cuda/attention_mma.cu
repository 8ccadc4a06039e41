// Causal attention on tensor cores, for BF16 and heads of up to 128 features (Dao,
// FlashAttention-2, 2023: online softmax, nothing of size L x L). A warp has 16 rows of a block's;
// tiles of the other side pass through two stages of shared memory, the next one on its way while a
// warp works on this one. Tiles and warps that the diagonal leaves nothing of are skipped.
//
// The figures below are of a layer of 350m: 64 sequences of 256 in BF16, 16 heads of 64, so that q,
// k, v and o have 33.6 MB each. Keys and values are read again for each tile of queries (1.5 times
// here, L / 256 + 1/2 times in general), from the second-level cache, since the tiles of a head run
// side by side. What bounds the arithmetic is shared memory: the 512 bytes of a factor's fragments
// feed two instructions of 4096 operations, at 128 bytes a cycle half of what the tensor cores do.
// Registers are for sm_90a; nothing is spilled.
#include "kernels/cuda/attention_tiles.h"

// ---- Forward ----

// One more tile of keys for a warp whose first query sees key `reach` of the tile and those before:
// sum (16, HD), the largest score and the denominator (of this lane's columns) of rows l / 4 and
// l / 4 + 8 follow.
template <int HD, int KEYS>
static __device__ __forceinline__ void add_keys(float (*sum)[4], float most[2], float total[2],
                                                const uint32_t (*query)[4], const bf16 *key,
                                                const bf16 *value, int reach, float scale)
{
    const int row = threadIdx.x % CUDA_WARP / 4, column = threadIdx.x % 4 * 2;
    float p[KEYS / 8][4];
    cuda_times_transposed<HD, KEYS>(p, query, key);
    if (reach < KEYS - 1) {
        const int last = reach + row - column;
#pragma unroll
        for (int n = 0; n < KEYS / 8; n++)
#pragma unroll
            for (int c = 0; c < 4; c++)
                if (n * 8 + c % 2 > last + c / 2 * 8)
                    p[n][c] = -INFINITY;
    }
#pragma unroll
    for (int half = 0; half < 2; half++) {
        float top = most[half], added = 0;
#pragma unroll
        for (int n = 0; n < KEYS / 8; n++)
            top = fmaxf(top, fmaxf(p[n][2 * half], p[n][2 * half + 1]));
        top = fmaxf(top, __shfl_xor_sync(0xffffffffu, top, 1));
        top = fmaxf(top, __shfl_xor_sync(0xffffffffu, top, 2));
#pragma unroll
        for (int n = 0; n < KEYS / 8; n++)
#pragma unroll
            for (int c = 2 * half; c < 2 * half + 2; c++) {
                p[n][c] = cuda_exp2(p[n][c] * scale - top * scale);
                added += p[n][c];
            }
        const float old = cuda_exp2((most[half] - top) * scale);
        total[half] = total[half] * old + added;
        most[half] = top;
#pragma unroll
        for (int n = 0; n < HD / 8; n++) {
            sum[n][2 * half] *= old;
            sum[n][2 * half + 1] *= old;
        }
    }
    cuda_add_times<HD, KEYS>(sum, p, value);
}

// The part of a block's shared memory that a tile of keys and its values take, twice.
template <int HD, int KEYS> static __host__ __device__ constexpr int forward_stage()
{
    return 2 * KEYS * cuda_tile_ld<HD>;
}

// Grid: tiles of queries, those with the most keys first; heads; sequences.
//
// Reads 101 MB, writes 35: 40 us at 3.35 TB/s, 28 at 4.8. 8.6 GFLOP, 10.7 with what lies beyond the
// diagonal, and an exponential for each 256 of them: expected in 30 us without the memory, in 55
// with it, 16% of 989 TFLOP/s; of L = 4096, 35 to 40%. Heads of up to 64: 128 queries, 128
// registers, 37 KB, two blocks to a multiprocessor. Up to 128: 64 queries, 198 registers, 70 KB,
// two blocks.
template <int HD, int WARPS, int KEYS>
static __global__ void __launch_bounds__(WARPS *CUDA_WARP, 2)
    attend_mma(CUDA_ARGUMENT struct cuda_forward<bf16> a)
{
    constexpr int ROWS = WARPS * 16, LD = cuda_tile_ld<HD>, THREADS = WARPS * CUDA_WARP;
    constexpr int STAGE = forward_stage<HD, KEYS>();
    static_assert(ROWS <= 2 * KEYS, "queries wait in the second stage");
    constexpr int BYTES = 2 * STAGE * (int)sizeof(bf16);
    CUDA_SHARED(shared, BYTES);
    const struct cuda_attention &s = a.shape;
    const int warp = threadIdx.x / CUDA_WARP, lane = threadIdx.x % CUDA_WARP;
    const int seq = (int)s.seq, keys = (int)s.keys, offset = (int)s.offset, b = blockIdx.z;
    const int first_query = (int)(gridDim.x - 1 - blockIdx.x) * ROWS;
    const int mine = first_query + warp * 16; // the warp's first query
    const int end = (first_query + ROWS < seq ? first_query + ROWS : seq) + offset; // of keys
    const int h = blockIdx.y, kv = h / (s.heads / s.kv_heads);
    const bf16 *k = cuda_head(a.k, b, s.keys, kv, s.dim), *v = cuda_head(a.v, b, s.keys, kv, s.dim);
    bf16 *own = shared + STAGE + warp * 16 * LD;
    const float scale = s.scale * CUDA_LOG2_E;
    uint32_t query[HD / 16][4];
    float sum[HD / 8][4] = {}, most[2] = {-INFINITY, -INFINITY}, total[2] = {0, 0};
    cuda_fetch<HD, 16, CUDA_WARP>(own, cuda_head(a.q, b, s.seq, h, s.dim), a.q.ld, mine, seq, s.dim,
                                  lane);
    cuda_copy_commit();
    cuda_fetch<HD, KEYS, THREADS>(shared, k, a.k.ld, 0, keys, s.dim, threadIdx.x);
    cuda_fetch<HD, KEYS, THREADS>(shared + KEYS * LD, v, a.v.ld, 0, keys, s.dim, threadIdx.x);
    cuda_copy_commit();
    cuda_copy_wait<1>();
    __syncwarp();
    if (a.rope.angles != NULL) {
        cuda_turn<HD, 16, CUDA_WARP>(own, a.rope, mine, seq, s.dim, 1, lane);
        __syncwarp();
    }
    cuda_load_rows<HD>(query, own);
    for (int first = 0; first < end; first += KEYS) {
        const int at = first / KEYS % 2 * STAGE;
        bf16 *const key = shared + at, *const next = shared + (STAGE - at);
        cuda_copy_wait<0>();
        __syncthreads(); // the tile is there, and nobody reads the one before it
        if (first + KEYS < end) {
            cuda_fetch<HD, KEYS, THREADS>(next, k, a.k.ld, first + KEYS, keys, s.dim, threadIdx.x);
            cuda_fetch<HD, KEYS, THREADS>(next + KEYS * LD, v, a.v.ld, first + KEYS, keys, s.dim,
                                          threadIdx.x);
            cuda_copy_commit();
        }
        if (a.rope.angles != NULL) {
            cuda_turn<HD, KEYS, THREADS>(key, a.rope, first, keys, s.dim, 1, threadIdx.x);
            __syncthreads();
        }
        const int reach = mine + offset - first;
        if (reach > -16)
            add_keys<HD, KEYS>(sum, most, total, query, key, key + KEYS * LD, reach, scale);
    }
    float inverse[2];
#pragma unroll
    for (int half = 0; half < 2; half++) {
        const int i = mine + lane / 4 + half * 8;
        total[half] += __shfl_xor_sync(0xffffffffu, total[half], 1);
        total[half] += __shfl_xor_sync(0xffffffffu, total[half], 2);
        inverse[half] = 1 / total[half];
        if (a.lse != NULL && lane % 4 == 0 && i < seq)
            a.lse[h * a.lse_ld + b * s.seq + i] = most[half] * s.scale + logf(total[half]);
    }
    __syncthreads(); // the tiles are done with
    cuda_store_rows<HD>(cuda_head(a.o, b, s.seq, h, s.dim), a.o.ld, mine, seq, s.dim, sum, inverse,
                        own, cuda_rope{});
}

template <int HD, int WARPS, int KEYS>
static void forward(struct slt_ctx *ctx, const struct cuda_forward<bf16> &a, int64_t batch)
{
    constexpr int BYTES = 2 * forward_stage<HD, KEYS>() * (int)sizeof(bf16);
    const dim3 grid((unsigned)cuda_blocks(a.shape.seq, WARPS * 16), (unsigned)a.shape.heads,
                    (unsigned)batch);
    CUDA_LAUNCH_SHARED(ctx, (attend_mma<HD, WARPS, KEYS>), grid, WARPS * CUDA_WARP, BYTES, a);
}

// ---- Backward ----

// dS = P (do v^T - delta) scale; dq = dS k, dk = dS^T q, dv = P^T do. One kernel has the queries,
// another the keys, and both work out P and dS: seven products where five would do. A kernel that
// has the keys and adds to dq needs atomics, whose order is not fixed, or a turn of waiting.

// For a warp whose rows l / 4 and l / 4 + 8 have log_sum (times log2 e) and delta: s becomes dS.
template <int N>
static __device__ __forceinline__ void grade_rows(float (*s)[4], const float (*dp)[4],
                                                  const float log_sum[2], const float delta[2],
                                                  float scale)
{
#pragma unroll
    for (int n = 0; n < N / 8; n++)
#pragma unroll
        for (int c = 0; c < 4; c++)
            s[n][c] = cuda_exp2(s[n][c] * (scale * CUDA_LOG2_E) - log_sum[c / 2]) *
                      (dp[n][c] - delta[c / 2]);
}

// delta = do o of rows l / 4 and l / 4 + 8 of a warp.
template <int HD>
static __device__ __forceinline__ void dot_rows(float delta[2], const bf16 *grad, const bf16 *out)
{
    delta[0] = delta[1] = 0;
#pragma unroll
    for (int k = 0; k < HD / 16; k++) {
        uint32_t o[4], d[4];
        cuda_load_a<cuda_tile_ld<HD>>(o, out + k * 16);
        cuda_load_a<cuda_tile_ld<HD>>(d, grad + k * 16);
#pragma unroll
        for (int r = 0; r < 4; r++)
            delta[r % 2] += cuda_first_of(d[r]) * cuda_first_of(o[r]) +
                            cuda_second_of(d[r]) * cuda_second_of(o[r]);
    }
#pragma unroll
    for (int half = 0; half < 2; half++) {
        delta[half] += __shfl_xor_sync(0xffffffffu, delta[half], 1);
        delta[half] += __shfl_xor_sync(0xffffffffu, delta[half], 2);
    }
}

// Two stages of keys and values; q and o, later in the place of the second one; do, which stays.
template <int HD, int WARPS, int KEYS> static __host__ __device__ constexpr int backward_q_shared()
{
    constexpr int BEHIND = 2 * KEYS > 3 * WARPS * 16 ? 2 * KEYS : 3 * WARPS * 16;
    return (2 * KEYS + BEHIND) * cuda_tile_ld<HD> * (int)sizeof(bf16);
}

// dq, and delta (heads, T) for the next kernel. Grid as above.
//
// Reads 169 MB, writes 35: 61 us at 3.35 TB/s, 42 at 4.8. 12.9 GFLOP, 14.5 with what lies beyond
// the diagonal: expected in 80 us, 16% of 989 TFLOP/s; of L = 4096, 35%. Heads of up to 64: 128
// queries, 128 registers, 65 KB, two blocks to a multiprocessor. Up to 128: 64 queries, 212
// registers, 70 KB, two blocks.
template <int HD, int WARPS, int KEYS, int BLOCKS>
static __global__ void __launch_bounds__(WARPS *CUDA_WARP, BLOCKS)
    attend_mma_q(CUDA_ARGUMENT struct cuda_gradients<bf16> g, float *delta, int64_t tokens)
{
    constexpr int ROWS = WARPS * 16, LD = cuda_tile_ld<HD>, THREADS = WARPS * CUDA_WARP;
    constexpr int STAGE = 2 * KEYS * LD, BYTES = backward_q_shared<HD, WARPS, KEYS>();
    static_assert(KEYS <= ROWS, "the second stage spares do");
    CUDA_SHARED(shared, BYTES);
    const struct cuda_attention &s = g.shape;
    const int warp = threadIdx.x / CUDA_WARP, lane = threadIdx.x % CUDA_WARP;
    const int seq = (int)s.seq, b = blockIdx.z;
    const int first_query = (int)(gridDim.x - 1 - blockIdx.x) * ROWS;
    const int mine = first_query + warp * 16;
    const int end = first_query + ROWS < seq ? first_query + ROWS : seq;
    const int h = blockIdx.y, kv = h / (s.heads / s.kv_heads);
    const bf16 *k = cuda_head(g.k, b, s.seq, kv, s.dim), *v = cuda_head(g.v, b, s.seq, kv, s.dim);
    bf16 *own = shared + (2 * KEYS + warp * 16) * LD, *const grad = own + 2 * ROWS * LD;
    uint32_t query[HD / 16][4];
    float sum[HD / 8][4] = {}, log_sum[2] = {0, 0}, base[2];
    cuda_fetch<HD, 16, CUDA_WARP>(own, cuda_head(g.q, b, s.seq, h, s.dim), g.q.ld, mine, seq, s.dim,
                                  lane);
    cuda_fetch<HD, 16, CUDA_WARP>(own + ROWS * LD, cuda_head(g.o, b, s.seq, h, s.dim), g.o.ld, mine,
                                  seq, s.dim, lane);
    cuda_fetch<HD, 16, CUDA_WARP>(grad, cuda_head(g.do_, b, s.seq, h, s.dim), g.do_.ld, mine, seq,
                                  s.dim, lane);
    cuda_copy_commit();
    cuda_fetch<HD, KEYS, THREADS>(shared, k, g.k.ld, 0, seq, s.dim, threadIdx.x);
    cuda_fetch<HD, KEYS, THREADS>(shared + KEYS * LD, v, g.v.ld, 0, seq, s.dim, threadIdx.x);
    cuda_copy_commit();
    cuda_copy_wait<1>();
    __syncwarp();
    if (g.rope.angles != NULL) {
        cuda_turn<HD, 16, CUDA_WARP>(own, g.rope, mine, seq, s.dim, 1, lane);
        __syncwarp();
    }
    cuda_load_rows<HD>(query, own);
    dot_rows<HD>(base, grad, own + ROWS * LD);
#pragma unroll
    for (int half = 0; half < 2; half++) {
        const int i = mine + lane / 4 + half * 8;
        if (i < seq) {
            log_sum[half] = g.lse[h * g.lse_ld + b * s.seq + i] * CUDA_LOG2_E;
            if (lane % 4 == 0)
                delta[h * tokens + b * s.seq + i] = base[half];
        }
    }
    for (int first = 0; first < end; first += KEYS) {
        const int at = first / KEYS % 2 * STAGE;
        bf16 *const key = shared + at, *const next = shared + (STAGE - at);
        cuda_copy_wait<0>();
        __syncthreads(); // the tile is there, and nobody reads the one before it
        if (first + KEYS < end) {
            cuda_fetch<HD, KEYS, THREADS>(next, k, g.k.ld, first + KEYS, seq, s.dim, threadIdx.x);
            cuda_fetch<HD, KEYS, THREADS>(next + KEYS * LD, v, g.v.ld, first + KEYS, seq, s.dim,
                                          threadIdx.x);
            cuda_copy_commit();
        }
        if (g.rope.angles != NULL) {
            cuda_turn<HD, KEYS, THREADS>(key, g.rope, first, seq, s.dim, 1, threadIdx.x);
            __syncthreads();
        }
        const int reach = mine - first;
        if (reach > -16) {
            float p[KEYS / 8][4], dp[KEYS / 8][4];
            cuda_times_transposed<HD, KEYS>(p, query, key);
            cuda_rows_times_transposed<HD, KEYS>(dp, grad, key + KEYS * LD);
            grade_rows<KEYS>(p, dp, log_sum, base, s.scale);
            if (reach < KEYS - 1) {
                const int last = reach + lane / 4 - lane % 4 * 2;
#pragma unroll
                for (int n = 0; n < KEYS / 8; n++)
#pragma unroll
                    for (int c = 0; c < 4; c++)
                        if (n * 8 + c % 2 > last + c / 2 * 8)
                            p[n][c] = 0;
            }
            cuda_add_times<HD, KEYS>(sum, p, key);
        }
    }
    const float scale[2] = {s.scale, s.scale};
    __syncthreads(); // the tiles are done with
    cuda_store_rows<HD>(cuda_head(g.dq, b, s.seq, h, s.dim), g.dq.ld, mine, seq, s.dim, sum, scale,
                        own, g.rope);
}

// What the kernel for dk and dv has of a tile of queries, as elements of BF16: q, do, and for each
// row log_sum (times log2 e) and delta.
template <int HD, int QUERIES> static __host__ __device__ constexpr int query_stage()
{
    return 2 * QUERIES * (cuda_tile_ld<HD> + 2);
}

template <int HD, int WARPS, int QUERIES>
static __host__ __device__ constexpr int backward_kv_shared()
{
    constexpr int KEYS = WARPS * 16 * cuda_tile_ld<HD>;
    return 2 * (KEYS + query_stage<HD, QUERIES>()) * (int)sizeof(bf16);
}

template <int HD, int QUERIES, int THREADS>
static __device__ __forceinline__ void
fetch_queries(bf16 *stage, const struct cuda_gradients<bf16> &g, const float *delta, int64_t tokens,
              int b, int h, int first)
{
    const struct cuda_attention &s = g.shape;
    const int seq = (int)s.seq;
    float *sums = (float *)(void *)(stage + 2 * QUERIES * cuda_tile_ld<HD>);
    cuda_fetch<HD, QUERIES, THREADS>(stage, cuda_head(g.q, b, s.seq, h, s.dim), g.q.ld, first, seq,
                                     s.dim, threadIdx.x);
    cuda_fetch<HD, QUERIES, THREADS>(stage + QUERIES * cuda_tile_ld<HD>,
                                     cuda_head(g.do_, b, s.seq, h, s.dim), g.do_.ld, first, seq,
                                     s.dim, threadIdx.x);
    cuda_copy_commit();
    if (threadIdx.x < QUERIES) {
        const int i = first + (int)threadIdx.x;
        const int64_t t = b * s.seq + i;
        const bool there = i < seq;
        sums[threadIdx.x] = there ? g.lse[h * g.lse_ld + t] * CUDA_LOG2_E : 0;
        sums[QUERIES + threadIdx.x] = there ? delta[h * tokens + t] : 0;
    }
}

// dk and dv, over the query heads that read them. Everything is transposed: rows are keys, columns
// queries. Grid: tiles of keys, kv heads, sequences.
//
// Reads 136 MB, writes 67: 61 us at 3.35 TB/s, 42 at 4.8. 17.2 GFLOP, 19.3 with what lies beyond
// the diagonal: expected in 90 us, 19% of 989 TFLOP/s; of L = 4096, 35%. Heads of up to 64: 128
// keys, 128 registers, 56 KB, two blocks to a multiprocessor. Up to 128: 64 keys, 224 registers, 52
// KB, two blocks.
template <int HD, int WARPS, int QUERIES, int BLOCKS>
static __global__ void __launch_bounds__(WARPS *CUDA_WARP, BLOCKS)
    attend_mma_kv(CUDA_ARGUMENT struct cuda_gradients<bf16> g, const float *delta, int64_t tokens)
{
    constexpr int ROWS = WARPS * 16, LD = cuda_tile_ld<HD>, THREADS = WARPS * CUDA_WARP;
    static_assert(ROWS % QUERIES == 0, "the diagonal begins with a tile");
    constexpr int STAGE = query_stage<HD, QUERIES>();
    constexpr int BYTES = backward_kv_shared<HD, WARPS, QUERIES>();
    CUDA_SHARED(shared, BYTES);
    const struct cuda_attention &s = g.shape;
    const int warp = threadIdx.x / CUDA_WARP, lane = threadIdx.x % CUDA_WARP;
    const int seq = (int)s.seq, b = blockIdx.z, first_key = (int)blockIdx.x * ROWS;
    const int mine = first_key + warp * 16; // the warp's first key
    const int kv = blockIdx.y, readers = s.heads / s.kv_heads;
    bf16 *key = shared + warp * 16 * LD, *value = key + ROWS * LD;
    bf16 *const tiles = shared + 2 * ROWS * LD;
    float sum_k[HD / 8][4] = {}, sum_v[HD / 8][4] = {};
    cuda_fetch<HD, 16, CUDA_WARP>(key, cuda_head(g.k, b, s.seq, kv, s.dim), g.k.ld, mine, seq,
                                  s.dim, lane);
    cuda_fetch<HD, 16, CUDA_WARP>(value, cuda_head(g.v, b, s.seq, kv, s.dim), g.v.ld, mine, seq,
                                  s.dim, lane);
    cuda_copy_commit();
    int h = kv * readers;
    int first = first_key;
    fetch_queries<HD, QUERIES, THREADS>(tiles, g, delta, tokens, b, h, first);
    cuda_copy_wait<1>();
    __syncwarp();
    if (g.rope.angles != NULL)
        cuda_turn<HD, 16, CUDA_WARP>(key, g.rope, mine, seq, s.dim, 1, lane);
    int at = 0;
    while (h < (kv + 1) * readers) {
        bf16 *const stage = tiles + at, *const next = tiles + (STAGE - at);
        const float *log_sum = (const float *)(const void *)(stage + 2 * QUERIES * LD);
        const float *base = log_sum + QUERIES;
        const int here = first;
        first += QUERIES;
        if (first >= seq) {
            first = first_key;
            h++;
        }
        cuda_copy_wait<0>();
        __syncthreads(); // the tile is there, and nobody reads the one before it
        if (h < (kv + 1) * readers)
            fetch_queries<HD, QUERIES, THREADS>(next, g, delta, tokens, b, h, first);
        if (g.rope.angles != NULL) {
            cuda_turn<HD, QUERIES, THREADS>(stage, g.rope, here, seq, s.dim, 1, threadIdx.x);
            __syncthreads();
        }
        const int lead = here - mine; // of the first query before the warp's first key
        if (lead > -QUERIES) {
            float p[QUERIES / 8][4], dp[QUERIES / 8][4];
            cuda_rows_times_transposed<HD, QUERIES>(p, key, stage);
            cuda_rows_times_transposed<HD, QUERIES>(dp, value, stage + QUERIES * LD);
#pragma unroll
            for (int n = 0; n < QUERIES / 8; n++)
#pragma unroll
                for (int c = 0; c < 4; c++) {
                    const int i = n * 8 + lane % 4 * 2 + c % 2;
                    p[n][c] = cuda_exp2(p[n][c] * (s.scale * CUDA_LOG2_E) - log_sum[i]);
                    dp[n][c] = p[n][c] * (dp[n][c] - base[i]);
                }
            if (lead < 15) {
                const int ahead = lead + lane % 4 * 2 - lane / 4;
#pragma unroll
                for (int n = 0; n < QUERIES / 8; n++)
#pragma unroll
                    for (int c = 0; c < 4; c++)
                        if (n * 8 + c % 2 + ahead < c / 2 * 8)
                            p[n][c] = dp[n][c] = 0;
            }
            cuda_add_times<HD, QUERIES>(sum_v, p, stage + QUERIES * LD);
            cuda_add_times<HD, QUERIES>(sum_k, dp, stage);
        }
        at = STAGE - at;
    }
    const float scale[2] = {s.scale, s.scale}, one[2] = {1, 1};
    cuda_store_rows<HD>(cuda_head(g.dk, b, s.seq, kv, s.dim), g.dk.ld, mine, seq, s.dim, sum_k,
                        scale, key, g.rope);
    cuda_store_rows<HD>(cuda_head(g.dv, b, s.seq, kv, s.dim), g.dv.ld, mine, seq, s.dim, sum_v, one,
                        value, cuda_rope{});
}

template <int HD, int WARPS, int KEYS, int BLOCKS>
static void backward_q(struct slt_ctx *ctx, const struct cuda_gradients<bf16> &g, float *delta,
                       int64_t batch)
{
    constexpr int BYTES = backward_q_shared<HD, WARPS, KEYS>();
    const dim3 grid((unsigned)cuda_blocks(g.shape.seq, WARPS * 16), (unsigned)g.shape.heads,
                    (unsigned)batch);
    CUDA_LAUNCH_SHARED(ctx, (attend_mma_q<HD, WARPS, KEYS, BLOCKS>), grid, WARPS * CUDA_WARP, BYTES,
                       g, delta, batch * g.shape.seq);
}

template <int HD, int WARPS, int QUERIES, int BLOCKS>
static void backward_kv(struct slt_ctx *ctx, const struct cuda_gradients<bf16> &g,
                        const float *delta, int64_t batch)
{
    constexpr int BYTES = backward_kv_shared<HD, WARPS, QUERIES>();
    const dim3 grid((unsigned)cuda_blocks(g.shape.seq, WARPS * 16), (unsigned)g.shape.kv_heads,
                    (unsigned)batch);
    CUDA_LAUNCH_SHARED(ctx, (attend_mma_kv<HD, WARPS, QUERIES, BLOCKS>), grid, WARPS * CUDA_WARP,
                       BYTES, g, delta, batch * g.shape.seq);
}

// ---- Entries ----

void cuda_attention_tiles(struct slt_ctx *ctx, const struct cuda_forward<bf16> &a, int64_t batch)
{
    if (a.shape.dim <= 64)
        forward<64, 8, 64>(ctx, a, batch);
    else
        forward<128, 4, 64>(ctx, a, batch);
}

void cuda_attention_tiles_backward(struct slt_ctx *ctx, const struct cuda_gradients<bf16> &g,
                                   int64_t batch)
{
    float *delta = (float *)(void *)cuda_work(ctx);
    if (g.shape.dim <= 64) {
        backward_q<64, 8, 32, 2>(ctx, g, delta, batch);
        backward_kv<64, 8, 32, 2>(ctx, g, delta, batch);
    } else {
        backward_q<128, 4, 32, 2>(ctx, g, delta, batch);
        backward_kv<128, 4, 16, 2>(ctx, g, delta, batch);
    }
}
