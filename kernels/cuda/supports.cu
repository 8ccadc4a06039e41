// What the CUDA backend can do: which types, and shapes that its grids, indices and registers hold.
#include "kernels/cuda/cuda.h"
#include "kernels/limits.h"

#define GRID_X INT32_MAX // blocks
#define GRID_Y 65535     // and along z

// Whether a * b elements (tokens, ...) fit into a grid of blocks that have so many each. Exact up
// to the limit, which is far below 2^53.
static bool fits(int64_t a, int64_t b, int64_t each)
{
    return (double)a * (double)b <= (double)each * GRID_X;
}

// Rows in registers; grids of tiles of queries, heads, sequences; a warp of four for each query.
static bool attention_fits(const struct slt_op_shape *s)
{
    const struct slt_attention *a = &s->attention;
    const int64_t tokens = s->tokens > 0 ? s->tokens : a->batch * a->seq;
    return a->head_dim <= CUDA_HEAD_DIM_MAX && a->heads <= GRID_Y && a->kv_heads <= GRID_Y &&
           a->batch <= GRID_Y && fits(tokens, 1, 128 / CUDA_WARP);
}

// cuBLASLt is relied on for extents of 32 bits; a factor may be copied, a thread for each element.
static bool product_fits(const struct slt_op_shape *s)
{
    return s->tokens <= INT32_MAX && s->in <= INT32_MAX && s->out <= INT32_MAX &&
           fits(s->in, s->out, CUDA_BLOCK) && fits(s->nnz, 1, CUDA_BLOCK);
}

// Grids that have the bands, the groups of columns or runs of both along y; the numbers of parts,
// of which each has a position in every row of its band, times 3 in 32 bits.
static bool bands_fit(const struct slt_op_shape *s)
{
    return s->out / SLT_BAND_ROWS <= GRID_Y && cuda_blocks(s->in, SLT_BAND_COLUMNS) <= GRID_Y &&
           s->nnz / SLT_BAND_ROWS <= INT32_MAX / 3;
}

static bool shape_fits(enum slt_op op, const struct slt_op_shape *s)
{
    switch (op) {
    case SLT_OP_RMSNORM: // a block for each token keeps its features in registers
        return s->in <= CUDA_NORM_FEATURES && s->tokens <= GRID_X;
    case SLT_OP_EMBEDDING: // a block for each token
    case SLT_OP_SWIGLU:
        return s->tokens <= GRID_X;
    case SLT_OP_ATTENTION:
        return attention_fits(s);
    case SLT_OP_LINEAR:
    case SLT_OP_HEAD_LOSS:
        return product_fits(s);
    case SLT_OP_SPARSE: // a thread for each output, a block for each token or row
        return s->tokens <= GRID_X && s->out <= GRID_X && fits(s->tokens, s->out, CUDA_BLOCK);
    case SLT_OP_BANDS:
        return bands_fit(s);
    case SLT_OP_GRAD_NORM:
        return fits(s->nnz, 1, CUDA_NORM_BLOCK);
    case SLT_OP_ADAM: // a thread for each value, or a block for each block of 8-bit moments
        return fits(s->nnz, 1, s->in > 0 && s->in < CUDA_BLOCK ? s->in : CUDA_BLOCK);
    }
    return true;
}

bool cuda_supports(struct slt_ctx *ctx, enum slt_op op, const struct slt_op_shape *shape)
{
    (void)ctx;
    if (shape->dtype != SLT_BF16 && (shape->dtype != SLT_F32 || op == SLT_OP_BANDS))
        return false;
    return slt_op_shape_is_possible(op, shape) && shape_fits(op, shape);
}
