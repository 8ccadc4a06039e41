// The inner loops of the sparse products. Tokens lie in the lanes of vectors. What is read at
// random, rows of x forward and of dy backward, is first packed into a tile that stays in the
// second-level cache; its bandwidth is what bounds the speed.
#include "kernels/cpu/product.h"
#include "kernels/cpu/simd_math.h"

// Sums of a row of y, added up at its end, so that a multiply-add need not wait for the one before.
#define PARTS 2

// A tile of dy has this many vectors, so that x and dx of one column stay in registers; the more,
// the fewer sums across lanes.
#define COLUMN_VECTORS 6
#define COLUMN_TILE    (COLUMN_VECTORS * VL)

// The caches' own prefetchers do not see the next row of an activation coming, ld floats away; so
// it is asked for so many rows before.
#define PACK_AHEAD    24
#define ROWS_AHEAD    8
#define COLUMNS_AHEAD 2

// Sums waiting to be added across their lanes, VL of them at once.
#define WAITING (4 * VL)

static void pack(float *packed, int64_t tile, const float *x, int64_t ld, int64_t features,
                 int64_t tokens)
{
    for (int64_t f = 0; f < features; f++, packed += tile, x += ld) {
        for (int64_t t = 0; t < tile; t += 16)
            __builtin_prefetch(x + PACK_AHEAD * ld + t);
        if (tokens == tile) {
            for (int64_t t = 0; t < tile; t += VL)
                vf_store(packed + t, vf_load(x + t));
        } else {
            memcpy(packed, x, (size_t)tokens * sizeof *x);
            memset(packed + tokens, 0, (size_t)(tile - tokens) * sizeof *x);
        }
    }
}

// ---- Forward: y = S x row by row ----

ALWAYS_INLINE int64_t column_at(const void *column, int64_t k, bool wide)
{
    return wide ? ((const int32_t *)column)[k] : ((const uint16_t *)column)[k];
}

// sum += the product at position k. vectors and wide are constants wherever this is inlined.
ALWAYS_INLINE void add_row(vf *sum, const float *x, const struct cpu_sparse_rows *s, int64_t k,
                           const int vectors, const bool wide)
{
    const float *from = x + column_at(s->column, k, wide) * vectors * VL, value = s->value[k];
    for (int i = 0; i < vectors; i++)
        sum[i] += value * vf_load(from + i * VL);
}

// vectors and wide are constants wherever this is inlined.
ALWAYS_INLINE void rows_tile(float *y, int64_t ld, const float *x, int64_t tokens,
                             const struct cpu_sparse_rows *s, const int vectors, const bool wide)
{
    const int64_t tile = vectors * VL;
    float edge[CPU_TILE_WIDE];
    for (int64_t row = s->first; row < s->last; row++, y += ld) {
        const int64_t end = s->row_start[row + 1];
        vf sum[PARTS][CPU_TILE_WIDE / VL];
        float *at = y;
        if (tokens < tile)
            at = memcpy(edge, y, (size_t)tokens * sizeof *y);
        for (int i = 0; i < vectors; i++) {
            sum[0][i] = vf_load(at + i * VL);
            for (int p = 1; p < PARTS; p++)
                sum[p][i] = (vf){0};
        }
        for (int64_t t = 0; t < tile; t += 16)
            __builtin_prefetch(y + ROWS_AHEAD * ld + t, 1);
        int64_t k = s->row_start[row];
        for (; k + PARTS <= end; k += PARTS)
            for (int p = 0; p < PARTS; p++)
                add_row(sum[p], x, s, k + p, vectors, wide);
        for (; k < end; k++)
            add_row(sum[0], x, s, k, vectors, wide);
        for (int i = 0; i < vectors; i++) {
            vf all = sum[0][i];
            for (int p = 1; p < PARTS; p++)
                all += sum[p][i];
            vf_store(at + i * VL, all);
        }
        if (tokens < tile)
            memcpy(y, edge, (size_t)tokens * sizeof *y);
    }
}

static void rows(float *y, int64_t ld, const float *x, int64_t tile, int64_t tokens,
                 const struct cpu_sparse_rows *s)
{
    if (tile == CPU_TILE_WIDE && s->wide_column)
        rows_tile(y, ld, x, tokens, s, CPU_TILE_WIDE / VL, true);
    else if (tile == CPU_TILE_WIDE)
        rows_tile(y, ld, x, tokens, s, CPU_TILE_WIDE / VL, false);
    else if (s->wide_column)
        rows_tile(y, ld, x, tokens, s, CPU_TILE_NARROW / VL, true);
    else
        rows_tile(y, ld, x, tokens, s, CPU_TILE_NARROW / VL, false);
}

// Where rows are short, their ends, which no processor foresees, cost more than their products. So
// the products of VL rows are worked out in one loop, and then added up in equally many steps for
// each of them.
#define PRODUCTS 2048 // of VL rows, at most

// wide is a constant wherever this is inlined, here and below.
ALWAYS_INLINE float long_row(const float *x, const struct cpu_sparse_rows *s, int64_t row,
                             const bool wide)
{
    const int64_t end = s->row_start[row + 1];
    int64_t k = s->row_start[row];
    float sum[4] = {0};
    for (; k + 4 <= end; k += 4)
        for (int i = 0; i < 4; i++)
            sum[i] += s->value[k + i] * x[column_at(s->column, k + i, wide)];
    for (; k < end; k++)
        sum[0] += s->value[k] * x[column_at(s->column, k, wide)];
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

// y (VL) += the sums of the rows from row on.
ALWAYS_INLINE void short_rows(float *y, const float *x, const struct cpu_sparse_rows *s,
                              int64_t row, const bool wide)
{
    const int64_t *start = s->row_start + row, first = start[0];
    float product[PRODUCTS + VL];
    vf sum[VL] = {{0}};
    vi lane;
    int64_t most = 0;
    for (int i = 0; i < VL; i++) {
        lane[i] = i;
        most = start[i + 1] - start[i] > most ? start[i + 1] - start[i] : most;
    }
    for (int64_t k = first; k < start[VL]; k++)
        product[k - first] = s->value[k] * x[column_at(s->column, k, wide)];
    memset(product + (start[VL] - first), 0, VL * sizeof *product);
    for (int64_t done = 0; done < most; done += VL)
        for (int i = 0; i < VL; i++) {
            const int64_t left = start[i + 1] - start[i] - done;
            const vf here = vf_load(product + (start[i] - first + (left > 0 ? done : 0)));
            sum[i] += vf_first(here, lane, (int32_t)left);
        }
    vf_store(y, vf_load(y) + vf_sum_each(sum));
}

ALWAYS_INLINE void one_token(float *y, const float *x, const struct cpu_sparse_rows *s,
                             const bool wide)
{
    int64_t row = s->first;
    for (; row + VL <= s->last; row += VL, y += VL) {
        if (s->row_start[row + VL] - s->row_start[row] <= PRODUCTS) {
            short_rows(y, x, s, row, wide);
            continue;
        }
        for (int i = 0; i < VL; i++)
            y[i] += long_row(x, s, row + i, wide);
    }
    for (; row < s->last; row++, y++)
        *y += long_row(x, s, row, wide);
}

static void rows_one(float *y, const float *x, const struct cpu_sparse_rows *s)
{
    if (s->wide_column)
        one_token(y, x, s, true);
    else
        one_token(y, x, s, false);
}

// ---- Backward: column by column, each row of dy serving dx = S^T dy and the sampled dy^T x ----

// Otherwise the compiler loads dy once for each of its two uses, and the second load of a line that
// is still on its way costs as much as the first.
ALWAYS_INLINE void keep_in_register(vf *v)
{
#if defined(__x86_64__)
    __asm__("" : "+v"(*v));
#endif
}

struct waiting {
    vf lanes[WAITING];
    int count;
    float *sum; // of lanes[0]
    bool add;
};

// Finishes the sums in groups of VL while more than keep of them wait.
ALWAYS_INLINE void finish_sums(struct waiting *w, int keep)
{
    int done = 0;
    for (; w->count - done > keep; done += VL) {
        vf group[VL];
        memcpy(group, w->lanes + done, sizeof group);
        vf sum = vf_sum_each(group);
        const int n = w->count - done < VL ? w->count - done : VL;
        if (n == VL) {
            vf_store(w->sum, w->add ? vf_load(w->sum) + sum : sum);
        } else {
            for (int i = 0; i < n; i++)
                w->sum[i] = w->add ? w->sum[i] + sum[i] : sum[i];
        }
        w->sum += n;
    }
    const int left = w->count > done ? w->count - done : 0;
    memmove(w->lanes, w->lanes + done, (size_t)left * sizeof w->lanes[0]);
    w->count = left;
}

// want_dx and want_sum are constants wherever this is inlined.
ALWAYS_INLINE void walk_columns(const struct cpu_sparse_walk *walk,
                                const struct cpu_sparse_columns *s, const bool want_dx,
                                const bool want_sum)
{
    const int64_t tokens = walk->tokens;
    const size_t bytes = (size_t)tokens * sizeof(float);
    float edge_x[COLUMN_TILE] = {0}, edge_dx[COLUMN_TILE] = {0};
    struct waiting waiting = {.sum = walk->sum, .add = walk->add};
    for (int64_t c = s->first; c < s->last; c++) {
        int64_t k = s->start[c];
        const int64_t end = s->start[c + 1];
        float *dx_row = want_dx ? walk->dx + c * walk->ld : edge_dx, *dx = dx_row;
        const float *x_row = want_sum ? walk->x + c * walk->ld : edge_x, *x = x_row;
        if (want_dx && tokens < COLUMN_TILE)
            dx = memcpy(edge_dx, dx_row, bytes);
        if (want_sum && tokens < COLUMN_TILE)
            x = memcpy(edge_x, x, bytes);
        vf dx_sum[COLUMN_VECTORS], x_here[COLUMN_VECTORS];
        for (int i = 0; i < COLUMN_VECTORS; i++) {
            dx_sum[i] = vf_load(dx + i * VL);
            x_here[i] = vf_load(x + i * VL);
        }
        if (k == end)
            continue;
        for (int i = 0; i < COLUMN_TILE; i += 16) {
            if (want_dx)
                __builtin_prefetch(dx_row + COLUMNS_AHEAD * walk->ld + i, 1);
            if (want_sum)
                __builtin_prefetch(x_row + COLUMNS_AHEAD * walk->ld + i);
        }
        while (k < end) {
            const int64_t room = WAITING - waiting.count;
            const int64_t stop = want_sum && end - k > room ? k + room : end;
            for (; k < stop; k++) {
                const float *dy = walk->dy + (int64_t)s->row[k] * COLUMN_TILE;
                const float value = want_dx ? s->value[k] : 0;
                vf sum = {0};
                for (int i = 0; i < COLUMN_VECTORS; i++) {
                    vf dy_here = vf_load(dy + i * VL);
                    keep_in_register(&dy_here);
                    if (want_dx)
                        dx_sum[i] += value * dy_here;
                    if (want_sum)
                        sum = i > 0 ? sum + x_here[i] * dy_here : x_here[i] * dy_here;
                }
                if (want_sum)
                    waiting.lanes[waiting.count++] = sum;
            }
            if (waiting.count > WAITING - VL)
                finish_sums(&waiting, VL - 1);
        }
        if (want_dx) {
            for (int i = 0; i < COLUMN_VECTORS; i++)
                vf_store(dx + i * VL, dx_sum[i]);
            if (tokens < COLUMN_TILE)
                memcpy(dx_row, edge_dx, bytes);
        }
    }
    finish_sums(&waiting, 0);
}

static void columns(const struct cpu_sparse_walk *walk, const struct cpu_sparse_columns *s)
{
    if (walk->dx && walk->x)
        walk_columns(walk, s, true, true);
    else if (walk->dx)
        walk_columns(walk, s, true, false);
    else
        walk_columns(walk, s, false, true);
}

const struct cpu_sparse_kernels SIMD(cpu_sparse_kernels) = {pack, rows, rows_one, columns,
                                                            COLUMN_TILE};
