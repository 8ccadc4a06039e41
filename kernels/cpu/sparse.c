// The sparse products of a linear: which tile and which rows or columns each thread takes. No
// result depends on the number of threads: every sum is formed whole by one thread, or in chunks of
// tokens that depend on shapes alone and whose sums are added up in their order.
#include <string.h>

#include "kernels/cpu/product.h"

#define CACHE_BYTES (640 << 10) // of the second-level cache, for packed tiles
#define MAX_CHUNKS  4           // of the tokens, each with its own sums of dvalues

static int64_t divide_up(int64_t n, int64_t by)
{
    return (n + by - 1) / by;
}

// The fewest shares of each of n equal tasks that keep every thread equally busy.
static int64_t shares_of_task(int64_t n, int64_t threads)
{
    int64_t a = n, b = threads;
    while (b > 0) {
        const int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return threads / a;
}

// ---- Workspace ----

static int64_t forward_tile(int64_t tokens, int64_t in)
{
    const int64_t wide = CPU_TILE_WIDE * (int64_t)sizeof(float);
    return tokens <= CPU_TILE_NARROW || in * wide > CACHE_BYTES ? CPU_TILE_NARROW : CPU_TILE_WIDE;
}

// Rows of a block of the backward product: as many as fit into the cache, and into 16 bits.
static int64_t block_rows(int64_t rows, int64_t tile)
{
    const int64_t most = CACHE_BYTES / (tile * (int64_t)sizeof(float));
    return divide_up(rows, divide_up(rows, most));
}

static int64_t chunk_count(int64_t tokens, int64_t tile)
{
    const int64_t tiles = divide_up(tokens, tile);
    return tiles < MAX_CHUNKS ? tiles : MAX_CHUNKS;
}

// Where the pieces of backward's workspace lie.
struct layout {
    int64_t tile, block, blocks, chunks;
    uint64_t start, row, value, place, sum, packed, packed_stride, bytes;
};

static struct layout backward_layout(const struct slt_ctx *ctx, int64_t tokens, int64_t rows,
                                     int64_t cols, int64_t nnz)
{
    struct layout l = {.tile = ctx->isa->sparse->columns_tile};
    l.block = block_rows(rows, l.tile);
    l.blocks = divide_up(rows, l.block);
    l.chunks = chunk_count(tokens, l.tile);
    l.row = l.start + cpu_piece((uint64_t)(l.blocks * cols) + 2, sizeof(int64_t));
    l.value = l.row + cpu_piece((uint64_t)nnz, sizeof(uint16_t));
    l.place = l.value + cpu_piece((uint64_t)nnz, sizeof(float));
    l.sum = l.place + cpu_piece((uint64_t)nnz, sizeof(int32_t));
    l.packed = l.sum + cpu_piece((uint64_t)(l.chunks * nnz), sizeof(float));
    l.packed_stride = cpu_piece((uint64_t)(l.block * l.tile), sizeof(float));
    l.bytes = l.packed + (uint64_t)ctx->threads * l.packed_stride;
    return l;
}

uint64_t cpu_sparse_work_bytes(struct slt_ctx *ctx, const struct slt_op_shape *shape)
{
    if (shape->nnz == 0 || shape->tokens == 0)
        return 0;
    const int64_t tile = forward_tile(shape->tokens, shape->in);
    const uint64_t forward =
        (uint64_t)ctx->threads * cpu_piece((uint64_t)(shape->in * tile), sizeof(float));
    const struct layout l = backward_layout(ctx, shape->tokens, shape->out, shape->in, shape->nnz);
    return forward > l.bytes ? forward : l.bytes;
}

// ---- Forward ----

static struct cpu_sparse_rows csr_rows(struct slt_csr s, struct slt_tensor values)
{
    return (struct cpu_sparse_rows){.row_start = cpu_pointer(s.row_start),
                                    .column = cpu_pointer(s.column),
                                    .wide_column = s.column.dtype == SLT_I32,
                                    .value = cpu_tensor(values)};
}

static void forward_one(const struct slt_ctx *ctx, float *y, const float *x,
                        struct cpu_sparse_rows all, int64_t rows)
{
    const struct cpu_sparse_kernels *kernels = ctx->isa->sparse;
    const int64_t unit = 16, units = divide_up(rows, unit); // rows that are summed up together
#pragma omp parallel for schedule(static) num_threads(ctx->threads)
    for (int i = 0; i < ctx->threads; i++) {
        struct cpu_sparse_rows s = all;
        s.first = cpu_share(units, ctx->threads, i) * unit;
        s.last = slt_least(cpu_share(units, ctx->threads, i + 1) * unit, rows);
        kernels->rows_one(y + s.first, x, &s);
    }
}

void cpu_sparse_forward(struct slt_ctx *ctx, struct slt_act y, struct slt_act x, struct slt_csr s,
                        struct slt_tensor values)
{
    if (s.nnz == 0 || x.tokens == 0)
        return;
    const struct cpu_sparse_rows all = csr_rows(s, values);
    if (x.tokens == 1) {
        forward_one(ctx, cpu_act(y), cpu_act(x), all, s.rows);
        return;
    }
    if (slt_csr_has_bands(&s)) {
        cpu_bands_forward(ctx, y, x, s, values);
        return;
    }
    const struct cpu_sparse_kernels *kernels = ctx->isa->sparse;
    const int64_t ld = cpu_act_ld(x.tokens), tile = forward_tile(x.tokens, s.cols);
    const int64_t tiles = divide_up(x.tokens, tile);
    const int64_t shares = shares_of_task(tiles, ctx->threads);
    const uint64_t packed_stride = cpu_piece((uint64_t)(s.cols * tile), sizeof(float));
    assert(ctx->work_bytes >= packed_stride * (uint64_t)ctx->threads);
#pragma omp parallel for schedule(static) num_threads(ctx->threads)
    for (int i = 0; i < ctx->threads; i++) {
        float *packed = (float *)(ctx->work + (uint64_t)i * packed_stride);
        int64_t packed_tile = -1;
        const int64_t last = cpu_share(tiles * shares, ctx->threads, i + 1);
        for (int64_t task = cpu_share(tiles * shares, ctx->threads, i); task < last; task++) {
            const int64_t t = task / shares * tile, left = x.tokens - t;
            const int64_t tokens = left < tile ? left : tile;
            struct cpu_sparse_rows mine = all;
            mine.first = cpu_share(s.rows, shares, task % shares);
            mine.last = cpu_share(s.rows, shares, task % shares + 1);
            if (packed_tile != t)
                kernels->pack(packed, tile, cpu_act(x) + t, ld, s.cols, tokens);
            packed_tile = t;
            kernels->rows(cpu_act(y) + mine.first * ld + t, ld, packed, tile, tokens, &mine);
        }
    }
}

// ---- Backward ----

// The positions by columns: block of rows after block of rows, columns in each, rows in each
// column. start has an entry for each column of each block and one for the end; place says where in
// the order of rows a position came from.
struct by_columns {
    int64_t rows, cols, block, blocks;
    int64_t *start;
    uint16_t *row;
    float *value;
    int32_t *place;
};

// The first position of row at or behind column, by bisection.
static int64_t find_column(const struct cpu_sparse_rows *s, int64_t row, int64_t column)
{
    int64_t low = s->row_start[row], high = s->row_start[row + 1];
    while (low < high) {
        const int64_t middle = low + (high - low) / 2;
        const int64_t at = s->wide_column ? ((const int32_t *)s->column)[middle]
                                          : ((const uint16_t *)s->column)[middle];
        if (at < column)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int64_t column_of(const struct cpu_sparse_rows *s, int64_t k)
{
    return s->wide_column ? ((const int32_t *)s->column)[k] : ((const uint16_t *)s->column)[k];
}

// Counts the positions of columns [first, last) into start[2 ...], so that the running sum below
// makes start[1 ...] the cursors of place_columns.
static void count_columns(struct by_columns *c, const struct cpu_sparse_rows *s, int64_t first,
                          int64_t last)
{
    for (int64_t b = 0; b < c->blocks; b++)
        memset(c->start + b * c->cols + first + 2, 0, (size_t)(last - first) * sizeof *c->start);
    for (int64_t row = 0; row < c->rows; row++) {
        int64_t *count = c->start + row / c->block * c->cols + 2;
        const int64_t end = s->row_start[row + 1];
        for (int64_t k = find_column(s, row, first); k < end && column_of(s, k) < last; k++)
            count[column_of(s, k)]++;
    }
}

static void place_columns(struct by_columns *c, const struct cpu_sparse_rows *s, int64_t first,
                          int64_t last)
{
    for (int64_t row = 0; row < c->rows; row++) {
        int64_t *cursor = c->start + row / c->block * c->cols + 1;
        const int64_t end = s->row_start[row + 1];
        for (int64_t k = find_column(s, row, first); k < end && column_of(s, k) < last; k++) {
            const int64_t to = cursor[column_of(s, k)]++;
            c->row[to] = (uint16_t)(row % c->block);
            c->value[to] = s->value[k];
            c->place[to] = (int32_t)k;
        }
    }
}

// Everything the threads of one backward product share.
struct backward {
    const struct cpu_sparse_kernels *kernels;
    struct layout layout;
    struct by_columns by_columns;
    int64_t threads, tokens, ld, nnz;
    int64_t shares; // of the columns, for each chunk of tokens
    float *dx;
    const float *dy, *x;
    float *sum, *dvalues, beta;
    char *packed;
};

// One share of the columns over one chunk of the tokens.
static void walk_chunk(const struct backward *b, int64_t chunk, int64_t number, float *packed)
{
    const struct by_columns *c = &b->by_columns;
    const int64_t tile = b->layout.tile, tiles = divide_up(b->tokens, tile);
    const int64_t first = cpu_share(c->cols, b->shares, number);
    const int64_t last = cpu_share(c->cols, b->shares, number + 1);
    const int64_t from = cpu_share(tiles, b->layout.chunks, chunk);
    const int64_t to = cpu_share(tiles, b->layout.chunks, chunk + 1);
    for (int64_t t = from * tile; t < to * tile; t += tile)
        for (int64_t block = 0; block < c->blocks; block++) {
            const int64_t row = block * c->block, left = c->rows - row;
            const struct cpu_sparse_columns s = {.first = first,
                                                 .last = last,
                                                 .start = c->start + block * c->cols,
                                                 .row = c->row,
                                                 .value = c->value};
            const struct cpu_sparse_walk walk = {.dy = packed,
                                                 .dx = b->dx ? b->dx + t : NULL,
                                                 .x = b->dvalues ? b->x + t : NULL,
                                                 .ld = b->ld,
                                                 .tokens =
                                                     b->tokens - t < tile ? b->tokens - t : tile,
                                                 .sum = b->sum + chunk * b->nnz + s.start[first],
                                                 .add = t > from * tile};
            b->kernels->pack(packed, tile, b->dy + row * b->ld + t, b->ld,
                             left < c->block ? left : c->block, walk.tokens);
            b->kernels->columns(&walk, &s);
        }
}

// dvalues = beta dvalues + the sums of all chunks, for positions [first, last) in columns' order.
static void store_sums(const struct backward *b, int64_t first, int64_t last)
{
    for (int64_t k = first; k < last; k++) {
        float sum = b->sum[k];
        for (int64_t chunk = 1; chunk < b->layout.chunks; chunk++)
            sum += b->sum[chunk * b->nnz + k];
        float *at = b->dvalues + b->by_columns.place[k];
        *at = b->beta == 0 ? sum : b->beta * *at + sum;
    }
}

static void run_backward(struct backward *b, const struct cpu_sparse_rows *s)
{
    struct by_columns *c = &b->by_columns;
    const int64_t threads = b->threads, tasks = b->layout.chunks * b->shares;
#pragma omp parallel num_threads(threads)
    {
#pragma omp for schedule(static)
        for (int64_t i = 0; i < threads; i++)
            count_columns(c, s, cpu_share(c->cols, threads, i), cpu_share(c->cols, threads, i + 1));
#pragma omp single
        {
            c->start[0] = c->start[1] = 0;
            for (int64_t i = 0; i < c->blocks * c->cols; i++)
                c->start[i + 2] += c->start[i + 1];
        }
#pragma omp for schedule(static)
        for (int64_t i = 0; i < threads; i++)
            place_columns(c, s, cpu_share(c->cols, threads, i), cpu_share(c->cols, threads, i + 1));
#pragma omp for schedule(static)
        for (int64_t i = 0; i < threads; i++) {
            float *packed = (float *)(b->packed + (uint64_t)i * b->layout.packed_stride);
            const int64_t last = cpu_share(tasks, threads, i + 1);
            for (int64_t task = cpu_share(tasks, threads, i); task < last; task++)
                walk_chunk(b, task / b->shares, task % b->shares, packed);
        }
#pragma omp for schedule(static)
        for (int64_t i = 0; i < threads; i++)
            if (b->dvalues)
                store_sums(b, cpu_share(b->nnz, threads, i), cpu_share(b->nnz, threads, i + 1));
    }
}

void cpu_sparse_backward(struct slt_ctx *ctx, struct slt_act dx, struct slt_tensor dvalues,
                         double beta, struct slt_act dy, struct slt_act x, struct slt_csr s,
                         struct slt_tensor values)
{
    if (s.nnz == 0 || (!dx.buffer && !dvalues.buffer))
        return;
    if (slt_csr_has_bands(&s)) {
        cpu_bands_backward(ctx, dx, dvalues, beta, dy, x, s, values);
        return;
    }
    const struct cpu_sparse_rows all = csr_rows(s, values);
    const struct layout l = backward_layout(ctx, dy.tokens, s.rows, s.cols, s.nnz);
    assert(ctx->work_bytes >= l.bytes && s.nnz <= INT32_MAX && dy.tokens > 0);
    struct backward b = {
        .kernels = ctx->isa->sparse,
        .layout = l,
        .by_columns = {.rows = s.rows,
                       .cols = s.cols,
                       .block = l.block,
                       .blocks = l.blocks,
                       .start = (int64_t *)(ctx->work + l.start),
                       .row = (uint16_t *)(ctx->work + l.row),
                       .value = (float *)(ctx->work + l.value),
                       .place = (int32_t *)(ctx->work + l.place)},
        .threads = ctx->threads,
        .tokens = dy.tokens,
        .ld = cpu_act_ld(dy.tokens),
        .shares = shares_of_task(l.chunks, ctx->threads),
        .nnz = s.nnz,
        .dx = dx.buffer ? cpu_act(dx) : NULL,
        .dy = cpu_act(dy),
        .x = dvalues.buffer ? cpu_act(x) : NULL,
        .sum = (float *)(ctx->work + l.sum),
        .dvalues = dvalues.buffer ? cpu_tensor(dvalues) : NULL,
        .beta = (float)beta,
        .packed = ctx->work + l.packed,
    };
    run_backward(&b, &all);
}

// ---- The dense route ----

void cpu_sparse_scatter(struct slt_ctx *ctx, struct slt_tensor w, struct slt_csr s,
                        struct slt_tensor values)
{
    float *to = cpu_tensor(w);
    const struct cpu_sparse_rows all = csr_rows(s, values);
#pragma omp parallel for schedule(static) num_threads(ctx->threads)
    for (int64_t row = 0; row < s.rows; row++) {
        memset(to + row * w.ld, 0, (size_t)s.cols * sizeof *to);
        for (int64_t k = all.row_start[row]; k < all.row_start[row + 1]; k++)
            to[row * w.ld + column_of(&all, k)] = all.value[k];
    }
}

void cpu_sparse_gather(struct slt_ctx *ctx, struct slt_tensor dvalues, double beta,
                       struct slt_tensor g, struct slt_csr s)
{
    const float *from = cpu_tensor(g);
    float *to = cpu_tensor(dvalues);
    const struct cpu_sparse_rows all = csr_rows(s, dvalues);
#pragma omp parallel for schedule(static) num_threads(ctx->threads)
    for (int64_t row = 0; row < s.rows; row++)
        for (int64_t k = all.row_start[row]; k < all.row_start[row + 1]; k++) {
            const float here = from[row * g.ld + column_of(&all, k)];
            to[k] = beta == 0 ? here : (float)beta * to[k] + here;
        }
}
