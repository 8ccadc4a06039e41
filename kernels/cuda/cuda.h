// What the files of the CUDA backend share. It links nothing of libslt: it is opened at run time
// and hands over one table (kernels/ops.h).
//
// Activations are row-major (T, width) floats: element (t, f) at t * width + first + f. Everything
// runs on one stream; a kernel's errors are kept in the context and returned by synchronize.
#ifndef SLT_KERNELS_CUDA_H
#define SLT_KERNELS_CUDA_H

#include <cublas_v2.h>
#include <cuda_runtime.h>

#include "kernels/ops.h"

struct slt_buffer {
    char *data; // on the device
    uint64_t bytes;
};

struct slt_ctx {
    int device;
    char name[256], text[400];
    cudaStream_t stream;
    cublasHandle_t blas;
    void *blas_work; // a workspace of our own makes its results reproducible
    char *work;
    uint64_t work_bytes;
    float *codes; // (2, 256): the maps of second and first moments, ascending
    struct slt_error error;
};

// Starts a kernel on the context's stream; FLAT kernels have no barrier, shuffle or shared memory.
// The emulation defines both itself.
#ifndef SLT_LAUNCH
#define SLT_LAUNCH(ctx, kernel, grid, block, ...)                                                  \
    do {                                                                                           \
        kernel<<<grid, block, 0, (ctx)->stream>>>(__VA_ARGS__);                                    \
        cuda_check(ctx, cudaGetLastError(), #kernel);                                              \
    } while (0)
#define SLT_LAUNCH_FLAT SLT_LAUNCH
#endif

#define CUDA_WARP  32
#define CUDA_BLOCK 256 // threads of most kernels

static inline int64_t cuda_blocks(int64_t n, int64_t each)
{
    return (n + each - 1) / each;
}

template <class T> static inline T *cuda_pointer(struct slt_tensor t)
{
    return t.buffer == NULL ? NULL : (T *)(void *)(t.buffer->data + t.offset);
}

static inline float *cuda_tensor(struct slt_tensor t)
{
    return cuda_pointer<float>(t);
}

static inline float *cuda_act(struct slt_act a)
{
    return a.buffer == NULL ? NULL : (float *)(void *)(a.buffer->data + a.offset) + a.first;
}

// Keeps the first error of a context; what says which call it was.
void cuda_check(struct slt_ctx *ctx, cudaError_t status, const char *what);
void cuda_check_blas(struct slt_ctx *ctx, cublasStatus_t status, const char *what);
// Fills err (may be NULL) and returns code.
int cuda_error(struct slt_error *err, int code, const char *format, ...) SLT_PRINTF(3, 4);

// c (m, n) = beta c + alpha op(a) op(b), row-major with leading dimensions.
void cuda_gemm(struct slt_ctx *ctx, bool transpose_a, bool transpose_b, int64_t m, int64_t n,
               int64_t k, double alpha, const float *a, int64_t lda, const float *b, int64_t ldb,
               double beta, float *c, int64_t ldc);

// ---- Device helpers ----

// The thread's number among all of a one-dimensional grid.
static __device__ __forceinline__ int64_t cuda_index()
{
    return (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
}

// The sum over a block's threads, in a fixed order, for all of them. slots (CUDA_WARP) is shared.
template <class T> static __device__ T cuda_block_sum(T x, T *slots)
{
    for (int step = CUDA_WARP / 2; step > 0; step /= 2)
        x += __shfl_xor_sync(0xffffffffu, x, step);
    __syncthreads(); // slots may still be read from before
    if (threadIdx.x % CUDA_WARP == 0)
        slots[threadIdx.x / CUDA_WARP] = x;
    __syncthreads();
    T sum = 0;
    for (unsigned w = 0; w < blockDim.x / CUDA_WARP; w++)
        sum += slots[w];
    return sum;
}

template <class T> static __device__ T cuda_block_max(T x, T *slots)
{
    for (int step = CUDA_WARP / 2; step > 0; step /= 2) {
        const T other = __shfl_xor_sync(0xffffffffu, x, step);
        x = other > x ? other : x;
    }
    __syncthreads();
    if (threadIdx.x % CUDA_WARP == 0)
        slots[threadIdx.x / CUDA_WARP] = x;
    __syncthreads();
    T most = slots[0];
    for (unsigned w = 1; w < blockDim.x / CUDA_WARP; w++)
        most = slots[w] > most ? slots[w] : most;
    return most;
}

// beta old + value; what was there does not count where beta is 0.
static __device__ __forceinline__ float cuda_blend(float beta, const float *old, float value)
{
    return beta == 0 ? value : beta * *old + value;
}

// ---- The table's rows (by file) ----

#define CUDA_OP(op) extern __typeof__(*((struct slt_ops *)0)->op) cuda_##op
CUDA_OP(open);
CUDA_OP(close);
CUDA_OP(describe);
CUDA_OP(set_workspace);
CUDA_OP(buffer_create);
CUDA_OP(buffer_free);
CUDA_OP(write);
CUDA_OP(read);
CUDA_OP(zero);
CUDA_OP(synchronize);
CUDA_OP(allow_reduced);
CUDA_OP(convert);
CUDA_OP(act_bytes);
CUDA_OP(act_write);
CUDA_OP(act_read);
CUDA_OP(act_copy);
CUDA_OP(embedding_forward);
CUDA_OP(embedding_backward);
CUDA_OP(rmsnorm_forward);
CUDA_OP(rmsnorm_backward);
CUDA_OP(add);
CUDA_OP(attention_forward);
CUDA_OP(attention_backward);
CUDA_OP(attention_cached);
CUDA_OP(swiglu_forward);
CUDA_OP(swiglu_backward);
CUDA_OP(head_loss);
CUDA_OP(linear_forward);
CUDA_OP(linear_backward_input);
CUDA_OP(linear_backward_weight);
CUDA_OP(matmul);
CUDA_OP(sparse_forward);
CUDA_OP(sparse_backward);
CUDA_OP(sparse_scatter);
CUDA_OP(sparse_gather);
CUDA_OP(grad_norm);
CUDA_OP(adam_step);

// Workspace.
#define CUDA_HEAD_CHUNK   2048      // tokens whose logits exist at once
#define CUDA_NORM_BLOCK   (1 << 16) // elements of a partial sum of squares
#define CUDA_HEAD_DIM_MAX 256

#endif
