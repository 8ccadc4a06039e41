// The operations that simd_*.c implement, in each instruction set. One token alone has no
// neighbours to fill a vector with (its features are contiguous): there the reference serves.
#ifndef SLT_KERNELS_CPU_SIMD_OPS_H
#define SLT_KERNELS_CPU_SIMD_OPS_H

#include "kernels/cpu/ref.h"
#include "kernels/cpu/simd.h"
#include "kernels/cpu/sizes.h"

#define SIMD_OP(op) SLT_OP_TYPE(op) SIMD(cpu_##op);
SLT_OPS_OF_ELEMENTS(SIMD_OP)

static inline int64_t min64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

#endif
