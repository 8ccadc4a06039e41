// The table of operations of one instruction set.
#include "kernels/cpu/product.h"
#include "kernels/cpu/simd_ops.h"

// Route costs are fitted to tests/bench/bench_routes.c on machines with these instruction sets;
// that of plain C is a guess.
#if defined(__AVX512F__)
#define NAME "AVX-512"
#define ROUTE_COST                                                                                 \
    {                                                                                              \
        7.6, 450, 40, 0                                                                            \
    }
#elif defined(__AVX2__)
#define NAME "AVX2"
#define ROUTE_COST                                                                                 \
    {                                                                                              \
        14.5, 450, 45, 0                                                                           \
    }
#else
#define NAME "plain C"
#define ROUTE_COST                                                                                 \
    {                                                                                              \
        20, 450, 40, 0                                                                             \
    }
#endif

static const struct cpu_isa isa = {NAME, &SIMD(cpu_linear_kernels), &SIMD(cpu_sparse_kernels)};

static int open(struct slt_ctx **ctx, const struct slt_ops_options *options, struct slt_error *err)
{
    int rc = cpu_open(ctx, options, err);
    if (rc == 0)
        (*ctx)->isa = &isa;
    return rc;
}

extern const struct slt_ops SIMD(cpu_ops);

const struct slt_ops SIMD(cpu_ops) = {
    .version = SLT_OPS_VERSION,
    .name = "cpu",
    .route_cost = ROUTE_COST,
    .open = open,
    .close = cpu_close,
    .describe = cpu_describe,
    .supports = cpu_supports,
    .work_bytes = cpu_work_bytes,
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
    .embedding_forward = SIMD(cpu_embedding_forward),
    .embedding_backward = SIMD(cpu_embedding_backward),
    .rmsnorm_forward = SIMD(cpu_rmsnorm_forward),
    .rmsnorm_backward = SIMD(cpu_rmsnorm_backward),
    .add = SIMD(cpu_add),
    .attention_forward = SIMD(cpu_attention_forward),
    .attention_backward = SIMD(cpu_attention_backward),
    .attention_cached = SIMD(cpu_attention_cached),
    .swiglu_forward = SIMD(cpu_swiglu_forward),
    .swiglu_backward = SIMD(cpu_swiglu_backward),
    .head_loss = SIMD(cpu_head_loss),
    .linear_forward = cpu_linear_forward,
    .linear_backward_input = cpu_linear_backward_input,
    .linear_backward_weight = cpu_linear_backward_weight,
    .matmul = cpu_matmul,
    .sparse_forward = cpu_sparse_forward,
    .sparse_backward = cpu_sparse_backward,
    .sparse_scatter = cpu_sparse_scatter,
    .sparse_gather = cpu_sparse_gather,
    .grad_norm = SIMD(cpu_grad_norm),
    .adam_step = SIMD(cpu_adam_step),
};
