// The tensor-core instructions that the kernels use, one wrapper each: BF16 factors, F32 sums; and
// what feeds them: copies to shared memory that run beside the arithmetic. All lanes of a warp call
// the former together. The emulation brings its own, with the same layouts of fragments.
//
// Layouts (PTX ISA, mma.m16n8k16 and ldmatrix), for lane l with g = l / 4, p = 2 (l % 4):
//  A (16, 16): a[0] (g, p), a[1] (g + 8, p), a[2] (g, p + 8), a[3] (g + 8, p + 8), two neighbours
//   in a row each;
//  B (16, 8): b[0] (p, g), b[1] (p + 8, g), two neighbours in a column each;
//  C (16, 8): c[0], c[1] (g, p), (g, p + 1), c[2], c[3] (g + 8, p), (g + 8, p + 1).
#ifndef SLT_KERNELS_CUDA_MMA_H
#define SLT_KERNELS_CUDA_MMA_H

#include "kernels/cuda/cuda.h"

// Two values as a register holds them, the first in the lower half.
static __device__ __forceinline__ uint32_t cuda_pair(float first, float second)
{
    return (uint32_t)__bfloat16_as_ushort(__float2bfloat16_rn(first)) |
           (uint32_t)__bfloat16_as_ushort(__float2bfloat16_rn(second)) << 16;
}

static __device__ __forceinline__ float cuda_first_of(uint32_t pair)
{
    return __uint_as_float(pair << 16);
}

static __device__ __forceinline__ float cuda_second_of(uint32_t pair)
{
    return __uint_as_float(pair & 0xffff0000u);
}

#ifndef SLT_EMULATION_MMA

// c += a b.
static __device__ __forceinline__ void cuda_mma(float c[4], const uint32_t a[4],
                                                const uint32_t b[2])
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
                 "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// Four matrices of 8 x 8 from shared memory: lane l gives the row l % 8 (16 bytes, aligned) of
// matrix l / 8, and gets (g, p), (g, p + 1) of matrix i in r[i].
static __device__ __forceinline__ void cuda_ldmatrix(uint32_t r[4], const bf16 *row)
{
    const uint32_t address = (uint32_t)__cvta_generic_to_shared(row);
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(address)
                 : "memory");
}

// As cuda_ldmatrix, transposed: (p, g), (p + 1, g) of matrix i in r[i].
static __device__ __forceinline__ void cuda_ldmatrix_transposed(uint32_t r[4], const bf16 *row)
{
    const uint32_t address = (uint32_t)__cvta_generic_to_shared(row);
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(address)
                 : "memory");
}

// 2^x, to 2 units in the last place; what is below the smallest normal float is 0.
static __device__ __forceinline__ float cuda_exp2(float x)
{
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

// Starts the copy of 16 bytes to shared memory; of zeros, from nowhere, if they are not there. Both
// are aligned. It belongs to the thread's current group, which cuda_copy_commit ends. After
// cuda_copy_wait<N> all of the thread's groups but the last N have arrived, for this thread: for
// others after a barrier.
static __device__ __forceinline__ void cuda_copy(bf16 *shared, const bf16 *from, bool there)
{
    const uint32_t address = (uint32_t)__cvta_generic_to_shared(shared);
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
                 :
                 : "r"(address), "l"(from), "r"(there ? 16 : 0)
                 : "memory");
}

static __device__ __forceinline__ void cuda_copy_commit()
{
    asm volatile("cp.async.commit_group;" ::: "memory");
}

template <int N> static __device__ __forceinline__ void cuda_copy_wait()
{
    asm volatile("cp.async.wait_group %0;" : : "n"(N) : "memory");
}

// A block's shared memory, its size the same constant here and at the launch: more than the 48 KB
// that can be declared.
#define CUDA_SHARED(name, bytes)                                                                   \
    static_assert((bytes) <= 227 << 10, "what a block can have");                                  \
    extern __shared__ __align__(16) unsigned char cuda_shared_bytes[];                             \
    bf16 *const name = (bf16 *)(void *)cuda_shared_bytes

#define CUDA_LAUNCH_SHARED(ctx, kernel, grid, block, bytes, ...)                                   \
    do {                                                                                           \
        cuda_check(ctx,                                                                            \
                   cudaFuncSetAttribute((const void *)(kernel),                                    \
                                        cudaFuncAttributeMaxDynamicSharedMemorySize,               \
                                        (int)(bytes)),                                             \
                   #kernel);                                                                       \
        kernel<<<grid, block, bytes, (ctx)->stream>>>(__VA_ARGS__);                                \
        cuda_check(ctx, cudaGetLastError(), #kernel);                                              \
    } while (0)

#endif

// ---- Fragments from tiles in shared memory, rows of LD elements ----

// A (16, 16) at tile, which holds it by rows.
template <int LD>
static __device__ __forceinline__ void cuda_load_a(uint32_t a[4], const bf16 *tile)
{
    const unsigned lane = threadIdx.x % CUDA_WARP;
    cuda_ldmatrix(a, tile + lane % 16 * LD + lane / 16 * 8);
}

// A (16, 16) at tile, which holds its transpose by rows.
template <int LD>
static __device__ __forceinline__ void cuda_load_a_transposed(uint32_t a[4], const bf16 *tile)
{
    const unsigned lane = threadIdx.x % CUDA_WARP;
    cuda_ldmatrix_transposed(a, tile + (lane / 16 * 8 + lane % 8) * LD + lane / 8 % 2 * 8);
}

// Two B (16, 8) side by side at tile, which holds their transpose (16, 16) by rows.
template <int LD>
static __device__ __forceinline__ void cuda_load_b(uint32_t b[4], const bf16 *tile)
{
    const unsigned lane = threadIdx.x % CUDA_WARP;
    cuda_ldmatrix(b, tile + (lane / 16 * 8 + lane % 8) * LD + lane / 8 % 2 * 8);
}

// Two B (16, 8) side by side at tile, which holds them (16, 16) by rows.
template <int LD>
static __device__ __forceinline__ void cuda_load_b_rows(uint32_t b[4], const bf16 *tile)
{
    const unsigned lane = threadIdx.x % CUDA_WARP;
    cuda_ldmatrix_transposed(b, tile + lane % 16 * LD + lane / 16 * 8);
}

// Two C (16, 8) side by side, rounded, as an A (16, 16).
static __device__ __forceinline__ void cuda_as_a(uint32_t a[4], const float left[4],
                                                 const float right[4])
{
    a[0] = cuda_pair(left[0], left[1]);
    a[1] = cuda_pair(left[2], left[3]);
    a[2] = cuda_pair(right[0], right[1]);
    a[3] = cuda_pair(right[2], right[3]);
}

#endif
