// The tables that find the nearest code of a value.
#include <math.h>

#include "kernels/cpu/codes.h"

void cpu_codes_init(struct cpu_codes *codes, bool has_sign)
{
    slt_codes_dynamic(codes->map, has_sign);
    for (int i = 0; i + 1 < SLT_CODES_8BIT; i++)
        codes->middle[i] = (codes->map[i] + codes->map[i + 1]) / 2;
    codes->middle[SLT_CODES_8BIT - 1] = INFINITY;
    for (uint32_t upper = 0; upper < 1 << 16; upper++) {
        // Of negative floats the smallest has all lower bits set.
        const uint32_t bits = upper << 16 | (upper >> 15 ? 0xffff : 0);
        float x;
        memcpy(&x, &bits, sizeof x);
        codes->first[upper] = isnan(x) ? 0 : slt_codes_nearest(codes->map, SLT_CODES_8BIT, x);
    }
}
