// Linear products. x^T (in, T) is a row-major matrix, so most are one GEMM; the exceptions are few
// tokens, and gradients of weights.
#include "kernels/cpu/product.h"

#define SLAB  512  // features of the operand that backward_weight transposes at a time
#define CHUNK 1024 // features of the other operand whose product waits for its transposition

static int64_t at_most(int64_t n, int64_t limit)
{
    return n < limit ? n : limit;
}

// Elements from row to row of a transposed slab: no multiple of a large power of two.
static int64_t slab_ld(int64_t features)
{
    return (features + 15) / 16 * 16 + 16;
}

uint64_t cpu_linear_work_bytes(struct slt_ctx *ctx, const struct slt_op_shape *shape)
{
    const int64_t most = shape->in > shape->out ? shape->in : shape->out;
    const int64_t ld = slab_ld(at_most(most, SLAB));
    const uint64_t backward = cpu_piece((uint64_t)(shape->tokens * ld), sizeof(float)) +
                              cpu_piece((uint64_t)(at_most(most, CHUNK) * ld), sizeof(float));
    const uint64_t dots = cpu_piece((uint64_t)(CPU_DOT_TOKENS * most), sizeof(float));
    return dots > backward ? dots : backward;
}

// to (cols, rows) = beta to + from^T, from (rows, cols), by all threads.
static void transpose(struct slt_ctx *ctx, float *to, int64_t ld_to, float beta, const float *from,
                      int64_t ld_from, int64_t rows, int64_t cols)
{
    const struct cpu_linear_kernels *kernels = ctx->isa->linear;
    const int64_t step = 64;
#pragma omp parallel for schedule(static) num_threads(ctx->threads)
    for (int64_t c = 0; c < cols; c += step)
        kernels->transpose(to + c * ld_to, ld_to, beta, from + c, ld_from, rows,
                           at_most(cols - c, step));
}

// Few tokens: each row of w is read once and multiplied with all of them.
static void forward_dots(struct slt_ctx *ctx, struct slt_act y, float beta, struct slt_act x,
                         struct slt_tensor w, float alpha)
{
    const struct cpu_linear_kernels *kernels = ctx->isa->linear;
    const int64_t ld = cpu_act_ld(x.tokens), in = x.features, out = y.features;
    const float *rows = cpu_act(x);
    if (x.tokens > 1) {
        assert(ctx->work_bytes >= (uint64_t)(x.tokens * in) * sizeof(float));
        transpose(ctx, (float *)ctx->work, in, 0, rows, ld, in, x.tokens);
        rows = (float *)ctx->work;
    }
    const int64_t step = 64;
#pragma omp parallel for schedule(static) num_threads(ctx->threads) if (out * in > 1 << 15)
    for (int64_t row = 0; row < out; row += step)
        kernels->dot_rows(cpu_act(y) + row * ld, ld, beta, cpu_tensor(w) + row * w.ld, w.ld, rows,
                          at_most(out - row, step), in, x.tokens, alpha);
}

void cpu_linear_forward(struct slt_ctx *ctx, struct slt_act y, double beta, struct slt_act x,
                        struct slt_tensor w, double alpha)
{
    const int64_t ld = cpu_act_ld(x.tokens);
    if (x.tokens <= CPU_DOT_TOKENS)
        forward_dots(ctx, y, (float)beta, x, w, (float)alpha);
    else
        cpu_sgemm(ctx, false, false, y.features, x.tokens, x.features, (float)alpha, cpu_tensor(w),
                  w.ld, cpu_act(x), ld, (float)beta, cpu_act(y), ld);
}

void cpu_linear_backward_input(struct slt_ctx *ctx, struct slt_act dx, double beta,
                               struct slt_act dy, struct slt_tensor w, double alpha)
{
    const int64_t ld = cpu_act_ld(dy.tokens);
    cpu_sgemm(ctx, true, false, dx.features, dy.tokens, dy.features, (float)alpha, cpu_tensor(w),
              w.ld, cpu_act(dy), ld, (float)beta, cpu_act(dx), ld);
}

// oneDNN multiplies by a transposed second operand 5 to 20% slower than by a plain one, most so
// with few features, so the operand with fewer features is transposed here first. Where that is dy,
// the product comes out as dw^T.
void cpu_linear_backward_weight(struct slt_ctx *ctx, struct slt_tensor dw, double beta,
                                struct slt_act dy, struct slt_act x, double alpha)
{
    const bool flip = dy.features < x.features;
    const struct slt_act few = flip ? dy : x, many = flip ? x : dy;
    const int64_t t = x.tokens, ld = cpu_act_ld(t);
    const int64_t slab = at_most(few.features, SLAB), ld_slab = slab_ld(slab);
    assert(ctx->work_bytes >=
           (uint64_t)((t + at_most(many.features, CHUNK)) * ld_slab) * sizeof(float));
    float *turned = (float *)ctx->work;
    float *product = (float *)(ctx->work + cpu_piece((uint64_t)(t * ld_slab), sizeof(float)));
    for (int64_t i = 0; i < few.features; i += slab) {
        const int64_t n = at_most(few.features - i, slab);
        transpose(ctx, turned, ld_slab, 0, cpu_act(few) + i * ld, ld, n, t);
        if (!flip) {
            cpu_sgemm(ctx, false, false, many.features, n, t, (float)alpha, cpu_act(many), ld,
                      turned, ld_slab, (float)beta, cpu_tensor(dw) + i, dw.ld);
            continue;
        }
        for (int64_t k = 0; k < many.features; k += CHUNK) {
            const int64_t m = at_most(many.features - k, CHUNK);
            cpu_sgemm(ctx, false, false, m, n, t, (float)alpha, cpu_act(many) + k * ld, ld, turned,
                      ld_slab, 0, product, ld_slab);
            transpose(ctx, cpu_tensor(dw) + i * dw.ld + k, dw.ld, (float)beta, product, ld_slab, m,
                      n);
        }
    }
}

void cpu_matmul(struct slt_ctx *ctx, struct slt_tensor c, double beta, struct slt_tensor a,
                bool transpose_a, struct slt_tensor b, bool transpose_b, double alpha)
{
    cpu_sgemm(ctx, transpose_a, transpose_b, c.rows, c.cols, transpose_a ? a.rows : a.cols,
              (float)alpha, cpu_tensor(a), a.ld, cpu_tensor(b), b.ld, (float)beta, cpu_tensor(c),
              c.ld);
}
