// A hash of short strings for tables in memory.
#ifndef SLT_TEXT_HASH_H
#define SLT_TEXT_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint64_t slt_hash_mix(uint64_t x)
{
    x *= 0x9e3779b97f4a7c15u;
    return x ^ x >> 32;
}

static inline uint64_t slt_hash_bytes(const char *text, size_t bytes)
{
    uint64_t hash = slt_hash_mix(bytes), word;
    for (; bytes >= 8; text += 8, bytes -= 8) {
        memcpy(&word, text, 8);
        hash = slt_hash_mix(hash ^ word);
    }
    if (bytes > 0) {
        word = 0;
        memcpy(&word, text, bytes);
        hash = slt_hash_mix(hash ^ word);
    }
    return slt_hash_mix(hash);
}

// The smallest power of two that is at least twice count: the size of an open table.
static inline size_t slt_hash_size(size_t count)
{
    size_t size = 16;
    while (size < 2 * count)
        size *= 2;
    return size;
}

#endif
