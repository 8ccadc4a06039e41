// The inner loops of the sparse products of bands, small dense matrices whose columns lie apart.
// Tokens lie in the lanes of vectors. A block of rows and tokens stays in registers while the
// band's columns pass by, as in a GEMM; the values of a row follow one another, so they are packed
// column by column first.
//
// Each line of x or dx serves the 16 rows of a band and then perhaps no other, and lines that
// follow each other in time lie a row of tokens apart, which the caches' own prefetchers do not
// see. So each block asks for what the next one reads.
#include "kernels/cpu/product.h"
#include "kernels/cpu/simd_math.h"

#define ROWS SLT_BAND_ROWS

// Rows and vectors of tokens of a block.
#if VL == 16
#define BLOCK_ROWS  8
#define DOT_COLUMNS 4
#else
#define BLOCK_ROWS  4
#define DOT_COLUMNS 3
#endif
#define VECTORS  3
#define DOT_ROWS 4

// A block of a band, from its first token on.
struct place {
    int64_t count, first; // positions of a row, the number of the band's first one
    float *rows;          // y or dy at the band's first row
    const float *columns; // x or dx at column 0
};

static inline int64_t column_at(const struct cpu_bands *s, int64_t k)
{
    return s->wide_column ? ((const int32_t *)s->column)[k] : ((const uint16_t *)s->column)[k];
}

// rows and columns are (rows, tokens) and (columns, tokens).
static inline struct place place_at(const struct cpu_bands *s, int64_t band, int64_t t,
                                    const float *rows, const float *columns)
{
    const int64_t row = s->row[band];
    return (struct place){.count = s->row_start[row + 1] - s->row_start[row],
                          .first = s->row_start[row],
                          .rows = (float *)rows + row * s->ld + t,
                          .columns = columns + t};
}

// Where the block after that of a band at t begins.
static inline struct place place_after(const struct cpu_bands *s, int64_t band, int64_t t,
                                       int64_t step, int64_t tokens, const float *rows,
                                       const float *columns)
{
    if (t + step < tokens)
        return place_at(s, band, t + step, rows, columns);
    return place_at(s, band + 1 < s->bands ? band + 1 : band, 0, rows, columns);
}

// The tokens of a block at p.
ALWAYS_INLINE void prefetch(const float *p)
{
    for (int64_t t = 0; t < VECTORS * VL; t += 16)
        __builtin_prefetch(p + t);
}

// What the block after this one reads: as the columns of this one pass by, of its first rows those
// columns of the next one, of its last ones its rows.
ALWAYS_INLINE void ask_for(const struct cpu_bands *s, const struct place *next, int row, int64_t k)
{
    if (row == 0 && k < next->count)
        prefetch(next->columns + column_at(s, next->first + k) * s->ld);
    if (row == 0 && k < ROWS)
        prefetch(next->rows + k * s->ld);
}

static void pack(float *packed, const float *value, int64_t count)
{
    for (int64_t k = 0; k < count; k++, packed += ROWS)
        for (int r = 0; r < ROWS; r++)
            packed[r] = value[r * count + k];
}

// ---- Forward: y += V x ----

// vectors is a constant wherever this is inlined.
ALWAYS_INLINE void forward_block(const struct cpu_bands *s, const struct place *here,
                                 const struct place *next, int row, const int vectors)
{
    const float *value = s->packed + here->first + row;
    float *y = here->rows + row * s->ld;
    vf sum[BLOCK_ROWS][VECTORS];
    int64_t k = 0;
    for (int r = 0; r < BLOCK_ROWS; r++)
        for (int v = 0; v < vectors; v++)
            sum[r][v] = vf_load(y + r * s->ld + v * VL);
    do {
        const float *from = here->columns + column_at(s, here->first + k) * s->ld;
        vf x[VECTORS];
        ask_for(s, next, row, k);
        for (int v = 0; v < vectors; v++)
            x[v] = vf_load(from + v * VL);
        for (int r = 0; r < BLOCK_ROWS; r++)
            for (int v = 0; v < vectors; v++)
                sum[r][v] += value[r] * x[v];
        value += ROWS;
    } while (++k < here->count);
    for (int r = 0; r < BLOCK_ROWS; r++)
        for (int v = 0; v < vectors; v++)
            vf_store(y + r * s->ld + v * VL, sum[r][v]);
}

// ---- Backward: dx += V^T dy ----

ALWAYS_INLINE void input_block(const struct cpu_bands *s, const struct place *here,
                               const struct place *next, int row, const int vectors)
{
    const float *value = s->packed + here->first + row;
    const float *dy = here->rows + row * s->ld;
    vf from[BLOCK_ROWS][VECTORS];
    int64_t k = 0;
    for (int r = 0; r < BLOCK_ROWS; r++)
        for (int v = 0; v < vectors; v++)
            from[r][v] = vf_load(dy + r * s->ld + v * VL);
    do {
        float *to = (float *)here->columns + column_at(s, here->first + k) * s->ld;
        vf sum[VECTORS];
        ask_for(s, next, row, k);
        for (int v = 0; v < vectors; v++)
            sum[v] = vf_load(to + v * VL);
        for (int r = 0; r < BLOCK_ROWS; r++)
            for (int v = 0; v < vectors; v++)
                sum[v] += value[r] * from[r][v];
        for (int v = 0; v < vectors; v++)
            vf_store(to + v * VL, sum[v]);
        value += ROWS;
    } while (++k < here->count);
}

// ---- All bands of a product ----

// The blocks of step tokens from t on, as many as are whole; returns the token after them. backward
// and vectors are constants wherever this is inlined.
ALWAYS_INLINE int64_t walk_blocks(const float *rows, const float *columns, int64_t t,
                                  int64_t tokens, const struct cpu_bands *s, int64_t band,
                                  const bool backward, const int vectors)
{
    const int64_t step = vectors * VL;
    // Of the last tokens, one vector at a time reaches into the memory behind them.
    for (; vectors == 1 ? t < tokens : t + step <= tokens; t += step) {
        const struct place here = place_at(s, band, t, rows, columns);
        const struct place next = place_after(s, band, t, step, tokens, rows, columns);
        for (int r = 0; r < ROWS; r += BLOCK_ROWS) {
            if (backward)
                input_block(s, &here, &next, r, vectors);
            else
                forward_block(s, &here, &next, r, vectors);
        }
    }
    return t;
}

ALWAYS_INLINE void walk(const float *rows, const float *columns, int64_t tokens,
                        const struct cpu_bands *s, const bool backward)
{
    for (int64_t band = 0; band < s->bands; band++) {
        const int64_t t = walk_blocks(rows, columns, 0, tokens, s, band, backward, VECTORS);
        walk_blocks(rows, columns, t, tokens, s, band, backward, 1);
    }
}

static void forward(float *y, const float *x, int64_t tokens, const struct cpu_bands *s)
{
    walk(y, x, tokens, s, false);
}

static void backward_input(float *dx, const float *dy, int64_t tokens, const struct cpu_bands *s)
{
    walk(dy, dx, tokens, s, true);
}

// ---- Backward: dvalues = dy x^T ----

// dvalues (DOT_ROWS, columns), rows ld apart, = beta dvalues + the sums across the lanes of sum.
ALWAYS_INLINE void store_sums(float *dvalues, int64_t ld, float beta,
                              const vf sum[DOT_ROWS][DOT_COLUMNS], const int columns)
{
    enum { SUMS = (DOT_ROWS * DOT_COLUMNS + VL - 1) / VL * VL };
    vf lanes[SUMS] = {{0}};
    float all[SUMS];
    memcpy(lanes, sum, DOT_ROWS * DOT_COLUMNS * sizeof lanes[0]);
    for (int i = 0; i < SUMS; i += VL)
        vf_store(all + i, vf_sum_each(lanes + i));
    for (int r = 0; r < DOT_ROWS; r++)
        for (int c = 0; c < columns; c++) {
            float *to = dvalues + r * ld + c, here = all[r * DOT_COLUMNS + c];
            *to = beta == 0 ? here : beta * *to + here;
        }
}

// What the dots of a block of rows ask for meanwhile: a column of the next block of columns, and a
// row of the next band.
struct ahead {
    const float *x, *dy;
};

// dvalues points at the first row's position k. columns is a constant wherever this is inlined.
ALWAYS_INLINE void dot_block(float *dvalues, float beta, const struct cpu_bands *s,
                             const struct place *here, int row, int64_t k, struct ahead ahead,
                             int64_t tokens, const int columns)
{
    const float *dy = here->rows + row * s->ld, *from[DOT_COLUMNS];
    const int64_t ld = s->ld;
    vf sum[DOT_ROWS][DOT_COLUMNS] = {{{0}}};
    int64_t t = 0;
    for (int c = 0; c < columns; c++)
        from[c] = here->columns + column_at(s, here->first + k + c) * ld;
    for (; t + VL <= tokens; t += VL) {
        vf x[DOT_COLUMNS];
        __builtin_prefetch(ahead.x + t);
        __builtin_prefetch(ahead.dy + t);
        for (int c = 0; c < columns; c++)
            x[c] = vf_load(from[c] + t);
        for (int r = 0; r < DOT_ROWS; r++)
            for (int c = 0; c < columns; c++)
                sum[r][c] += vf_load(dy + r * ld + t) * x[c];
    }
    for (int r = 0; r < DOT_ROWS && t < tokens; r++)
        for (int c = 0; c < columns; c++)
            sum[r][c] +=
                vf_load_first(dy + r * ld + t, tokens - t) * vf_load_first(from[c] + t, tokens - t);
    store_sums(dvalues, here->count, beta, sum, columns);
}

ALWAYS_INLINE void dot_columns(float *dvalues, float beta, const struct cpu_bands *s,
                               const struct place *here, const struct place *next, int64_t k,
                               int64_t tokens, const int columns)
{
    const bool last = k + columns >= here->count; // then the next band's first columns come
    const int64_t first = last ? next->first : here->first + k + columns;
    const int64_t end = last ? next->first + next->count : here->first + here->count;
    float *to = dvalues + here->first + k;
    for (int r = 0; r < ROWS; r += DOT_ROWS) {
        const int64_t ask = first + r / DOT_ROWS < end ? first + r / DOT_ROWS : end - 1;
        const int64_t row = (4 * (k / DOT_COLUMNS) + r / DOT_ROWS) % ROWS;
        const struct ahead ahead = {here->columns + column_at(s, ask) * s->ld,
                                    next->rows + row * s->ld};
        dot_block(to + r * here->count, beta, s, here, r, k, ahead, tokens, columns);
    }
}

static void backward_values(float *dvalues, float beta, const float *dy, const float *x,
                            int64_t tokens, const struct cpu_bands *s)
{
    for (int64_t band = 0; band < s->bands; band++) {
        const struct place here = place_at(s, band, 0, dy, x);
        const struct place next = place_after(s, band, 0, tokens, tokens, dy, x);
        int64_t k = 0;
        for (; k + DOT_COLUMNS <= here.count; k += DOT_COLUMNS)
            dot_columns(dvalues, beta, s, &here, &next, k, tokens, DOT_COLUMNS);
        for (; k < here.count; k++)
            dot_columns(dvalues, beta, s, &here, &next, k, tokens, 1);
    }
}

const struct cpu_band_kernels SIMD(cpu_band_kernels) = {pack, forward, backward_input,
                                                        backward_values};
