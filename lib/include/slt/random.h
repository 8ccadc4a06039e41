// Counter-based random numbers: Philox4x32-10 (Salmon, Moraes, Dror, Shaw: Parallel random numbers:
// as easy as 1, 2, 3, SC 2011). A value is a pure function of (key, counter), so that threads,
// resumed runs and GPUs agree.
#ifndef SLT_RANDOM_H
#define SLT_RANDOM_H

#include <stddef.h>
#include <stdint.h>

#include "slt/error.h"

struct slt_random_key {
    uint32_t word[2];
};

// The key of a named stream: the first 8 bytes of SHA-256(tag, 0x00, name, 0x00, seed as 8
// little-endian bytes), read as two little-endian words. tag tells uses apart ("slt-support-1",
// "slt-init-1").
SLT_API struct slt_random_key slt_random_key(const char *tag, const char *name, uint64_t seed);

// out (4) = Philox4x32-10 of the 128-bit counter {index low, index high, lane low, lane high}.
SLT_API void slt_random_block(uint32_t out[4], struct slt_random_key key, uint64_t index,
                              uint64_t lane);

// A float in [0, 1) from 32 random bits: the top 24 bits, exactly representable.
static inline float slt_random_unit(uint32_t bits)
{
    return (float)(bits >> 8) * 0x1p-24f;
}

// values[i] for i in [first, first + count): uniform on [-bound, bound), element i from word i%4 of
// block i/4.
SLT_API void slt_random_uniform(float *values, struct slt_random_key key, uint64_t first,
                                size_t count, float bound);

// values[i] for i in [first, first + count): normal(0, deviation) by Box-Muller in double, elements
// i and i^1 from one pair of words of block i/4.
SLT_API void slt_random_normal(float *values, struct slt_random_key key, uint64_t first,
                               size_t count, float deviation);

// A keyed bijection of [0, size): six Feistel rounds on the smallest even number of bits that holds
// size, cycle-walking. index must be below size. Used to shuffle training windows without a table.
SLT_API uint64_t slt_random_permute(struct slt_random_key key, uint64_t index, uint64_t size);

#endif
