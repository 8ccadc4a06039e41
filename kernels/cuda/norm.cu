// The norm of all gradients together, and one tensor over its norm: squares are added in double,
// block by block of elements, then the sums of the blocks in their order.
//
// Workspace: a double for each block of elements.
#include "kernels/cuda/tensors.h"
#include "kernels/norm.h"

#define NORM_TENSORS 128 // in one launch

struct norm_list {
    int count;
    const void *x[NORM_TENSORS];
    int64_t n[NORM_TENSORS];
    unsigned first[NORM_TENSORS + 1]; // blocks before those of tensor i
    bool is_bf16[NORM_TENSORS];       // else F32
};

static_assert(sizeof(struct norm_list) + sizeof(double *) <= CUDA_ARGUMENT_BYTES, "arguments");

// A thread's share of the squares of elements [first, last), of a block of BLOCK elements.
template <int BLOCK, class T>
static __device__ double squares_of(const T *x, int64_t first, int64_t last)
{
    constexpr int N = 16 / sizeof(T);
    double sum = 0;
    if ((uintptr_t)x % 16 == 0 && last - first == BLOCK) {
#pragma unroll
        for (int64_t i = 0; i < BLOCK; i += N * CUDA_BLOCK) {
            float v[N];
            cuda_load<N>(v, x + first + i + N * threadIdx.x);
            for (int e = 0; e < N; e++)
                sum += (double)v[e] * (double)v[e];
        }
    } else {
        for (int64_t i = first + threadIdx.x; i < last; i += blockDim.x)
            sum += (double)cuda_value(x[i]) * (double)cuda_value(x[i]);
    }
    return sum;
}

// A block of threads for each BLOCK elements of a tensor. Reads 4 bytes an element, 2 in BF16, and
// writes next to nothing: of 350m's gradients 1.5 GB, 440 us at 3.35 TB/s, 305 at 4.8; in BF16 half
// of that. 32 registers.
template <int BLOCK>
static __global__ void block_squares(double *partial, CUDA_ARGUMENT struct norm_list list)
{
    __shared__ double slots[CUDA_WARP];
    const int k = cuda_tensor_of_block(list.first, list.count);
    const int64_t n = list.n[k], first = (int64_t)(blockIdx.x - list.first[k]) * BLOCK;
    const int64_t last = first + BLOCK < n ? first + BLOCK : n;
    double sum = list.is_bf16[k] ? squares_of<BLOCK>((const bf16 *)list.x[k], first, last)
                                 : squares_of<BLOCK>((const float *)list.x[k], first, last);
    sum = cuda_block_sum(sum, slots);
    if (threadIdx.x == 0)
        partial[blockIdx.x] = sum;
}

// The squares of the list's tensors, a partial sum for each block; returns how many.
template <int BLOCK>
static int64_t launch_squares(struct slt_ctx *ctx, double *partial, const struct norm_list &list)
{
    const unsigned blocks = list.first[list.count];
    if (blocks > 0)
        SLT_LAUNCH(ctx, block_squares<BLOCK>, blocks, CUDA_BLOCK, partial, list);
    return blocks;
}

template <int BLOCK> static void list_add(struct norm_list &list, struct slt_tensor t)
{
    const int64_t n = t.rows * t.cols;
    list.x[list.count] = cuda_pointer<void>(t);
    list.is_bf16[list.count] = t.dtype == SLT_BF16;
    list.n[list.count] = n;
    list.first[list.count + 1] = list.first[list.count] + (unsigned)cuda_blocks(n, BLOCK);
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
    double *partial = (double *)(void *)cuda_work(ctx);
    const int64_t n = x.rows * x.cols;
    struct norm_list list = {};
    list_add<CUDA_NORM_BLOCK>(list, x);
    const int64_t blocks = launch_squares<CUDA_NORM_BLOCK>(ctx, partial, list);
    SLT_LAUNCH(ctx, divide_by_norm, (unsigned)cuda_blocks(n, CUDA_BLOCK), CUDA_BLOCK,
               cuda_tensor(x), cuda_tensor(norm), partial, blocks, n);
}

void cuda_grad_norm(struct slt_ctx *ctx, struct slt_tensor scalars, const struct slt_tensor *grads,
                    int64_t count)
{
    double *partial = (double *)(void *)cuda_work(ctx);
    struct norm_list list = {};
    int64_t used = 0;
    for (int64_t k = 0; k < count; k++) {
        if (grads[k].buffer == NULL || grads[k].rows * grads[k].cols == 0)
            continue;
        list_add<CUDA_NORM_BLOCK>(list, grads[k]);
        if (list.count < NORM_TENSORS)
            continue;
        used += launch_squares<CUDA_NORM_BLOCK>(ctx, partial + used, list);
        list.count = 0;
    }
    used += launch_squares<CUDA_NORM_BLOCK>(ctx, partial + used, list);
    SLT_LAUNCH(ctx, finish_norm, 1, CUDA_BLOCK, cuda_pointer<double>(scalars), partial, used);
}

void cuda_grad_squares(struct slt_ctx *ctx, struct slt_tensor sums, struct slt_tensor grad)
{
    struct norm_list list = {};
    list_add<SLT_NORM_BLOCK>(list, grad);
    launch_squares<SLT_NORM_BLOCK>(ctx, cuda_pointer<double>(sums), list);
}

void cuda_norm_of_squares(struct slt_ctx *ctx, struct slt_tensor scalars, struct slt_tensor sums)
{
    SLT_LAUNCH(ctx, finish_norm, 1, CUDA_BLOCK, cuda_pointer<double>(scalars),
               cuda_pointer<double>(sums), sums.cols);
}
