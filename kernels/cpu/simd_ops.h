// The operations that simd_*.c implement, in each instruction set. One token alone has no
// neighbours to fill a vector with (its features are contiguous): there the reference serves.
#ifndef SLT_KERNELS_CPU_SIMD_OPS_H
#define SLT_KERNELS_CPU_SIMD_OPS_H

#include "kernels/cpu/ref.h"
#include "kernels/cpu/simd.h"
#include "kernels/cpu/sizes.h"

SLT_OP_TYPE(embedding_forward) SIMD(cpu_embedding_forward);
SLT_OP_TYPE(embedding_backward) SIMD(cpu_embedding_backward);
SLT_OP_TYPE(rmsnorm_forward) SIMD(cpu_rmsnorm_forward);
SLT_OP_TYPE(rmsnorm_backward) SIMD(cpu_rmsnorm_backward);
SLT_OP_TYPE(add) SIMD(cpu_add);
SLT_OP_TYPE(attention_forward) SIMD(cpu_attention_forward);
SLT_OP_TYPE(attention_backward) SIMD(cpu_attention_backward);
SLT_OP_TYPE(attention_cached) SIMD(cpu_attention_cached);
SLT_OP_TYPE(swiglu_forward) SIMD(cpu_swiglu_forward);
SLT_OP_TYPE(swiglu_backward) SIMD(cpu_swiglu_backward);
SLT_OP_TYPE(head_loss) SIMD(cpu_head_loss);
SLT_OP_TYPE(grad_norm) SIMD(cpu_grad_norm);
SLT_OP_TYPE(adam_step) SIMD(cpu_adam_step);

static inline int64_t min64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

#endif
