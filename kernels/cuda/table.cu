// The table of the CUDA backend: the one thing that libslt-cuda.so exports.
#include "kernels/cuda/sparse.h"

static bool supports(struct slt_ctx *ctx, enum slt_op op, const struct slt_op_shape *shape)
{
    const struct slt_attention *a = &shape->attention;
    (void)ctx;
    if (op == SLT_OP_ATTENTION &&
        (a->head_dim % 2 != 0 || a->head_dim > CUDA_HEAD_DIM_MAX || a->heads % a->kv_heads != 0))
        return false;
    if (op == SLT_OP_RMSNORM && shape->in > CUDA_NORM_FEATURES)
        return false;
    if (op == SLT_OP_BANDS)
        return shape->dtype == SLT_BF16;
    return shape->dtype == SLT_F32 || shape->dtype == SLT_BF16;
}

// What products copy of factors: a weight in BF16 whose rows are not aligned, and values of another
// type.
static uint64_t factor_bytes(const struct slt_op_shape *s)
{
    if (s->dtype != SLT_BF16)
        return 0;
    const bool aligned = s->in % CUDA_ROW_ALIGN == 0;
    return (aligned ? 0 : cuda_factor_bytes(SLT_BF16, s->out, s->in)) +
           cuda_factor_bytes(SLT_BF16, 1, s->nnz);
}

static uint64_t work_bytes(struct slt_ctx *ctx, enum slt_op op, const struct slt_op_shape *s)
{
    (void)ctx;
    const int64_t chunk = s->tokens < CUDA_HEAD_CHUNK ? s->tokens : CUDA_HEAD_CHUNK;
    const int64_t gains = s->tokens < CUDA_GAIN_BLOCKS ? s->tokens : CUDA_GAIN_BLOCKS;
    switch (op) {
    case SLT_OP_LINEAR:
        return factor_bytes(s);
    case SLT_OP_HEAD_LOSS:
        return factor_bytes(s) +
               (uint64_t)(chunk * cuda_padded(s->out) + s->tokens) * sizeof(float);
    case SLT_OP_BANDS:
        return cuda_blocks_work_bytes(s);
    case SLT_OP_RMSNORM:
        return (uint64_t)(gains * s->in) * sizeof(float);
    case SLT_OP_ATTENTION:
        return s->dtype == SLT_BF16 ? (uint64_t)(s->attention.heads * s->tokens) * sizeof(float)
                                    : 0;
    case SLT_OP_GRAD_NORM: // a whole and a begun block of each tensor
        return (uint64_t)(s->nnz / CUDA_NORM_BLOCK + s->out + 1) * sizeof(double);
    default:
        return 0;
    }
}

static struct slt_ops make_table()
{
    struct slt_ops t = {};
    t.version = SLT_OPS_VERSION;
    t.name = "cuda";
    // Multiply-adds of a GEMM at its full rate: the products at single positions are far from it,
    // so that random supports take the dense route.
    t.route_cost.position = 400;
    t.route_cost.band_position = 40; // tensor cores at the speed of the second-level cache
    t.route_cost.order = 0;
    t.route_cost.element = 100;
    t.open = cuda_open;
    t.close = cuda_close;
    t.describe = cuda_describe;
    t.supports = supports;
    t.work_bytes = work_bytes;
    t.set_workspace = cuda_set_workspace;
    t.available = cuda_available;
    t.buffer_create = cuda_buffer_create;
    t.buffer_free = cuda_buffer_free;
    t.write = cuda_write;
    t.read = cuda_read;
    t.zero = cuda_zero;
    t.synchronize = cuda_synchronize;
    t.capture_begin = cuda_capture_begin;
    t.capture_end = cuda_capture_end;
    t.graph_launch = cuda_graph_launch;
    t.graph_free = cuda_graph_free;
    t.allow_reduced = cuda_allow_reduced;
    t.convert = cuda_convert;
    t.act_bytes = cuda_act_bytes;
    t.act_write = cuda_act_write;
    t.act_read = cuda_act_read;
    t.act_copy = cuda_act_copy;
    t.embedding_forward = cuda_embedding_forward;
    t.embedding_backward = cuda_embedding_backward;
    t.rmsnorm_forward = cuda_rmsnorm_forward;
    t.rmsnorm_backward = cuda_rmsnorm_backward;
    t.add = cuda_add;
    t.attention_forward = cuda_attention_forward;
    t.attention_backward = cuda_attention_backward;
    t.attention_cached = cuda_attention_cached;
    t.swiglu_forward = cuda_swiglu_forward;
    t.swiglu_backward = cuda_swiglu_backward;
    t.head_loss = cuda_head_loss;
    t.linear_forward = cuda_linear_forward;
    t.linear_backward_input = cuda_linear_backward_input;
    t.linear_backward_weight = cuda_linear_backward_weight;
    t.matmul = cuda_matmul;
    t.sparse_forward = cuda_sparse_forward;
    t.sparse_backward = cuda_sparse_backward;
    t.sparse_scatter = cuda_sparse_scatter;
    t.sparse_gather = cuda_sparse_gather;
    t.grad_norm = cuda_grad_norm;
    t.adam_step = cuda_adam_step;
    return t;
}

extern "C" __attribute__((visibility("default"))) const struct slt_ops *slt_cuda_ops(void)
{
    static const struct slt_ops table = make_table();
    return &table;
}
