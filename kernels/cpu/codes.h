// Code maps, and what finds the nearest code fast: the upper half of a float's bits is nearly all
// there is to know.
#ifndef SLT_KERNELS_CPU_CODES_H
#define SLT_KERNELS_CPU_CODES_H

#include <string.h>

#include "core/codes.h"

struct cpu_codes {
    float map[SLT_CODES_8BIT];
    float middle[SLT_CODES_8BIT]; // between a value and the next one; the last is infinite
    uint8_t first[1 << 16];       // the nearest code of the smallest float with these upper 16 bits
};

void cpu_codes_init(struct cpu_codes *codes, bool has_sign);

static inline uint8_t cpu_codes_nearest(const struct cpu_codes *codes, float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    int code = codes->first[bits >> 16];
    while (x > codes->middle[code])
        code++;
    return (uint8_t)code;
}

#endif
