// Vectors for kernels/cpu/simd_*.c, which are compiled once for each instruction set with
// SLT_ISA=avx512, avx2 or plain: GCC's vector types make one source serve all of them.
//
// A file defines its operations as SIMD(cpu_<op>) with ops.h's arguments; simd_table.c makes one
// struct slt_ops of them for each instruction set, and backend.c chooses among these tables.
#ifndef SLT_KERNELS_CPU_SIMD_H
#define SLT_KERNELS_CPU_SIMD_H

#include <stdint.h>
#include <string.h>

#include "kernels/cpu/cpu.h"

#if defined(__AVX512F__)
#define VB 64
#elif defined(__AVX2__)
#define VB 32
#else
#define VB 16
#endif
#define VL (VB / 4) // floats in a vector; divides the ld of activations

#define SIMD_JOIN2(name, isa) name##_##isa
#define SIMD_JOIN(name, isa)  SIMD_JOIN2(name, isa)
#define SIMD(name)            SIMD_JOIN(name, SLT_ISA)

// For inner loops with parameters that are constants wherever they are called.
#define ALWAYS_INLINE static inline __attribute__((always_inline))

typedef float vf __attribute__((vector_size(VB)));
typedef int32_t vi __attribute__((vector_size(VB)));

static inline vf vf_load(const float *p)
{
    vf v;
    memcpy(&v, p, sizeof v);
    return v;
}

// The first n floats at p, zeros behind them: what lies there may be NaN, or not be there.
static inline vf vf_load_first(const float *p, int64_t n)
{
    float lanes[VL] = {0};
    memcpy(lanes, p, (size_t)n * sizeof *p);
    return vf_load(lanes);
}

static inline void vf_store(float *p, vf v)
{
    memcpy(p, &v, sizeof v);
}

static inline vf vf_set(float x)
{
    return (vf){0} + x;
}

#endif
