// The table of the CUDA backend: the one thing that libslt-cuda.so exports.
#include "kernels/cuda/attention.h"
#include "kernels/cuda/sparse.h"

// What products copy of rows that are not aligned (linear.cu), and of values of another type: where
// nothing is said of the features' places, of all that a product has.
static uint64_t factor_bytes(const struct slt_op_shape *s)
{
    const int64_t run = s->tokens < CUDA_COPY_TOKENS ? s->tokens : CUDA_COPY_TOKENS;
    const int64_t wider = s->in > s->out ? s->in : s->out;
    uint64_t bytes = cuda_factor_bytes(SLT_BF16, 1, s->nnz);
    if (s->dtype != SLT_BF16)
        return 0;
    if (s->step > 0 && s->step % CUDA_ROW_ALIGN == 0)
        return bytes;
    // Two factors with the shape of the weight or less; the tokens of both sides; the result,
    // which has the shape of the weight or is of tokens.
    bytes += 2 * cuda_factor_bytes(SLT_BF16, s->out, s->in);
    bytes += cuda_factor_bytes(SLT_BF16, run, s->in) + cuda_factor_bytes(SLT_BF16, run, s->out);
    const uint64_t gradient = cuda_factor_bytes(SLT_F32, s->out, s->in);
    const uint64_t rows = cuda_factor_bytes(SLT_F32, run, wider);
    return bytes + (gradient > rows ? gradient : rows);
}

// The head's weight and its gradient; the tokens' rows all begin where they should.
static uint64_t head_factor_bytes(const struct slt_op_shape *s)
{
    if (s->dtype != SLT_BF16 || s->in % CUDA_ROW_ALIGN == 0)
        return 0;
    return cuda_factor_bytes(SLT_BF16, s->out, s->in) + cuda_factor_bytes(SLT_F32, s->out, s->in);
}

uint64_t cuda_work_bytes(struct slt_ctx *ctx, enum slt_op op, const struct slt_op_shape *s)
{
    (void)ctx;
    const int64_t chunk = cuda_head_chunk(s->tokens);
    const int64_t gains = s->tokens < CUDA_GAIN_BLOCKS ? s->tokens : CUDA_GAIN_BLOCKS;
    const int64_t ranked = cuda_blocks(s->tokens, CUDA_EMBED_CHUNK);
    switch (op) {
    case SLT_OP_EMBEDDING: // counts, starts, ranks, order
        return (uint64_t)((ranked + 1) * s->out + 1 + 2 * s->tokens) * sizeof(int32_t);
    case SLT_OP_LINEAR:
        return factor_bytes(s);
    case SLT_OP_HEAD_LOSS:
        return head_factor_bytes(s) +
               (uint64_t)(chunk * cuda_padded(s->out) + cuda_padded(s->tokens)) * sizeof(float);
    case SLT_OP_BANDS:
        return cuda_blocks_work_bytes(s);
    case SLT_OP_RMSNORM:
        return (uint64_t)(gains * s->in) * sizeof(float);
    case SLT_OP_ATTENTION:
        return cuda_attention_work_bytes(s);
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
    t.up_align = CUDA_ROW_ALIGN;
    // Multiply-adds of a GEMM at its full rate: the products at single positions are far from it,
    // so that random supports take the dense route.
    t.route_cost.position = 400;
    t.route_cost.band_position = 40; // tensor cores at the speed of the second-level cache
    t.route_cost.order = 0;
    t.route_cost.element = 100;
    t.micro_tokens = 16384; // products of a thousand rows fill the multiprocessors a few times over
#define CUDA_ROW(op) t.op = cuda_##op;
    CUDA_ROW(open)
    SLT_OPS_OF_DEVICE(CUDA_ROW)
    SLT_OPS_OF_BACKEND(CUDA_ROW)
    SLT_OPS_OPTIONAL(CUDA_ROW)
#if __has_include(<nccl.h>)
    SLT_OPS_OF_COMM(CUDA_ROW)
#endif
    SLT_OPS_OF_ELEMENTS(CUDA_ROW)
    SLT_OPS_OF_PRODUCTS(CUDA_ROW)
    return t;
}

extern "C" __attribute__((visibility("default"))) const struct slt_ops *slt_cuda_ops(void)
{
    static const struct slt_ops table = make_table();
    return &table;
}
