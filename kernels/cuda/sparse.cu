// The sparse products: S (out, in) by rows with ascending columns of 16 or 32 bits. Every sum has
// one owner and a fixed order.
#include "kernels/cuda/sparse.h"

// y[t, o] += x[t] . S[o]: a thread for each output, neighbours share the token.
template <class T>
static __global__ void sparse_outputs(T *y, int64_t ldy, const T *x, int64_t ldx,
                                      struct cuda_sparse s, const T *value, int64_t n)
{
    const int64_t i = cuda_index();
    if (i >= n)
        return;
    const int64_t t = i / s.rows, o = i % s.rows;
    float sum = 0;
    for (int64_t k = s.start[o]; k < s.start[o + 1]; k++)
        sum += cuda_value(value[k]) * cuda_value(x[t * ldx + cuda_column(s, k)]);
    cuda_set(&y[t * ldy + o], cuda_value(y[t * ldy + o]) + sum);
}

template <class T>
static void outputs(struct slt_ctx *ctx, struct slt_act y, struct slt_act x, struct slt_csr s,
                    struct slt_tensor values)
{
    const int64_t n = x.tokens * s.rows;
    SLT_LAUNCH_FLAT(ctx, sparse_outputs<T>, (unsigned)cuda_blocks(n, CUDA_BLOCK), CUDA_BLOCK,
                    cuda_act<T>(y), cuda_ld(y), cuda_act<T>(x), cuda_ld(x), cuda_sparse_of(s),
                    cuda_pointer<T>(values), n);
}

void cuda_sparse_forward(struct slt_ctx *ctx, struct slt_act y, struct slt_act x, struct slt_csr s,
                         struct slt_tensor values)
{
    if (cuda_has_bands(s, x))
        cuda_blocks_forward(ctx, y, x, s, values);
    else
        CUDA_TYPED(x.dtype, outputs, ctx, y, x, s, values);
}

#define WINDOW 8192 // columns of a token's row in shared memory

// dx[t] += dy[t] S: a warp has a token. It walks S by rows, whose positions have columns of their
// own, and sums in F32 in shared memory, a window of columns after the other.
template <class T>
static __global__ void sparse_inputs(T *dx, int64_t ldx, const T *dy, int64_t ldy,
                                     struct cuda_sparse s, const T *value)
{
    __shared__ float row[WINDOW];
    const int64_t t = blockIdx.x;
    for (int64_t first = 0; first < s.cols; first += WINDOW) {
        const int64_t width = s.cols - first < WINDOW ? s.cols - first : WINDOW;
        for (int64_t c = threadIdx.x; c < width; c += CUDA_WARP)
            row[c] = cuda_value(dx[t * ldx + first + c]);
        for (int64_t o = 0; o < s.rows; o++) {
            const float g = cuda_value(dy[t * ldy + o]);
            __syncwarp();
            for (int64_t k = s.start[o] + threadIdx.x; k < s.start[o + 1]; k += CUDA_WARP) {
                const int64_t c = cuda_column(s, k) - first;
                if (c >= 0 && c < width)
                    row[c] += g * cuda_value(value[k]);
            }
        }
        __syncwarp();
        for (int64_t c = threadIdx.x; c < width; c += CUDA_WARP)
            cuda_set(&dx[t * ldx + first + c], row[c]);
    }
}

// dvalue[k] = beta dvalue[k] + sum over t of dy[t, o] x[t, column]: a block for each row o, a
// thread for each of its positions.
template <class T>
static __global__ void sparse_samples(float *dvalue, float beta, const T *dy, int64_t ldy,
                                      const T *x, int64_t ldx, struct cuda_sparse s, int64_t tokens)
{
    const int64_t o = blockIdx.x;
    for (int64_t k = s.start[o] + threadIdx.x; k < s.start[o + 1]; k += blockDim.x) {
        const int64_t c = cuda_column(s, k);
        float sum = 0;
        for (int64_t t = 0; t < tokens; t++)
            sum += cuda_value(dy[t * ldy + o]) * cuda_value(x[t * ldx + c]);
        dvalue[k] = cuda_blend(beta, &dvalue[k], sum);
    }
}

template <class T>
static void inputs(struct slt_ctx *ctx, struct slt_act dx, struct slt_act dy, struct slt_csr s,
                   struct slt_tensor values)
{
    SLT_LAUNCH(ctx, sparse_inputs<T>, (unsigned)dy.tokens, CUDA_WARP, cuda_act<T>(dx), cuda_ld(dx),
               cuda_act<T>(dy), cuda_ld(dy), cuda_sparse_of(s), cuda_pointer<T>(values));
}

template <class T>
static void samples(struct slt_ctx *ctx, struct slt_tensor dvalues, double beta, struct slt_act dy,
                    struct slt_act x, struct slt_csr s)
{
    SLT_LAUNCH_FLAT(ctx, sparse_samples<T>, (unsigned)s.rows, CUDA_BLOCK, cuda_tensor(dvalues),
                    (float)beta, cuda_act<T>(dy), cuda_ld(dy), cuda_act<T>(x), cuda_ld(x),
                    cuda_sparse_of(s), dy.tokens);
}

void cuda_sparse_backward(struct slt_ctx *ctx, struct slt_act dx, struct slt_tensor dvalues,
                          double beta, struct slt_act dy, struct slt_act x, struct slt_csr s,
                          struct slt_tensor values)
{
    if (s.nnz == 0)
        return;
    if (cuda_has_bands(s, dy)) {
        cuda_blocks_backward(ctx, dx, dvalues, beta, dy, x, s, values);
        return;
    }
    if (dx.buffer != NULL)
        CUDA_TYPED(dx.dtype, inputs, ctx, dx, dy, s, values);
    if (dvalues.buffer != NULL)
        CUDA_TYPED(x.dtype, samples, ctx, dvalues, beta, dy, x, s);
}

// ---- Dense route ----

// A block for each row, of N zeros at a time; positions are scattered over them while they are in the
// cache. Bytes moved: w once, values and columns: of the linears of a layer of 350m in BF16 28 MB,
// 8.3 us at 3.35 TB/s, 5.8 at 4.8.
template <class T, int N>
static __global__ void scatter_rows(T *w, int64_t ld, struct cuda_sparse s, const T *value)
{
    const int64_t o = blockIdx.x, first = s.start[o], last = s.start[o + 1];
    const float zeros[N] = {0};
    for (int64_t i = threadIdx.x * N; i < s.cols; i += blockDim.x * N)
        cuda_store<N>(&w[o * ld + i], zeros);
    __syncthreads();
    for (int64_t k = first + threadIdx.x; k < last; k += blockDim.x)
        w[o * ld + cuda_column(s, k)] = value[k];
}

template <class T>
static void scatter(struct slt_ctx *ctx, struct slt_tensor w, struct slt_csr s,
                    struct slt_tensor values)
{
    constexpr int N = 16 / sizeof(T);
    T *to = cuda_pointer<T>(w);
    if (cuda_aligned<T>(s.cols | w.ld, to))
        SLT_LAUNCH(ctx, (scatter_rows<T, N>), (unsigned)s.rows, CUDA_BLOCK, to, w.ld,
                   cuda_sparse_of(s), cuda_pointer<T>(values));
    else
        SLT_LAUNCH(ctx, (scatter_rows<T, 1>), (unsigned)s.rows, CUDA_BLOCK, to, w.ld,
                   cuda_sparse_of(s), cuda_pointer<T>(values));
}

void cuda_sparse_scatter(struct slt_ctx *ctx, struct slt_tensor w, struct slt_csr s,
                         struct slt_tensor values)
{
    CUDA_TYPED(w.dtype, scatter, ctx, w, s, values);
}

template <class T>
static __global__ void gather_rows(float *dvalue, float beta, const T *g, int64_t ld,
                                   struct cuda_sparse s)
{
    const int64_t o = blockIdx.x, last = s.start[o + 1];
    for (int64_t k = s.start[o] + threadIdx.x; k < last; k += blockDim.x)
        dvalue[k] = cuda_blend(beta, &dvalue[k], cuda_value(g[o * ld + cuda_column(s, k)]));
}

template <class T>
static void gather(struct slt_ctx *ctx, struct slt_tensor dvalues, double beta, struct slt_tensor g,
                   struct slt_csr s)
{
    SLT_LAUNCH_FLAT(ctx, gather_rows<T>, (unsigned)s.rows, CUDA_BLOCK, cuda_tensor(dvalues),
                    (float)beta, cuda_pointer<T>(g), g.ld, cuda_sparse_of(s));
}

void cuda_sparse_gather(struct slt_ctx *ctx, struct slt_tensor dvalues, double beta,
                        struct slt_tensor g, struct slt_csr s)
{
    if (s.nnz > 0)
        CUDA_TYPED(g.dtype, gather, ctx, dvalues, beta, g, s);
}
