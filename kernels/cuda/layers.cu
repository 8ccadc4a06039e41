// Embedding, residual + RMSNorm, addition, SwiGLU.
#include "kernels/cuda/cuda.h"

// ---- Embedding ----

static __device__ float weight_at(const void *w, bool half, int64_t i)
{
    return half ? __uint_as_float((unsigned)((const uint16_t *)w)[i] << 16) : ((const float *)w)[i];
}

// A block for each token.
static __global__ void embedding_rows(float *y, int64_t ld, const void *w, bool half,
                                      const int32_t *token, int64_t d)
{
    const int64_t row = token[blockIdx.x];
    for (int64_t f = threadIdx.x; f < d; f += blockDim.x)
        y[blockIdx.x * ld + f] = weight_at(w, half, row * d + f);
}

void cuda_embedding_forward(struct slt_ctx *ctx, struct slt_act y, struct slt_tensor w,
                            struct slt_tensor tokens)
{
    SLT_LAUNCH_FLAT(ctx, embedding_rows, (unsigned)y.tokens, CUDA_BLOCK, cuda_act(y), y.width,
                    cuda_pointer<void>(w), w.dtype == SLT_BF16, cuda_pointer<int32_t>(tokens),
                    w.cols);
}

// Block b owns the rows v with v % gridDim.x == b: it looks at all tokens in their order and adds
// the gradients of its own, so that sums are in the order of tokens whatever the grid. Each thread
// has its own features.
static __global__ void embedding_sums(float *dw, float beta, const float *dy, int64_t ld,
                                      const int32_t *token, int64_t tokens, int64_t vocab,
                                      int64_t d)
{
    for (int64_t v = blockIdx.x; v < vocab; v += gridDim.x)
        for (int64_t f = threadIdx.x; f < d; f += blockDim.x)
            dw[v * d + f] = cuda_blend(beta, &dw[v * d + f], 0);
    for (int64_t t = 0; t < tokens; t++) {
        if (token[t] % gridDim.x != blockIdx.x)
            continue;
        for (int64_t f = threadIdx.x; f < d; f += blockDim.x)
            dw[token[t] * d + f] += dy[t * ld + f];
    }
}

void cuda_embedding_backward(struct slt_ctx *ctx, struct slt_tensor dw, double beta,
                             struct slt_act dy, struct slt_tensor tokens)
{
    const int64_t blocks = dw.rows < 1024 ? dw.rows : 1024;
    SLT_LAUNCH_FLAT(ctx, embedding_sums, (unsigned)blocks, CUDA_BLOCK, cuda_tensor(dw), (float)beta,
                    cuda_act(dy), dy.width, cuda_pointer<int32_t>(tokens), dy.tokens, dw.rows,
                    dw.cols);
}

// ---- Residual + RMSNorm ----

// A block for each token.
static __global__ void rmsnorm_rows(float *y, int64_t ldy, float *z, int64_t ldz, float *rstd,
                                    const float *x, int64_t ldx, const float *r, int64_t ldr,
                                    const float *g, int64_t d, float eps)
{
    __shared__ float slots[CUDA_WARP];
    const int64_t t = blockIdx.x;
    float square = 0;
    for (int64_t f = threadIdx.x; f < d; f += blockDim.x) {
        float v = x[t * ldx + f];
        if (r != NULL) {
            v += r[t * ldr + f];
            z[t * ldz + f] = v;
        }
        square += v * v;
    }
    const float inverse = 1 / sqrtf(cuda_block_sum(square, slots) / (float)d + eps);
    if (threadIdx.x == 0)
        rstd[t] = inverse;
    for (int64_t f = threadIdx.x; f < d; f += blockDim.x) {
        const float v = r != NULL ? z[t * ldz + f] : x[t * ldx + f];
        y[t * ldy + f] = v * inverse * g[f];
    }
}

void cuda_rmsnorm_forward(struct slt_ctx *ctx, struct slt_act y, struct slt_act z,
                          struct slt_tensor rstd, struct slt_act x, struct slt_act r,
                          struct slt_tensor g, double eps)
{
    SLT_LAUNCH(ctx, rmsnorm_rows, (unsigned)y.tokens, CUDA_BLOCK, cuda_act(y), y.width, cuda_act(z),
               z.width, cuda_tensor(rstd), cuda_act(x), x.width, cuda_act(r), r.width,
               cuda_tensor(g), y.features, (float)eps);
}

// dx += rstd (dy g - z rstd^2 mean(dy g z)); a block for each token.
static __global__ void rmsnorm_backward_rows(float *dx, int64_t ldx, const float *dy, int64_t ldy,
                                             const float *z, int64_t ldz, const float *rstd,
                                             const float *g, int64_t d)
{
    __shared__ float slots[CUDA_WARP];
    const int64_t t = blockIdx.x;
    const float inverse = rstd[t];
    float dot = 0;
    for (int64_t f = threadIdx.x; f < d; f += blockDim.x)
        dot += dy[t * ldy + f] * g[f] * z[t * ldz + f];
    const float scale = cuda_block_sum(dot, slots) * inverse * inverse * inverse / (float)d;
    for (int64_t f = threadIdx.x; f < d; f += blockDim.x)
        dx[t * ldx + f] += dy[t * ldy + f] * g[f] * inverse - z[t * ldz + f] * scale;
}

// dg of 32 features by a block of 32 x 8 threads: each row of threads sums every eighth token, then
// the eight sums are added in order.
static __global__ void rmsnorm_gain(float *dg, float beta, const float *dy, int64_t ldy,
                                    const float *z, int64_t ldz, const float *rstd, int64_t tokens,
                                    int64_t d)
{
    __shared__ float sums[8][CUDA_WARP];
    const int64_t f = (int64_t)blockIdx.x * CUDA_WARP + threadIdx.x;
    float sum = 0;
    for (int64_t t = threadIdx.y; f < d && t < tokens; t += 8)
        sum += dy[t * ldy + f] * z[t * ldz + f] * rstd[t];
    sums[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y > 0 || f >= d)
        return;
    for (int k = 1; k < 8; k++)
        sum += sums[k][threadIdx.x];
    dg[f] = cuda_blend(beta, &dg[f], sum);
}

void cuda_rmsnorm_backward(struct slt_ctx *ctx, struct slt_act dx, struct slt_tensor dg,
                           double beta, struct slt_act dy, struct slt_act z, struct slt_tensor rstd,
                           struct slt_tensor g)
{
    const int64_t d = z.features;
    if (dg.buffer != NULL)
        SLT_LAUNCH(ctx, rmsnorm_gain, (unsigned)cuda_blocks(d, CUDA_WARP), dim3(CUDA_WARP, 8),
                   cuda_tensor(dg), (float)beta, cuda_act(dy), dy.width, cuda_act(z), z.width,
                   cuda_tensor(rstd), z.tokens, d);
    SLT_LAUNCH(ctx, rmsnorm_backward_rows, (unsigned)z.tokens, CUDA_BLOCK, cuda_act(dx), dx.width,
               cuda_act(dy), dy.width, cuda_act(z), z.width, cuda_tensor(rstd), cuda_tensor(g), d);
}

// ---- Element by element ----

static __global__ void add_elements(float *y, int64_t ldy, const float *x, int64_t ldx, int64_t d,
                                    int64_t n)
{
    const int64_t i = cuda_index();
    if (i < n)
        y[i / d * ldy + i % d] += x[i / d * ldx + i % d];
}

void cuda_add(struct slt_ctx *ctx, struct slt_act y, struct slt_act x)
{
    const int64_t n = x.tokens * x.features;
    SLT_LAUNCH_FLAT(ctx, add_elements, (unsigned)cuda_blocks(n, CUDA_BLOCK), CUDA_BLOCK,
                    cuda_act(y), y.width, cuda_act(x), x.width, x.features, n);
}

static __device__ float sigmoid(float x)
{
    return 1 / (1 + expf(-x));
}

static __global__ void swiglu_elements(float *y, int64_t ldy, const float *gu, int64_t ld,
                                       int64_t d, int64_t n)
{
    const int64_t i = cuda_index();
    if (i >= n)
        return;
    const float gate = gu[i / d * ld + i % d], up = gu[i / d * ld + d + i % d];
    y[i / d * ldy + i % d] = gate * sigmoid(gate) * up;
}

void cuda_swiglu_forward(struct slt_ctx *ctx, struct slt_act y, struct slt_act gu)
{
    const int64_t n = y.tokens * y.features;
    SLT_LAUNCH_FLAT(ctx, swiglu_elements, (unsigned)cuda_blocks(n, CUDA_BLOCK), CUDA_BLOCK,
                    cuda_act(y), y.width, cuda_act(gu), gu.width, y.features, n);
}

static __global__ void swiglu_gradients(float *dgu, int64_t ldd, const float *dy, int64_t ldy,
                                        const float *gu, int64_t ld, int64_t d, int64_t n)
{
    const int64_t i = cuda_index();
    if (i >= n)
        return;
    const int64_t t = i / d, f = i % d;
    const float gate = gu[t * ld + f], up = gu[t * ld + d + f], s = sigmoid(gate);
    const float grad = dy[t * ldy + f];
    dgu[t * ldd + f] = grad * up * s * (1 + gate * (1 - s));
    dgu[t * ldd + d + f] = grad * gate * s;
}

void cuda_swiglu_backward(struct slt_ctx *ctx, struct slt_act dgu, struct slt_act dy,
                          struct slt_act gu)
{
    const int64_t n = dy.tokens * dy.features;
    SLT_LAUNCH_FLAT(ctx, swiglu_gradients, (unsigned)cuda_blocks(n, CUDA_BLOCK), CUDA_BLOCK,
                    cuda_act(dgu), dgu.width, cuda_act(dy), dy.width, cuda_act(gu), gu.width,
                    dy.features, n);
}
