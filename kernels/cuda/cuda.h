// What the files of the CUDA backend share. It is opened at run time and hands over one table
// (kernels/ops.h); of libslt it links the maps of 8-bit codes and nothing else.
//
// Activations are row-major, F32 or BF16: element (t, f) at t * cuda_ld(act) + first + f, rows
// padded so that each starts where vectors of 16 bytes may. Arithmetic, sums and products are in
// F32. Everything runs on one stream; a kernel's errors are kept in the context and returned by
// synchronize.
#ifndef SLT_KERNELS_CUDA_H
#define SLT_KERNELS_CUDA_H

#include <cublasLt.h>
#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include "kernels/ops.h"

struct slt_buffer {
    char *data; // on the device
    uint64_t bytes;
};

struct cuda_products; // plans of cuBLASLt by shape (products.cu)
struct cuda_comm;     // with other ranks (comm.cu)
struct cuda_staging;  // where host memory waits for its copy to the device (memory.cu)

struct slt_ctx {
    int device;
    char name[256], text[400];
    cudaStream_t stream;
    struct cuda_products *products;
    struct cuda_staging *staging;
    struct cuda_comm *comm; // NULL: there is one rank
    bool others;            // what is in the stream may wait for other ranks
    bool reduced; // F32 factors may be rounded to TF32
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

// Of a kernel's parameter that is a struct: it is read where it was passed, as bare arguments are,
// instead of from a copy in registers.
#ifndef CUDA_ARGUMENT
#define CUDA_ARGUMENT const __grid_constant__
#endif

#define CUDA_WARP  32
#define CUDA_BLOCK 256 // threads of most kernels

static inline int64_t cuda_blocks(int64_t n, int64_t each)
{
    return (n + each - 1) / each;
}

typedef __nv_bfloat16 bf16;

// The emulation defines it, to find out who reads there before writing.
#ifndef CUDA_FORGET
#define CUDA_FORGET(from, bytes) ((void)0)
#endif

// The workspace from this byte on, with what other operations have left there.
static inline char *cuda_work(struct slt_ctx *ctx, uint64_t used = 0)
{
    CUDA_FORGET(ctx->work + used, ctx->work_bytes - used);
    return ctx->work + used;
}

template <class T> static inline T *cuda_pointer(struct slt_tensor t)
{
    return t.buffer == NULL ? NULL : (T *)(void *)(t.buffer->data + t.offset);
}

static inline float *cuda_tensor(struct slt_tensor t)
{
    return cuda_pointer<float>(t);
}

#define CUDA_ROW_ALIGN 8 // elements

static inline int64_t cuda_padded(int64_t width)
{
    return cuda_blocks(width, CUDA_ROW_ALIGN) * CUDA_ROW_ALIGN;
}

static inline int64_t cuda_ld(struct slt_act a)
{
    return cuda_padded(a.width);
}

template <class T> static inline T *cuda_act(struct slt_act a)
{
    return a.buffer == NULL ? NULL : (T *)(void *)(a.buffer->data + a.offset) + a.first;
}

// Calls f<float> or f<bf16>, by the type of an activation or tensor.
#define CUDA_TYPED(dtype, f, ...)                                                                  \
    do {                                                                                           \
        if ((dtype) == SLT_BF16)                                                                   \
            f<bf16>(__VA_ARGS__);                                                                  \
        else                                                                                       \
            f<float>(__VA_ARGS__);                                                                 \
    } while (0)

// Whether rows at these places (NULL passes) can be read 16 bytes at a time.
template <class T>
static inline bool cuda_aligned(int64_t features, const T *a, const T *b = NULL, const T *c = NULL,
                                const T *d = NULL)
{
    const uintptr_t all = (uintptr_t)a | (uintptr_t)b | (uintptr_t)c | (uintptr_t)d;
    return all % 16 == 0 && features % (int64_t)(16 / sizeof(T)) == 0;
}

// Keeps the first error of a context; what says which call it was.
void cuda_check(struct slt_ctx *ctx, cudaError_t status, const char *what);
void cuda_check_blas(struct slt_ctx *ctx, cublasStatus_t status, const char *what);
// Fills err (may be NULL) and returns code.
int cuda_error(struct slt_error *err, int code, const char *format, ...) SLT_PRINTF(3, 4);

// A row-major matrix on the device.
struct cuda_matrix {
    void *data;
    enum slt_dtype dtype; // F32 or BF16
    int64_t ld;
    int64_t padding = 0; // columns behind its own that may be read, whatever they hold, and written
    bool cleared = false; // they hold zeros
};

// c (m, n) = beta c + alpha op(a) op(b). op transposes if its flag is set; op(a) is (m, k), op(b)
// (k, n). a and b have one type, c has it or F32.
struct cuda_product {
    int64_t m, n, k;
    struct cuda_matrix c = {};
    double beta = 0;
    struct cuda_matrix a = {};
    bool transpose_a = false;
    struct cuda_matrix b = {};
    bool transpose_b = false;
    double alpha = 1;
    uint64_t used = 0; // of the workspace: what is copied for the product comes behind
};

void cuda_gemm(struct slt_ctx *ctx, const struct cuda_product &p);
// The same for what cuBLASLt takes as it is: neither extent is 0, rows of BF16 and of their results
// start at multiples of 16 bytes (products.cu).
void cuda_multiply(struct slt_ctx *ctx, const struct cuda_product &p);
// Rows [first, ...) of a matrix.
struct cuda_matrix cuda_matrix_rows(struct cuda_matrix m, int64_t first);
struct cuda_matrix cuda_matrix_of_act(struct slt_act a);
// The tensor as a factor beside one of dtype: itself, or a copy in BF16 at *used of the workspace
// where its type or the alignment of its rows needs one.
struct cuda_matrix cuda_factor(struct slt_ctx *ctx, struct slt_tensor t, enum slt_dtype dtype,
                               uint64_t *used);
// The workspace that such a copy takes.
uint64_t cuda_factor_bytes(enum slt_dtype dtype, int64_t rows, int64_t cols);
int cuda_products_create(struct cuda_products **products, struct slt_error *err) SLT_CHECK_RESULT;
void cuda_products_free(struct cuda_products *products);

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

// Values as F32, whatever their type; rounded to nearest even on the way back.
static __device__ __forceinline__ float cuda_value(float x)
{
    return x;
}

static __device__ __forceinline__ float cuda_value(bf16 x)
{
    return __bfloat162float(x);
}

static __device__ __forceinline__ void cuda_set(float *to, float x)
{
    *to = x;
}

static __device__ __forceinline__ void cuda_set(bf16 *to, float x)
{
    *to = __float2bfloat16_rn(x);
}

// N neighbours, moved by one access of memory (of 16 bytes at most).
template <class T, int N> struct alignas(sizeof(T) * N < 16 ? sizeof(T) * N : 16) cuda_pack {
    T v[N];
};

template <int N, class T> static __device__ __forceinline__ void cuda_load(float *to, const T *from)
{
    const cuda_pack<T, N> pack = *(const cuda_pack<T, N> *)(const void *)from;
#pragma unroll
    for (int i = 0; i < N; i++)
        to[i] = cuda_value(pack.v[i]);
}

template <int N, class T>
static __device__ __forceinline__ void cuda_store(T *to, const float *from)
{
    cuda_pack<T, N> pack;
#pragma unroll
    for (int i = 0; i < N; i++)
        cuda_set(&pack.v[i], from[i]);
    *(cuda_pack<T, N> *)(void *)to = pack;
}

// Before anything that blocks until the stream has come to it: waits until no other rank is waited
// for.
void cuda_comm_settle(struct slt_ctx *ctx);
void cuda_comm_close(struct slt_ctx *ctx);
// This rank has failed, and exchanges nothing any more.
void cuda_comm_give_up(struct slt_ctx *ctx);

// ---- Functions of the table, as ops.h declares them ----

#define CUDA_OP(op) extern SLT_OP_TYPE(op) cuda_##op;
CUDA_OP(open)
SLT_OPS_OF_DEVICE(CUDA_OP)
SLT_OPS_OF_BACKEND(CUDA_OP)
SLT_OPS_OPTIONAL(CUDA_OP)
SLT_OPS_OF_COMM(CUDA_OP)
SLT_OPS_OF_ELEMENTS(CUDA_OP)
SLT_OPS_OF_PRODUCTS(CUDA_OP)

// Workspace.
#define CUDA_EMBED_CHUNK   1024      // tokens that are ranked by themselves
#define CUDA_COPY_TOKENS   2048      // tokens whose rows are copied at once
#define CUDA_HEAD_CHUNK    2048      // tokens whose logits exist at once, if there are not many
#define CUDA_BLOCKS_CHUNK  4096      // tokens that are transposed at once
#define CUDA_GAIN_BLOCKS   512       // partial sums of a gain's gradient
#define CUDA_NORM_BLOCK    (1 << 13) // elements of a partial sum of squares
#define CUDA_HEAD_DIM_MAX  256
#define CUDA_NORM_FEATURES 8192 // the most that a norm keeps in registers

// Of more tokens those of a quarter, by rows of tiles: a token's activations take many times what
// this adds to the logits, and the gradient of the head's weight is added to four times.
static inline int64_t cuda_head_chunk(int64_t tokens)
{
    const int64_t quarter = cuda_blocks(cuda_blocks(tokens, 4), 128) * 128;
    const int64_t most = quarter > CUDA_HEAD_CHUNK ? quarter : CUDA_HEAD_CHUNK;
    return tokens < most ? tokens : most;
}

#endif
