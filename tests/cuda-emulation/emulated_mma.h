// The instructions of kernels/cuda/mma.h on a CPU: the lanes of a warp show each other their
// fragments, laid out as the PTX ISA has them. A copy to shared memory leaves NaN there until its
// thread waits for it, which is when it reads its source: who reads early, or fetches what others
// still read, is found out.
#ifndef SLT_TESTS_EMULATED_MMA_H
#define SLT_TESTS_EMULATED_MMA_H

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <deque>

#include "cuda_bf16.h"

#define SLT_EMULATION_MMA

namespace emulation
{
// Element 0 or 1 of a register.
static inline float half_of(uint32_t pair, int which)
{
    return slt_bf16_value((uint16_t)(which == 0 ? pair & 0xffffu : pair >> 16));
}

struct factors {
    uint32_t a[4], b[2];
};
} // namespace emulation

static inline void cuda_mma(float c[4], const uint32_t a[4], const uint32_t b[2])
{
    const emulation::factors mine = {{a[0], a[1], a[2], a[3]}, {b[0], b[1]}};
    const void *all[32];
    emulation::exchange(&mine, all);
    const int lane = (int)(threadIdx.x % 32);
    for (int i = 0; i < 4; i++) {
        const int row = lane / 4 + i / 2 * 8, column = lane % 4 * 2 + i % 2;
        float sum = 0;
        for (int k = 0; k < 16; k++) {
            const auto *left = (const emulation::factors *)all[row % 8 * 4 + k % 8 / 2];
            const auto *right = (const emulation::factors *)all[column * 4 + k % 8 / 2];
            sum += emulation::half_of(left->a[row / 8 + k / 8 * 2], k % 2) *
                   emulation::half_of(right->b[k / 8], k % 2);
        }
        c[i] += sum;
    }
    emulation::exchanged();
}

namespace emulation
{
UNCOUNTED static inline void load_matrices(uint32_t r[4], const __nv_bfloat16 *row, bool transposed)
{
    const void *all[32];
    if ((uintptr_t)row % 16 != 0)
        abort(); // a row has to be aligned
    count_access(row, 16, false);
    exchange(row, all);
    const int lane = (int)(threadIdx.x % 32), g = lane / 4, p = lane % 4 * 2;
    for (int i = 0; i < 4; i++) {
        const auto **matrix = (const __nv_bfloat16 **)&all[i * 8];
        const uint32_t first = transposed ? matrix[p][g].bits : matrix[g][p].bits;
        const uint32_t second = transposed ? matrix[p + 1][g].bits : matrix[g][p + 1].bits;
        r[i] = first | second << 16;
    }
    exchanged();
}
} // namespace emulation

static inline void cuda_ldmatrix(uint32_t r[4], const __nv_bfloat16 *row)
{
    emulation::load_matrices(r, row, false);
}

static inline void cuda_ldmatrix_transposed(uint32_t r[4], const __nv_bfloat16 *row)
{
    emulation::load_matrices(r, row, true);
}

static inline float cuda_exp2(float x)
{
    return x < -126 ? 0 : std::exp2(x);
}

// ---- Copies to shared memory ----

namespace emulation
{
struct copy {
    __nv_bfloat16 *to;
    const __nv_bfloat16 *from; // NULL: zeros
    bool commit;               // no copy: the end of a group
};

static constexpr size_t copy_bytes = 16;

// What the thread has started; it lies where no kernel's memory does.
std::deque<copy> &copies();
} // namespace emulation

UNCOUNTED static inline void cuda_copy(__nv_bfloat16 *shared, const __nv_bfloat16 *from, bool there)
{
    if ((uintptr_t)shared % emulation::copy_bytes != 0 ||
        (uintptr_t)from % emulation::copy_bytes != 0)
        abort();
    if (there)
        emulation::count_access(from, emulation::copy_bytes, false);
    emulation::count_access(shared, emulation::copy_bytes, true);
    memset((void *)shared, 0xff, emulation::copy_bytes);
    emulation::copies().push_back({shared, there ? from : nullptr, false});
}

UNCOUNTED static inline void cuda_copy_commit()
{
    emulation::copies().push_back({nullptr, nullptr, true});
}

template <int N> UNCOUNTED static inline void cuda_copy_wait()
{
    std::deque<emulation::copy> &mine = emulation::copies();
    int groups = 0;
    for (const emulation::copy &c : mine)
        groups += c.commit;
    for (; groups > N; mine.pop_front()) {
        const emulation::copy c = mine.front();
        groups -= c.commit;
        if (c.from != nullptr)
            memcpy((void *)c.to, (const void *)c.from, emulation::copy_bytes);
        else if (!c.commit)
            memset((void *)c.to, 0, emulation::copy_bytes);
    }
}

#define CUDA_SHARED(name, bytes)                                                                   \
    static __align__(16) unsigned char shared_bytes[bytes];                                        \
    __nv_bfloat16 *const name = (__nv_bfloat16 *)(void *)shared_bytes

#define CUDA_LAUNCH_SHARED(ctx, kernel, grid, block, bytes, ...)                                   \
    ((void)(bytes), SLT_LAUNCH(ctx, kernel, grid, block, __VA_ARGS__))

#endif
