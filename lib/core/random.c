// Philox4x32-10 and what is drawn from it. Ten rounds of two 32x32-bit products; the constants are
// those of the paper (Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3",
// SC 2011).
#include <assert.h>
#include <math.h>
#include <string.h>

#include "core/bytes.h"
#include "slt/digest.h"
#include "slt/random.h"

#define PHILOX_ROUNDS  10
#define FEISTEL_ROUNDS 6
#define TWO_PI         6.283185307179586476925286766559

struct slt_random_key slt_random_key(const char *tag, const char *name, uint64_t seed)
{
    // The text is hashed at once; names of tensors and uses are short.
    unsigned char text[512], digest[SLT_SHA256_BYTES];
    const size_t tag_bytes = strlen(tag) + 1, name_bytes = strlen(name) + 1;
    assert(tag_bytes + name_bytes + 8 <= sizeof text);
    memcpy(text, tag, tag_bytes);
    memcpy(text + tag_bytes, name, name_bytes);
    slt_store_u64(text + tag_bytes + name_bytes, seed);
    slt_sha256_of(digest, text, tag_bytes + name_bytes + 8);
    return (struct slt_random_key){{slt_load_u32(digest), slt_load_u32(digest + 4)}};
}

void slt_random_block(uint32_t out[4], struct slt_random_key key, uint64_t index, uint64_t lane)
{
    uint32_t c0 = (uint32_t)index, c1 = (uint32_t)(index >> 32);
    uint32_t c2 = (uint32_t)lane, c3 = (uint32_t)(lane >> 32);
    uint32_t k0 = key.word[0], k1 = key.word[1];
    for (int round = 0; round < PHILOX_ROUNDS; round++) {
        const uint64_t p0 = (uint64_t)0xD2511F53 * c0;
        const uint64_t p1 = (uint64_t)0xCD9E8D57 * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += 0x9E3779B9;
        k1 += 0xBB67AE85;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

void slt_random_uniform(float *values, struct slt_random_key key, uint64_t first, size_t count,
                        float bound)
{
    uint32_t word[4];
    for (size_t n = 0; n < count; n++) {
        const uint64_t i = first + n;
        if (n == 0 || i % 4 == 0)
            slt_random_block(word, key, i / 4, 0);
        values[n] = (2.0f * slt_random_unit(word[i % 4]) - 1.0f) * bound;
    }
}

// The Box-Muller pair of two words. The half in the first keeps the logarithm finite.
static void normal_pair(double pair[2], const uint32_t word[2])
{
    const double radius = sqrt(-2.0 * log(((double)word[0] + 0.5) * 0x1p-32));
    const double angle = TWO_PI * ((double)word[1] * 0x1p-32);
    pair[0] = radius * cos(angle);
    pair[1] = radius * sin(angle);
}

void slt_random_normal(float *values, struct slt_random_key key, uint64_t first, size_t count,
                       float deviation)
{
    uint32_t word[4];
    double pair[2];
    for (size_t n = 0; n < count; n++) {
        const uint64_t i = first + n;
        if (n == 0 || i % 4 == 0)
            slt_random_block(word, key, i / 4, 0);
        if (n == 0 || i % 2 == 0)
            normal_pair(pair, word + i % 4 / 2 * 2);
        values[n] = (float)(pair[i % 2] * (double)deviation);
    }
}

uint64_t slt_random_permute(struct slt_random_key key, uint64_t index, uint64_t size)
{
    assert(index < size);
    unsigned half = 1;
    while (half < 32 && ((uint64_t)1 << 2 * half) < size)
        half++;
    const uint64_t mask = ((uint64_t)1 << half) - 1;
    // The rounds permute [0, 2^(2 half)), fewer than four times size (at least four) numbers;
    // walking the cycle from a number below size comes back to one.
    do {
        uint64_t left = index >> half, right = index & mask;
        for (uint64_t round = 0; round < FEISTEL_ROUNDS; round++) {
            uint32_t word[4];
            slt_random_block(word, key, right, round);
            const uint64_t next = left ^ (word[0] & mask);
            left = right;
            right = next;
        }
        index = left << half | right;
    } while (index >= size);
    return index;
}
