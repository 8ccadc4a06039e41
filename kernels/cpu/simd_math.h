// Maximum, exponential and sigmoid of a vector, where NaN stays NaN; sums across lanes.
#ifndef SLT_KERNELS_CPU_SIMD_MATH_H
#define SLT_KERNELS_CPU_SIMD_MATH_H

#include "kernels/cpu/simd.h"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

// VL signed bytes as floats.
static inline vf vf_from_i8(const int8_t *p)
{
#if defined(__AVX512F__)
    return _mm512_cvtepi32_ps(
        _mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(const void *)p)));
#elif defined(__AVX2__)
    return _mm256_cvtepi32_ps(
        _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)p)));
#else
    vf v;
    for (int i = 0; i < VL; i++)
        v[i] = (float)p[i];
    return v;
#endif
}

// Lane by lane a > b ? a : b; min: a < b ? a : b. So b where one of them is NaN.
static inline vf vf_max(vf a, vf b)
{
#if defined(__AVX512F__)
    return _mm512_max_ps(a, b);
#elif defined(__AVX2__)
    return _mm256_max_ps(a, b);
#else
    for (int i = 0; i < VL; i++)
        a[i] = a[i] > b[i] ? a[i] : b[i];
    return a;
#endif
}

static inline vf vf_min(vf a, vf b)
{
    return -vf_max(-a, -b);
}

// exp(x) = 2^n exp(r), n = round(x / ln 2), |r| <= ln 2 / 2: n by adding a number so large that the
// sum has no fraction, exp(r) by its series up to r^6 / 6! (relative error 1.2e-7), 2^n by adding
// to the exponent. Below -87 the result is 0, above 88 that of 88.
static inline vf vf_exp(vf y)
{
    const vf low = vf_set(-87.0f), high = vf_set(88.0f), big = vf_set(12582912.0f);
    const vf x = vf_min(high, vf_max(low, y));
    const vf shifted = x * 1.44269504f + big;
    const vf n = shifted - big;
    const vf r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    vf p = vf_set(1.0f / 720);
    p = p * r + 1.0f / 120;
    p = p * r + 1.0f / 24;
    p = p * r + 1.0f / 6;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    vi bits, scale, zero;
    memcpy(&bits, &p, sizeof bits);
    memcpy(&scale, &shifted, sizeof scale);
    memcpy(&zero, &big, sizeof zero);
    bits = (bits + ((scale - zero) << 23)) & (y >= low);
    memcpy(&p, &bits, sizeof p);
    return p + (x - x); // x is finite, or NaN
}

// 1 / (1 + exp(-x)).
static inline vf vf_sigmoid(vf x)
{
    return 1.0f / (1.0f + vf_exp(-x));
}

// The first n elements of v, zeros for the others; lane is 0, 1, 2, ...
static inline vf vf_first(vf v, vi lane, int32_t n)
{
    vi bits;
    memcpy(&bits, &v, sizeof bits);
    bits &= lane < n;
    memcpy(&v, &bits, sizeof v);
    return v;
}

// The sum of a vector's elements, in a fixed order.
static inline float vf_sum(vf v)
{
    float sum = 0;
    for (int i = 0; i < VL; i++)
        sum += v[i];
    return sum;
}

// Of two vectors, the even and the odd elements of each of their 128 bits, and the even and the odd
// 128 bits of both: each is one instruction.
#if VL == 16
#define SIMD_EVEN       0, 2, 16, 18, 4, 6, 20, 22, 8, 10, 24, 26, 12, 14, 28, 30
#define SIMD_ODD        1, 3, 17, 19, 5, 7, 21, 23, 9, 11, 25, 27, 13, 15, 29, 31
#define SIMD_EVEN_LANES 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27
#define SIMD_ODD_LANES  4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31
#elif VL == 8
#define SIMD_EVEN       0, 2, 8, 10, 4, 6, 12, 14
#define SIMD_ODD        1, 3, 9, 11, 5, 7, 13, 15
#define SIMD_EVEN_LANES 0, 1, 2, 3, 8, 9, 10, 11
#define SIMD_ODD_LANES  4, 5, 6, 7, 12, 13, 14, 15
#else
#define SIMD_EVEN 0, 2, 4, 6
#define SIMD_ODD  1, 3, 5, 7
#endif

// Element i of the result is the sum of the elements of v[i], added in the same order for all.
// Overwrites v.
static inline vf vf_sum_each(vf v[VL])
{
    int n = VL / 2;
    for (; n >= VL / 4; n /= 2)
        for (int i = 0; i < n; i++)
            v[i] = __builtin_shufflevector(v[2 * i], v[2 * i + 1], SIMD_EVEN) +
                   __builtin_shufflevector(v[2 * i], v[2 * i + 1], SIMD_ODD);
#ifdef SIMD_EVEN_LANES
    for (; n > 0; n /= 2)
        for (int i = 0; i < n; i++)
            v[i] = __builtin_shufflevector(v[2 * i], v[2 * i + 1], SIMD_EVEN_LANES) +
                   __builtin_shufflevector(v[2 * i], v[2 * i + 1], SIMD_ODD_LANES);
#endif
    return v[0];
}

#endif
