// What the files of the reference backend share. They are compiled twice: with real = float for the
// library, and with -DSLT_REFERENCE_F64 and real = double for the tests. Loops follow the formulas
// of ops.h, one after the other; sums are taken in double.
#ifndef SLT_KERNELS_CPU_REF_H
#define SLT_KERNELS_CPU_REF_H

#include <math.h>

#include "kernels/cpu/cpu.h"

#ifdef SLT_REFERENCE_F64
typedef double real;
#define REF_DTYPE SLT_F64
#define REF(name) name##_f64
#else
typedef float real;
#define REF_DTYPE SLT_F32
#define REF(name) name
#endif

static inline real *ref_tensor(struct slt_tensor t)
{
    assert(t.dtype == REF_DTYPE);
    return cpu_pointer(t);
}

// Element (t, f) of an activation's view.
static inline real *ref_at(struct slt_act a, int64_t t, int64_t f)
{
    assert(a.dtype == REF_DTYPE);
    return (real *)cpu_act_pointer(a) + f * cpu_act_ld(a.tokens) + t;
}

// *to = beta *to + value; what was there does not matter if beta is 0.
static inline void ref_blend(real *to, double beta, double value)
{
    *to = (real)(beta == 0 ? value : beta * (double)*to + value);
}

// The workspace as doubles.
static inline double *ref_work(struct slt_ctx *ctx, int64_t count)
{
    assert((uint64_t)count * sizeof(double) <= ctx->work_bytes);
    return (double *)(void *)ctx->work;
}

uint64_t REF(ref_work_bytes)(struct slt_ctx *ctx, enum slt_op op, const struct slt_op_shape *shape);

SLT_OP_TYPE(embedding_forward) REF(ref_embedding_forward);
SLT_OP_TYPE(embedding_backward) REF(ref_embedding_backward);
SLT_OP_TYPE(rmsnorm_forward) REF(ref_rmsnorm_forward);
SLT_OP_TYPE(rmsnorm_backward) REF(ref_rmsnorm_backward);
SLT_OP_TYPE(add) REF(ref_add);
SLT_OP_TYPE(attention_forward) REF(ref_attention_forward);
SLT_OP_TYPE(attention_backward) REF(ref_attention_backward);
SLT_OP_TYPE(attention_cached) REF(ref_attention_cached);
SLT_OP_TYPE(swiglu_forward) REF(ref_swiglu_forward);
SLT_OP_TYPE(swiglu_backward) REF(ref_swiglu_backward);
SLT_OP_TYPE(head_loss) REF(ref_head_loss);
SLT_OP_TYPE(linear_forward) REF(ref_linear_forward);
SLT_OP_TYPE(linear_backward_input) REF(ref_linear_backward_input);
SLT_OP_TYPE(linear_backward_weight) REF(ref_linear_backward_weight);
SLT_OP_TYPE(matmul) REF(ref_matmul);
SLT_OP_TYPE(sparse_forward) REF(ref_sparse_forward);
SLT_OP_TYPE(sparse_backward) REF(ref_sparse_backward);
SLT_OP_TYPE(sparse_scatter) REF(ref_sparse_scatter);
SLT_OP_TYPE(sparse_gather) REF(ref_sparse_gather);
SLT_OP_TYPE(grad_norm) REF(ref_grad_norm);
SLT_OP_TYPE(adam_step) REF(ref_adam_step);

#endif
