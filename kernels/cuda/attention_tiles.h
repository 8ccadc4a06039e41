// What the kernels of attention on tensor cores are made of: tiles in shared memory, (rows, HD) in
// rows of HD + PAD elements, so that fragments load without conflicts of banks, and the products of
// a warp's 16 rows with them.
#ifndef SLT_KERNELS_CUDA_ATTENTION_TILES_H
#define SLT_KERNELS_CUDA_ATTENTION_TILES_H

#include "kernels/cuda/attention.h"
#include "kernels/cuda/mma.h"

#define CUDA_TILE_PAD 8
#define CUDA_LOG2_E   1.4426950408889634f

template <int HD> constexpr int cuda_tile_ld = HD + CUDA_TILE_PAD;

// Starts the copy of rows [first, first + COUNT) of a head into a tile, zeros beyond the last row
// and feature, by so many threads.
template <int HD, int COUNT, int THREADS>
static __device__ __forceinline__ void cuda_fetch(bf16 *tile, const bf16 *head, int64_t ld,
                                                  int first, int rows, int dim, int thread)
{
    constexpr int PACKS = HD / 8, STEP = THREADS / PACKS; // rows that are copied together
    const int i = thread / PACKS, f = thread % PACKS * 8;
    const bf16 *from = head + (int64_t)(first + i) * ld + f;
    tile += i * cuda_tile_ld<HD> + f;
#pragma unroll
    for (int k = 0; k < COUNT; k += STEP)
        if (COUNT % STEP == 0 || i + k < COUNT)
            cuda_copy(tile + k * cuda_tile_ld<HD>, from + k * ld, f < dim && first + i + k < rows);
}

// Turns the rows of a tile, which stand at positions [first, first + COUNT), by their angles, or
// back if sign is -1. Neighbouring threads have neighbouring positions, as the table has.
template <int HD, int COUNT, int THREADS>
static __device__ __forceinline__ void cuda_turn(bf16 *tile, struct cuda_rope rope, int first,
                                                 int rows, int dim, float sign, int thread)
{
    const int half = dim / 2;
#pragma unroll 1
    for (int k = thread; k < COUNT * (half / 8); k += THREADS) {
        const int i = k % COUNT, f = k / COUNT * 8;
        bf16 *left = tile + i * cuda_tile_ld<HD> + f, *right = left + half;
        const float *c = rope.angles + f * rope.positions + first + i;
        const float *s = c + half * rope.positions;
        if (first + i < rows)
            cuda_turn_pack<8>(left, right, c, s, rope.positions, sign);
    }
}

// A warp's 16 rows as fragments.
template <int HD>
static __device__ __forceinline__ void cuda_load_rows(uint32_t (*a)[4], const bf16 *rows)
{
#pragma unroll
    for (int k = 0; k < HD / 16; k++)
        cuda_load_a<cuda_tile_ld<HD>>(a[k], rows + k * 16);
}

template <int N> static __device__ __forceinline__ void cuda_clear(float (*s)[4])
{
#pragma unroll
    for (int n = 0; n < N; n++)
        s[n][0] = s[n][1] = s[n][2] = s[n][3] = 0;
}

// s (16, N) += a t^T for features [16 k, 16 k + 16) of a tile t (N, HD).
template <int HD, int N>
static __device__ __forceinline__ void cuda_add_transposed(float (*s)[4], const uint32_t a[4],
                                                           const bf16 *tile, int k)
{
#pragma unroll
    for (int n = 0; n < N / 16; n++) {
        uint32_t b[4];
        cuda_load_b<cuda_tile_ld<HD>>(b, tile + n * 16 * cuda_tile_ld<HD> + k * 16);
        cuda_mma(s[2 * n], a, b);
        cuda_mma(s[2 * n + 1], a, b + 2);
    }
}

// s (16, N) = a t^T, a in registers.
template <int HD, int N>
static __device__ __forceinline__ void cuda_times_transposed(float (*s)[4], const uint32_t (*a)[4],
                                                             const bf16 *tile)
{
    cuda_clear<N / 8>(s);
#pragma unroll
    for (int k = 0; k < HD / 16; k++)
        cuda_add_transposed<HD, N>(s, a[k], tile, k);
}

// The same for 16 rows in shared memory.
template <int HD, int N>
static __device__ __forceinline__ void cuda_rows_times_transposed(float (*s)[4], const bf16 *rows,
                                                                  const bf16 *tile)
{
    cuda_clear<N / 8>(s);
#pragma unroll
    for (int k = 0; k < HD / 16; k++) {
        uint32_t a[4];
        cuda_load_a<cuda_tile_ld<HD>>(a, rows + k * 16);
        cuda_add_transposed<HD, N>(s, a, tile, k);
    }
}

// sum (16, HD) += p t for p (16, N), rounded, and a tile t (N, HD).
template <int HD, int N>
static __device__ __forceinline__ void cuda_add_times(float (*sum)[4], const float (*p)[4],
                                                      const bf16 *tile)
{
#pragma unroll
    for (int k = 0; k < N / 16; k++) {
        uint32_t a[4];
        cuda_as_a(a, p[2 * k], p[2 * k + 1]);
#pragma unroll
        for (int n = 0; n < HD / 16; n++) {
            uint32_t b[4];
            cuda_load_b_rows<cuda_tile_ld<HD>>(b, tile + k * 16 * cuda_tile_ld<HD> + n * 16);
            cuda_mma(sum[2 * n], a, b);
            cuda_mma(sum[2 * n + 1], a, b + 2);
        }
    }
}

// A warp's result (16, HD), its upper eight rows times scale[0], the lower scale[1], turned back if
// there are angles: by way of the warp's own rows in shared memory to rows [first, first + 16) of a
// head, 16 bytes at a time.
template <int HD>
static __device__ void cuda_store_rows(bf16 *head, int64_t ld, int first, int rows, int dim,
                                       const float (*sum)[4], const float scale[2], bf16 *own,
                                       struct cuda_rope rope)
{
    constexpr int LD = cuda_tile_ld<HD>, PACKS = HD / 8;
    const int lane = threadIdx.x % CUDA_WARP;
    __syncwarp();
#pragma unroll
    for (int n = 0; n < HD / 8; n++)
#pragma unroll
        for (int half = 0; half < 2; half++) {
            const float pair[2] = {sum[n][2 * half] * scale[half],
                                   sum[n][2 * half + 1] * scale[half]};
            cuda_store<2>(own + (lane / 4 + half * 8) * LD + n * 8 + lane % 4 * 2, pair);
        }
    __syncwarp();
    if (rope.angles != NULL) {
        cuda_turn<HD, 16, CUDA_WARP>(own, rope, first, rows, dim, -1, lane);
        __syncwarp();
    }
#pragma unroll
    for (int k = lane; k < 16 * PACKS; k += CUDA_WARP) {
        const int i = k / PACKS, f = k % PACKS * 8;
        if (first + i < rows && f < dim)
            *(cuda_pack<bf16, 8> *)(void *)(head + (int64_t)(first + i) * ld + f) =
                *(const cuda_pack<bf16, 8> *)(const void *)(own + i * LD + f);
    }
}

#endif
