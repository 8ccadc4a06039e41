// Maximum, exponential and sigmoid of a vector; NaN stays NaN.
#ifndef SLT_KERNELS_CPU_SIMD_MATH_H
#define SLT_KERNELS_CPU_SIMD_MATH_H

#include "kernels/cpu/simd.h"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

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

// The sum of a vector's elements, in a fixed order.
static inline float vf_sum(vf v)
{
    float sum = 0;
    for (int i = 0; i < VL; i++)
        sum += v[i];
    return sum;
}

#endif
