// The inner loops of linear and sparse products, and of those in bands, of every instruction set
// this machine has, against plain loops.
#include <math.h>
#include <stdlib.h>

#include "check.h"
#include "kernels/cpu/product.h"

enum { ROWS = 37, COLS = 53, LD = 112, MOST = 96 };

static double value_at(int64_t i, int64_t j)
{
    return sin((double)(i * 31 + j * 17 + 1));
}

static bool is_set(int64_t row, int64_t col)
{
    return row % 7 != 3 && (row * 13 + col * 7) % 5 < 2;
}

// Fills (rows, ld) with values in the first columns and NaN behind them.
static void fill(float *m, int64_t rows, int64_t ld, int64_t columns, int64_t seed)
{
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < ld; j++)
            m[i * ld + j] = j < columns ? (float)value_at(i + seed, j) : NAN;
}

static bool close_to(double got, double want)
{
    return fabs(got - want) <= 1e-5 * (1 + fabs(want));
}

// The positions by rows with columns of either width, and by columns.
static struct {
    int64_t row_start[ROWS + 1], column_start[COLS + 1];
    uint16_t column[ROWS * COLS], row[ROWS * COLS];
    int32_t wide_column[ROWS * COLS];
    float value[ROWS * COLS], value_by_columns[ROWS * COLS];
} s;

static void build_matrix(void)
{
    int64_t n = 0;
    for (int64_t i = 0; i < ROWS; i++) {
        for (int64_t j = 0; j < COLS; j++)
            if (is_set(i, j)) {
                s.column[n] = (uint16_t)j;
                s.wide_column[n] = (int32_t)j;
                s.value[n++] = (float)value_at(i, j);
            }
        s.row_start[i + 1] = n;
    }
    n = 0;
    for (int64_t j = 0; j < COLS; j++) {
        for (int64_t i = 0; i < ROWS; i++)
            if (is_set(i, j)) {
                s.row[n] = (uint16_t)i;
                s.value_by_columns[n++] = (float)value_at(i, j);
            }
        s.column_start[j + 1] = n;
    }
}

static void test_rows(const char *isa, const struct cpu_sparse_kernels *k, int64_t tile,
                      int64_t tokens, bool wide)
{
    static float x[COLS * LD], y[ROWS * LD];
    static _Alignas(64) float packed[COLS * MOST];
    const struct cpu_sparse_rows rows = {.first = 1,
                                         .last = ROWS,
                                         .row_start = s.row_start,
                                         .column = wide ? (void *)s.wide_column : s.column,
                                         .wide_column = wide,
                                         .value = s.value};
    int wrong = 0;
    fill(x, COLS, LD, tokens, 5);
    fill(y, ROWS, LD, tokens, 9);
    memset(packed, 0xff, sizeof packed);
    k->pack(packed, tile, x, LD, COLS, tokens);
    k->rows(y + LD, LD, packed, tile, tokens, &rows);
    for (int64_t i = 0; i < ROWS; i++)
        for (int64_t t = 0; t < LD; t++) {
            double want = t < tokens ? (float)value_at(i + 9, t) : NAN;
            for (int64_t j = 0; j < COLS && i > 0; j++)
                want += is_set(i, j) ? (double)(float)value_at(i, j) * x[j * LD + t] : 0;
            wrong += t < tokens ? !close_to(y[i * LD + t], want) : !isnan(y[i * LD + t]);
        }
    CHECK(wrong == 0, "%s, tile %d, %d tokens: %d wrong", isa, (int)tile, (int)tokens, wrong);
}

static void test_rows_one(const char *isa, const struct cpu_sparse_kernels *k, bool wide)
{
    float x[COLS], y[ROWS];
    const struct cpu_sparse_rows rows = {.first = 0,
                                         .last = ROWS,
                                         .row_start = s.row_start,
                                         .column = wide ? (void *)s.wide_column : s.column,
                                         .wide_column = wide,
                                         .value = s.value};
    fill(x, COLS, 1, 1, 5);
    fill(y, ROWS, 1, 1, 9);
    k->rows_one(y, x, &rows);
    for (int64_t i = 0; i < ROWS; i++) {
        double want = (float)value_at(i + 9, 0);
        for (int64_t j = 0; j < COLS; j++)
            want += is_set(i, j) ? (double)(float)value_at(i, j) * x[j] : 0;
        CHECK(close_to(y[i], want), "%s: row %d", isa, (int)i);
    }
}

static void test_columns(const char *isa, const struct cpu_sparse_kernels *k, int64_t tokens,
                         bool add)
{
    static float x[COLS * LD], dx[COLS * LD], dy[ROWS * LD], sum[ROWS * COLS];
    static _Alignas(64) float packed[ROWS * MOST];
    const struct cpu_sparse_columns columns = {.first = 0,
                                               .last = COLS,
                                               .start = s.column_start,
                                               .row = s.row,
                                               .value = s.value_by_columns};
    int wrong = 0;
    fill(x, COLS, LD, tokens, 3);
    fill(dx, COLS, LD, tokens, 4);
    fill(dy, ROWS, LD, tokens, 5);
    for (int64_t n = 0; n < ROWS * COLS; n++)
        sum[n] = add ? 0.5f : NAN;
    memset(packed, 0xff, sizeof packed);
    k->pack(packed, k->columns_tile, dy, LD, ROWS, tokens);
    k->columns(
        &(struct cpu_sparse_walk){
            .dy = packed, .dx = dx, .x = x, .ld = LD, .tokens = tokens, .sum = sum, .add = add},
        &columns);
    for (int64_t j = 0; j < COLS; j++) {
        for (int64_t t = 0; t < LD; t++) {
            double want = t < tokens ? (float)value_at(j + 4, t) : NAN;
            for (int64_t i = 0; i < ROWS; i++)
                want += is_set(i, j) ? (double)(float)value_at(i, j) * dy[i * LD + t] : 0;
            wrong += t < tokens ? !close_to(dx[j * LD + t], want) : !isnan(dx[j * LD + t]);
        }
        for (int64_t n = s.column_start[j]; n < s.column_start[j + 1]; n++) {
            double want = add ? 0.5 : 0;
            for (int64_t t = 0; t < tokens; t++)
                want += (double)x[j * LD + t] * dy[s.row[n] * LD + t];
            wrong += !close_to(sum[n], want);
        }
    }
    CHECK(wrong == 0, "%s, %d tokens: %d wrong", isa, (int)tokens, wrong);
    CHECK(add ? sum[s.column_start[COLS]] == 0.5f : isnan(sum[s.column_start[COLS]]), "%s", isa);
}

// Two bands, and a row before, between and behind them, whose columns are step apart from the
// band's number on.
enum { BANDS = 2, BAND_ROWS = BANDS * (SLT_BAND_ROWS + 1) + 1, BAND_COLS = 90, BAND_LD = 112 };

static struct {
    int64_t step, row_start[BAND_ROWS + 1];
    int32_t first[BANDS], wide_column[BAND_ROWS * BAND_COLS];
    uint16_t column[BAND_ROWS * BAND_COLS];
    float value[BAND_ROWS * BAND_COLS], packed[BAND_ROWS * BAND_COLS];
} banded;

static double banded_at(int64_t row, int64_t col)
{
    const int64_t band = (row - 1) / (SLT_BAND_ROWS + 1);
    const bool is_there = row > 0 && (row - 1) % (SLT_BAND_ROWS + 1) < SLT_BAND_ROWS &&
                          col >= band && (col - band) % banded.step == 0;
    return is_there ? (float)value_at(row, col) : 0;
}

static void build_bands(const struct cpu_band_kernels *k, int64_t step)
{
    int64_t n = 0;
    banded.step = step;
    for (int64_t i = 0; i < BAND_ROWS; i++) {
        for (int64_t j = 0; j < BAND_COLS; j++)
            if (banded_at(i, j) != 0) {
                banded.column[n] = (uint16_t)j;
                banded.wide_column[n] = (int32_t)j;
                banded.value[n++] = (float)banded_at(i, j);
            }
        banded.row_start[i + 1] = n;
    }
    for (int i = 0; i < BANDS; i++) {
        banded.first[i] = 1 + i * (SLT_BAND_ROWS + 1);
        const int64_t *start = banded.row_start + banded.first[i];
        k->pack(banded.packed + *start, banded.value + *start, start[1] - start[0]);
    }
}

// How many of a product's values (rows, tokens), or of the untouched ones behind them, are wrong:
// they are those of fill(seed) plus the bands, transposed or not, times from (depth, tokens).
static int wrong_products(const float *got, int64_t rows, int64_t seed, const float *from,
                          int64_t depth, bool transposed, int64_t tokens)
{
    int wrong = 0;
    for (int64_t i = 0; i < rows; i++)
        for (int64_t t = 0; t < BAND_LD; t++) {
            double want = (float)value_at(i + seed, t);
            for (int64_t j = 0; j < depth && t < tokens; j++)
                want += (transposed ? banded_at(j, i) : banded_at(i, j)) * from[j * BAND_LD + t];
            const float is = got[i * BAND_LD + t];
            wrong += t < tokens ? !close_to(is, want) : !isnan(is);
        }
    return wrong;
}

static void test_bands(const char *isa, const struct cpu_band_kernels *k, int64_t tokens, bool wide)
{
    static float x[BAND_COLS * BAND_LD], dx[BAND_COLS * BAND_LD];
    static float y[BAND_ROWS * BAND_LD], dy[BAND_ROWS * BAND_LD], dvalues[BAND_ROWS * BAND_COLS];
    const struct cpu_bands bands = {.bands = BANDS,
                                    .row = banded.first,
                                    .row_start = banded.row_start,
                                    .column = wide ? (void *)banded.wide_column : banded.column,
                                    .wide_column = wide,
                                    .packed = banded.packed,
                                    .ld = BAND_LD};
    fill(x, BAND_COLS, BAND_LD, tokens, 3);
    fill(dx, BAND_COLS, BAND_LD, tokens, 4);
    fill(dy, BAND_ROWS, BAND_LD, tokens, 5);
    fill(y, BAND_ROWS, BAND_LD, tokens, 6);
    fill(dvalues, 1, BAND_ROWS * BAND_COLS, BAND_ROWS * BAND_COLS, 7);
    k->forward(y, x, tokens, &bands);
    k->backward_input(dx, dy, tokens, &bands);
    k->backward_values(dvalues, 2, dy, x, tokens, &bands);
    int wrong = wrong_products(y, BAND_ROWS, 6, x, BAND_COLS, false, tokens) +
                wrong_products(dx, BAND_COLS, 4, dy, BAND_ROWS, true, tokens);
    for (int64_t i = 0; i < BAND_ROWS; i++)
        for (int64_t n = banded.row_start[i]; n < banded.row_start[i + 1]; n++) {
            double want = 2 * (float)value_at(7, n);
            for (int64_t t = 0; t < tokens; t++)
                want += (double)dy[i * BAND_LD + t] * x[banded.column[n] * BAND_LD + t];
            wrong += !close_to(dvalues[n], want);
        }
    CHECK(wrong == 0, "%s, %d tokens, columns %d apart: %d wrong", isa, (int)tokens,
          (int)banded.step, wrong);
}

static void test_dots(const char *isa, const struct cpu_linear_kernels *k, int64_t in,
                      int64_t tokens)
{
    enum { IN = 300 };
    static float w[ROWS * IN], x[CPU_DOT_TOKENS * IN], y[ROWS * LD];
    int wrong = 0;
    fill(w, ROWS, IN, in, 1);
    fill(y, ROWS, LD, tokens, 2);
    for (int64_t t = 0; t < tokens; t++)
        fill(x + t * in, 1, in, in, 3 + t);
    const struct cpu_dots dots = {.rows = ROWS,
                                  .in = in,
                                  .tokens = tokens,
                                  .y = y,
                                  .ld_y = LD,
                                  .beta = 0.5f,
                                  .w = w,
                                  .ld_w = IN,
                                  .x = x,
                                  .alpha = 2};
    k->dot_rows(&dots);
    for (int64_t i = 0; i < ROWS; i++)
        for (int64_t t = 0; t < tokens; t++) {
            double want = 0.5 * (float)value_at(i + 2, t);
            for (int64_t j = 0; j < in; j++)
                want += 2.0 * w[i * IN + j] * x[t * in + j];
            wrong += !close_to(y[i * LD + t], want);
        }
    CHECK(wrong == 0, "%s, %d inputs, %d tokens: %d wrong", isa, (int)in, (int)tokens, wrong);
}

static void test_transpose(const char *isa, const struct cpu_linear_kernels *k, int64_t rows,
                           int64_t cols)
{
    enum { SIDE = 50 };
    static float from[SIDE * LD], to[SIDE * LD];
    int wrong = 0;
    fill(from, rows, LD, cols, 1);
    fill(to, cols, LD, rows, 2);
    k->transpose(to, LD, 0.5f, from, LD, rows, cols);
    for (int64_t c = 0; c < cols; c++)
        for (int64_t r = 0; r < rows; r++)
            wrong += !close_to(to[c * LD + r], 0.5 * (float)value_at(c + 2, r) + from[r * LD + c]);
    fill(to, cols, LD, 0, 2);
    k->transpose(to, LD, 0, from, LD, rows, cols);
    for (int64_t c = 0; c < cols; c++)
        for (int64_t r = 0; r < rows; r++)
            wrong += to[c * LD + r] != from[r * LD + c];
    CHECK(wrong == 0, "%s, %d x %d: %d wrong", isa, (int)rows, (int)cols, wrong);
}

static void test_isa(const char *isa, const struct cpu_sparse_kernels *sparse,
                     const struct cpu_linear_kernels *linear, const struct cpu_band_kernels *bands)
{
    for (int64_t step = 1; step < BAND_COLS; step = 2 * step + 3) {
        build_bands(bands, step);
        for (int64_t tokens = 1; tokens <= 2 * 48; tokens++)
            test_bands(isa, bands, tokens, tokens % 2);
    }
    for (int wide = 0; wide < 2; wide++) {
        for (int64_t tokens = 1; tokens <= CPU_TILE_WIDE; tokens++)
            test_rows(isa, sparse, CPU_TILE_WIDE, tokens, wide);
        for (int64_t tokens = 1; tokens <= CPU_TILE_NARROW; tokens++)
            test_rows(isa, sparse, CPU_TILE_NARROW, tokens, wide);
        test_rows_one(isa, sparse, wide);
    }
    for (int64_t tokens = 1; tokens <= sparse->columns_tile; tokens++)
        test_columns(isa, sparse, tokens, tokens % 2);
    test_columns(isa, sparse, sparse->columns_tile, true);
    test_columns(isa, sparse, sparse->columns_tile, false);
    for (int64_t tokens = 1; tokens <= CPU_DOT_TOKENS; tokens++)
        for (int64_t in = 1; in <= 300; in += 23)
            test_dots(isa, linear, in, tokens);
    for (int64_t rows = 1; rows <= 50; rows += 7)
        for (int64_t cols = 2; cols <= 50; cols += 6)
            test_transpose(isa, linear, rows, cols);
}

int main(void)
{
    build_matrix();
    test_isa("plain", &cpu_sparse_kernels_plain, &cpu_linear_kernels_plain,
             &cpu_band_kernels_plain);
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        test_isa("avx2", &cpu_sparse_kernels_avx2, &cpu_linear_kernels_avx2,
                 &cpu_band_kernels_avx2);
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        test_isa("avx512", &cpu_sparse_kernels_avx512, &cpu_linear_kernels_avx512,
                 &cpu_band_kernels_avx512);
#endif
    return TEST_END();
}
