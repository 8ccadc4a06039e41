// The numbers of block-wise quantization: values to codes and back.
#include <math.h>
#include <string.h>

#include "core/codes.h"
#include "core/least.h"
#include "core/threads.h"
#include "slt/quantize.h"

#define INT8_MAX_CODE 127

int64_t slt_quant_default_block(enum slt_quant_type type)
{
    return type == SLT_QUANT_NONE ? 0 : type == SLT_QUANT_NF4 ? 64 : 256;
}

enum slt_dtype slt_quant_dtype(enum slt_quant_type type)
{
    return type == SLT_QUANT_NONE ? SLT_F32 : type == SLT_QUANT_INT8 ? SLT_I8 : SLT_U8;
}

int64_t slt_quant_bytes(const struct slt_quantization *how, int64_t count)
{
    return how->type == SLT_QUANT_NF4 ? count / 2 + count % 2 : count;
}

int64_t slt_quant_blocks(const struct slt_quantization *how, int64_t count)
{
    return count / how->block + (count % how->block != 0);
}

// The values that codes stand for, relative to absmax; int8 needs none.
static int make_map(float map[SLT_CODES_8BIT], enum slt_quant_type type)
{
    if (type == SLT_QUANT_DYN8)
        slt_codes_dynamic(map, true);
    else if (type == SLT_QUANT_NF4)
        slt_codes_nf4(map);
    return type == SLT_QUANT_DYN8 ? SLT_CODES_8BIT : SLT_CODES_NF4;
}

static float largest_magnitude(const float *values, int64_t count)
{
    float largest = 0;
    for (int64_t i = 0; i < count; i++)
        if (fabsf(values[i]) > largest)
            largest = fabsf(values[i]);
    return largest;
}

// One block: values (count), code number first of codes onwards. A byte of two codes is written by
// its first one, then completed.
static void encode(uint8_t *codes, int64_t first, enum slt_quant_type type, const float *map,
                   int map_count, const float *values, float absmax, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        // Divided, because 1/absmax is infinite for the smallest magnitudes.
        const float x = absmax > 0 ? values[i] / absmax : 0;
        const int64_t at = first + i;
        if (type == SLT_QUANT_INT8) {
            codes[at] = (uint8_t)(int8_t)lrintf(x * INT8_MAX_CODE);
        } else if (type == SLT_QUANT_DYN8) {
            codes[at] = slt_codes_nearest(map, map_count, x);
        } else {
            const uint8_t code = slt_codes_nearest(map, map_count, x);
            codes[at / 2] = at % 2 == 0 ? code : (uint8_t)(codes[at / 2] | code << 4);
        }
    }
}

static void decode(float *values, enum slt_quant_type type, const float *map, const uint8_t *codes,
                   int64_t first, float absmax, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        const int64_t at = first + i;
        if (type == SLT_QUANT_INT8)
            values[i] = (float)(int8_t)codes[at] / INT8_MAX_CODE * absmax;
        else if (type == SLT_QUANT_DYN8)
            values[i] = map[codes[at]] * absmax;
        else
            values[i] = map[codes[at / 2] >> (at % 2 * 4) & 15] * absmax;
    }
}

int64_t slt_quantize(void *codes, float *absmax, const struct slt_quantization *how,
                     const float *values, int64_t count, int threads)
{
    float map[SLT_CODES_8BIT];
    const int map_count = make_map(map, how->type);
    const int64_t block = how->block;
    for (int64_t i = 0; i < count; i++)
        if (!isfinite(values[i]))
            return i;
#pragma omp parallel for schedule(static) num_threads(slt_thread_count(threads))
    for (int64_t pair = 0; pair < count; pair += 2 * block) {
        // Two blocks at a time begin and end with whole bytes, so that threads share none.
        for (int64_t at = pair; at < slt_least(pair + 2 * block, count); at += block) {
            const int64_t n = slt_least(block, count - at);
            absmax[at / block] = largest_magnitude(values + at, n);
            encode(codes, at, how->type, map, map_count, values + at, absmax[at / block], n);
        }
    }
    return -1;
}

void slt_dequantize(float *values, const struct slt_quantization *how, const void *codes,
                    const float *absmax, int64_t count, int threads)
{
    float map[SLT_CODES_8BIT];
    const int64_t block = how->block;
    make_map(map, how->type);
#pragma omp parallel for schedule(static) num_threads(slt_thread_count(threads))
    for (int64_t at = 0; at < count; at += block)
        decode(values + at, how->type, map, codes, at, absmax[at / block],
               slt_least(block, count - at));
}
