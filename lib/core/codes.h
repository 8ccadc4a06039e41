// The 256 (and 16) values that block-wise 8-bit (and 4-bit) codes stand for, relative to the
// largest magnitude of their block. Shared by quantized weights and by optimizer moments.
#ifndef SLT_CORE_CODES_H
#define SLT_CORE_CODES_H

#include <stdbool.h>
#include <stdint.h>

#include "core/host_device.h"

#define SLT_CODES_8BIT 256
#define SLT_CODES_NF4  16

// The dynamic map of 8-bit optimizers (Dettmers et al., "8-bit Optimizers via Block-wise
// Quantization", 2021), ascending, equal to bitsandbytes' create_dynamic_map to the last bit. With
// a sign: for i = 0..6 the midpoints of 2^i + 1 points evenly spaced on [0.1, 1], times 10^(i-6),
// and their negatives; without: of 2^(i+1) + 1 points. Then 0 and 1.
void slt_codes_dynamic(float map[SLT_CODES_8BIT], bool has_sign);

// NormalFloat4: the quantiles of a normal distribution of QLoRA (Dettmers et al., 2023), ascending,
// with an exact 0.
void slt_codes_nf4(float map[SLT_CODES_NF4]);

// The index of the value nearest to x in an ascending map; of two equally near ones the lower.
SLT_HOST_DEVICE uint8_t slt_codes_nearest(const float *map, int count, float x)
{
    int low = 0, high = count - 1;
    while (high - low > 1) {
        const int middle = (low + high) / 2;
        if (map[middle] <= x)
            low = middle;
        else
            high = middle;
    }
    return (uint8_t)(x - map[low] <= map[high] - x ? low : high);
}

#endif
