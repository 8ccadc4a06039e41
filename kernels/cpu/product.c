// Which instruction set the linear and sparse products use: the best one of the machine.
#include "kernels/cpu/product.h"

#if defined(__x86_64__)
static bool has_avx512(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

static bool has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}
#define CHOOSE(name) (has_avx512() ? &name##_avx512 : has_avx2() ? &name##_avx2 : &name##_plain)
#else
#define CHOOSE(name) (&name##_plain)
#endif

const struct cpu_sparse_kernels *cpu_sparse_kernels(const struct slt_ctx *ctx)
{
    return CHOOSE(cpu_sparse_kernels);
}

const struct cpu_linear_kernels *cpu_linear_kernels(const struct slt_ctx *ctx)
{
    return CHOOSE(cpu_linear_kernels);
}
