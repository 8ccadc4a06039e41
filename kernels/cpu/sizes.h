// Sizes that the fast operations and their workspace agree on.
#ifndef SLT_KERNELS_CPU_SIZES_H
#define SLT_KERNELS_CPU_SIZES_H

#include <stdint.h>

#define CPU_ADAM_RUN     2048 // elements updated at once; the largest block of moments
#define CPU_HEAD_CHUNK   512  // tokens whose logits are kept at once
#define CPU_HEAD_DIM_MAX 256  // largest head of the tiled attention
#define CPU_TILE         64   // queries, and keys, of an attention tile

// Of one thread in attention: 7 tiles of features, 3 of scores, 4 rows.
#define CPU_TILES_BYTES ((7 * CPU_HEAD_DIM_MAX + 3 * CPU_TILE + 4) * CPU_TILE * 4)

// Elements from row to row of the logits of a chunk: whole vectors of tokens, no large power of two.
static inline int64_t cpu_head_ld(int64_t chunk)
{
    return (chunk + 31) / 32 * 32 + 16;
}

#endif
