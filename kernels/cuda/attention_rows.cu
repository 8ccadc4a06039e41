// Causal attention without tensor cores, for what they cannot do: F32, and heads that do not fit
// (attention_mma.cu has the others). So many threads that each has 16 features share a query (or,
// for dk and dv, a key), and a block walks the other side in tiles of shared memory, so that no L x
// L matrix exists and no sum has two owners. A score is added up by shuffles, whose sums are the
// same for all that share a row.
//
// Bytes moved: a tile of 16 keys and values is read once, mostly from the second-level cache, for
// 128, 64, 32 or 16 queries of heads of up to 32, 64, 128, 256. Of a layer of 350m with 64
// sequences of 256 in F32: 0.27 GB forward, 0.87 backward in two kernels, 0.08 and 0.26 ms at 3.35
// TB/s. The arithmetic takes longer, 8.6 and 30 GFLOP where each multiply-add reads 4 bytes of
// shared memory (together with the threads that have the same features of other rows): at a quarter
// of 67 TFLOP/s 0.5 and 1.8 ms. Registers on sm_90a: at most 128, so that two blocks share a
// multiprocessor; nothing is spilled.
#include "kernels/cuda/attention.h"

#define BLOCK 256
#define TILE  16 // rows of the other side in shared memory

template <int DIM> constexpr int rows_of = BLOCK / cuda_lanes_of<DIM>; // of a block

// Copies rows [first, first + TILE) of a head into tile, zeros beyond the last.
template <int DIM, class T>
static __device__ void load_tile(float (*tile)[DIM], struct cuda_rows<T> r, int64_t sequence,
                                 int64_t rows, int64_t first, int64_t head, int dim)
{
    const T *at = cuda_head(r, sequence, rows, head, dim);
    for (int k = threadIdx.x; k < TILE * DIM; k += BLOCK) {
        const int i = k / DIM, f = k % DIM;
        tile[i][f] = first + i < rows && f < dim ? cuda_value(at[(first + i) * r.ld + f]) : 0;
    }
}

// A thread's part of row i.
template <int DIM, class T>
static __device__ void load_part(float *to, struct cuda_rows<T> r, int64_t sequence, int64_t rows,
                                 int64_t i, int64_t head, int dim)
{
    cuda_load_part<DIM, 1>(to, cuda_head(r, sequence, rows, head, dim) + i * r.ld, dim);
}

template <int DIM, class T>
static __device__ void store_part(struct cuda_rows<T> r, int64_t sequence, int64_t rows, int64_t i,
                                  int64_t head, int dim, const float *from, float scale)
{
    T *to = cuda_head(r, sequence, rows, head, dim) + i * r.ld;
#pragma unroll
    for (int e = 0; e < CUDA_PART; e++) {
        const int f = cuda_feature_of<DIM>(e);
        if (f < dim)
            cuda_set(&to[f], from[e] * scale);
    }
}

// A thread's part of the product of its row and a row in shared memory.
template <int DIM>
static __device__ __forceinline__ float dot_part(const float *a, const float *row)
{
    float sum = 0;
#pragma unroll
    for (int e = 0; e < CUDA_PART; e++)
        sum += a[e] * row[cuda_feature_of<DIM>(e)];
    return sum;
}

template <int DIM>
static __device__ __forceinline__ void add_part(float *sum, float factor, const float *row)
{
#pragma unroll
    for (int e = 0; e < CUDA_PART; e++)
        sum[e] += factor * row[cuda_feature_of<DIM>(e)];
}

// The sum over the threads that share a row.
template <int DIM> static __device__ __forceinline__ float row_sum(float x)
{
#pragma unroll
    for (int step = 1; step < cuda_lanes_of<DIM>; step *= 2)
        x += __shfl_xor_sync(0xffffffffu, x, step);
    return x;
}

// ---- Forward ----

// Grid: tiles of queries, heads, sequences. lse may be NULL.
template <int DIM, class T>
static __global__ void __launch_bounds__(BLOCK, 2) attend(CUDA_ARGUMENT struct cuda_forward<T> a)
{
    const struct cuda_attention &s = a.shape;
    __shared__ __align__(16) float key[TILE][DIM], value[TILE][DIM];
    const int64_t first_query = (int64_t)blockIdx.x * rows_of<DIM>, b = blockIdx.z;
    const int64_t i = first_query + threadIdx.x / cuda_lanes_of<DIM>;
    const int h = blockIdx.y, kv = h / (s.heads / s.kv_heads);
    const bool mine = i < s.seq;
    float row[CUDA_PART], out[CUDA_PART] = {}, most = -INFINITY, sum = 0;
    load_part<DIM>(row, a.q, b, s.seq, mine ? i : 0, h, s.dim);
    const int64_t last = first_query + rows_of<DIM> - 1 + s.offset;
    for (int64_t first = 0; first <= last && first < s.keys; first += TILE) {
        float p[TILE], top = most;
        __syncthreads();
        load_tile<DIM>(key, a.k, b, s.keys, first, kv, s.dim);
        load_tile<DIM>(value, a.v, b, s.keys, first, kv, s.dim);
        __syncthreads();
#pragma unroll
        for (int j = 0; j < TILE; j++) {
            p[j] = row_sum<DIM>(dot_part<DIM>(row, key[j])) * s.scale;
            if (first + j > i + s.offset || first + j >= s.keys)
                p[j] = -INFINITY;
            top = fmaxf(top, p[j]);
        }
        const float old = expf(most - top); // the first key is there for all
        sum *= old;
#pragma unroll
        for (int e = 0; e < CUDA_PART; e++)
            out[e] *= old;
#pragma unroll
        for (int j = 0; j < TILE; j++) {
            const float weight = expf(p[j] - top);
            sum += weight;
            add_part<DIM>(out, weight, value[j]);
        }
        most = top;
    }
    if (!mine)
        return;
    store_part<DIM>(a.o, b, s.seq, i, h, s.dim, out, 1 / sum);
    if (a.lse != NULL && threadIdx.x % cuda_lanes_of<DIM> == 0)
        a.lse[h * a.lse_ld + b * s.seq + i] = most + logf(sum);
}

// ---- Backward ----

#define AT_ONCE 2 // keys whose scores are worked out together

// dq. dS = P (do v - do o) scale.
template <int DIM, class T>
static __global__ void __launch_bounds__(BLOCK, 2)
    attend_backward_q(CUDA_ARGUMENT struct cuda_gradients<T> g)
{
    const struct cuda_attention &s = g.shape;
    __shared__ __align__(16) float key[TILE][DIM], value[TILE][DIM];
    const int64_t first_query = (int64_t)blockIdx.x * rows_of<DIM>, b = blockIdx.z;
    const int64_t i = first_query + threadIdx.x / cuda_lanes_of<DIM>;
    const int h = blockIdx.y, kv = h / (s.heads / s.kv_heads);
    const bool mine = i < s.seq;
    float row[CUDA_PART], grad[CUDA_PART], sum[CUDA_PART], base = 0;
    load_part<DIM>(sum, g.o, b, s.seq, mine ? i : 0, h, s.dim);
    load_part<DIM>(grad, g.do_, b, s.seq, mine ? i : 0, h, s.dim);
    load_part<DIM>(row, g.q, b, s.seq, mine ? i : 0, h, s.dim);
#pragma unroll
    for (int e = 0; e < CUDA_PART; e++) {
        base += sum[e] * grad[e];
        sum[e] = 0;
    }
    base = row_sum<DIM>(base);
    const float log_sum = mine ? g.lse[h * g.lse_ld + b * s.seq + i] : 0;
    for (int64_t first = 0; first < first_query + rows_of<DIM> && first < s.seq; first += TILE) {
        __syncthreads();
        load_tile<DIM>(key, g.k, b, s.seq, first, kv, s.dim);
        load_tile<DIM>(value, g.v, b, s.seq, first, kv, s.dim);
        __syncthreads();
        for (int j = 0; j < TILE; j += AT_ONCE) {
            float p[AT_ONCE], dp[AT_ONCE];
#pragma unroll
            for (int u = 0; u < AT_ONCE; u++) {
                p[u] = row_sum<DIM>(dot_part<DIM>(row, key[j + u]));
                dp[u] = row_sum<DIM>(dot_part<DIM>(grad, value[j + u]));
            }
#pragma unroll
            for (int u = 0; u < AT_ONCE; u++)
                if (mine && first + j + u <= i)
                    add_part<DIM>(sum, expf(p[u] * s.scale - log_sum) * (dp[u] - base) * s.scale,
                                  key[j + u]);
        }
    }
    if (mine)
        store_part<DIM>(g.dq, b, s.seq, i, h, s.dim, sum, 1);
}

// log_sum and do o of a tile's queries: sixteen threads for each.
template <int DIM, class T>
static __device__ void load_sums(float *log_sum, float *base, const struct cuda_gradients<T> &g,
                                 const float (*grad)[DIM], int64_t b, int h, int64_t first)
{
    constexpr int THREADS = BLOCK / TILE;
    const struct cuda_attention &s = g.shape;
    const int row = threadIdx.x / THREADS, lane = threadIdx.x % THREADS;
    const bool there = first + row < s.seq;
    const T *out = cuda_head(g.o, b, s.seq, h, s.dim) + (there ? first + row : 0) * g.o.ld;
    float sum = 0;
    for (int f = lane; f < s.dim; f += THREADS)
        sum += cuda_value(out[f]) * grad[row][f];
#pragma unroll
    for (int step = 1; step < THREADS; step *= 2)
        sum += __shfl_xor_sync(0xffffffffu, sum, step);
    if (lane == 0) {
        base[row] = sum;
        log_sum[row] = there ? g.lse[h * g.lse_ld + b * s.seq + first + row] : 0;
    }
}

// dk and dv, over the query heads that read them.
template <int DIM, class T>
static __global__ void __launch_bounds__(BLOCK, 2)
    attend_backward_kv(CUDA_ARGUMENT struct cuda_gradients<T> g)
{
    const struct cuda_attention &s = g.shape;
    __shared__ __align__(16) float query[TILE][DIM], grad[TILE][DIM], base[TILE], log_sum[TILE];
    const int64_t first_key = (int64_t)blockIdx.x * rows_of<DIM>, b = blockIdx.z;
    const int64_t j = first_key + threadIdx.x / cuda_lanes_of<DIM>;
    const int kv = blockIdx.y, readers = s.heads / s.kv_heads;
    const bool mine = j < s.seq;
    float key[CUDA_PART], value[CUDA_PART], sum_k[CUDA_PART] = {}, sum_v[CUDA_PART] = {};
    load_part<DIM>(key, g.k, b, s.seq, mine ? j : 0, kv, s.dim);
    load_part<DIM>(value, g.v, b, s.seq, mine ? j : 0, kv, s.dim);
    for (int h = kv * readers; h < (kv + 1) * readers; h++) {
        for (int64_t first = first_key; first < s.seq; first += TILE) {
            __syncthreads();
            load_tile<DIM>(query, g.q, b, s.seq, first, h, s.dim);
            load_tile<DIM>(grad, g.do_, b, s.seq, first, h, s.dim);
            __syncthreads();
            load_sums<DIM>(log_sum, base, g, grad, b, h, first);
            __syncthreads();
            for (int i = 0; i < TILE; i++) {
                const float p = row_sum<DIM>(dot_part<DIM>(key, query[i]));
                const float dp = row_sum<DIM>(dot_part<DIM>(value, grad[i]));
                if (!mine || first + i < j || first + i >= s.seq)
                    continue;
                const float weight = expf(p * s.scale - log_sum[i]);
                add_part<DIM>(sum_v, weight, grad[i]);
                add_part<DIM>(sum_k, weight * (dp - base[i]) * s.scale, query[i]);
            }
        }
    }
    if (!mine)
        return;
    store_part<DIM>(g.dk, b, s.seq, j, kv, s.dim, sum_k, 1);
    store_part<DIM>(g.dv, b, s.seq, j, kv, s.dim, sum_v, 1);
}

// ---- Launchers ----

template <int DIM, class T>
static void forward(struct slt_ctx *ctx, const struct cuda_forward<T> &a, int64_t batch)
{
    const dim3 grid((unsigned)cuda_blocks(a.shape.seq, rows_of<DIM>), (unsigned)a.shape.heads,
                    (unsigned)batch);
    SLT_LAUNCH(ctx, (attend<DIM, T>), grid, BLOCK, a);
}

template <int DIM, class T>
static void backward(struct slt_ctx *ctx, const struct cuda_gradients<T> &g, int64_t batch)
{
    const struct cuda_attention s = g.shape;
    const unsigned tiles = (unsigned)cuda_blocks(s.seq, rows_of<DIM>);
    SLT_LAUNCH(ctx, (attend_backward_q<DIM, T>), dim3(tiles, (unsigned)s.heads, (unsigned)batch),
               BLOCK, g);
    SLT_LAUNCH(ctx, (attend_backward_kv<DIM, T>),
               dim3(tiles, (unsigned)s.kv_heads, (unsigned)batch), BLOCK, g);
}

template <class T>
void cuda_attention_rows(struct slt_ctx *ctx, const struct cuda_forward<T> &a, int64_t batch)
{
    CUDA_WITH_DIM(a.shape.dim, forward, ctx, a, batch);
}

template <class T>
void cuda_attention_rows_backward(struct slt_ctx *ctx, const struct cuda_gradients<T> &g,
                                  int64_t batch)
{
    CUDA_WITH_DIM(g.shape.dim, backward, ctx, g, batch);
}

template void cuda_attention_rows(struct slt_ctx *, const struct cuda_forward<float> &, int64_t);
template void cuda_attention_rows(struct slt_ctx *, const struct cuda_forward<bf16> &, int64_t);
template void cuda_attention_rows_backward(struct slt_ctx *, const struct cuda_gradients<float> &,
                                           int64_t);
template void cuda_attention_rows_backward(struct slt_ctx *, const struct cuda_gradients<bf16> &,
                                           int64_t);
