// The table of the reference backend.
#include <stdio.h>

#include "kernels/cpu/ref.h"
#include "kernels/cpu/reference.h"

static char *describe(struct slt_ctx *ctx, char *text, size_t size)
{
    snprintf(text, size, "CPU reference, plain loops, 1 thread");
    return text;
}

static bool supports(struct slt_ctx *ctx, enum slt_op op, const struct slt_op_shape *shape)
{
    const struct slt_attention *a = &shape->attention;
    if (op == SLT_OP_ATTENTION && (a->head_dim % 2 != 0 || a->heads % a->kv_heads != 0))
        return false;
    return op != SLT_OP_BANDS && shape->dtype == REF_DTYPE;
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

const struct slt_ops TABLE = {
    .version = SLT_OPS_VERSION,
    .name = "cpu-reference",
    .route_cost = {3, 0, 0, 0},
    .open = cpu_open,
    .close = cpu_close,
    .describe = describe,
    .supports = supports,
    .work_bytes = REF(ref_work_bytes),
    .set_workspace = cpu_set_workspace,
    .buffer_create = cpu_buffer_create,
    .buffer_free = cpu_buffer_free,
    .write = cpu_write,
    .read = cpu_read,
    .zero = cpu_zero,
    .synchronize = cpu_synchronize,
    .allow_reduced = cpu_allow_reduced,
    .convert = cpu_convert,
    .act_bytes = cpu_act_bytes,
    .act_write = cpu_act_write,
    .act_read = cpu_act_read,
    .act_copy = cpu_act_copy,
    .embedding_forward = REF(ref_embedding_forward),
    .embedding_backward = REF(ref_embedding_backward),
    .rmsnorm_forward = REF(ref_rmsnorm_forward),
    .rmsnorm_backward = REF(ref_rmsnorm_backward),
    .add = REF(ref_add),
    .attention_forward = REF(ref_attention_forward),
    .attention_backward = REF(ref_attention_backward),
    .attention_cached = REF(ref_attention_cached),
    .swiglu_forward = REF(ref_swiglu_forward),
    .swiglu_backward = REF(ref_swiglu_backward),
    .head_loss = REF(ref_head_loss),
    .linear_forward = REF(ref_linear_forward),
    .linear_backward_input = REF(ref_linear_backward_input),
    .linear_backward_weight = REF(ref_linear_backward_weight),
    .matmul = REF(ref_matmul),
    .sparse_forward = REF(ref_sparse_forward),
    .sparse_backward = REF(ref_sparse_backward),
    .sparse_scatter = REF(ref_sparse_scatter),
    .sparse_gather = REF(ref_sparse_gather),
    .grad_norm = REF(ref_grad_norm),
    .adam_step = REF(ref_adam_step),
};
