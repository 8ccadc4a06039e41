// Norm of all gradients, Adam with moments of 32 and 8 bits, conversion to and from bfloat16.
//
// Workspace of the norm: a double for each block of elements.
#include "kernels/cuda/cuda.h"

// ---- Norm ----

static __global__ void block_squares(double *partial, const float *x, int64_t n)
{
    __shared__ double slots[CUDA_WARP];
    const int64_t first = (int64_t)blockIdx.x * CUDA_NORM_BLOCK;
    const int64_t last = first + CUDA_NORM_BLOCK < n ? first + CUDA_NORM_BLOCK : n;
    double sum = 0;
    for (int64_t i = first + threadIdx.x; i < last; i += blockDim.x)
        sum += (double)x[i] * (double)x[i];
    sum = cuda_block_sum(sum, slots);
    if (threadIdx.x == 0)
        partial[blockIdx.x] = sum;
}

static __global__ void finish_norm(double *scalars, const double *partial, int64_t n)
{
    __shared__ double slots[CUDA_WARP];
    double sum = 0;
    for (int64_t i = threadIdx.x; i < n; i += blockDim.x)
        sum += partial[i];
    const double norm = sqrt(cuda_block_sum(sum, slots)), clip = scalars[SLT_SCALAR_CLIP];
    if (threadIdx.x > 0)
        return;
    scalars[SLT_SCALAR_NORM] = norm;
    scalars[SLT_SCALAR_GRAD_SCALE] = clip > 0 && norm > clip ? clip / (norm + 1e-6) : 1;
    scalars[SLT_SCALAR_SKIP] = isfinite(norm) ? 0 : 1;
}

void cuda_grad_norm(struct slt_ctx *ctx, struct slt_tensor scalars, const struct slt_tensor *grads,
                    int64_t count)
{
    double *partial = (double *)(void *)ctx->work;
    int64_t used = 0;
    for (int64_t k = 0; k < count; k++) {
        const int64_t n = grads[k].rows * grads[k].cols, blocks = cuda_blocks(n, CUDA_NORM_BLOCK);
        if (n == 0 || grads[k].buffer == NULL)
            continue;
        SLT_LAUNCH(ctx, block_squares, (unsigned)blocks, CUDA_BLOCK, partial + used,
                   cuda_tensor(grads[k]), n);
        used += blocks;
    }
    SLT_LAUNCH(ctx, finish_norm, 1, CUDA_BLOCK, cuda_pointer<double>(scalars), partial, used);
}

// ---- Adam ----

struct update {
    float beta1, beta2, add1, add2; // add = 1 - beta
    double eps, weight_decay;
    bool eps_corrected, decay_last;
    float scale; // of directions
};

struct rates {
    float grad, rate, eps, keep;
};

static __device__ struct rates rates_of(const struct update &u, const double *scalar)
{
    const double root = sqrt(scalar[SLT_SCALAR_C2]), lr = scalar[SLT_SCALAR_LR];
    struct rates r = {
        (float)scalar[SLT_SCALAR_GRAD_SCALE], (float)(lr * root / scalar[SLT_SCALAR_C1]),
        (float)(u.eps_corrected ? u.eps * root : u.eps), (float)(1 - lr * u.weight_decay)};
    return r;
}

static __device__ void apply(float *param, float *direction, int64_t i, float m, float v,
                             const struct update &u, const struct rates &r)
{
    const float step = r.rate * m / (sqrtf(v) + r.eps);
    if (direction != NULL)
        direction[i] = u.scale * step;
    else
        param[i] = u.decay_last ? (param[i] - step) * r.keep : param[i] * r.keep - step;
}

static __global__ void adam_elements(float *param, const float *grad, float *m, float *v,
                                     float *direction, struct update u, const double *scalars,
                                     int64_t n)
{
    const int64_t i = cuda_index();
    if (i >= n || scalars[SLT_SCALAR_SKIP] != 0)
        return;
    const struct rates r = rates_of(u, scalars);
    if (grad == NULL) { // decay alone
        param[i] *= r.keep;
        return;
    }
    const float g = grad[i] * r.grad;
    m[i] = u.beta1 * m[i] + u.add1 * g;
    v[i] = u.beta2 * v[i] + u.add2 * g * g;
    apply(param, direction, i, m[i], v[i], u, r);
}

// The index of the value nearest to x in an ascending map of 256; of two equally near the lower.
static __device__ int nearest(const float *map, float x)
{
    int low = 0, high = 255;
    while (high - low > 1) {
        const int middle = (low + high) / 2;
        if (map[middle] <= x)
            low = middle;
        else
            high = middle;
    }
    return x - map[low] <= map[high] - x ? low : high;
}

// A block for each block of moments, which share their maxima; the moments are worked out twice, as
// the new maxima are known only after all of them.
static __global__ void adam_codes(float *param, const float *grad, uint8_t *m_code, uint8_t *v_code,
                                  float *m_max, float *v_max, float *direction, const float *codes,
                                  struct update u, const double *scalars, int64_t block, int64_t n)
{
    __shared__ float map[2][256], slots[CUDA_WARP];
    const int64_t first = blockIdx.x * block, last = first + block < n ? first + block : n;
    if (scalars[SLT_SCALAR_SKIP] != 0)
        return;
    const struct rates r = rates_of(u, scalars);
    for (int i = threadIdx.x; i < 512; i += blockDim.x)
        map[i / 256][i % 256] = codes[i];
    __syncthreads();
    const float *v_map = map[0], *m_map = map[1];
    const float old_m = m_max[blockIdx.x], old_v = v_max[blockIdx.x];
    float top_m = 0, top_v = 0;
    for (int64_t i = first + threadIdx.x; i < last; i += blockDim.x) {
        const float g = grad[i] * r.grad;
        top_m = fmaxf(top_m, fabsf(u.beta1 * (m_map[m_code[i]] * old_m) + u.add1 * g));
        top_v = fmaxf(top_v, u.beta2 * (v_map[v_code[i]] * old_v) + u.add2 * g * g);
    }
    top_m = cuda_block_max(top_m, slots);
    top_v = cuda_block_max(top_v, slots);
    for (int64_t i = first + threadIdx.x; i < last; i += blockDim.x) {
        const float g = grad[i] * r.grad;
        const float m = u.beta1 * (m_map[m_code[i]] * old_m) + u.add1 * g;
        const float v = u.beta2 * (v_map[v_code[i]] * old_v) + u.add2 * g * g;
        apply(param, direction, i, m, v, u, r);
        int code = nearest(m_map, top_m > 0 ? m / top_m : 0);
        if (signbit(m_map[code]) != signbit(m)) // the code keeps the sign
            code += m > 0 ? 1 : -1;
        m_code[i] = (uint8_t)code;
        v_code[i] = (uint8_t)nearest(v_map, top_v > 0 ? v / top_v : 0);
    }
    if (threadIdx.x == 0) {
        m_max[blockIdx.x] = top_m;
        v_max[blockIdx.x] = top_v;
    }
}

void cuda_adam_step(struct slt_ctx *ctx, const struct slt_adam_item *items, int64_t count,
                    const struct slt_adam *h, struct slt_tensor scalars)
{
    const struct update u = {(float)h->beta1,       (float)h->beta2, (float)(1 - h->beta1),
                             (float)(1 - h->beta2), h->eps,          h->weight_decay,
                             h->eps_corrected,      h->decay_last,   (float)h->scale};
    const double *scalar = cuda_pointer<double>(scalars);
    for (int64_t k = 0; k < count; k++) {
        const struct slt_adam_item *it = &items[k];
        const struct slt_tensor shape = it->grad.buffer != NULL ? it->grad : it->param;
        const int64_t n = shape.rows * shape.cols;
        if (n == 0)
            continue;
        if (it->m_max.buffer != NULL)
            SLT_LAUNCH(ctx, adam_codes, (unsigned)cuda_blocks(n, h->block), CUDA_BLOCK,
                       cuda_tensor(it->param), cuda_tensor(it->grad), cuda_pointer<uint8_t>(it->m),
                       cuda_pointer<uint8_t>(it->v), cuda_tensor(it->m_max), cuda_tensor(it->v_max),
                       cuda_tensor(it->direction), ctx->codes, u, scalar, h->block, n);
        else
            SLT_LAUNCH_FLAT(ctx, adam_elements, (unsigned)cuda_blocks(n, CUDA_BLOCK), CUDA_BLOCK,
                            cuda_tensor(it->param), cuda_tensor(it->grad), cuda_tensor(it->m),
                            cuda_tensor(it->v), cuda_tensor(it->direction), u, scalar, n);
    }
}

// ---- Conversion ----

// Philox4x32-10, as slt/random.h has it.
static __device__ void random_block(uint32_t out[4], uint32_t k0, uint32_t k1, uint64_t index,
                                    uint64_t lane)
{
    uint32_t c0 = (uint32_t)index, c1 = (uint32_t)(index >> 32);
    uint32_t c2 = (uint32_t)lane, c3 = (uint32_t)(lane >> 32);
    for (int round = 0; round < 10; round++) {
        const uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

// The upper half of a float after so much is added to it; what is not finite stays so.
static __device__ uint16_t cut(float value, uint32_t add)
{
    const uint32_t bits = __float_as_uint(value);
    if ((bits & 0x7f800000u) == 0x7f800000u)
        return (uint16_t)(bits >> 16 | ((bits & 0x007fffffu) != 0 ? 0x0040u : 0u));
    return (uint16_t)((bits + add) >> 16);
}

struct rounding {
    bool stochastic;
    uint32_t key[2];
    uint64_t lane, first;
};

static __global__ void to_bfloat(uint16_t *to, const float *from, struct rounding r, int64_t n)
{
    const int64_t i = cuda_index();
    if (i >= n)
        return;
    const uint32_t bits = __float_as_uint(from[i]);
    uint32_t add = 0x7fffu + (bits >> 16 & 1u);
    if (r.stochastic) {
        uint32_t word[4];
        const uint64_t number = r.first + (uint64_t)i;
        random_block(word, r.key[0], r.key[1], number / 8, r.lane);
        const uint32_t pair = word[number % 8 / 2];
        add = number % 2 == 0 ? pair & 0xffffu : pair >> 16;
    }
    to[i] = cut(from[i], add);
}

static __global__ void from_bfloat(float *to, const uint16_t *from, int64_t n)
{
    const int64_t i = cuda_index();
    if (i < n)
        to[i] = __uint_as_float((uint32_t)from[i] << 16);
}

void cuda_convert(struct slt_ctx *ctx, struct slt_tensor to, struct slt_tensor from,
                  const struct slt_rounding *rounding)
{
    const int64_t n = to.rows * to.cols;
    const unsigned blocks = (unsigned)cuda_blocks(n, CUDA_BLOCK);
    struct rounding r = {rounding != NULL, {0, 0}, 0, 0};
    if (rounding != NULL) {
        r.key[0] = rounding->key.word[0];
        r.key[1] = rounding->key.word[1];
        r.lane = rounding->lane;
        r.first = rounding->first;
    }
    if (to.dtype == from.dtype)
        cuda_check(ctx,
                   cudaMemcpyAsync(cuda_pointer<void>(to), cuda_pointer<void>(from),
                                   (size_t)n * slt_dtype_size(to.dtype), cudaMemcpyDeviceToDevice,
                                   ctx->stream),
                   "copying");
    else if (to.dtype == SLT_F32)
        SLT_LAUNCH_FLAT(ctx, from_bfloat, blocks, CUDA_BLOCK, cuda_tensor(to),
                        cuda_pointer<uint16_t>(from), n);
    else
        SLT_LAUNCH_FLAT(ctx, to_bfloat, blocks, CUDA_BLOCK, cuda_pointer<uint16_t>(to),
                        cuda_tensor(from), r, n);
}
