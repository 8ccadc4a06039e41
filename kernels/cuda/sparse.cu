// The sparse part: S (out, in) by rows with ascending columns of 16 or 32 bits. Every sum has one
// owner and a fixed order.
#include "kernels/cuda/cuda.h"

// A matrix on the device.
struct sparse {
    const int64_t *start; // (rows + 1)
    const uint16_t *narrow;
    const int32_t *wide; // one of the two
    int64_t rows, cols;
};

static struct sparse sparse_of(struct slt_csr s)
{
    const bool is_narrow = s.column.dtype == SLT_U16;
    struct sparse d = {cuda_pointer<int64_t>(s.row_start),
                       is_narrow ? cuda_pointer<uint16_t>(s.column) : NULL,
                       is_narrow ? NULL : cuda_pointer<int32_t>(s.column), s.rows, s.cols};
    return d;
}

static __device__ __forceinline__ int64_t column_of(const struct sparse &s, int64_t n)
{
    return s.narrow != NULL ? (int64_t)s.narrow[n] : (int64_t)s.wide[n];
}

// y[t, o] += x[t] . S[o]: a thread for each output, neighbours share the token.
static __global__ void sparse_outputs(float *y, int64_t ldy, const float *x, int64_t ldx,
                                      struct sparse s, const float *value, int64_t n)
{
    const int64_t i = cuda_index();
    if (i >= n)
        return;
    const int64_t t = i / s.rows, o = i % s.rows;
    float sum = 0;
    for (int64_t k = s.start[o]; k < s.start[o + 1]; k++)
        sum += value[k] * x[t * ldx + column_of(s, k)];
    y[t * ldy + o] += sum;
}

void cuda_sparse_forward(struct slt_ctx *ctx, struct slt_act y, struct slt_act x, struct slt_csr s,
                         struct slt_tensor values)
{
    const int64_t n = x.tokens * s.rows;
    SLT_LAUNCH_FLAT(ctx, sparse_outputs, (unsigned)cuda_blocks(n, CUDA_BLOCK), CUDA_BLOCK,
                    cuda_act(y), y.width, cuda_act(x), x.width, sparse_of(s), cuda_tensor(values),
                    n);
}

// dx[t] += dy[t] S: a thread owns a token's row and walks S by rows.
static __global__ void sparse_inputs(float *dx, int64_t ldx, const float *dy, int64_t ldy,
                                     struct sparse s, const float *value, int64_t tokens)
{
    const int64_t t = cuda_index();
    if (t >= tokens)
        return;
    for (int64_t o = 0; o < s.rows; o++) {
        const float g = dy[t * ldy + o];
        for (int64_t k = s.start[o]; k < s.start[o + 1]; k++)
            dx[t * ldx + column_of(s, k)] += g * value[k];
    }
}

// dvalue[k] = sum over t of dy[t, o] x[t, column]: a block for each row, a thread for each
// position.
static __global__ void sparse_samples(float *dvalue, float beta, const float *dy, int64_t ldy,
                                      const float *x, int64_t ldx, struct sparse s, int64_t tokens)
{
    const int64_t o = blockIdx.x;
    for (int64_t k = s.start[o] + threadIdx.x; k < s.start[o + 1]; k += blockDim.x) {
        const int64_t c = column_of(s, k);
        float sum = 0;
        for (int64_t t = 0; t < tokens; t++)
            sum += dy[t * ldy + o] * x[t * ldx + c];
        dvalue[k] = cuda_blend(beta, &dvalue[k], sum);
    }
}

void cuda_sparse_backward(struct slt_ctx *ctx, struct slt_act dx, struct slt_tensor dvalues,
                          double beta, struct slt_act dy, struct slt_act x, struct slt_csr s,
                          struct slt_tensor values)
{
    if (s.nnz == 0)
        return;
    if (dx.buffer != NULL)
        SLT_LAUNCH_FLAT(ctx, sparse_inputs, (unsigned)cuda_blocks(dy.tokens, CUDA_WARP), CUDA_WARP,
                        cuda_act(dx), dx.width, cuda_act(dy), dy.width, sparse_of(s),
                        cuda_tensor(values), dy.tokens);
    if (dvalues.buffer != NULL)
        SLT_LAUNCH_FLAT(ctx, sparse_samples, (unsigned)s.rows, CUDA_BLOCK, cuda_tensor(dvalues),
                        (float)beta, cuda_act(dy), dy.width, cuda_act(x), x.width, sparse_of(s),
                        dy.tokens);
}

// A block for each row.
static __global__ void scatter_rows(float *w, int64_t ld, struct sparse s, const float *value)
{
    const int64_t o = blockIdx.x;
    for (int64_t i = threadIdx.x; i < s.cols; i += blockDim.x)
        w[o * ld + i] = 0;
    __syncthreads();
    for (int64_t k = s.start[o] + threadIdx.x; k < s.start[o + 1]; k += blockDim.x)
        w[o * ld + column_of(s, k)] = value[k];
}

void cuda_sparse_scatter(struct slt_ctx *ctx, struct slt_tensor w, struct slt_csr s,
                         struct slt_tensor values)
{
    SLT_LAUNCH(ctx, scatter_rows, (unsigned)s.rows, CUDA_BLOCK, cuda_tensor(w), w.ld, sparse_of(s),
               cuda_tensor(values));
}

static __global__ void gather_rows(float *dvalue, float beta, const float *g, int64_t ld,
                                   struct sparse s)
{
    const int64_t o = blockIdx.x;
    for (int64_t k = s.start[o] + threadIdx.x; k < s.start[o + 1]; k += blockDim.x)
        dvalue[k] = cuda_blend(beta, &dvalue[k], g[o * ld + column_of(s, k)]);
}

void cuda_sparse_gather(struct slt_ctx *ctx, struct slt_tensor dvalues, double beta,
                        struct slt_tensor g, struct slt_csr s)
{
    if (s.nnz > 0)
        SLT_LAUNCH_FLAT(ctx, gather_rows, (unsigned)s.rows, CUDA_BLOCK, cuda_tensor(dvalues),
                        (float)beta, cuda_tensor(g), g.ld, sparse_of(s));
}
