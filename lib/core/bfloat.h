// bfloat16: the upper half of a float's bits.
#ifndef SLT_CORE_BFLOAT_H
#define SLT_CORE_BFLOAT_H

#include <stdint.h>
#include <string.h>

static inline float slt_bf16_value(uint16_t bits)
{
    const uint32_t wide = (uint32_t)bits << 16;
    float value;
    memcpy(&value, &wide, sizeof value);
    return value;
}

// value with its lower half cut off after adding so much to it; what is not finite stays so.
static inline uint16_t slt_bf16_cut(float value, uint32_t add)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    const uint32_t exponent = bits & 0x7f800000u;
    if (exponent == 0x7f800000u) // infinite, or NaN, which keeps a bit
        return (uint16_t)(bits >> 16 | ((bits & 0x007fffffu) != 0 ? 0x0040u : 0));
    return (uint16_t)((bits + add) >> 16);
}

// The nearest one, of two equally near ones the even one.
static inline uint16_t slt_bf16_nearest(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return slt_bf16_cut(value, 0x7fffu + (bits >> 16 & 1u));
}

// One of the two neighbours, the nearer one the more often: away from zero with the probability of
// the share that random, uniform in [0, 65535], exceeds.
static inline uint16_t slt_bf16_stochastic(float value, uint16_t random)
{
    return slt_bf16_cut(value, random);
}

#endif
