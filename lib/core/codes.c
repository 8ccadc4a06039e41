// Code maps of block-wise quantization.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/codes.h"

// Point i of count evenly spaced ones on [0.1, 1], in float32 as PyTorch's linspace computes it:
// from the nearer end.
static float point(int i, int count)
{
    const float start = 0.1f, end = 1.0f, step = (end - start) / (float)(count - 1);
    return i < count / 2 ? fmaf(step, (float)i, start) : fmaf(-step, (float)(count - i - 1), end);
}

static int ascending(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

void slt_codes_dynamic(float map[SLT_CODES_8BIT], bool has_sign)
{
    static const double power[7] = {1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1};
    int n = 0;
    for (int i = 0; i < 7; i++) {
        const int points = (has_sign ? 1 << i : 2 << i) + 1;
        for (int k = 0; k + 1 < points; k++) {
            const float middle = (point(k, points) + point(k + 1, points)) / 2;
            const float value = (float)power[i] * middle;
            map[n++] = value;
            if (has_sign)
                map[n++] = -value;
        }
    }
    map[n++] = 0;
    map[n++] = 1;
    qsort(map, SLT_CODES_8BIT, sizeof *map, ascending);
}

void slt_codes_nf4(float map[SLT_CODES_NF4])
{
    static const float values[SLT_CODES_NF4] = {
        -1.0f,
        -0.6961928009986877f,
        -0.5250730514526367f,
        -0.39491748809814453f,
        -0.28444138169288635f,
        -0.18477343022823334f,
        -0.09105003625154495f,
        0.0f,
        0.07958029955625534f,
        0.16093020141124725f,
        0.24611230194568634f,
        0.33791524171829224f,
        0.44070982933044434f,
        0.5626170039176941f,
        0.7229568362236023f,
        1.0f,
    };
    memcpy(map, values, sizeof values);
}
