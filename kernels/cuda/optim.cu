// Norms, and optimizer steps with moments of 32, 16 and 8 bits. Where all tensors are aligned
// a thread has eight neighbours, whose random bits are those of one Philox block; else one value.
//
// Workspace of the norm: a double for each block of elements.
#include "kernels/cuda/cuda.h"
#include "kernels/cuda/rounding.h"
#include "kernels/norm.h"

extern "C" {
#include "core/codes.h"
}

// ---- Norm ----

// So many tensors in one launch, which passes no more than 4 KB.
#define NORM_TENSORS 128

struct norm_list {
    int count;
    const float *x[NORM_TENSORS];
    int64_t n[NORM_TENSORS];
    int64_t first[NORM_TENSORS + 1]; // blocks before those of tensor i
};

// A block for each CUDA_NORM_BLOCK elements of a tensor. Reads 4 bytes an element and writes next to
// nothing: of 350m's gradients 1.5 GB, 440 us at 3.35 TB/s, 305 at 4.8.
static __global__ void block_squares(double *partial, CUDA_ARGUMENT struct norm_list list)
{
    __shared__ double slots[CUDA_WARP];
    int k = 0;
    for (int above = list.count; above - k > 1;) { // the last tensor that begins before this block
        const int middle = (k + above) / 2;
        if (list.first[middle] <= blockIdx.x)
            k = middle;
        else
            above = middle;
    }
    const int64_t first = (blockIdx.x - list.first[k]) * CUDA_NORM_BLOCK, n = list.n[k];
    const int64_t last = first + CUDA_NORM_BLOCK < n ? first + CUDA_NORM_BLOCK : n;
    const float *x = list.x[k];
    double sum = 0;
    if ((uintptr_t)x % 16 == 0 && last - first == CUDA_NORM_BLOCK) {
#pragma unroll
        for (int64_t i = 0; i < CUDA_NORM_BLOCK; i += 4 * CUDA_BLOCK) {
            float v[4];
            cuda_load<4>(v, x + first + i + 4 * threadIdx.x);
            for (int e = 0; e < 4; e++)
                sum += (double)v[e] * (double)v[e];
        }
    } else {
        for (int64_t i = first + threadIdx.x; i < last; i += blockDim.x)
            sum += (double)x[i] * (double)x[i];
    }
    sum = cuda_block_sum(sum, slots);
    if (threadIdx.x == 0)
        partial[blockIdx.x] = sum;
}

// The squares of the list's tensors, a partial sum for each block; returns how many.
static int64_t launch_squares(struct slt_ctx *ctx, double *partial, const struct norm_list &list)
{
    const int64_t blocks = list.first[list.count];
    if (blocks > 0)
        SLT_LAUNCH(ctx, block_squares, (unsigned)blocks, CUDA_BLOCK, partial, list);
    return blocks;
}

static void list_add(struct norm_list &list, struct slt_tensor t)
{
    const int64_t n = t.rows * t.cols;
    list.x[list.count] = cuda_tensor(t);
    list.n[list.count] = n;
    list.first[list.count + 1] = list.first[list.count] + cuda_blocks(n, CUDA_NORM_BLOCK);
    list.count++;
}

// The root of the sum of n partial sums, in every thread of the block.
static __device__ double norm_of(const double *partial, int64_t n)
{
    __shared__ double slots[CUDA_WARP];
    double sum = 0;
    for (int64_t i = threadIdx.x; i < n; i += blockDim.x)
        sum += partial[i];
    return sqrt(cuda_block_sum(sum, slots));
}

static __global__ void finish_norm(double *scalars, const double *partial, int64_t n)
{
    const double norm = norm_of(partial, n);
    if (threadIdx.x == 0)
        slt_norm_finish(scalars, norm);
}

// Each block adds up the partial sums for itself, in the same order.
static __global__ void divide_by_norm(float *x, float *norm, const double *partial, int64_t blocks,
                                      int64_t n)
{
    const double length = norm_of(partial, blocks);
    const float inverse = length > 0 ? (float)(1 / length) : 0;
    const int64_t i = cuda_index();
    if (i < n)
        x[i] *= inverse;
    if (i == 0 && norm != NULL)
        *norm = (float)length;
}

void cuda_normalize(struct slt_ctx *ctx, struct slt_tensor x, struct slt_tensor norm)
{
    double *partial = (double *)(void *)ctx->work;
    const int64_t n = x.rows * x.cols;
    struct norm_list list = {};
    list_add(list, x);
    const int64_t blocks = launch_squares(ctx, partial, list);
    SLT_LAUNCH(ctx, divide_by_norm, (unsigned)cuda_blocks(n, CUDA_BLOCK), CUDA_BLOCK,
               cuda_tensor(x), cuda_tensor(norm), partial, blocks, n);
}

void cuda_grad_norm(struct slt_ctx *ctx, struct slt_tensor scalars, const struct slt_tensor *grads,
                    int64_t count)
{
    double *partial = (double *)(void *)ctx->work;
    struct norm_list list = {};
    int64_t used = 0;
    for (int64_t k = 0; k < count; k++) {
        if (grads[k].buffer == NULL || grads[k].rows * grads[k].cols == 0)
            continue;
        list_add(list, grads[k]);
        if (list.count < NORM_TENSORS)
            continue;
        used += launch_squares(ctx, partial + used, list);
        list.count = 0;
    }
    used += launch_squares(ctx, partial + used, list);
    SLT_LAUNCH(ctx, finish_norm, 1, CUDA_BLOCK, cuda_pointer<double>(scalars), partial, used);
}

// ---- Steps ----

struct update {
    float beta1, beta2, add1, add2; // add = 1 - beta
    double eps, weight_decay;
    bool eps_corrected, decay_last, nesterov;
    float scale; // of directions
};

struct rates {
    float grad, lr, rate, eps, keep;
};

// The moments of an element after gradient g, and its step; SGD has no v.
static __device__ __forceinline__ float momentum(float *m, float g, const struct update &u,
                                                 const struct rates &r)
{
    *m = u.beta1 * *m + g;
    return r.lr * (u.nesterov ? g + u.beta1 * *m : *m);
}

static __device__ __forceinline__ float adam(float *m, float *v, float g, const struct update &u,
                                             const struct rates &r)
{
    *m = u.beta1 * *m + u.add1 * g;
    *v = u.beta2 * *v + u.add2 * g * g;
    return r.rate * *m / (sqrtf(*v) + r.eps);
}

// p after a step; the step itself goes to *direction if there is one.
static __device__ __forceinline__ float stepped(float p, float *direction, float step,
                                                const struct update &u, const struct rates &r)
{
    if (direction != NULL)
        *direction = u.scale * step;
    return u.decay_last ? (p - step) * r.keep : p * r.keep - step;
}

// The tensors of an item.
template <class P, class M> struct item {
    P *param;
    float *master; // or NULL
    const float *grad;
    M *m, *v;         // no v: SGD with momentum
    float *direction; // or NULL
    double rate;
    const float *divisors; // (divisor_count)
    int divisor_count;
    struct cuda_rounding rounding;
};

template <class P, class M>
static __device__ struct rates rates_of(const struct item<P, M> &t, const struct update &u,
                                        const double *scalar)
{
    const double root = sqrt(scalar[SLT_SCALAR_C2]), lr = scalar[SLT_SCALAR_LR] * t.rate;
    double divisor = t.divisor_count > 0 ? 0 : 1;
    for (int k = 0; k < t.divisor_count; k++)
        divisor += (double)t.divisors[k];
    struct rates r = {(float)scalar[SLT_SCALAR_GRAD_SCALE],
                      divisor > 0 ? (float)(lr / divisor) : 0,
                      (float)(lr * root / scalar[SLT_SCALAR_C1]),
                      (float)(u.eps_corrected ? u.eps * root : u.eps),
                      (float)(1 - lr * u.weight_decay)};
    return r;
}

// Elements [i, i + N), of which the first count exist.
template <int N, class T> static __device__ void load_some(float *to, const T *from, int count)
{
    if (count == N)
        cuda_load<N>(to, from);
    else
        for (int k = 0; k < N; k++)
            to[k] = k < count ? cuda_value(from[k]) : 0;
}

template <int N>
static __device__ void store_some(float *to, const float *from, int64_t i, int count,
                                  const struct cuda_rounding &, int)
{
    (void)i;
    if (count == N)
        cuda_store<N>(to, from);
    else
#pragma unroll
        for (int k = 0; k < N; k++)
            if (k < count)
                to[k] = from[k];
}

template <int N>
static __device__ void store_some(bf16 *to, const float *from, int64_t i, int count,
                                  const struct cuda_rounding &rounding, int what)
{
    cuda_pack<bf16, N> pack;
    uint32_t word[4];
    if (rounding.stochastic)
        cuda_random_block(word, rounding.key, (uint64_t)i / 8, rounding.lane + (uint64_t)what);
    for (int k = 0; k < N; k++)
        pack.v[k] = cuda_rounded(from[k], rounding.stochastic, word, (uint64_t)i + (uint64_t)k);
    if (count == N)
        *(cuda_pack<bf16, N> *)(void *)to = pack;
    else
#pragma unroll
        for (int k = 0; k < N; k++)
            if (k < count)
                to[k] = pack.v[k];
}

template <class P, class M, int N>
static __global__ void adam_elements(struct item<P, M> t, struct update u, const double *scalars,
                                     int64_t n)
{
    const int64_t i = cuda_index() * N;
    if (i >= n || scalars[SLT_SCALAR_SKIP] != 0)
        return;
    const int count = n - i < N ? (int)(n - i) : N;
    const struct rates r = rates_of(t, u, scalars);
    float p[N] = {0}, g[N], m[N], v[N], direction[N] = {0};
    t.rounding.lane = 4 * (uint64_t)scalars[SLT_SCALAR_UPDATE];
    if (t.master != NULL)
        load_some<N>(p, t.master + i, count);
    else if (t.param != NULL)
        load_some<N>(p, t.param + i, count);
    if (t.grad != NULL) {
        load_some<N>(g, t.grad + i, count);
        load_some<N>(m, t.m + i, count);
    }
    if (t.grad != NULL && t.v != NULL)
        load_some<N>(v, t.v + i, count);
    if (t.grad == NULL && t.direction != NULL)
        load_some<N>(direction, t.direction + i, count);
    for (int k = 0; k < N; k++) {
        if (t.grad == NULL) { // the step that is given, or none
            p[k] = stepped(p[k], NULL, r.lr * direction[k], u, r);
            continue;
        }
        g[k] *= r.grad;
        const float step =
            t.v != NULL ? adam(&m[k], &v[k], g[k], u, r) : momentum(&m[k], g[k], u, r);
        p[k] = stepped(p[k], t.direction != NULL ? &direction[k] : NULL, step, u, r);
    }
    if (t.grad != NULL)
        store_some<N>(t.m + i, m, i, count, t.rounding, 1);
    if (t.grad != NULL && t.v != NULL)
        store_some<N>(t.v + i, v, i, count, t.rounding, 2);
    if (t.grad != NULL && t.direction != NULL) {
        store_some<N>(t.direction + i, direction, i, count, t.rounding, 0);
        return;
    }
    if (t.master != NULL)
        store_some<N>(t.master + i, p, i, count, t.rounding, 0);
    store_some<N>(t.param + i, p, i, count, t.rounding, 0);
}

// What 8-bit moments have besides their codes.
struct code_blocks {
    int64_t size;         // elements of a block
    float *m_max, *v_max; // (blocks)
    const float *codes;   // the maps of second and first moments
};

// The index of slt_codes_nearest, sought from a guess on: in shared memory every step of a search
// costs as much as a few operations. An ascending map begins at low.
static __device__ int nearest_from(const float *map, int low, float x)
{
    low = low < 0 ? 0 : low > SLT_CODES_8BIT - 2 ? SLT_CODES_8BIT - 2 : low;
    while (low > 0 && map[low] > x)
        low--;
    while (low < SLT_CODES_8BIT - 2 && map[low + 1] <= x)
        low++;
    return x - map[low] <= map[low + 1] - x ? low : low + 1;
}

// Where a dynamic map has a magnitude x in (0, 1]: decade i of 7 ends at 10^(i - 6) and has first 2^i
// values, evenly spaced from a tenth of its end on (core/codes.h). power (7) are 10^(6 - i).
static __device__ int place_in_decade(float x, const float *power, int first)
{
    const int i = (x > 1e-6f) + (x > 1e-5f) + (x > 1e-4f) + (x > 1e-3f) + (x > 1e-2f) + (x > 1e-1f);
    const int count = first << i;
    return count - first + (int)floorf((x * power[i] - 0.1f) / 0.9f * (float)count - 0.5f);
}

static __device__ int nearest_v(const float *map, const float *power, float x)
{
    return nearest_from(map, 1 + place_in_decade(x, power, 2), x);
}

// The code keeps the sign of m.
static __device__ int with_sign(const float *map, int code, float m)
{
    return signbit(map[code]) == signbit(m) ? code : m > 0 ? code + 1 : code - 1;
}

static __device__ int nearest_m(const float *map, const float *power, float x, float m)
{
    const int half = SLT_CODES_8BIT / 2, place = place_in_decade(fabsf(x), power, 1);
    return with_sign(map, nearest_from(map, x < 0 ? half - 2 - place : half + place, x), m);
}

#define CODED_BLOCK  256 // elements of the blocks of moments that a warp has in registers
#define CODED_ROUNDS 8   // blocks of moments of a warp, which share the maps' way into shared memory

// A warp for each block of moments, whose maxima it shares, a thread for N = 8 neighbours. Bytes
// moved for an element in F32 with both moments: 4 grad, 8 param, 4 codes: of 350m 5.9 GB, 1.8 ms at
// 3.35 TB/s, 1.2 at 4.8; of BF16 weights 4.4 GB.
template <class P>
static __global__ void adam_coded_warps(struct item<P, uint8_t> t, struct code_blocks blocks,
                                        struct update u, const double *scalars, int64_t n)
{
    constexpr int N = CODED_BLOCK / CUDA_WARP;
    __shared__ float map[2 * SLT_CODES_8BIT], power[7];
    const int lane = threadIdx.x % CUDA_WARP, warp = threadIdx.x / CUDA_WARP;
    if (scalars[SLT_SCALAR_SKIP] != 0)
        return;
    for (int i = threadIdx.x; i < 2 * SLT_CODES_8BIT; i += blockDim.x)
        map[i] = blocks.codes[i];
    if (threadIdx.x < 7) {
        float ten = 1;
        for (int i = 6; i > (int)threadIdx.x; i--)
            ten *= 10;
        power[threadIdx.x] = ten;
    }
    __syncthreads();
    const float *v_map = map, *m_map = map + SLT_CODES_8BIT;
    const struct rates r = rates_of(t, u, scalars);
    const bool has_v = t.v != NULL;
    t.rounding.lane = 4 * (uint64_t)scalars[SLT_SCALAR_UPDATE];
    for (int round = 0; round < CODED_ROUNDS; round++) {
        const int64_t block =
            ((int64_t)blockIdx.x * CODED_ROUNDS + round) * (CUDA_BLOCK / CUDA_WARP) + warp;
        const int64_t i = block * CODED_BLOCK + lane * N;
        if (block * CODED_BLOCK >= n) // for the whole warp
            return;
        const int count = i >= n ? 0 : n - i < N ? (int)(n - i) : N;
        const float old_m = blocks.m_max[block], old_v = has_v ? blocks.v_max[block] : 0;
        float p[N] = {0}, g[N] = {0}, m[N] = {0}, v[N] = {0}, step[N] = {0}, top_m = 0, top_v = 0;
        cuda_pack<uint8_t, N> m_code = {}, v_code = {};
        if (count > 0) {
            load_some<N>(g, t.grad + i, count);
            if (t.master != NULL)
                load_some<N>(p, t.master + i, count);
            else if (t.param != NULL)
                load_some<N>(p, t.param + i, count);
        }
        if (count == N) {
            m_code = *(const cuda_pack<uint8_t, N> *)(const void *)(t.m + i);
            if (has_v)
                v_code = *(const cuda_pack<uint8_t, N> *)(const void *)(t.v + i);
        }
#pragma unroll
        for (int k = 0; k < N; k++) {
            if (k >= count)
                continue;
            m[k] = m_map[count == N ? m_code.v[k] : t.m[i + k]] * old_m;
            v[k] = has_v ? v_map[count == N ? v_code.v[k] : t.v[i + k]] * old_v : 0;
            step[k] = has_v ? adam(&m[k], &v[k], g[k] * r.grad, u, r)
                            : momentum(&m[k], g[k] * r.grad, u, r);
            top_m = fmaxf(top_m, fabsf(m[k]));
            top_v = fmaxf(top_v, v[k]);
        }
        for (int away = CUDA_WARP / 2; away > 0; away /= 2) {
            top_m = fmaxf(top_m, __shfl_xor_sync(0xffffffffu, top_m, away));
            top_v = fmaxf(top_v, __shfl_xor_sync(0xffffffffu, top_v, away));
        }
        float direction[N];
#pragma unroll
        for (int k = 0; k < N; k++) {
            p[k] = stepped(p[k], &direction[k], step[k], u, r);
            m_code.v[k] = (uint8_t)nearest_m(m_map, power, top_m > 0 ? m[k] / top_m : 0, m[k]);
            v_code.v[k] = (uint8_t)nearest_v(v_map, power, top_v > 0 ? v[k] / top_v : 0);
        }
        if (count > 0 && t.direction != NULL) {
            store_some<N>(t.direction + i, direction, i, count, t.rounding, 0);
        } else if (count > 0) {
            if (t.master != NULL)
                store_some<N>(t.master + i, p, i, count, t.rounding, 0);
            store_some<N>(t.param + i, p, i, count, t.rounding, 0);
        }
        if (count == N) {
            *(cuda_pack<uint8_t, N> *)(void *)(t.m + i) = m_code;
            if (has_v)
                *(cuda_pack<uint8_t, N> *)(void *)(t.v + i) = v_code;
        }
#pragma unroll
        for (int k = 0; k < N; k++) {
            if (count == N || k >= count)
                continue;
            t.m[i + k] = m_code.v[k];
            if (has_v)
                t.v[i + k] = v_code.v[k];
        }
        if (lane == 0) {
            blocks.m_max[block] = top_m;
            if (has_v)
                blocks.v_max[block] = top_v;
        }
    }
}

// The same for blocks of moments of any size: a block of threads for each; the moments are worked
// out twice, as the new maxima are known only after all of them.
template <class P>
static __global__ void adam_codes(struct item<P, uint8_t> t, struct code_blocks blocks,
                                  struct update u, const double *scalars, int64_t n)
{
    __shared__ float map[2][SLT_CODES_8BIT], slots[CUDA_WARP];
    const int64_t first = blockIdx.x * blocks.size;
    const int64_t last = first + blocks.size < n ? first + blocks.size : n;
    if (scalars[SLT_SCALAR_SKIP] != 0)
        return;
    const struct rates r = rates_of(t, u, scalars);
    t.rounding.lane = 4 * (uint64_t)scalars[SLT_SCALAR_UPDATE];
    for (int i = threadIdx.x; i < 2 * SLT_CODES_8BIT; i += blockDim.x)
        map[i / SLT_CODES_8BIT][i % SLT_CODES_8BIT] = blocks.codes[i];
    __syncthreads();
    const float *v_map = map[0], *m_map = map[1];
    const bool has_v = t.v != NULL;
    const float old_m = blocks.m_max[blockIdx.x], old_v = has_v ? blocks.v_max[blockIdx.x] : 0;
    float top_m = 0, top_v = 0;
    for (int64_t i = first + threadIdx.x; i < last; i += blockDim.x) {
        float m = m_map[t.m[i]] * old_m, v = has_v ? v_map[t.v[i]] * old_v : 0;
        (void)(has_v ? adam(&m, &v, t.grad[i] * r.grad, u, r)
                     : momentum(&m, t.grad[i] * r.grad, u, r));
        top_m = fmaxf(top_m, fabsf(m));
        top_v = fmaxf(top_v, v);
    }
    top_m = cuda_block_max(top_m, slots);
    top_v = cuda_block_max(top_v, slots);
    for (int64_t i = first + threadIdx.x; i < last; i += blockDim.x) {
        float m = m_map[t.m[i]] * old_m, v = has_v ? v_map[t.v[i]] * old_v : 0;
        const float g = t.grad[i] * r.grad;
        const float step = has_v ? adam(&m, &v, g, u, r) : momentum(&m, g, u, r);
        float p = t.master != NULL ? t.master[i] : t.param != NULL ? cuda_value(t.param[i]) : 0;
        p = stepped(p, t.direction != NULL ? &t.direction[i] : NULL, step, u, r);
        if (t.direction == NULL) {
            if (t.master != NULL)
                t.master[i] = p;
            store_some<1>(t.param + i, &p, i, 1, t.rounding, 0);
        }
        const int code = slt_codes_nearest(m_map, SLT_CODES_8BIT, top_m > 0 ? m / top_m : 0);
        t.m[i] = (uint8_t)with_sign(m_map, code, m);
        if (has_v)
            t.v[i] = slt_codes_nearest(v_map, SLT_CODES_8BIT, top_v > 0 ? v / top_v : 0);
    }
    if (threadIdx.x == 0) {
        blocks.m_max[blockIdx.x] = top_m;
        if (has_v)
            blocks.v_max[blockIdx.x] = top_v;
    }
}

template <class P, class M>
static struct item<P, M> item_of(const struct slt_adam_item *it, const struct slt_adam *h) {
    struct item<P, M> t = {
        cuda_pointer<P>(it->param), cuda_tensor(it->master),
            cuda_tensor(it->grad), cuda_pointer<M>(it->m), cuda_pointer<M>(it->v),
            cuda_tensor(it->direction), it->rate, cuda_tensor(it->divisors),
            (int)it->divisors.cols,
        {
            h->stochastic, {it->rounding.word[0], it->rounding.word[1]}, 0
        }
    };
    return t;
}

template <class P, class M>
static void launch(struct slt_ctx *ctx, const struct slt_adam_item *it, const struct slt_adam *h,
                   const struct update &u, const double *scalars, int64_t n)
{
    const struct item<P, M> t = item_of<P, M>(it, h);
    const uintptr_t all = (uintptr_t)t.param | (uintptr_t)t.master | (uintptr_t)t.grad |
                          (uintptr_t)t.m | (uintptr_t)t.v | (uintptr_t)t.direction;
    if (all % 16 == 0)
        SLT_LAUNCH_FLAT(ctx, (adam_elements<P, M, 8>), (unsigned)cuda_blocks(n, 8 * CUDA_BLOCK),
                        CUDA_BLOCK, t, u, scalars, n);
    else
        SLT_LAUNCH_FLAT(ctx, (adam_elements<P, M, 1>), (unsigned)cuda_blocks(n, CUDA_BLOCK),
                        CUDA_BLOCK, t, u, scalars, n);
}

template <class P>
static void step_item(struct slt_ctx *ctx, const struct slt_adam_item *it, const struct slt_adam *h,
                      const struct update &u, const double *scalars, int64_t n)
{
    const struct code_blocks blocks = {h->block, cuda_tensor(it->m_max), cuda_tensor(it->v_max),
                                       ctx->codes};
    const struct item<P, uint8_t> coded = item_of<P, uint8_t>(it, h);
    const uintptr_t wide = (uintptr_t)coded.param | (uintptr_t)coded.master |
                           (uintptr_t)coded.grad | (uintptr_t)coded.direction;
    const bool is_coded = it->grad.buffer != NULL && it->m_max.buffer != NULL;
    if (is_coded && h->block == CODED_BLOCK && wide % 16 == 0 &&
        ((uintptr_t)coded.m | (uintptr_t)coded.v) % 8 == 0)
        SLT_LAUNCH(ctx, adam_coded_warps<P>,
                   (unsigned)cuda_blocks(n, CODED_BLOCK * CODED_ROUNDS * (CUDA_BLOCK / CUDA_WARP)),
                   CUDA_BLOCK, coded, blocks, u, scalars, n);
    else if (is_coded)
        SLT_LAUNCH(ctx, adam_codes<P>, (unsigned)cuda_blocks(n, h->block), CUDA_BLOCK,
                   coded, blocks, u, scalars, n);
    else if (it->m.dtype == SLT_BF16)
        launch<P, bf16>(ctx, it, h, u, scalars, n);
    else
        launch<P, float>(ctx, it, h, u, scalars, n);
}

void cuda_adam_step(struct slt_ctx *ctx, const struct slt_adam_item *items, int64_t count,
                    const struct slt_adam *h, struct slt_tensor scalars)
{
    const struct update u = {(float)h->beta1,       (float)h->beta2, (float)(1 - h->beta1),
                             (float)(1 - h->beta2), h->eps,          h->weight_decay,
                             h->eps_corrected,      h->decay_last,   h->nesterov,
                             (float)h->scale};
    const double *scalar = cuda_pointer<double>(scalars);
    for (int64_t k = 0; k < count; k++) {
        const struct slt_adam_item *it = &items[k];
        const struct slt_tensor shape = it->grad.buffer != NULL ? it->grad : it->param;
        const int64_t n = shape.rows * shape.cols;
        if (n > 0)
            CUDA_TYPED(it->param.dtype, step_item, ctx, it, h, u, scalar, n);
    }
}
