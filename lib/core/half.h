// float16 (IEEE 754 binary16) to and from float.
#ifndef SLT_CORE_HALF_H
#define SLT_CORE_HALF_H

#include <stdint.h>
#include <string.h>

static inline float slt_f16_value(uint16_t bits)
{
    const uint32_t sign = (uint32_t)(bits >> 15) << 31, exponent = bits >> 10 & 31u;
    uint32_t mantissa = bits & 0x3ffu, wide;
    float value;
    if (exponent == 31) { // infinite or NaN
        wide = sign | 0x7f800000u | mantissa << 13;
    } else if (exponent > 0) {
        wide = sign | (exponent + 112) << 23 | mantissa << 13;
    } else { // mantissa * 2^-24
        value = (float)mantissa * 0x1p-24f;
        memcpy(&wide, &value, sizeof wide);
        wide |= sign;
    }
    memcpy(&value, &wide, sizeof value);
    return value;
}

// The nearest one, of two equally near ones the even one; what is too large becomes infinite.
static inline uint16_t slt_f16_nearest(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    const uint16_t sign = (uint16_t)(bits >> 16 & 0x8000u);
    bits &= 0x7fffffffu;
    if (bits > 0x7f800000u)
        return sign | 0x7e00u; // NaN
    if (bits >= 0x477ff000u)
        return sign | 0x7c00u; // 65520 and more
    if (bits < 0x38800000u) {  // below 2^-14: a multiple of 2^-24, which the addition rounds to
        float magnitude;
        memcpy(&magnitude, &bits, sizeof magnitude);
        const float shifted = magnitude + 0.5f;
        memcpy(&bits, &shifted, sizeof bits);
        return (uint16_t)(sign | (bits & 0x7ffu));
    }
    bits += 0xfffu + (bits >> 13 & 1u);
    return (uint16_t)(sign | ((bits - 0x38000000u) >> 13));
}

#endif
