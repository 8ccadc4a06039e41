// Linear products. x^T (in, T) is a row-major matrix, so most are one GEMM; the exceptions are few
// tokens, and gradients of weights.
#include "kernels/cpu/product.h"

#define SLAB  512  // features of the operand that backward_weight transposes at a time
#define CHUNK 1024 // features of the other operand whose product waits for its transposition
#define DECODED ((int64_t)1 << 20) // values of weights in codes that are decoded at once

// Elements from row to row of a transposed slab: no multiple of a large power of two.
static int64_t slab_ld(int64_t features)
{
    return (features + 15) / 16 * 16 + 16;
}

// Rows of weights in codes that are decoded at once.
static int64_t decoded_rows(int64_t rows, int64_t in)
{
    return slt_least(rows, in < DECODED ? DECODED / (in > 0 ? in : 1) : 1);
}

uint64_t cpu_linear_work_bytes(struct slt_ctx *ctx, const struct slt_op_shape *shape)
{
    const int64_t most = shape->in > shape->out ? shape->in : shape->out;
    const int64_t ld = slab_ld(slt_least(most, SLAB));
    const uint64_t backward = cpu_piece((uint64_t)(shape->tokens * ld), sizeof(float)) +
                              cpu_piece((uint64_t)(slt_least(most, CHUNK) * ld), sizeof(float));
    const uint64_t dots = cpu_piece((uint64_t)(CPU_DOT_TOKENS * most), sizeof(float));
    // Which of its weights are in codes, and how they are shaped, is not known.
    const uint64_t decoded =
        shape->nnz > 0 ? cpu_piece((uint64_t)(DECODED + most), sizeof(float)) : 0;
    const uint64_t forward = dots > decoded ? dots : decoded;
    return forward > backward ? forward : backward;
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
                           slt_least(cols - c, step));
}

static struct cpu_coded coded_of(struct slt_tensor w)
{
    assert(w.dtype == SLT_I8 && w.ld == w.cols);
    return (struct cpu_coded){.code = cpu_pointer(w),
                              .absmax = (const float *)(const void *)(w.buffer->data + w.absmax),
                              .block = w.block,
                              .lead = w.lead};
}

// Few tokens: each row of w is read once and multiplied with all of them.
static void forward_dots(struct slt_ctx *ctx, struct slt_act y, float beta, struct slt_act x,
                         struct slt_tensor w, float alpha)
{
    const struct cpu_linear_kernels *kernels = ctx->isa->linear;
    const int64_t ld = cpu_act_ld(x.tokens), in = x.features, out = y.features;
    const float *rows = cpu_act(x);
    const bool coded = w.dtype == SLT_I8;
    const struct cpu_coded codes = coded ? coded_of(w) : (struct cpu_coded){0};
    if (x.tokens > 1) {
        assert(ctx->work_bytes >= (uint64_t)(x.tokens * in) * sizeof(float));
        transpose(ctx, (float *)ctx->work, in, 0, rows, ld, in, x.tokens);
        rows = (float *)ctx->work;
    }
    const int64_t step = 64;
#pragma omp parallel for schedule(static) num_threads(ctx->threads) if (out * in > 1 << 15)
    for (int64_t row = 0; row < out; row += step) {
        const struct cpu_dots dots = {.first = row,
                                      .rows = slt_least(out - row, step),
                                      .in = in,
                                      .tokens = x.tokens,
                                      .y = cpu_act(y),
                                      .ld_y = ld,
                                      .beta = beta,
                                      .w = coded ? NULL : cpu_tensor(w),
                                      .ld_w = w.ld,
                                      .coded = codes,
                                      .x = rows,
                                      .alpha = alpha};
        kernels->dot_rows(&dots);
    }
}

// Many tokens: some rows of w after the other, decoded.
static void forward_decoded(struct slt_ctx *ctx, struct slt_act y, double beta, struct slt_act x,
                            struct slt_tensor w, double alpha)
{
    const struct cpu_linear_kernels *kernels = ctx->isa->linear;
    const struct cpu_coded codes = coded_of(w);
    const int64_t in = x.features, rows = decoded_rows(w.rows, in), ld = cpu_act_ld(x.tokens);
    float *decoded = (float *)ctx->work;
    assert(ctx->work_bytes >= (uint64_t)(rows * in) * sizeof(float));
    for (int64_t first = 0; first < w.rows; first += rows) {
        const struct cpu_product p = {.m = slt_least(w.rows - first, rows),
                                      .n = x.tokens,
                                      .k = in,
                                      .c = cpu_act(y) + first * ld,
                                      .ldc = ld,
                                      .beta = (float)beta,
                                      .a = decoded,
                                      .lda = in,
                                      .b = cpu_act(x),
                                      .ldb = ld,
                                      .alpha = (float)alpha};
#pragma omp parallel for schedule(static) num_threads(ctx->threads)
        for (int64_t row = 0; row < p.m; row++)
            kernels->decode(decoded + row * in, &codes, (first + row) * in, in);
        cpu_sgemm(ctx, &p);
    }
}

void cpu_linear_forward(struct slt_ctx *ctx, struct slt_act y, double beta, struct slt_act x,
                        struct slt_tensor w, double alpha)
{
    const int64_t ld = cpu_act_ld(x.tokens);
    if (x.tokens <= CPU_DOT_TOKENS) {
        forward_dots(ctx, y, (float)beta, x, w, (float)alpha);
        return;
    }
    if (w.dtype == SLT_I8) {
        forward_decoded(ctx, y, beta, x, w, alpha);
        return;
    }
    const struct cpu_product p = {.m = y.features,
                                  .n = x.tokens,
                                  .k = x.features,
                                  .c = cpu_act(y),
                                  .ldc = ld,
                                  .beta = (float)beta,
                                  .a = cpu_tensor(w),
                                  .lda = w.ld,
                                  .b = cpu_act(x),
                                  .ldb = ld,
                                  .alpha = (float)alpha};
    cpu_sgemm(ctx, &p);
}

void cpu_linear_backward_input(struct slt_ctx *ctx, struct slt_act dx, double beta,
                               struct slt_act dy, struct slt_tensor w, double alpha)
{
    const int64_t ld = cpu_act_ld(dy.tokens);
    const struct cpu_product p = {.m = dx.features,
                                  .n = dy.tokens,
                                  .k = dy.features,
                                  .c = cpu_act(dx),
                                  .ldc = ld,
                                  .beta = (float)beta,
                                  .a = cpu_tensor(w),
                                  .lda = w.ld,
                                  .transpose_a = true,
                                  .b = cpu_act(dy),
                                  .ldb = ld,
                                  .alpha = (float)alpha};
    cpu_sgemm(ctx, &p);
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
    const int64_t slab = slt_least(few.features, SLAB), ld_slab = slab_ld(slab);
    assert(ctx->work_bytes >=
           (uint64_t)((t + slt_least(many.features, CHUNK)) * ld_slab) * sizeof(float));
    float *turned = (float *)ctx->work;
    float *product = (float *)(ctx->work + cpu_piece((uint64_t)(t * ld_slab), sizeof(float)));
    for (int64_t i = 0; i < few.features; i += slab) {
        const int64_t n = slt_least(few.features - i, slab);
        struct cpu_product p = {.m = many.features,
                                .n = n,
                                .k = t,
                                .c = cpu_tensor(dw) + i,
                                .ldc = dw.ld,
                                .beta = (float)beta,
                                .a = cpu_act(many),
                                .lda = ld,
                                .b = turned,
                                .ldb = ld_slab,
                                .alpha = (float)alpha};
        transpose(ctx, turned, ld_slab, 0, cpu_act(few) + i * ld, ld, n, t);
        if (!flip) {
            cpu_sgemm(ctx, &p);
            continue;
        }
        p.c = product;
        p.ldc = ld_slab;
        p.beta = 0;
        for (int64_t k = 0; k < many.features; k += CHUNK) {
            p.m = slt_least(many.features - k, CHUNK);
            p.a = cpu_act(many) + k * ld;
            cpu_sgemm(ctx, &p);
            transpose(ctx, cpu_tensor(dw) + i * dw.ld + k, dw.ld, (float)beta, product, ld_slab,
                      p.m, n);
        }
    }
}

void cpu_matmul(struct slt_ctx *ctx, struct slt_tensor c, double beta, struct slt_tensor a,
                bool transpose_a, struct slt_tensor b, bool transpose_b, double alpha)
{
    const struct cpu_product p = {.m = c.rows,
                                  .n = c.cols,
                                  .k = transpose_a ? a.rows : a.cols,
                                  .c = cpu_tensor(c),
                                  .ldc = c.ld,
                                  .beta = (float)beta,
                                  .a = cpu_tensor(a),
                                  .lda = a.ld,
                                  .transpose_a = transpose_a,
                                  .b = cpu_tensor(b),
                                  .ldb = b.ld,
                                  .transpose_b = transpose_b,
                                  .alpha = (float)alpha};
    cpu_sgemm(ctx, &p);
}
