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

#define REF_OP(op) SLT_OP_TYPE(op) REF(ref_##op);
SLT_OPS_OF_BACKEND(REF_OP)
SLT_OPS_OF_ELEMENTS(REF_OP)
SLT_OPS_OF_PRODUCTS(REF_OP)

#endif
