// The table of the fast backend.
#include <stdio.h>

#include "kernels/cpu/ref.h"

static char *describe(struct slt_ctx *ctx, char *text, size_t size)
{
    snprintf(text, size, "CPU, %d thread%s", ctx->threads, ctx->threads == 1 ? "" : "s");
    return text;
}

bool cpu_supports(struct slt_ctx *ctx, enum slt_op op, const struct slt_op_shape *shape)
{
    const struct slt_attention *a = &shape->attention;
    if (op == SLT_OP_ATTENTION && (a->head_dim % 2 != 0 || a->heads % a->kv_heads != 0))
        return false;
    return shape->dtype == SLT_F32;
}

uint64_t cpu_work_bytes(struct slt_ctx *ctx, enum slt_op op, const struct slt_op_shape *shape)
{
    switch (op) {
    case SLT_OP_LINEAR:
        return cpu_linear_work_bytes(ctx, shape);
    case SLT_OP_SPARSE:
        return cpu_sparse_work_bytes(ctx, shape);
    default:
        return ref_work_bytes(ctx, op, shape);
    }
}

const struct slt_ops slt_cpu_ops = {
    .version = SLT_OPS_VERSION,
    .name = "cpu",
    .open = cpu_open,
    .close = cpu_close,
    .describe = describe,
    .supports = cpu_supports,
    .work_bytes = cpu_work_bytes,
    .set_workspace = cpu_set_workspace,
    .buffer_create = cpu_buffer_create,
    .buffer_free = cpu_buffer_free,
    .write = cpu_write,
    .read = cpu_read,
    .zero = cpu_zero,
    .synchronize = cpu_synchronize,
    .act_bytes = cpu_act_bytes,
    .act_write = cpu_act_write,
    .act_read = cpu_act_read,
    .act_copy = cpu_act_copy,
    .embedding_forward = ref_embedding_forward,
    .embedding_backward = ref_embedding_backward,
    .rmsnorm_forward = ref_rmsnorm_forward,
    .rmsnorm_backward = ref_rmsnorm_backward,
    .add = ref_add,
    .attention_forward = ref_attention_forward,
    .attention_backward = ref_attention_backward,
    .attention_cached = ref_attention_cached,
    .swiglu_forward = ref_swiglu_forward,
    .swiglu_backward = ref_swiglu_backward,
    .head_loss = ref_head_loss,
    .linear_forward = cpu_linear_forward,
    .linear_backward_input = cpu_linear_backward_input,
    .linear_backward_weight = cpu_linear_backward_weight,
    .matmul = cpu_matmul,
    .sparse_forward = cpu_sparse_forward,
    .sparse_backward = cpu_sparse_backward,
    .sparse_scatter = cpu_sparse_scatter,
    .sparse_gather = cpu_sparse_gather,
    .grad_norm = ref_grad_norm,
    .adamw_step = ref_adamw_step,
};
