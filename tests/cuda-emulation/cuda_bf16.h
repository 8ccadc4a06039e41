// bfloat16 on a CPU: what kernels/cuda uses of CUDA's header.
#ifndef SLT_TESTS_CUDA_BF16_H
#define SLT_TESTS_CUDA_BF16_H

#include "core/bfloat.h"

struct __nv_bfloat16 {
    unsigned short bits;
};

static inline float __bfloat162float(__nv_bfloat16 x)
{
    return slt_bf16_value(x.bits);
}

static inline __nv_bfloat16 __float2bfloat16_rn(float x)
{
    return __nv_bfloat16{slt_bf16_nearest(x)};
}

static inline unsigned short __bfloat16_as_ushort(__nv_bfloat16 x)
{
    return x.bits;
}

static inline __nv_bfloat16 __ushort_as_bfloat16(unsigned short bits)
{
    return __nv_bfloat16{bits};
}

#endif
