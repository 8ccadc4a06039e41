// Rounding to bfloat16 on the device, to nearest even or stochastically (kernels/ops.h,
// core/bfloat.h).
#ifndef SLT_KERNELS_CUDA_ROUNDING_H
#define SLT_KERNELS_CUDA_ROUNDING_H

#include "kernels/cuda/cuda.h"

struct cuda_rounding {
    bool stochastic;
    uint32_t key[2];
    uint64_t lane;
    uint64_t first; // which element of its parameter the first one is: a multiple of 8
};

// Philox4x32-10, as slt/random.h has it.
static __device__ __forceinline__ void cuda_random_block(uint32_t out[4], const uint32_t key[2],
                                                         uint64_t index, uint64_t lane)
{
    uint32_t c0 = (uint32_t)index, c1 = (uint32_t)(index >> 32), k0 = key[0], k1 = key[1];
    uint32_t c2 = (uint32_t)lane, c3 = (uint32_t)(lane >> 32);
#pragma unroll
    for (int round = 0; round < 10; round++) {
        const uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

// value rounded; with stochastic by the 16-bit word number % 8 of word, lower halves first. What is
// not finite stays so.
static __device__ __forceinline__ bf16 cuda_rounded(float value, bool stochastic,
                                                    const uint32_t word[4], uint64_t number)
{
    const uint32_t bits = __float_as_uint(value), at = (uint32_t)number % 8;
    if (!stochastic || (bits & 0x7f800000u) == 0x7f800000u)
        return __float2bfloat16_rn(value);
    const uint32_t pair = word[at / 2], add = at % 2 == 0 ? pair & 0xffffu : pair >> 16;
    return __ushort_as_bfloat16((unsigned short)((bits + add) >> 16));
}

#endif
