// The inner loops of linear products that a GEMM library does not do well: few tokens, where
// reading w once at memory speed is all that counts, and transposition.
#include "kernels/cpu/product.h"
#include "kernels/cpu/simd_math.h"

#if VL == 16
#define ZIP_LOW  0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define ZIP_HIGH 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#elif VL == 8
#define ZIP_LOW  0, 8, 1, 9, 2, 10, 3, 11
#define ZIP_HIGH 4, 12, 5, 13, 6, 14, 7, 15
#else
#define ZIP_LOW  0, 4, 1, 5
#define ZIP_HIGH 2, 6, 3, 7
#endif

// ---- Few tokens ----

// Rows that are multiplied at once, and sums of each of them and each token: as many streams from
// memory, and multiply-adds that need not wait for each other, as registers allow.
#define ROWS_OF(tokens)  ((tokens) == 1 ? 4 : 2)
#define PARTS_OF(tokens) ((tokens) <= 2 ? 2 : 1)
// The same of weights in codes, one row at a time.
#define CODED_PARTS_OF(tokens) ((tokens) <= 2 ? 4 : 2)

// The first n codes at from as floats, zeros behind them.
ALWAYS_INLINE vf first_codes(const int8_t *from, int64_t n)
{
    int8_t lanes[VL] = {0};
    memcpy(lanes, from, (size_t)n);
    return vf_from_i8(lanes);
}

// sum[t * VL + r] = vectors whose elements add up to the product of row r of w with token t. rows,
// tokens and parts are constants wherever this is inlined.
ALWAYS_INLINE void dot_floats(vf *sum, const struct cpu_dots *d, int64_t row, const int rows,
                              const int tokens, const int parts)
{
    const int64_t in = d->in, ld = d->ld_w;
    const float *w = d->w + row * ld, *x = d->x;
    vf part[4][CPU_DOT_TOKENS][2] = {{{{0}}}};
    int64_t i = 0;
    for (; i + parts * VL <= in; i += parts * VL)
        for (int p = 0; p < parts; p++)
            for (int r = 0; r < rows; r++) {
                const vf here = vf_load(w + r * ld + i + p * VL);
                for (int t = 0; t < tokens; t++)
                    part[r][t][p] += here * vf_load(x + t * in + i + p * VL);
            }
    for (; i < in; i += VL) {
        const int64_t n = in - i < VL ? in - i : VL;
        for (int r = 0; r < rows; r++) {
            const vf here = vf_load_first(w + r * ld + i, n);
            for (int t = 0; t < tokens; t++)
                part[r][t][0] += here * vf_load_first(x + t * in + i, n);
        }
    }
    for (int r = 0; r < rows; r++)
        for (int t = 0; t < tokens; t++)
            sum[t * VL + r] = parts == 2 ? part[r][t][0] + part[r][t][1] : part[r][t][0];
}

// sum[t * VL] likewise, for one row of codes: the sum of each block is multiplied by its scale.
// tokens and parts are constants wherever this is inlined.
ALWAYS_INLINE void dot_codes(vf *sum, const struct cpu_dots *d, int64_t row, const int tokens,
                             const int parts)
{
    const struct cpu_coded *w = &d->coded;
    const int64_t in = d->in, at = w->lead + row * in;
    const int8_t *code = w->code + row * in;
    const float *x = d->x, *absmax = w->absmax + at / w->block;
    int64_t left = w->block - at % w->block; // of the block
    vf all[CPU_DOT_TOKENS] = {{0}};
    for (int64_t i = 0, end; i < in; i = end, left = w->block) {
        const float scale = *absmax++ / 127;
        vf part[CPU_DOT_TOKENS][4] = {{{0}}};
        end = left < in - i ? i + left : in;
        for (; i + parts * VL <= end; i += parts * VL)
            for (int p = 0; p < parts; p++) {
                const vf here = vf_from_i8(code + i + p * VL);
                for (int t = 0; t < tokens; t++)
                    part[t][p] += here * vf_load(x + t * in + i + p * VL);
            }
        for (; i < end; i += VL) {
            const int64_t n = end - i < VL ? end - i : VL;
            const vf here = first_codes(code + i, n);
            for (int t = 0; t < tokens; t++)
                part[t][0] += here * vf_load_first(x + t * in + i, n);
        }
        for (int t = 0; t < tokens; t++) {
            for (int p = 1; p < parts; p++)
                part[t][0] += part[t][p];
            all[t] += scale * part[t][0];
        }
    }
    for (int t = 0; t < tokens; t++)
        sum[t * VL] = all[t];
}

// As many rows as a vector has elements share the additions across vectors. tokens and coded are
// constants wherever this is inlined.
ALWAYS_INLINE void dot_tokens(const struct cpu_dots *d, const int tokens, const bool coded)
{
    const int at_once = ROWS_OF(tokens);
    const int64_t last = d->first + d->rows;
    for (int64_t row = d->first; row < last; row += VL) {
        const int64_t n = last - row < VL ? last - row : VL;
        vf sum[CPU_DOT_TOKENS * VL] = {{0}};
        int64_t r = 0;
        for (; coded && r < n; r++)
            dot_codes(sum + r, d, row + r, tokens, CODED_PARTS_OF(tokens));
        for (; r + at_once <= n; r += at_once)
            dot_floats(sum + r, d, row + r, at_once, tokens, PARTS_OF(tokens));
        for (; r < n; r++)
            dot_floats(sum + r, d, row + r, 1, tokens, PARTS_OF(tokens));
        for (int t = 0; t < tokens; t++) {
            float all[VL];
            vf_store(all, vf_sum_each(sum + t * VL));
            for (r = 0; r < n; r++) {
                float *y = d->y + (row + r) * d->ld_y + t;
                *y = (d->beta == 0 ? 0 : d->beta * *y) + d->alpha * all[r];
            }
        }
    }
}

static void dot_rows(const struct cpu_dots *d)
{
    const bool coded = d->w == NULL;
    switch (d->tokens) {
    case 1:
        coded ? dot_tokens(d, 1, true) : dot_tokens(d, 1, false);
        break;
    case 2:
        coded ? dot_tokens(d, 2, true) : dot_tokens(d, 2, false);
        break;
    case 3:
        coded ? dot_tokens(d, 3, true) : dot_tokens(d, 3, false);
        break;
    default:
        coded ? dot_tokens(d, 4, true) : dot_tokens(d, 4, false);
    }
}

static void decode(float *to, const struct cpu_coded *from, int64_t first, int64_t count)
{
    const int64_t at = from->lead + first;
    const int8_t *code = from->code + first;
    const float *absmax = from->absmax + at / from->block;
    int64_t left = from->block - at % from->block;
    for (int64_t i = 0, end; i < count; i = end, left = from->block) {
        const float scale = *absmax++;
        end = left < count - i ? i + left : count;
        for (; i + VL <= end; i += VL)
            vf_store(to + i, vf_from_i8(code + i) / 127 * scale);
        for (; i < end; i++)
            to[i] = (float)code[i] / 127 * scale;
    }
}

// ---- Transposition ----

// Transposes the VL x VL floats of v: each round interleaves its halves.
ALWAYS_INLINE void transpose_registers(vf v[VL])
{
    for (int n = 1; n < VL; n *= 2) {
        vf t[VL];
        for (int i = 0; i < VL / 2; i++) {
            t[2 * i] = __builtin_shufflevector(v[i], v[i + VL / 2], ZIP_LOW);
            t[2 * i + 1] = __builtin_shufflevector(v[i], v[i + VL / 2], ZIP_HIGH);
        }
        for (int i = 0; i < VL; i++)
            v[i] = t[i];
    }
}

static void transpose_edge(float *to, int64_t ld_to, float beta, const float *from, int64_t ld_from,
                           int64_t rows, int64_t cols)
{
    for (int64_t c = 0; c < cols; c++)
        for (int64_t r = 0; r < rows; r++) {
            float *at = to + c * ld_to + r;
            *at = (beta == 0 ? 0 : beta * *at) + from[r * ld_from + c];
        }
}

static void transpose_square(float *to, int64_t ld_to, float beta, const float *from,
                             int64_t ld_from)
{
    vf v[VL];
    for (int i = 0; i < VL; i++)
        v[i] = vf_load(from + i * ld_from);
    transpose_registers(v);
    for (int i = 0; i < VL; i++, to += ld_to)
        vf_store(to, beta == 0 ? v[i] : beta * vf_load(to) + v[i]);
}

static void transpose(float *to, int64_t ld_to, float beta, const float *from, int64_t ld_from,
                      int64_t rows, int64_t cols)
{
    for (int64_t r = 0; r < rows; r += VL)
        for (int64_t c = 0; c < cols; c += VL) {
            float *at = to + c * ld_to + r;
            const float *here = from + r * ld_from + c;
            const int64_t m = rows - r < VL ? rows - r : VL, n = cols - c < VL ? cols - c : VL;
            if (m == VL && n == VL)
                transpose_square(at, ld_to, beta, here, ld_from);
            else
                transpose_edge(at, ld_to, beta, here, ld_from, m, n);
        }
}

const struct cpu_linear_kernels SIMD(cpu_linear_kernels) = {dot_rows, decode, transpose};
