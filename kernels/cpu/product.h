// The inner loops of the linear and sparse products, compiled once for each instruction set
// (simd_linear.c, simd_sparse.c, simd_bands.c), and what their drivers (linear.c, sparse.c, bands.c)
// hand them.
#ifndef SLT_KERNELS_CPU_PRODUCT_H
#define SLT_KERNELS_CPU_PRODUCT_H

#include "core/least.h"
#include "kernels/cpu/cpu.h"

// Tokens of a packed tile of x in the forward product: wide, or narrow where the many columns of a
// wide one would overflow the second-level cache.
enum { CPU_TILE_WIDE = 32, CPU_TILE_NARROW = 16 };

// The most tokens dot_rows takes.
enum { CPU_DOT_TOKENS = 4 };

// Share i of n things in so many shares: [cpu_share(n, shares, i), cpu_share(n, shares, i + 1)).
static inline int64_t cpu_share(int64_t n, int64_t shares, int64_t i)
{
    return n * i / shares;
}

// Rows [first, last) of a sparse matrix.
struct cpu_sparse_rows {
    int64_t first, last;
    const int64_t *row_start; // of row 0
    const void *column;       // uint16_t or, if wide_column, int32_t
    bool wide_column;
    const float *value;
};

// Columns [first, last) of a block of rows of a sparse matrix.
struct cpu_sparse_columns {
    int64_t first, last;
    const int64_t *start; // (columns + 1): where each column's positions start
    const uint16_t *row;  // within the block
    const float *value;   // not read without dx
};

// What a walk over columns reads and writes besides the matrix, for one tile of tokens.
struct cpu_sparse_walk {
    const float *dy; // packed (rows of the block, columns_tile)
    float *dx;       // the tile's first token of feature 0; NULL: not wanted
    const float *x;  // likewise; NULL: sum is not wanted
    int64_t ld;      // of dx and x
    int64_t tokens;  // valid tokens of the tile
    float *sum;      // dy^T x of the position start[first], the others follow
    bool add;        // adds to sum; otherwise overwrites it
};

struct cpu_sparse_kernels {
    // packed (features, tile) = x (features, tokens) with rows ld apart, zeros behind tokens.
    void (*pack)(float *packed, int64_t tile, const float *x, int64_t ld, int64_t features,
                 int64_t tokens);
    // y (rows, tokens) += S x; y points at row s->first, its rows ld apart; x is packed, (columns,
    // tile).
    void (*rows)(float *y, int64_t ld, const float *x, int64_t tile, int64_t tokens,
                 const struct cpu_sparse_rows *s);
    // The same for one token: x (columns), y (rows).
    void (*rows_one)(float *y, const float *x, const struct cpu_sparse_rows *s);
    // dx += S^T dy and sum = dy^T x at the positions, in one walk.
    void (*columns)(const struct cpu_sparse_walk *walk, const struct cpu_sparse_columns *s);
    int columns_tile; // tokens of a packed tile of dy
};

// Bands of SLT_BAND_ROWS rows of a sparse matrix with the same columns.
struct cpu_bands {
    int64_t bands;
    const int32_t *row;       // (bands): first rows
    const int64_t *row_start; // of row 0
    const void *column;       // uint16_t or, if wide_column, int32_t
    bool wide_column;
    const float *packed; // the values of each band, (positions of a row, SLT_BAND_ROWS), in the
                         // place of its rows' values
    int64_t ld;          // of activations
};

// y, x, dy and dx point at the first token of feature 0. Their rows may be read and written up to
// the next multiple of 16 tokens.
struct cpu_band_kernels {
    // packed (count, SLT_BAND_ROWS) = the transpose of value (SLT_BAND_ROWS, count).
    void (*pack)(float *packed, const float *value, int64_t count);
    // y (rows, tokens) += S x.
    void (*forward)(float *y, const float *x, int64_t tokens, const struct cpu_bands *s);
    // dx (columns, tokens) += S^T dy.
    void (*backward_input)(float *dx, const float *dy, int64_t tokens, const struct cpu_bands *s);
    // dvalues (nnz) = beta dvalues + dy x^T at the positions; packed is not read.
    void (*backward_values)(float *dvalues, float beta, const float *dy, const float *x,
                            int64_t tokens, const struct cpu_bands *s);
};

// Weights in I8 without gaps, see struct slt_tensor.
struct cpu_coded {
    const int8_t *code;
    const float *absmax;
    int64_t block, lead; // elements
};

// y = beta y + alpha w x^T for few tokens.
struct cpu_dots {
    int64_t first, rows; // of w: rows [first, first + rows)
    int64_t in, tokens;  // tokens is at most CPU_DOT_TOKENS
    float *y;            // (rows of w, tokens), rows ld_y apart
    int64_t ld_y;
    float beta;
    const float *w; // (rows of w, in), rows ld_w apart; NULL: coded holds them
    int64_t ld_w;
    struct cpu_coded coded;
    const float *x; // (tokens, in), contiguous
    float alpha;
};

struct cpu_linear_kernels {
    void (*dot_rows)(const struct cpu_dots *d);
    // to (count) = the values of the elements from first on.
    void (*decode)(float *to, const struct cpu_coded *from, int64_t first, int64_t count);
    // to (cols, rows) = beta to + from^T; from (rows, cols).
    void (*transpose)(float *to, int64_t ld_to, float beta, const float *from, int64_t ld_from,
                      int64_t rows, int64_t cols);
};

extern const struct cpu_sparse_kernels cpu_sparse_kernels_avx512, cpu_sparse_kernels_avx2,
    cpu_sparse_kernels_plain;
extern const struct cpu_band_kernels cpu_band_kernels_avx512, cpu_band_kernels_avx2,
    cpu_band_kernels_plain;
extern const struct cpu_linear_kernels cpu_linear_kernels_avx512, cpu_linear_kernels_avx2,
    cpu_linear_kernels_plain;

// What a context points at.
struct cpu_isa {
    const char *name; // for people
    const struct cpu_linear_kernels *linear;
    const struct cpu_sparse_kernels *sparse;
    const struct cpu_band_kernels *bands;
};

#endif
