// The sparse products of positions in bands: what each thread takes. Forward and dx are divided by
// tokens, dvalues by bands, so every sum is formed whole by one thread.
#include "kernels/cpu/product.h"

// Of x or dx of a tile of tokens. Rows of tokens that follow each other in memory come in faster
// than what stays in the second-level cache saves.
#define TILE_BYTES  (4 << 20)
#define TOKENS_UNIT 16  // to which the memory of activations is rounded up
#define DOT_TOKENS  768 // the more, the fewer sums across lanes; the fewer, the more of dy is cached

static struct cpu_bands bands_of(const struct slt_ctx *ctx, int64_t tokens, const struct slt_csr *s)
{
    struct cpu_bands b = {.row = cpu_tensor_i32(s->band_row),
                          .row_start = cpu_pointer(s->row_start),
                          .column = cpu_pointer(s->column),
                          .wide_column = s->column.dtype == SLT_I32,
                          .packed = (float *)ctx->work,
                          .ld = cpu_act_ld(tokens)};
    assert(ctx->work_bytes >= (uint64_t)s->nnz * sizeof(float));
    while (b.bands < s->band_row.cols && b.row[b.bands] >= 0)
        b.bands++;
    return b;
}

// Share i of the bands.
static struct cpu_bands share_of(struct cpu_bands b, int64_t shares, int64_t i)
{
    const int64_t first = cpu_share(b.bands, shares, i), last = cpu_share(b.bands, shares, i + 1);
    b.row += first;
    b.bands = last - first;
    return b;
}

// Packs the values of all bands into the workspace.
static void pack_values(struct slt_ctx *ctx, const struct cpu_bands *b, const float *value)
{
#pragma omp parallel for schedule(static) num_threads(ctx->threads)
    for (int64_t i = 0; i < b->bands; i++) {
        const int64_t at = b->row_start[b->row[i]], end = b->row_start[b->row[i] + 1];
        ctx->isa->bands->pack((float *)ctx->work + at, value + at, end - at);
    }
}

static int64_t tile_of(int64_t cols)
{
    const int64_t unit = 48; // divisible by the tokens that each instruction set has in registers
    const int64_t tokens = TILE_BYTES / (cols * (int64_t)sizeof(float)) / unit * unit;
    return tokens > unit ? tokens : unit;
}

// What is computed for each token by itself: from x to y, or from dy to dx.
typedef void token_function(float *to, const float *from, int64_t tokens,
                            const struct cpu_bands *s);

static void walk_tokens(struct slt_ctx *ctx, token_function *function, struct slt_act to,
                        struct slt_act from, const struct cpu_bands *b, int64_t cols)
{
    const int64_t units = (to.tokens + TOKENS_UNIT - 1) / TOKENS_UNIT, tile = tile_of(cols);
#pragma omp parallel for schedule(static) num_threads(ctx->threads)
    for (int64_t i = 0; i < ctx->threads; i++) {
        const int64_t last =
            slt_least(cpu_share(units, ctx->threads, i + 1) * TOKENS_UNIT, to.tokens);
        for (int64_t t = cpu_share(units, ctx->threads, i) * TOKENS_UNIT; t < last; t += tile)
            function(cpu_act(to) + t, cpu_act(from) + t, slt_least(last - t, tile), b);
    }
}

void cpu_bands_forward(struct slt_ctx *ctx, struct slt_act y, struct slt_act x, struct slt_csr s,
                       struct slt_tensor values)
{
    const struct cpu_bands b = bands_of(ctx, x.tokens, &s);
    pack_values(ctx, &b, cpu_tensor(values));
    walk_tokens(ctx, ctx->isa->bands->forward, y, x, &b, s.cols);
}

// Chunk of tokens after chunk, so that bands find the rows of x that others have read in the cache.
static void sample(struct slt_ctx *ctx, float *dvalues, float beta, struct slt_act dy,
                   struct slt_act x, const struct cpu_bands *b)
{
#pragma omp parallel for schedule(static) num_threads(ctx->threads)
    for (int64_t i = 0; i < ctx->threads; i++) {
        const struct cpu_bands mine = share_of(*b, ctx->threads, i);
        for (int64_t t = 0; t < x.tokens; t += DOT_TOKENS)
            ctx->isa->bands->backward_values(dvalues, t == 0 ? beta : 1, cpu_act(dy) + t,
                                             cpu_act(x) + t, slt_least(x.tokens - t, DOT_TOKENS),
                                             &mine);
    }
}

// One token, whose features are contiguous.
static void backward_one(float *dx, float *dvalues, float beta, const float *dy, const float *x,
                         const struct cpu_bands *b, const float *value)
{
    for (int64_t i = 0; i < b->bands; i++)
        for (int64_t row = b->row[i]; row < b->row[i] + SLT_BAND_ROWS; row++)
            for (int64_t k = b->row_start[row]; k < b->row_start[row + 1]; k++) {
                const int64_t col = b->wide_column ? ((const int32_t *)b->column)[k]
                                                   : ((const uint16_t *)b->column)[k];
                if (dx != NULL)
                    dx[col] += value[k] * dy[row];
                if (dvalues != NULL)
                    dvalues[k] = (beta == 0 ? 0 : beta * dvalues[k]) + dy[row] * x[col];
            }
}

void cpu_bands_backward(struct slt_ctx *ctx, struct slt_act dx, struct slt_tensor dvalues,
                        double beta, struct slt_act dy, struct slt_act x, struct slt_csr s,
                        struct slt_tensor values)
{
    const struct cpu_bands b = bands_of(ctx, dy.tokens, &s);
    if (dy.tokens == 1) {
        backward_one(dx.buffer ? cpu_act(dx) : NULL, dvalues.buffer ? cpu_tensor(dvalues) : NULL,
                     (float)beta, cpu_act(dy), dvalues.buffer ? cpu_act(x) : NULL, &b,
                     cpu_tensor(values));
        return;
    }
    if (dvalues.buffer)
        sample(ctx, cpu_tensor(dvalues), (float)beta, dy, x, &b);
    if (dx.buffer) {
        pack_values(ctx, &b, cpu_tensor(values));
        walk_tokens(ctx, ctx->isa->bands->backward_input, dx, dy, &b, s.cols);
    }
}
