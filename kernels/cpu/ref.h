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

void REF(ref_embedding_forward)(struct slt_ctx *ctx, struct slt_act y, struct slt_tensor w,
                                struct slt_tensor tokens);
void REF(ref_embedding_backward)(struct slt_ctx *ctx, struct slt_tensor dw, double beta,
                                 struct slt_act dy, struct slt_tensor tokens);
void REF(ref_rmsnorm_forward)(struct slt_ctx *ctx, struct slt_act y, struct slt_act z,
                              struct slt_tensor rstd, struct slt_act x, struct slt_act r,
                              struct slt_tensor g, double eps);
void REF(ref_rmsnorm_backward)(struct slt_ctx *ctx, struct slt_act dx, struct slt_tensor dg,
                               double beta, struct slt_act dy, struct slt_act z,
                               struct slt_tensor rstd, struct slt_tensor g);
void REF(ref_add)(struct slt_ctx *ctx, struct slt_act y, struct slt_act x);
void REF(ref_attention_forward)(struct slt_ctx *ctx, struct slt_act o, struct slt_tensor lse,
                                struct slt_act qkv, struct slt_tensor rope,
                                struct slt_attention shape);
void REF(ref_attention_backward)(struct slt_ctx *ctx, struct slt_act dqkv, struct slt_act do_,
                                 struct slt_act qkv, struct slt_act o, struct slt_tensor lse,
                                 struct slt_tensor rope, struct slt_attention shape);
void REF(ref_attention_cached)(struct slt_ctx *ctx, struct slt_act o, struct slt_act qkv,
                               struct slt_act cache, struct slt_tensor rope,
                               struct slt_attention shape);
void REF(ref_swiglu_forward)(struct slt_ctx *ctx, struct slt_act y, struct slt_act gu);
void REF(ref_swiglu_backward)(struct slt_ctx *ctx, struct slt_act dgu, struct slt_act dy,
                              struct slt_act gu);
void REF(ref_head_loss)(struct slt_ctx *ctx, struct slt_tensor scalars, struct slt_act dx,
                        struct slt_tensor dw, double beta, struct slt_act x, struct slt_tensor w,
                        struct slt_tensor targets);
void REF(ref_linear_forward)(struct slt_ctx *ctx, struct slt_act y, double beta, struct slt_act x,
                             struct slt_tensor w, double alpha);
void REF(ref_linear_backward_input)(struct slt_ctx *ctx, struct slt_act dx, double beta,
                                    struct slt_act dy, struct slt_tensor w, double alpha);
void REF(ref_linear_backward_weight)(struct slt_ctx *ctx, struct slt_tensor dw, double beta,
                                     struct slt_act dy, struct slt_act x, double alpha);
void REF(ref_matmul)(struct slt_ctx *ctx, struct slt_tensor c, double beta, struct slt_tensor a,
                     bool transpose_a, struct slt_tensor b, bool transpose_b, double alpha);
void REF(ref_sparse_forward)(struct slt_ctx *ctx, struct slt_act y, struct slt_act x,
                             struct slt_csr s, struct slt_tensor values);
void REF(ref_sparse_backward)(struct slt_ctx *ctx, struct slt_act dx, struct slt_tensor dvalues,
                              double beta, struct slt_act dy, struct slt_act x, struct slt_csr s,
                              struct slt_tensor values);
void REF(ref_sparse_scatter)(struct slt_ctx *ctx, struct slt_tensor w, struct slt_csr s,
                             struct slt_tensor values);
void REF(ref_sparse_gather)(struct slt_ctx *ctx, struct slt_tensor dvalues, double beta,
                            struct slt_tensor g, struct slt_csr s);
void REF(ref_grad_norm)(struct slt_ctx *ctx, struct slt_tensor scalars,
                        const struct slt_tensor *grads, int64_t count);
void REF(ref_adamw_step)(struct slt_ctx *ctx, const struct slt_adamw_item *items, int64_t count,
                         const struct slt_adamw *hyper, struct slt_tensor scalars);

#endif
