// The inner loops of linear products that a GEMM library does not do well: few tokens, where
// reading w once at memory speed is all that counts, and transposition.
#include "kernels/cpu/product.h"
#include "kernels/cpu/simd.h"

#define ALWAYS_INLINE static inline __attribute__((always_inline))

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

// tokens is a constant wherever this is inlined.
ALWAYS_INLINE void dot_tokens(const struct cpu_dots *d, const int tokens)
{
    enum { UNROLL = 4 };
    const int64_t rows = d->rows, in = d->in, ld_w = d->ld_w, ld_y = d->ld_y;
    const float *w = d->w, *x = d->x;
    const float alpha = d->alpha, beta = d->beta;
    float *y = d->y;
    for (int64_t row = 0; row < rows; row++, w += ld_w, y += ld_y) {
        vf sum[CPU_DOT_TOKENS][UNROLL] = {{{0}}};
        int64_t i = 0;
        for (; i + UNROLL * VL <= in; i += UNROLL * VL)
            for (int u = 0; u < UNROLL; u++)
                for (int t = 0; t < tokens; t++)
                    sum[t][u] += vf_load(w + i + u * VL) * vf_load(x + t * in + i + u * VL);
        for (int t = 0; t < tokens; t++) {
            const vf all = (sum[t][0] + sum[t][1]) + (sum[t][2] + sum[t][3]);
            float total = 0;
            for (int lane = 0; lane < VL; lane++)
                total += all[lane];
            for (int64_t k = i; k < in; k++)
                total += w[k] * x[t * in + k];
            y[t] = (beta == 0 ? 0 : beta * y[t]) + alpha * total;
        }
    }
}

static void dot_rows(const struct cpu_dots *d)
{
    switch (d->tokens) {
    case 1:
        dot_tokens(d, 1);
        break;
    case 2:
        dot_tokens(d, 2);
        break;
    case 3:
        dot_tokens(d, 3);
        break;
    default:
        dot_tokens(d, 4);
    }
}

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

const struct cpu_linear_kernels SIMD(cpu_linear_kernels) = {dot_rows, transpose};
