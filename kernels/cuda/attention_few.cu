// Attention of a few new tokens to a long cache, as generation has it. A block has one query of one
// head and a run of its keys; so many threads that each has 16 features share a key, and all groups
// of a block have other keys. Each keeps the largest score, the denominator and the weighted sum of
// values of the keys it saw; these are merged in a fixed order: across a warp, across a block's
// warps, and, where a query has several blocks, by a second kernel from the workspace.
//
// Bytes moved: the keys and values so far are read once by each query head: for a new token behind
// 4096 others, with 32 kv heads of 64 in BF16, 34 MB a layer, 10 us at 3.35 TB/s, 7 at 4.8; heads
// that share keys find them in the second-level cache. One multiply-add for each value read.
// Registers on sm_90a: at most 80; nothing is spilled.
#include "kernels/cuda/attention.h"

#define BLOCK   128
#define AT_ONCE 4   // keys that a group has under way
#define ENOUGH  264 // blocks: two for each multiprocessor of an H100
#define LEAST   128 // keys of a block

// What a group, a warp or a block has seen.
struct seen {
    float most, sum; // the largest score, the sum of exp(score - most)
};

// The factor of what was weighted relative to most, relative to top; nothing was seen at -infinity.
static __device__ __forceinline__ float rescale(float most, float top)
{
    return most == -INFINITY ? 0 : expf(most - top);
}

// Where a block leaves what it has seen: sum and most behind the weighted sum of values.
static __device__ __forceinline__ float *part_of(float *parts, int64_t query, int head, int heads,
                                                 int split, int splits, int dim)
{
    return parts + ((query * heads + head) * splits + split) * (dim + 2);
}

// Grid: runs of keys, heads, queries. To parts (queries, heads, runs, dim + 2) if there is more
// than one run.
template <int DIM, int N, class T>
static __global__ void __launch_bounds__(BLOCK)
    attend_few(CUDA_ARGUMENT struct cuda_forward<T> a, float *parts)
{
    constexpr int LANES = cuda_lanes_of<DIM>, GROUPS = BLOCK / LANES, WARPS = BLOCK / CUDA_WARP;
    const struct cuda_attention &s = a.shape;
    __shared__ float values[WARPS][DIM];
    __shared__ struct seen warps[WARPS];
    const int64_t i = blockIdx.z, run = (s.keys + gridDim.x - 1) / gridDim.x;
    const int64_t begin = blockIdx.x * run, all = i + s.offset + 1;
    const int64_t end = begin + run < all ? begin + run : all;
    const int h = blockIdx.y, kv = h / (s.heads / s.kv_heads);
    const T *k = cuda_head(a.k, 0, s.keys, kv, s.dim), *v = cuda_head(a.v, 0, s.keys, kv, s.dim);
    const int warp = threadIdx.x / CUDA_WARP, lane = threadIdx.x % CUDA_WARP;
    float query[CUDA_PART], out[CUDA_PART] = {};
    struct seen mine = {-INFINITY, 0};
    cuda_load_part<DIM, N>(query, cuda_head(a.q, 0, s.seq, h, s.dim) + i * a.q.ld, s.dim);
    for (int64_t first = begin; first < end; first += GROUPS * AT_ONCE) {
        const int64_t j = first + threadIdx.x / LANES;
        float score[AT_ONCE], top = mine.most;
#pragma unroll
        for (int u = 0; u < AT_ONCE; u++) {
            float key[CUDA_PART] = {}, sum = 0;
            if (j + u * GROUPS < end)
                cuda_load_part<DIM, N>(key, k + (j + u * GROUPS) * a.k.ld, s.dim);
#pragma unroll
            for (int e = 0; e < CUDA_PART; e++)
                sum += query[e] * key[e];
            score[u] = sum;
        }
#pragma unroll
        for (int u = 0; u < AT_ONCE; u++) {
#pragma unroll
            for (int step = 1; step < LANES; step *= 2)
                score[u] += __shfl_xor_sync(0xffffffffu, score[u], step);
            score[u] = j + u * GROUPS < end ? score[u] * s.scale : -INFINITY;
            top = fmaxf(top, score[u]);
        }
        const float old = rescale(mine.most, top);
        mine.most = top;
        mine.sum *= old;
#pragma unroll
        for (int e = 0; e < CUDA_PART; e++)
            out[e] *= old;
#pragma unroll
        for (int u = 0; u < AT_ONCE; u++) {
            float value[CUDA_PART];
            if (j + u * GROUPS >= end)
                continue;
            cuda_load_part<DIM, N>(value, v + (j + u * GROUPS) * a.v.ld, s.dim);
            const float weight = expf(score[u] - top);
            mine.sum += weight;
#pragma unroll
            for (int e = 0; e < CUDA_PART; e++)
                out[e] += weight * value[e];
        }
    }
#pragma unroll
    for (int step = LANES; step < CUDA_WARP; step *= 2) {
        const float other = __shfl_xor_sync(0xffffffffu, mine.most, step);
        const float top = fmaxf(mine.most, other);
        const float here = rescale(mine.most, top), there = rescale(other, top);
        mine.most = top;
        mine.sum = mine.sum * here + __shfl_xor_sync(0xffffffffu, mine.sum, step) * there;
#pragma unroll
        for (int e = 0; e < CUDA_PART; e++)
            out[e] = out[e] * here + __shfl_xor_sync(0xffffffffu, out[e], step) * there;
    }
    if (lane == 0)
        warps[warp] = mine;
    if (lane < LANES)
#pragma unroll
        for (int e = 0; e < CUDA_PART; e++)
            values[warp][cuda_feature_of<DIM>(e)] = out[e];
    __syncthreads();
    float top = warps[0].most, sum = 0;
    for (int w = 1; w < WARPS; w++)
        top = fmaxf(top, warps[w].most);
    for (int w = 0; w < WARPS; w++)
        sum += warps[w].sum * rescale(warps[w].most, top);
    float *part = part_of(parts, i, h, s.heads, blockIdx.x, gridDim.x, s.dim);
    T *o = cuda_head(a.o, 0, s.seq, h, s.dim) + i * a.o.ld;
    for (int f = threadIdx.x; f < s.dim; f += BLOCK) {
        float value = 0;
        for (int w = 0; w < WARPS; w++)
            value += values[w][f] * rescale(warps[w].most, top);
        if (gridDim.x == 1)
            cuda_set(&o[f], value / sum);
        else
            part[f] = value;
    }
    if (gridDim.x > 1 && threadIdx.x == 0) {
        part[s.dim] = sum;
        part[s.dim + 1] = top;
    }
}

// Merges the runs of a query of a head. Grid: heads, queries; a thread for each feature.
template <class T>
static __global__ void merge_runs(CUDA_ARGUMENT struct cuda_forward<T> a, float *parts, int splits)
{
    const struct cuda_attention &s = a.shape;
    const int h = blockIdx.x, f = threadIdx.x, dim = s.dim;
    const int64_t i = blockIdx.y;
    const float *part = part_of(parts, i, h, s.heads, 0, splits, dim);
    float top = -INFINITY, sum = 0, value = 0;
    if (f >= dim)
        return;
    for (int r = 0; r < splits; r++)
        top = fmaxf(top, part[r * (dim + 2) + dim + 1]);
    for (int r = 0; r < splits; r++) {
        const float factor = rescale(part[r * (dim + 2) + dim + 1], top);
        sum += part[r * (dim + 2) + dim] * factor;
        value += part[r * (dim + 2) + f] * factor;
    }
    cuda_set(cuda_head(a.o, 0, s.seq, h, dim) + i * a.o.ld + f, value / sum);
}

template <int DIM, class T> static void few(struct slt_ctx *ctx, const struct cuda_forward<T> &a)
{
    const struct cuda_attention &s = a.shape;
    const int64_t here = s.heads * s.seq, wanted = cuda_blocks(ENOUGH, here);
    const int64_t useful = s.keys / LEAST < 1 ? 1 : s.keys / LEAST;
    const int64_t splits = wanted < useful ? wanted : useful;
    const dim3 grid((unsigned)splits, (unsigned)s.heads, (unsigned)s.seq);
    float *parts = (float *)(void *)cuda_work(ctx);
    if (cuda_aligned<T>(s.dim, a.q.base, a.k.base, a.v.base))
        SLT_LAUNCH(ctx, (attend_few<DIM, 4, T>), grid, BLOCK, a, parts);
    else
        SLT_LAUNCH(ctx, (attend_few<DIM, 1, T>), grid, BLOCK, a, parts);
    if (splits > 1)
        SLT_LAUNCH(ctx, (merge_runs<T>), dim3((unsigned)s.heads, (unsigned)s.seq),
                   CUDA_HEAD_DIM_MAX, a, parts, (int)splits);
}

// A query of a head has at most 1 + ENOUGH / (heads queries) runs.
uint64_t cuda_attention_few_bytes(struct slt_attention a, int64_t tokens)
{
    const int64_t queries = tokens < CUDA_ATTENTION_FEW ? tokens : CUDA_ATTENTION_FEW;
    return (uint64_t)((ENOUGH + a.heads * queries) * (a.head_dim + 2)) * sizeof(float);
}

template <class T> void cuda_attention_few(struct slt_ctx *ctx, const struct cuda_forward<T> &a)
{
    CUDA_WITH_DIM(a.shape.dim, few, ctx, a);
}

template void cuda_attention_few(struct slt_ctx *, const struct cuda_forward<float> &);
template void cuda_attention_few(struct slt_ctx *, const struct cuda_forward<bf16> &);
