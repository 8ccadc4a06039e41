// What the implementations of attention share (attention.cu chooses between them).
#ifndef SLT_KERNELS_CUDA_ATTENTION_H
#define SLT_KERNELS_CUDA_ATTENTION_H

#include "kernels/cuda/cuda.h"

// Where rows lie: those of head h of sequence b start at base + (b * rows) * ld + h * dim.
template <class T> struct cuda_rows {
    T *base;
    int64_t ld;
};

struct cuda_attention {
    int64_t seq, keys; // queries and keys of a sequence
    int64_t offset;    // query i sees keys j <= i + offset
    int heads, kv_heads, dim;
    float scale; // 1 / sqrt(dim)
};

// Row 0 of a head.
template <class T>
static __device__ __forceinline__ T *cuda_head(struct cuda_rows<T> r, int64_t sequence,
                                               int64_t rows, int64_t head, int dim)
{
    return r.base + sequence * rows * r.ld + head * dim;
}

// The table of rotations (dim, positions); NULL where q and k are rotated already.
struct cuda_rope {
    const float *angles;
    int64_t positions;
};

// Turns N neighbours of the left half of a head and those of its right half by their angles, whose
// cosines and sines lie so far apart, or back if sign is -1.
template <int N, class T>
static __device__ __forceinline__ void cuda_turn_pack(T *left, T *right, const float *cosines,
                                                      const float *sines, int64_t apart, float sign)
{
    float a[N], b[N];
    cuda_load<N>(a, left);
    cuda_load<N>(b, right);
#pragma unroll
    for (int e = 0; e < N; e++) {
        const float cosine = cosines[e * apart], sine = sign * sines[e * apart];
        const float turned = a[e] * cosine - b[e] * sine;
        b[e] = b[e] * cosine + a[e] * sine;
        a[e] = turned;
    }
    cuda_store<N>(left, a);
    cuda_store<N>(right, b);
}

// Without tensor cores so many threads share a row that each has a part of 16 features. It is made
// of groups of four, so that those who share a row read memory next to each other.
#define CUDA_PART 16

template <int DIM> constexpr int cuda_lanes_of = DIM / CUDA_PART; // that share a row

// The feature in this place of a thread's part.
template <int DIM> static __device__ __forceinline__ int cuda_feature_of(int place)
{
    const int lane = (int)threadIdx.x % cuda_lanes_of<DIM>;
    return place / 4 * 4 * cuda_lanes_of<DIM> + lane * 4 + place % 4;
}

// A thread's part of a row, N features at a time.
template <int DIM, int N, class T>
static __device__ __forceinline__ void cuda_load_part(float *to, const T *row, int dim)
{
#pragma unroll
    for (int e = 0; e < CUDA_PART; e += N) {
        const int f = cuda_feature_of<DIM>(e);
        if (f < dim)
            cuda_load<N>(to + e, row + f);
        else
            for (int k = 0; k < N; k++)
                to[e + k] = 0;
    }
}

// What the forward pass writes and reads.
template <class T> struct cuda_forward {
    struct cuda_rows<T> o;
    float *lse; // (heads, T), or NULL
    int64_t lse_ld;
    struct cuda_rows<T> q, k, v;
    struct cuda_rope rope;
    struct cuda_attention shape;
};

// What the backward pass writes and reads.
template <class T> struct cuda_gradients {
    struct cuda_rows<T> dq, dk, dv, q, k, v, o, do_;
    const float *lse; // (heads, T)
    int64_t lse_ld;
    struct cuda_rope rope;
    struct cuda_attention shape;
};

// Calls f with the smallest compiled width that holds a head.
#define CUDA_WITH_DIM(dim, f, ...)                                                                 \
    do {                                                                                           \
        if ((dim) <= 32)                                                                           \
            f<32, T>(__VA_ARGS__);                                                                 \
        else if ((dim) <= 64)                                                                      \
            f<64, T>(__VA_ARGS__);                                                                 \
        else if ((dim) <= 128)                                                                     \
            f<128, T>(__VA_ARGS__);                                                                \
        else                                                                                       \
            f<256, T>(__VA_ARGS__);                                                                \
    } while (0)

// On tensor cores: for heads of a multiple of 8 features up to 128, all rows where packs of 16
// bytes may start; with rope, of a multiple of 16.
void cuda_attention_tiles(struct slt_ctx *ctx, const struct cuda_forward<bf16> &a, int64_t batch);
// Workspace: do . o for each query and head, (heads, T) floats.
void cuda_attention_tiles_backward(struct slt_ctx *ctx, const struct cuda_gradients<bf16> &g,
                                   int64_t batch);

// For any head, q and k rotated.
template <class T>
void cuda_attention_rows(struct slt_ctx *ctx, const struct cuda_forward<T> &a, int64_t batch);
template <class T>
void cuda_attention_rows_backward(struct slt_ctx *ctx, const struct cuda_gradients<T> &g,
                                  int64_t batch);

// The same for up to so many queries of one sequence.
#define CUDA_ATTENTION_FEW 8
template <class T> void cuda_attention_few(struct slt_ctx *ctx, const struct cuda_forward<T> &a);
// Its workspace, for any number of keys.
uint64_t cuda_attention_few_bytes(struct slt_attention a, int64_t tokens);

// The workspace of a training step's attention, or of generation's.
uint64_t cuda_attention_work_bytes(const struct slt_op_shape *s);

#endif
