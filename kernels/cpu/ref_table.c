// The table of the reference backend.
#include <stdio.h>

#include "kernels/cpu/ref.h"
#include "kernels/cpu/reference.h"
#include "kernels/limits.h"

char *REF(ref_describe)(struct slt_ctx *ctx, char *text, size_t size)
{
    snprintf(text, size, "CPU reference, plain loops, 1 thread");
    return text;
}

bool REF(ref_supports)(struct slt_ctx *ctx, enum slt_op op, const struct slt_op_shape *shape)
{
    const bool coded = shape->dtype == SLT_I8 && slt_op_takes_codes(op);
    return (shape->dtype == REF_DTYPE || coded) && op != SLT_OP_BANDS &&
           slt_op_shape_is_possible(op, shape);
}

uint64_t REF(ref_work_bytes)(struct slt_ctx *ctx, enum slt_op op, const struct slt_op_shape *s)
{
    int64_t doubles = 0;
    if (op == SLT_OP_ATTENTION) // sums of one key and value
        doubles = 2 * s->attention.head_dim;
    else if (op == SLT_OP_HEAD_LOSS) // logits, a row of dw, the log-sum of each token
        doubles = s->out + s->in + s->tokens;
    else if (op == SLT_OP_SPARSE || op == SLT_OP_EMBEDDING) // a row of dx, a row of dw
        doubles = s->in;
    return cpu_piece((uint64_t)doubles, sizeof(double));
}

#ifdef SLT_REFERENCE_F64
#define TABLE slt_cpu_reference_f64_ops
#else
#define TABLE slt_cpu_reference_ops
#endif

#define CPU_ROW(op) .op = cpu_##op,
#define REF_ROW(op) .op = REF(ref_##op),

const struct slt_ops TABLE = {
    .version = SLT_OPS_VERSION,
    .name = "cpu-reference",
    .route_cost = {3, 0, 0, 0},
    .micro_tokens = 4096,
    .open = cpu_open,
    SLT_OPS_OF_DEVICE(CPU_ROW)   // memory.c, backend.c
    SLT_OPS_OF_BACKEND(REF_ROW)  // above
    SLT_OPS_OF_ELEMENTS(REF_ROW) // ref_layers.c, ref_attention.c, ref_head.c, ref_optim.c
    SLT_OPS_OF_HOST(CPU_ROW)     // memory.c
    SLT_OPS_OF_PRODUCTS(REF_ROW) // ref_linear.c
};
