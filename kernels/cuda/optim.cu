// Optimizer steps with moments of 32, 16 and 8 bits: one launch for as many tensors of the same
// types as its arguments hold, STEP_TENSORS. Where all of a tensor is aligned a thread has eight
// neighbours, whose random bits are those of one Philox block; else one value.
#include "kernels/cuda/rounding.h"
#include "kernels/cuda/tensors.h"

extern "C" {
#include "core/codes.h"
}

// ---- What a step computes ----

struct update {
    float beta1, beta2, add1, add2; // add = 1 - beta
    double eps, weight_decay;
    bool eps_corrected, decay_last, nesterov, stochastic;
    float scale;   // of directions
    int64_t block; // elements of a block of 8-bit moments
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

// The tensors of an item, whose types the kernel knows; NULL where one is absent.
struct step_tensor {
    void *param;
    float *master;
    const void *grad; // F32, or BF16 as it is said below
    void *m, *v;
    float *m_max, *v_max;  // (blocks): of 8-bit moments
    void *direction;       // as grad
    const float *divisors; // (divisor_count)
    double rate;
    int64_t n; // elements
    uint32_t key[2];
    short divisor_count;
    bool bf16_grad, bf16_direction;
    uint32_t first; // which element of its parameter the first one is, over 8
};

#define STEP_TENSORS 36
#define STEP_BLOCK   (1 << 13) // elements of a block of threads

struct step_list {
    int count;
    unsigned first[STEP_TENSORS + 1]; // blocks before those of tensor i
    struct step_tensor tensor[STEP_TENSORS];
};

static_assert(sizeof(struct step_list) + sizeof(struct update) + 2 * sizeof(void *) <=
                  CUDA_ARGUMENT_BYTES,
              "arguments");

static __device__ struct rates rates_of(const struct step_tensor &t, const struct update &u,
                                        const double *scalar)
{
    const double root = sqrt(scalar[SLT_SCALAR_C2]), lr = scalar[SLT_SCALAR_LR] * t.rate;
    double divisor = t.divisor_count > 0 ? 0 : 1;
    for (int k = 0; k < t.divisor_count; k++)
        divisor += (double)t.divisors[k];
    struct rates r = {(float)scalar[SLT_SCALAR_GRAD_SCALE], divisor > 0 ? (float)(lr / divisor) : 0,
                      (float)(lr * root / scalar[SLT_SCALAR_C1]),
                      (float)(u.eps_corrected ? u.eps * root : u.eps),
                      (float)(1 - lr * u.weight_decay)};
    return r;
}

static __device__ struct cuda_rounding rounding_of(const struct step_tensor &t,
                                                   const struct update &u, const double *scalar)
{
    const struct cuda_rounding rounding = {u.stochastic,
                                           {t.key[0], t.key[1]},
                                           4 * (uint64_t)scalar[SLT_SCALAR_UPDATE],
                                           8 * (uint64_t)t.first};
    return rounding;
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
        cuda_random_block(word, rounding.key, (rounding.first + (uint64_t)i) / 8,
                          rounding.lane + (uint64_t)what);
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

// Elements from i on of a gradient or direction.
template <int N>
static __device__ __forceinline__ void load_either(float *to, const void *from, bool is_bf16,
                                                   int64_t i, int count)
{
    if (is_bf16)
        load_some<N>(to, (const bf16 *)from + i, count);
    else
        load_some<N>(to, (const float *)from + i, count);
}

// A direction is rounded to nearest even.
template <int N>
static __device__ __forceinline__ void store_direction(const struct step_tensor &t,
                                                       const float *from, int64_t i, int count)
{
    const struct cuda_rounding nearest = {};
    if (t.bf16_direction)
        store_some<N>((bf16 *)t.direction + i, from, i, count, nearest, 0);
    else
        store_some<N>((float *)t.direction + i, from, i, count, nearest, 0);
}

// Elements [i, i + N) of a tensor, of which the first count exist.
template <class P, class M, int N>
static __device__ __forceinline__ void
step_some(const struct step_tensor &t, const struct cuda_rounding &rounding, const struct update &u,
          const struct rates &r, int64_t i, int count)
{
    P *param = (P *)t.param;
    M *const m_at = (M *)t.m, *const v_at = (M *)t.v;
    const bool given = t.grad == NULL; // the step, or none
    float p[N] = {0}, g[N], m[N], v[N], direction[N] = {0};
    if (t.master != NULL)
        load_some<N>(p, t.master + i, count);
    else if (param != NULL)
        load_some<N>(p, param + i, count);
    if (!given) {
        load_either<N>(g, t.grad, t.bf16_grad, i, count);
        load_some<N>(m, m_at + i, count);
    }
    if (!given && v_at != NULL)
        load_some<N>(v, v_at + i, count);
    if (given && t.direction != NULL)
        load_either<N>(direction, t.direction, t.bf16_direction, i, count);
    for (int k = 0; k < N; k++) {
        if (given) {
            p[k] = stepped(p[k], NULL, r.lr * direction[k], u, r);
            continue;
        }
        g[k] *= r.grad;
        const float step =
            v_at != NULL ? adam(&m[k], &v[k], g[k], u, r) : momentum(&m[k], g[k], u, r);
        p[k] = stepped(p[k], t.direction != NULL ? &direction[k] : NULL, step, u, r);
    }
    if (!given)
        store_some<N>(m_at + i, m, i, count, rounding, 1);
    if (!given && v_at != NULL)
        store_some<N>(v_at + i, v, i, count, rounding, 2);
    if (!given && t.direction != NULL) {
        store_direction<N>(t, direction, i, count);
        return;
    }
    if (t.master != NULL)
        store_some<N>(t.master + i, p, i, count, rounding, 0);
    store_some<N>(param + i, p, i, count, rounding, 0);
}

// A block for STEP_BLOCK elements of a tensor, whose rates a thread works out once for all that it
// has of them. Bytes moved for an element with both moments, in F32: 4 grad, 8 each of param, m, v:
// of 350m 10.3 GB, 3080 us at 3.35 TB/s, 2150 at 4.8; with all in BF16 14: 5.2 GB, 1540 us, 1070
// (with grad in F32 16: 1760 us, 1230). At most 80 registers, so that 768 threads of a
// multiprocessor wait for 60 KB at once.
template <class P, class M, int N>
static __global__ void adam_elements(CUDA_ARGUMENT struct step_list list,
                                     CUDA_ARGUMENT struct update u, const double *scalars)
{
    if (scalars[SLT_SCALAR_SKIP] != 0)
        return;
    const int k = cuda_tensor_of_block(list.first, list.count);
    const struct step_tensor &t = list.tensor[k];
    const struct cuda_rounding rounding = rounding_of(t, u, scalars);
    const struct rates r = rates_of(t, u, scalars);
    const int64_t n = t.n, first = (int64_t)(blockIdx.x - list.first[k]) * STEP_BLOCK;
    const int64_t last = first + STEP_BLOCK < n ? first + STEP_BLOCK : n;
#pragma unroll 1
    for (int64_t i = first + N * threadIdx.x; i < last; i += N * CUDA_BLOCK)
        step_some<P, M, N>(t, rounding, u, r, i, last - i < N ? (int)(last - i) : N);
}

// ---- 8-bit moments ----

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
#define CODED_ROUNDS 8 // blocks of moments of a warp, which share the maps' way into shared memory

#define CODED_RESIDENT CUDA_BLOCK, 3 // threads of a block, such blocks of a multiprocessor
#define CODED_STEP     (CODED_BLOCK * CODED_ROUNDS * (CUDA_BLOCK / CUDA_WARP)) // elements of a block

// A warp for each block of moments, whose maxima it shares, a thread for N = 8 neighbours. Bytes
// moved for an element in F32 with both moments: 4 grad, 8 param, 4 codes: of 350m 5.9 GB, 1760 us
// at 3.35 TB/s, 1230 at 4.8; of BF16 weights and gradients 3.7 GB, 1100 us, 770. 80 registers, which
// leave 16 to 28 bytes of what does not change from round to round in memory.
template <class P>
static __global__ void __launch_bounds__(CODED_RESIDENT)
    adam_coded_warps(CUDA_ARGUMENT struct step_list list, CUDA_ARGUMENT struct update u,
                     const double *scalars, const float *codes)
{
    constexpr int N = CODED_BLOCK / CUDA_WARP;
    __shared__ float map[2 * SLT_CODES_8BIT], power[7];
    const int lane = threadIdx.x % CUDA_WARP, warp = threadIdx.x / CUDA_WARP;
    if (scalars[SLT_SCALAR_SKIP] != 0)
        return;
    for (int i = threadIdx.x; i < 2 * SLT_CODES_8BIT; i += blockDim.x)
        map[i] = codes[i];
    if (threadIdx.x < 7) {
        float ten = 1;
        for (int i = 6; i > (int)threadIdx.x; i--)
            ten *= 10;
        power[threadIdx.x] = ten;
    }
    __syncthreads();
    const float *v_map = map, *m_map = map + SLT_CODES_8BIT;
    const int which = cuda_tensor_of_block(list.first, list.count);
    const struct step_tensor &t = list.tensor[which];
    const struct cuda_rounding rounding = rounding_of(t, u, scalars);
    const struct rates r = rates_of(t, u, scalars);
    const bool has_v = t.v != NULL;
    P *const param = (P *)t.param;
    uint8_t *const m_at = (uint8_t *)t.m, *const v_at = (uint8_t *)t.v;
    const int64_t n = t.n, first = (int64_t)(blockIdx.x - list.first[which]) * CODED_ROUNDS;
    for (int round = 0; round < CODED_ROUNDS; round++) {
        const int64_t block = (first + round) * (CUDA_BLOCK / CUDA_WARP) + warp;
        const int64_t i = block * CODED_BLOCK + lane * N;
        if (block * CODED_BLOCK >= n) // for the whole warp
            return;
        const int count = i >= n ? 0 : n - i < N ? (int)(n - i) : N;
        const float old_m = t.m_max[block], old_v = has_v ? t.v_max[block] : 0;
        float p[N] = {0}, g[N] = {0}, m[N] = {0}, v[N] = {0}, step[N] = {0}, top_m = 0, top_v = 0;
        cuda_pack<uint8_t, N> m_code = {}, v_code = {};
        if (count > 0) {
            load_either<N>(g, t.grad, t.bf16_grad, i, count);
            if (t.master != NULL)
                load_some<N>(p, t.master + i, count);
            else if (param != NULL)
                load_some<N>(p, param + i, count);
        }
        if (count == N) {
            m_code = *(const cuda_pack<uint8_t, N> *)(const void *)(m_at + i);
            if (has_v)
                v_code = *(const cuda_pack<uint8_t, N> *)(const void *)(v_at + i);
        }
#pragma unroll
        for (int k = 0; k < N; k++) {
            if (k >= count)
                continue;
            m[k] = m_map[count == N ? m_code.v[k] : m_at[i + k]] * old_m;
            v[k] = has_v ? v_map[count == N ? v_code.v[k] : v_at[i + k]] * old_v : 0;
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
            store_direction<N>(t, direction, i, count);
        } else if (count > 0) {
            if (t.master != NULL)
                store_some<N>(t.master + i, p, i, count, rounding, 0);
            store_some<N>(param + i, p, i, count, rounding, 0);
        }
        if (count == N) {
            *(cuda_pack<uint8_t, N> *)(void *)(m_at + i) = m_code;
            if (has_v)
                *(cuda_pack<uint8_t, N> *)(void *)(v_at + i) = v_code;
        }
#pragma unroll
        for (int k = 0; k < N; k++) {
            if (count == N || k >= count)
                continue;
            m_at[i + k] = m_code.v[k];
            if (has_v)
                v_at[i + k] = v_code.v[k];
        }
        if (lane == 0) {
            t.m_max[block] = top_m;
            if (has_v)
                t.v_max[block] = top_v;
        }
    }
}

// The same for blocks of moments of any size: a block of threads for each; the moments are worked
// out twice, as the new maxima are known only after all of them. Bytes moved for an element in F32:
// 8 grad, 8 param, 6 codes: of 350m 8.1 GB, 2420 us at 3.35 TB/s, 1690 at 4.8. 56 registers.
template <class P>
static __global__ void adam_codes(CUDA_ARGUMENT struct step_list list,
                                  CUDA_ARGUMENT struct update u, const double *scalars,
                                  const float *codes)
{
    __shared__ float map[2][SLT_CODES_8BIT], slots[CUDA_WARP];
    if (scalars[SLT_SCALAR_SKIP] != 0)
        return;
    const int which = cuda_tensor_of_block(list.first, list.count);
    const struct step_tensor &t = list.tensor[which];
    const struct cuda_rounding rounding = rounding_of(t, u, scalars);
    const struct rates r = rates_of(t, u, scalars);
    const int64_t block = blockIdx.x - list.first[which], first = block * u.block;
    const int64_t last = first + u.block < t.n ? first + u.block : t.n;
    P *const param = (P *)t.param;
    uint8_t *const m_at = (uint8_t *)t.m, *const v_at = (uint8_t *)t.v;
    for (int i = threadIdx.x; i < 2 * SLT_CODES_8BIT; i += blockDim.x)
        map[i / SLT_CODES_8BIT][i % SLT_CODES_8BIT] = codes[i];
    __syncthreads();
    const float *v_map = map[0], *m_map = map[1];
    const bool has_v = t.v != NULL;
    const float old_m = t.m_max[block], old_v = has_v ? t.v_max[block] : 0;
    float top_m = 0, top_v = 0;
    for (int64_t i = first + threadIdx.x; i < last; i += blockDim.x) {
        float m = m_map[m_at[i]] * old_m, v = has_v ? v_map[v_at[i]] * old_v : 0;
        float g;
        load_either<1>(&g, t.grad, t.bf16_grad, i, 1);
        g *= r.grad;
        (void)(has_v ? adam(&m, &v, g, u, r) : momentum(&m, g, u, r));
        top_m = fmaxf(top_m, fabsf(m));
        top_v = fmaxf(top_v, v);
    }
    top_m = cuda_block_max(top_m, slots);
    top_v = cuda_block_max(top_v, slots);
    for (int64_t i = first + threadIdx.x; i < last; i += blockDim.x) {
        float m = m_map[m_at[i]] * old_m, v = has_v ? v_map[v_at[i]] * old_v : 0;
        float g, direction;
        load_either<1>(&g, t.grad, t.bf16_grad, i, 1);
        g *= r.grad;
        const float step = has_v ? adam(&m, &v, g, u, r) : momentum(&m, g, u, r);
        float p = t.master != NULL ? t.master[i] : param != NULL ? cuda_value(param[i]) : 0;
        p = stepped(p, &direction, step, u, r);
        if (t.direction != NULL) {
            store_direction<1>(t, &direction, i, 1);
        } else {
            if (t.master != NULL)
                t.master[i] = p;
            store_some<1>(param + i, &p, i, 1, rounding, 0);
        }
        const int code = slt_codes_nearest(m_map, SLT_CODES_8BIT, top_m > 0 ? m / top_m : 0);
        m_at[i] = (uint8_t)with_sign(m_map, code, m);
        if (has_v)
            v_at[i] = slt_codes_nearest(v_map, SLT_CODES_8BIT, top_v > 0 ? v / top_v : 0);
    }
    if (threadIdx.x == 0) {
        t.m_max[block] = top_m;
        if (has_v)
            t.v_max[block] = top_v;
    }
}

// ---- Launches ----

// Which kernel steps an item, for each type of param.
enum step_kind { STEP_F32, STEP_F32_WIDE, STEP_BF16, STEP_BF16_WIDE, STEP_CODES, STEP_CODES_WARPS };

#define STEP_KINDS 6

static enum step_kind kind_of(const struct slt_adam_item *it, const struct slt_adam *h)
{
    const uintptr_t values =
        (uintptr_t)cuda_pointer<void>(it->param) | (uintptr_t)cuda_pointer<void>(it->master) |
        (uintptr_t)cuda_pointer<void>(it->grad) | (uintptr_t)cuda_pointer<void>(it->direction);
    const uintptr_t moments =
        (uintptr_t)cuda_pointer<void>(it->m) | (uintptr_t)cuda_pointer<void>(it->v);
    if (it->grad.buffer != NULL && it->m_max.buffer != NULL)
        return h->block == CODED_BLOCK && values % 16 == 0 && moments % 8 == 0 ? STEP_CODES_WARPS
                                                                               : STEP_CODES;
    const bool wide = (values | moments) % 16 == 0;
    if (it->m.dtype == SLT_BF16)
        return wide ? STEP_BF16_WIDE : STEP_BF16;
    return wide ? STEP_F32_WIDE : STEP_F32;
}

static int64_t elements_of(const struct slt_adam_item *it)
{
    const struct slt_tensor shape = it->grad.buffer != NULL ? it->grad : it->param;
    return shape.rows * shape.cols;
}

// Adds an item to the list, of which a block takes so many elements.
static void list_add(struct step_list *list, const struct slt_adam_item *it, int64_t each)
{
    const int64_t n = elements_of(it);
    const struct step_tensor t = {cuda_pointer<void>(it->param),
                                  cuda_tensor(it->master),
                                  cuda_pointer<void>(it->grad),
                                  cuda_pointer<void>(it->m),
                                  cuda_pointer<void>(it->v),
                                  cuda_tensor(it->m_max),
                                  cuda_tensor(it->v_max),
                                  cuda_pointer<void>(it->direction),
                                  cuda_tensor(it->divisors),
                                  it->rate,
                                  n,
                                  {it->rounding.word[0], it->rounding.word[1]},
                                  (short)it->divisors.cols,
                                  it->grad.dtype == SLT_BF16,
                                  it->direction.dtype == SLT_BF16,
                                  (uint32_t)(it->first / 8)};
    list->tensor[list->count] = t;
    list->first[list->count + 1] = list->first[list->count] + (unsigned)cuda_blocks(n, each);
    list->count++;
}

// Steps the tensors of a list and empties it.
template <class P>
static void launch(struct slt_ctx *ctx, struct step_list *list, enum step_kind kind,
                   const struct update &u, const double *scalars)
{
    const unsigned blocks = list->first[list->count];
    const struct step_list &l = *list;
    if (blocks > 0)
        switch (kind) {
        case STEP_F32:
            SLT_LAUNCH_FLAT(ctx, (adam_elements<P, float, 1>), blocks, CUDA_BLOCK, l, u, scalars);
            break;
        case STEP_F32_WIDE:
            SLT_LAUNCH_FLAT(ctx, (adam_elements<P, float, 8>), blocks, CUDA_BLOCK, l, u, scalars);
            break;
        case STEP_BF16:
            SLT_LAUNCH_FLAT(ctx, (adam_elements<P, bf16, 1>), blocks, CUDA_BLOCK, l, u, scalars);
            break;
        case STEP_BF16_WIDE:
            SLT_LAUNCH_FLAT(ctx, (adam_elements<P, bf16, 8>), blocks, CUDA_BLOCK, l, u, scalars);
            break;
        case STEP_CODES:
            SLT_LAUNCH(ctx, adam_codes<P>, blocks, CUDA_BLOCK, l, u, scalars, ctx->codes);
            break;
        case STEP_CODES_WARPS:
            SLT_LAUNCH(ctx, adam_coded_warps<P>, blocks, CUDA_BLOCK, l, u, scalars, ctx->codes);
            break;
        }
    list->count = 0;
}

// The items whose param has the type P.
template <class P>
static void step_items(struct slt_ctx *ctx, enum slt_dtype type, const struct slt_adam_item *items,
                       int64_t count, const struct slt_adam *h, const struct update &u,
                       const double *scalars)
{
    struct step_list list;
    list.count = 0;
    list.first[0] = 0;
    for (int i = 0; i < STEP_KINDS; i++) {
        const enum step_kind kind = (enum step_kind)i;
        const int64_t each = kind == STEP_CODES         ? h->block
                             : kind == STEP_CODES_WARPS ? CODED_STEP
                                                        : STEP_BLOCK;
        for (int64_t k = 0; k < count; k++) {
            const struct slt_adam_item *it = &items[k];
            if ((it->param.dtype == SLT_BF16) != (type == SLT_BF16) || kind_of(it, h) != kind ||
                elements_of(it) == 0)
                continue;
            list_add(&list, it, each);
            if (list.count == STEP_TENSORS)
                launch<P>(ctx, &list, kind, u, scalars);
        }
        launch<P>(ctx, &list, kind, u, scalars);
    }
}

void cuda_adam_step(struct slt_ctx *ctx, const struct slt_adam_item *items, int64_t count,
                    const struct slt_adam *h, struct slt_tensor scalars)
{
    const struct update u = {(float)h->beta1,       (float)h->beta2, (float)(1 - h->beta1),
                             (float)(1 - h->beta2), h->eps,          h->weight_decay,
                             h->eps_corrected,      h->decay_last,   h->nesterov,
                             h->stochastic,         (float)h->scale, h->block};
    const double *scalar = cuda_pointer<double>(scalars);
    step_items<float>(ctx, SLT_F32, items, count, h, u, scalar);
    step_items<bf16>(ctx, SLT_BF16, items, count, h, u, scalar);
}
