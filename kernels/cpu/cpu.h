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
    const struct slt_ops *isa; // the operations of the instruction set in use, see simd.h
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

// c (m, n) = beta c + alpha op(a) op(b), row-major with leading dimensions, by oneDNN. op(a) is
// (m, k). Also right for k = 0 and with beta = 0 over NaN. Failures are kept in the context.
void cpu_sgemm(struct slt_ctx *ctx, bool transpose_a, bool transpose_b, int64_t m, int64_t n,
               int64_t k, float alpha, const float *a, int64_t lda, const float *b, int64_t ldb,
               float beta, float *c, int64_t ldc);

// ---- Device, memory, activations (memory.c) ----

int cpu_open(struct slt_ctx **ctx, const struct slt_ops_options *options, struct slt_error *err);
void cpu_close(struct slt_ctx *ctx);
void cpu_set_workspace(struct slt_ctx *ctx, struct slt_buffer *buffer, uint64_t offset,
                       uint64_t bytes);
int cpu_buffer_create(struct slt_ctx *ctx, struct slt_buffer **buffer, const char *region,
                      uint64_t bytes, struct slt_error *err);
void cpu_buffer_free(struct slt_ctx *ctx, struct slt_buffer *buffer);
void cpu_write(struct slt_ctx *ctx, struct slt_buffer *buffer, uint64_t offset, const void *data,
               uint64_t bytes);
void cpu_read(struct slt_ctx *ctx, void *data, struct slt_buffer *buffer, uint64_t offset,
              uint64_t bytes);
void cpu_zero(struct slt_ctx *ctx, struct slt_buffer *buffer, uint64_t offset, uint64_t bytes);
int cpu_synchronize(struct slt_ctx *ctx, struct slt_error *err);
// Keeps the first error until synchronize.
void cpu_fail(struct slt_ctx *ctx, int code, const char *message);
uint64_t cpu_act_bytes(struct slt_ctx *ctx, enum slt_dtype dtype, int64_t tokens, int64_t features);
void cpu_act_write(struct slt_ctx *ctx, struct slt_act act, const void *values);
void cpu_act_read(struct slt_ctx *ctx, void *values, struct slt_act act);
void cpu_act_copy(struct slt_ctx *ctx, struct slt_act y, struct slt_act x);

// ---- The fast operations, as ops.h declares them ----

bool cpu_supports(struct slt_ctx *ctx, enum slt_op op, const struct slt_op_shape *shape);
uint64_t cpu_work_bytes(struct slt_ctx *ctx, enum slt_op op, const struct slt_op_shape *shape);
// The parts of cpu_work_bytes.
uint64_t cpu_embedding_work_bytes(struct slt_ctx *ctx, const struct slt_op_shape *shape);
uint64_t cpu_rmsnorm_work_bytes(struct slt_ctx *ctx, const struct slt_op_shape *shape);
uint64_t cpu_attention_work_bytes(struct slt_ctx *ctx, const struct slt_op_shape *shape);
uint64_t cpu_head_loss_work_bytes(struct slt_ctx *ctx, const struct slt_op_shape *shape);
uint64_t cpu_grad_norm_work_bytes(struct slt_ctx *ctx, const struct slt_op_shape *shape);
uint64_t cpu_linear_work_bytes(struct slt_ctx *ctx, const struct slt_op_shape *shape);
uint64_t cpu_sparse_work_bytes(struct slt_ctx *ctx, const struct slt_op_shape *shape);

void cpu_embedding_forward(struct slt_ctx *ctx, struct slt_act y, struct slt_tensor w,
                           struct slt_tensor tokens);
void cpu_embedding_backward(struct slt_ctx *ctx, struct slt_tensor dw, double beta,
                            struct slt_act dy, struct slt_tensor tokens);
void cpu_rmsnorm_forward(struct slt_ctx *ctx, struct slt_act y, struct slt_act z,
                         struct slt_tensor rstd, struct slt_act x, struct slt_act r,
                         struct slt_tensor g, double eps);
void cpu_rmsnorm_backward(struct slt_ctx *ctx, struct slt_act dx, struct slt_tensor dg, double beta,
                          struct slt_act dy, struct slt_act z, struct slt_tensor rstd,
                          struct slt_tensor g);
void cpu_add(struct slt_ctx *ctx, struct slt_act y, struct slt_act x);
void cpu_attention_forward(struct slt_ctx *ctx, struct slt_act o, struct slt_tensor lse,
                           struct slt_act qkv, struct slt_tensor rope, struct slt_attention shape);
void cpu_attention_backward(struct slt_ctx *ctx, struct slt_act dqkv, struct slt_act do_,
                            struct slt_act qkv, struct slt_act o, struct slt_tensor lse,
                            struct slt_tensor rope, struct slt_attention shape);
void cpu_attention_cached(struct slt_ctx *ctx, struct slt_act o, struct slt_act qkv,
                          struct slt_act cache, struct slt_tensor rope,
                          struct slt_attention shape);
void cpu_swiglu_forward(struct slt_ctx *ctx, struct slt_act y, struct slt_act gu);
void cpu_swiglu_backward(struct slt_ctx *ctx, struct slt_act dgu, struct slt_act dy,
                         struct slt_act gu);
void cpu_head_loss(struct slt_ctx *ctx, struct slt_tensor scalars, struct slt_act dx,
                   struct slt_tensor dw, double beta, struct slt_act x, struct slt_tensor w,
                   struct slt_tensor targets);
void cpu_linear_forward(struct slt_ctx *ctx, struct slt_act y, double beta, struct slt_act x,
                        struct slt_tensor w, double alpha);
void cpu_linear_backward_input(struct slt_ctx *ctx, struct slt_act dx, double beta,
                               struct slt_act dy, struct slt_tensor w, double alpha);
void cpu_linear_backward_weight(struct slt_ctx *ctx, struct slt_tensor dw, double beta,
                                struct slt_act dy, struct slt_act x, double alpha);
void cpu_matmul(struct slt_ctx *ctx, struct slt_tensor c, double beta, struct slt_tensor a,
                bool transpose_a, struct slt_tensor b, bool transpose_b, double alpha);
void cpu_sparse_forward(struct slt_ctx *ctx, struct slt_act y, struct slt_act x, struct slt_csr s,
                        struct slt_tensor values);
void cpu_sparse_backward(struct slt_ctx *ctx, struct slt_act dx, struct slt_tensor dvalues,
                         double beta, struct slt_act dy, struct slt_act x, struct slt_csr s,
                         struct slt_tensor values);
void cpu_sparse_scatter(struct slt_ctx *ctx, struct slt_tensor w, struct slt_csr s,
                        struct slt_tensor values);
void cpu_sparse_gather(struct slt_ctx *ctx, struct slt_tensor dvalues, double beta,
                       struct slt_tensor g, struct slt_csr s);
void cpu_grad_norm(struct slt_ctx *ctx, struct slt_tensor scalars, const struct slt_tensor *grads,
                   int64_t count);
void cpu_adamw_step(struct slt_ctx *ctx, const struct slt_adamw_item *items, int64_t count,
                    const struct slt_adamw *hyper, struct slt_tensor scalars);

#endif
