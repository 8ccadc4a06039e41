// What the files of the CPU backend share: the context, buffers, how tensors and activations turn
// into pointers, and the functions from which the table of operations is assembled.
//
// Activations keep tokens contiguous: element (t, f) of an allocation is at (first + f) * ld + t
// with ld = cpu_act_ld(tokens). So x^T (in, T) is an ordinary row-major matrix for GEMM, and norms,
// SwiGLU, rotation and softmax vectorise over tokens without sums across a vector. For more than
// one token ld is a multiple of 16: a vector that starts at a multiple of its length may be loaded
// and stored whole at the end of a row. What the padding columns hold is undefined.
#ifndef SLT_KERNELS_CPU_H
#define SLT_KERNELS_CPU_H

#include <assert.h>
#include <stddef.h>

#include "kernels/ops.h"

#define CPU_ALIGN 64 // bytes; of buffers and of pieces of the workspace

struct slt_ctx {
    int threads;
    const struct cpu_isa *isa; // the inner loops of the instruction set in use, see product.h
    struct cpu_codes *codes;   // (2): of 8-bit moments without and with a sign, see codes.h
    char *work;
    uint64_t work_bytes;
    struct slt_error error; // the first since synchronize, code 0 if none
};

struct slt_buffer {
    char *data;
    uint64_t bytes;
    void *allocation; // what data lies in
    uint64_t mapped;  // bytes of the mapping, 0 if it came from posix_memalign
};

// ---- Pointers ----

static inline void *cpu_pointer(struct slt_tensor t)
{
    return t.buffer->data + t.offset;
}

static inline float *cpu_tensor(struct slt_tensor t)
{
    assert(t.dtype == SLT_F32);
    return cpu_pointer(t);
}

static inline double *cpu_tensor_f64(struct slt_tensor t)
{
    assert(t.dtype == SLT_F64);
    return cpu_pointer(t);
}

static inline int32_t *cpu_tensor_i32(struct slt_tensor t)
{
    assert(t.dtype == SLT_I32);
    return cpu_pointer(t);
}

// The value of element i of a weight in I8.
static inline float cpu_coded_value(struct slt_tensor t, int64_t i)
{
    assert(t.dtype == SLT_I8 && t.ld == t.cols);
    const int8_t *code = cpu_pointer(t);
    const float *absmax = (const float *)(const void *)(t.buffer->data + t.absmax);
    return (float)code[i] / 127 * absmax[(t.lead + i) / t.block];
}

// Elements from feature to feature. A stride that is a multiple of a large power of two would map
// the features of a token to few cache sets.
static inline int64_t cpu_act_ld(int64_t tokens)
{
    if (tokens <= 1)
        return 1;
    const int64_t ld = (tokens + 15) / 16 * 16;
    return ld % 64 == 0 ? ld + 16 : ld;
}

// The first element of the view's first feature.
static inline void *cpu_act_pointer(struct slt_act a)
{
    const uint64_t before = (uint64_t)a.first * (uint64_t)cpu_act_ld(a.tokens);
    return a.buffer->data + a.offset + before * slt_dtype_size(a.dtype);
}

static inline float *cpu_act(struct slt_act a)
{
    assert(a.dtype == SLT_F32);
    return cpu_act_pointer(a);
}

// Bytes of count elements, rounded up so that pieces of the workspace stay aligned.
static inline uint64_t cpu_piece(uint64_t count, uint64_t size)
{
    return (count * size + CPU_ALIGN - 1) / CPU_ALIGN * CPU_ALIGN;
}

// ---- Matrix product (gemm.c) ----

// c (m, n) = beta c + alpha op(a) op(b), all row-major. op transposes if its flag is set; op(a) is
// (m, k), op(b) (k, n).
struct cpu_product {
    int64_t m, n, k;
    float *c;
    int64_t ldc; // elements from row to row
    float beta;
    const float *a;
    int64_t lda;
    bool transpose_a;
    const float *b;
    int64_t ldb;
    bool transpose_b;
    float alpha;
};

// Computes it by oneDNN. Also right for k = 0 and with beta = 0 over NaN. Failures are kept in the
// context.
void cpu_sgemm(struct slt_ctx *ctx, const struct cpu_product *p);

// ---- Functions of the tables, as ops.h declares them ----

#define CPU_OP(op) SLT_OP_TYPE(op) cpu_##op;

// Of every table (memory.c, backend.c).
SLT_OP_TYPE(open) cpu_open;
SLT_OPS_OF_DEVICE(CPU_OP)
SLT_OPS_OF_HOST(CPU_OP)

// Of the fast tables: they do not depend on the instruction set, or find out about it from the
// context (backend.c, linear.c, sparse.c).
SLT_OPS_OF_BACKEND(CPU_OP)
SLT_OPS_OF_PRODUCTS(CPU_OP)

// sparse_forward, of more than one token, and sparse_backward of positions that come with their
// bands (bands.c).
SLT_OP_TYPE(sparse_forward) cpu_bands_forward;
SLT_OP_TYPE(sparse_backward) cpu_bands_backward;

// Keeps the first error until synchronize.
void cpu_fail(struct slt_ctx *ctx, int code, const char *message);

// What of cpu_work_bytes is not a formula of the shape alone.
uint64_t cpu_linear_work_bytes(struct slt_ctx *ctx, const struct slt_op_shape *shape);
uint64_t cpu_sparse_work_bytes(struct slt_ctx *ctx, const struct slt_op_shape *shape);

#endif
