// Embedding, residual + RMSNorm, addition, SwiGLU. All are bound by memory: a thread moves 16 bytes
// at once where rows allow it, and what a norm reads twice stays in registers between.
//
// Costs below are of the sizes of 350m (hidden 1024, intermediate 2736, 32000 pieces) in BF16 with
// 16,384 tokens: bytes moved, the least time at 3.35 TB/s (H100) and 4.8 (H200), and the registers of
// the instance that they take, for sm_90a. No kernel here spills.
//
// Workspace of the norm's backward: (CUDA_GAIN_BLOCKS, d) partial gradients of the gain; of the
// embedding's: see there.
#include "kernels/cuda/cuda.h"

#define NORM_MOST CUDA_NORM_FEATURES

// ---- Embedding ----

// A block for each token. 34 + 34 MB, 20 and 14 us; 18 registers.
template <class T, class W>
static __global__ void embedding_rows(T *y, int64_t ld, const W *w, const int32_t *token, int64_t d)
{
    const int64_t row = token[blockIdx.x];
    for (int64_t f = threadIdx.x; f < d; f += blockDim.x)
        cuda_set(&y[blockIdx.x * ld + f], cuda_value(w[row * d + f]));
}

template <class T>
static void embed(struct slt_ctx *ctx, struct slt_act y, struct slt_tensor w,
                  struct slt_tensor tokens)
{
    const int32_t *token = cuda_pointer<int32_t>(tokens);
    if (w.dtype == SLT_BF16)
        SLT_LAUNCH_FLAT(ctx, (embedding_rows<T, bf16>), (unsigned)y.tokens, CUDA_BLOCK,
                        cuda_act<T>(y), cuda_ld(y), cuda_pointer<bf16>(w), token, w.cols);
    else
        SLT_LAUNCH_FLAT(ctx, (embedding_rows<T, float>), (unsigned)y.tokens, CUDA_BLOCK,
                        cuda_act<T>(y), cuda_ld(y), cuda_tensor(w), token, w.cols);
}

void cuda_embedding_forward(struct slt_ctx *ctx, struct slt_act y, struct slt_tensor w,
                            struct slt_tensor tokens)
{
    CUDA_TYPED(y.dtype, embed, ctx, y, w, tokens);
}

// Backward: the tokens are put in the order of the vocabulary, those of a piece in their own order,
// so that a block has the whole sum of a piece and adds it up in the order of tokens. Chunks of
// tokens are ranked by themselves; what chunks before have of a piece is added up afterwards. All
// numbers are whole and none depends on who comes first.
//
// Workspace, I32: counts (chunks, V), starts (V + 1), ranks (T), order (T).
//
// Bytes moved: the counts three times, dy once and dw once or, if it is added to, twice: of 350m
// with 16,384 tokens 6 + 34 + 131 MB, 51 us at 3.35 TB/s, 36 at 4.8; 34 registers for the sums, 32
// and fewer for what orders the tokens.
#define CHUNK CUDA_EMBED_CHUNK

struct embed_order {
    int32_t *count, *start, *rank, *order;
    const int32_t *token;
    int64_t tokens, chunks, vocab;
};

// A block for each chunk, a thread for each of its tokens: how many before it in the chunk are of
// the same piece. The last one of a piece leaves their number.
static __global__ void rank_chunk(CUDA_ARGUMENT struct embed_order e)
{
    __shared__ int32_t piece[CHUNK];
    const int64_t t = (int64_t)blockIdx.x * CHUNK + threadIdx.x;
    const int32_t mine = t < e.tokens ? e.token[t] : -1;
    int before = 0, behind = 0;
    piece[threadIdx.x] = mine;
    __syncthreads();
    if (t >= e.tokens)
        return;
    for (int i = 0; i < (int)threadIdx.x; i++)
        before += piece[i] == mine;
    for (int i = (int)threadIdx.x + 1; i < CHUNK; i++)
        behind += piece[i] == mine;
    e.rank[t] = before;
    if (behind == 0)
        e.count[blockIdx.x * e.vocab + mine] = before + 1;
}

// A thread for each piece: what each chunk has becomes what the chunks before it have; starts[v] is
// for now how many there are in all.
static __global__ void add_chunks(CUDA_ARGUMENT struct embed_order e)
{
    const int64_t v = cuda_index();
    int32_t sum = 0;
    if (v >= e.vocab)
        return;
    for (int64_t c = 0; c < e.chunks; c++) {
        const int32_t here = e.count[c * e.vocab + v];
        e.count[c * e.vocab + v] = sum;
        sum += here;
    }
    e.start[v] = sum;
}

// One block: starts[v] becomes the sum of those before it. Each thread has a run of pieces.
static __global__ void add_pieces(CUDA_ARGUMENT struct embed_order e)
{
    __shared__ int32_t sums[CHUNK];
    const int64_t run = (e.vocab + blockDim.x - 1) / blockDim.x, first = threadIdx.x * run;
    const int64_t last = first + run < e.vocab ? first + run : e.vocab;
    int32_t sum = 0, before = 0;
    for (int64_t v = first; v < last; v++)
        sum += e.start[v];
    sums[threadIdx.x] = sum;
    __syncthreads();
    for (unsigned i = 0; i < threadIdx.x; i++)
        before += sums[i];
    for (int64_t v = first; v < last; v++) {
        const int32_t here = e.start[v];
        e.start[v] = before;
        before += here;
    }
    if (threadIdx.x == 0)
        e.start[e.vocab] = (int32_t)e.tokens;
}

// A thread for each token: to its place.
static __global__ void place_tokens(CUDA_ARGUMENT struct embed_order e)
{
    const int64_t t = cuda_index();
    if (t >= e.tokens)
        return;
    const int32_t v = e.token[t];
    e.order[e.start[v] + e.count[t / CHUNK * e.vocab + v] + e.rank[t]] = (int32_t)t;
}

// A block for each piece, a thread for N neighbours, which dy is read by at once, and dw.
template <class T, int N>
static __global__ void embedding_sums(float *dw, float beta, const T *dy, int64_t ld, int64_t d,
                                      CUDA_ARGUMENT struct embed_order e)
{
    const int64_t v = blockIdx.x, first = e.start[v], last = e.start[v + 1];
    if (first == last && beta == 1)
        return;
    for (int64_t f = threadIdx.x * N; f < d; f += blockDim.x * N) {
        float sum[N], add[N];
        cuda_load<N>(sum, &dw[v * d + f]); // aligned as dy is, and twice as wide
        for (int i = 0; i < N; i++)
            sum[i] = beta == 0 ? 0 : beta * sum[i];
        for (int64_t k = first; k < last; k++) {
            cuda_load<N>(add, &dy[e.order[k] * ld + f]);
            for (int i = 0; i < N; i++)
                sum[i] += add[i];
        }
        cuda_store<N>(&dw[v * d + f], sum);
    }
}

static struct embed_order order_tokens(struct slt_ctx *ctx, struct slt_tensor tokens, int64_t total,
                                       int64_t vocab)
{
    const int64_t chunks = cuda_blocks(total, CHUNK);
    int32_t *count = (int32_t *)(void *)cuda_work(ctx), *start = count + chunks * vocab;
    const struct embed_order e = {count,
                                  start,
                                  start + vocab + 1,
                                  start + vocab + 1 + total,
                                  cuda_pointer<int32_t>(tokens),
                                  total,
                                  chunks,
                                  vocab};
    cuda_check(ctx,
               cudaMemsetAsync(count, 0, (size_t)(chunks * vocab) * sizeof *count, ctx->stream),
               "clearing memory");
    SLT_LAUNCH(ctx, rank_chunk, (unsigned)chunks, CHUNK, e);
    SLT_LAUNCH_FLAT(ctx, add_chunks, (unsigned)cuda_blocks(vocab, CUDA_BLOCK), CUDA_BLOCK, e);
    SLT_LAUNCH(ctx, add_pieces, 1, CHUNK, e);
    SLT_LAUNCH_FLAT(ctx, place_tokens, (unsigned)cuda_blocks(e.tokens, CUDA_BLOCK), CUDA_BLOCK, e);
    return e;
}

template <class T>
static void embed_backward(struct slt_ctx *ctx, struct slt_tensor dw, double beta,
                           struct slt_act dy, struct slt_tensor tokens)
{
    const struct embed_order e = order_tokens(ctx, tokens, dy.tokens, dw.rows);
    constexpr int N = 16 / sizeof(T);
    const unsigned threads = 128;
    if (cuda_aligned<T>(dy.features, cuda_act<T>(dy)) &&
        cuda_aligned<float>(dw.cols, cuda_tensor(dw)))
        SLT_LAUNCH_FLAT(ctx, (embedding_sums<T, N>), (unsigned)dw.rows, threads, cuda_tensor(dw),
                        (float)beta, cuda_act<T>(dy), cuda_ld(dy), dw.cols, e);
    else
        SLT_LAUNCH_FLAT(ctx, (embedding_sums<T, 1>), (unsigned)dw.rows, threads, cuda_tensor(dw),
                        (float)beta, cuda_act<T>(dy), cuda_ld(dy), dw.cols, e);
}

void cuda_embedding_backward(struct slt_ctx *ctx, struct slt_tensor dw, double beta,
                             struct slt_act dy, struct slt_tensor tokens)
{
    CUDA_TYPED(dy.dtype, embed_backward, ctx, dw, beta, dy, tokens);
}

// ---- Residual + RMSNorm ----

// Calls f<T, N, E>: N neighbours at once, at most E features for each of a block's threads.
#define WITH_NORM(T, wide, d, f, ...)                                                              \
    do {                                                                                           \
        constexpr int most = NORM_MOST / CUDA_BLOCK, few = most / 4;                               \
        if (!(wide))                                                                               \
            f<T, 1, most>(__VA_ARGS__);                                                            \
        else if ((d) <= few * CUDA_BLOCK)                                                          \
            f<T, 16 / sizeof(T), few>(__VA_ARGS__);                                                \
        else                                                                                       \
            f<T, 16 / sizeof(T), most>(__VA_ARGS__);                                               \
    } while (0)

// The first of the N features that a thread has in round k; all rounds cover a row.
template <int N> static __device__ __forceinline__ int64_t feature(int k)
{
    return ((int64_t)k * blockDim.x + threadIdx.x) * N;
}

// What a norm reads and writes; rows ld... apart.
template <class T> struct norm_pass {
    T *y;
    int64_t ldy;
    T *z;
    int64_t ldz;
    float *rstd; // (T)
    const T *x;
    int64_t ldx;
    const T *r; // or NULL
    int64_t ldr;
    const float *g; // (d)
    int64_t d;
    float eps;
};

// A block for each token. With a residual x and r in, z and y out, 34 MB each: 40 and 28 us; without
// one half of it. 32 registers, 56 for rows of more than 2048 features.
template <class T, int N, int E>
static __global__ void rmsnorm_rows(CUDA_ARGUMENT struct norm_pass<T> a)
{
    __shared__ float slots[CUDA_WARP];
    const int64_t t = blockIdx.x, d = a.d;
    float v[E], square = 0;
#pragma unroll
    for (int k = 0; k < E / N; k++) {
        const int64_t f = feature<N>(k);
        float *mine = &v[k * N], add[N];
        if (f >= d)
            continue;
        cuda_load<N>(mine, &a.x[t * a.ldx + f]);
        if (a.r != NULL) { // the norm is of what is stored, rounding included
            cuda_load<N>(add, &a.r[t * a.ldr + f]);
            for (int i = 0; i < N; i++)
                mine[i] += add[i];
            cuda_store<N>(&a.z[t * a.ldz + f], mine);
            cuda_load<N>(mine, &a.z[t * a.ldz + f]);
        }
        for (int i = 0; i < N; i++)
            square += mine[i] * mine[i];
    }
    const float inverse = 1 / sqrtf(cuda_block_sum(square, slots) / (float)d + a.eps);
    if (threadIdx.x == 0)
        a.rstd[t] = inverse;
#pragma unroll
    for (int k = 0; k < E / N; k++) {
        const int64_t f = feature<N>(k);
        if (f >= d)
            continue;
        float g[N];
        cuda_load<N>(g, &a.g[f]);
        for (int i = 0; i < N; i++)
            v[k * N + i] *= inverse * g[i];
        cuda_store<N>(&a.y[t * a.ldy + f], &v[k * N]);
    }
}

template <class T, int N, int E>
static void norm_rows(struct slt_ctx *ctx, struct slt_act y, struct slt_act z,
                      struct slt_tensor rstd, struct slt_act x, struct slt_act r,
                      struct slt_tensor g, double eps)
{
    const norm_pass<T> a = {cuda_act<T>(y),    cuda_ld(y),     cuda_act<T>(z), cuda_ld(z),
                            cuda_tensor(rstd), cuda_act<T>(x), cuda_ld(x),     cuda_act<T>(r),
                            cuda_ld(r),        cuda_tensor(g), y.features,     (float)eps};
    SLT_LAUNCH(ctx, (rmsnorm_rows<T, N, E>), (unsigned)y.tokens, CUDA_BLOCK, a);
}

template <class T>
static void norm_forward(struct slt_ctx *ctx, struct slt_act y, struct slt_act z,
                         struct slt_tensor rstd, struct slt_act x, struct slt_act r,
                         struct slt_tensor g, double eps)
{
    const bool wide = cuda_aligned<T>(y.features, cuda_act<T>(y), cuda_act<T>(z), cuda_act<T>(x),
                                      cuda_act<T>(r)) &&
                      cuda_aligned(y.features, cuda_tensor(g));
    WITH_NORM(T, wide, y.features, norm_rows, ctx, y, z, rstd, x, r, g, eps);
}

void cuda_rmsnorm_forward(struct slt_ctx *ctx, struct slt_act y, struct slt_act z,
                          struct slt_tensor rstd, struct slt_act x, struct slt_act r,
                          struct slt_tensor g, double eps)
{
    CUDA_TYPED(y.dtype, norm_forward, ctx, y, z, rstd, x, r, g, eps);
}

template <class T> struct norm_gradient {
    T *dx;
    int64_t ldx;
    float *partial; // (blocks, d), or NULL: the gain's gradient is not wanted
    const T *dy;
    int64_t ldy;
    const T *z;
    int64_t ldz;
    const float *rstd, *g; // (T), (d)
    int64_t d, tokens;
    int64_t run; // tokens of a block
};

// dx += rstd (dy g - z rstd^2 mean(dy g z)). Each block has a run of tokens and leaves its share of
// the gain's gradient, the sum over its tokens of dy z rstd, in its row of partial. dy, z and dx in,
// dx out, 34 MB each: 40 and 28 us; 47 registers, 126 for rows of more than 2048 features.
template <class T, int N, int E>
static __global__ void rmsnorm_backward_rows(CUDA_ARGUMENT struct norm_gradient<T> a)
{
    __shared__ float slots[CUDA_WARP];
    const int64_t first = blockIdx.x * a.run, d = a.d;
    const int64_t last = first + a.run < a.tokens ? first + a.run : a.tokens;
    float gain[E] = {0};
    for (int64_t t = first; t < last; t++) {
        const float inverse = a.rstd[t];
        float normed[E], grad[E], dot = 0;
#pragma unroll
        for (int k = 0; k < E / N; k++) {
            const int64_t f = feature<N>(k);
            if (f >= d)
                continue;
            cuda_load<N>(&grad[k * N], &a.dy[t * a.ldy + f]);
            float g[N];
            cuda_load<N>(&normed[k * N], &a.z[t * a.ldz + f]);
            cuda_load<N>(g, &a.g[f]);
            for (int i = k * N; i < (k + 1) * N; i++) {
                normed[i] *= inverse;
                gain[i] += grad[i] * normed[i];
                grad[i] *= g[i - k * N];
                dot += grad[i] * normed[i];
            }
        }
        const float scale = cuda_block_sum(dot, slots) / (float)d;
#pragma unroll
        for (int k = 0; k < E / N; k++) {
            const int64_t f = feature<N>(k);
            float sum[N];
            if (f >= d)
                continue;
            cuda_load<N>(sum, &a.dx[t * a.ldx + f]);
            for (int i = 0; i < N; i++)
                sum[i] += (grad[k * N + i] - normed[k * N + i] * scale) * inverse;
            cuda_store<N>(&a.dx[t * a.ldx + f], sum);
        }
    }
#pragma unroll
    for (int k = 0; k < E / N; k++)
        if (a.partial != NULL && feature<N>(k) < d)
            cuda_store<N>(&a.partial[blockIdx.x * d + feature<N>(k)], &gain[k * N]);
}

// dg of 32 features by a block of 32 x 8 threads: each row of threads sums every eighth partial
// row, then the eight sums are added in order. 2 MB, which the cache still has; 28 registers.
static __global__ void add_gains(float *dg, float beta, const float *partial, int64_t rows,
                                 int64_t d)
{
    __shared__ float sums[8][CUDA_WARP];
    const int64_t f = (int64_t)blockIdx.x * CUDA_WARP + threadIdx.x;
    float sum = 0;
    for (int64_t k = threadIdx.y; f < d && k < rows; k += 8)
        sum += partial[k * d + f];
    sums[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y > 0 || f >= d)
        return;
    for (int k = 1; k < 8; k++)
        sum += sums[k][threadIdx.x];
    dg[f] = cuda_blend(beta, &dg[f], sum);
}

template <class T, int N, int E>
static void backward_rows(struct slt_ctx *ctx, struct slt_act dx, float *partial, struct slt_act dy,
                          struct slt_act z, struct slt_tensor rstd, struct slt_tensor g,
                          int64_t run)
{
    const norm_gradient<T> a = {cuda_act<T>(dx), cuda_ld(dx),    partial,    cuda_act<T>(dy),
                                cuda_ld(dy),     cuda_act<T>(z), cuda_ld(z), cuda_tensor(rstd),
                                cuda_tensor(g),  z.features,     z.tokens,   run};
    SLT_LAUNCH(ctx, (rmsnorm_backward_rows<T, N, E>), (unsigned)cuda_blocks(z.tokens, run),
               CUDA_BLOCK, a);
}

template <class T>
static void norm_backward(struct slt_ctx *ctx, struct slt_act dx, struct slt_tensor dg, double beta,
                          struct slt_act dy, struct slt_act z, struct slt_tensor rstd,
                          struct slt_tensor g)
{
    const int64_t d = z.features, run = cuda_blocks(z.tokens, CUDA_GAIN_BLOCKS);
    const bool wide = cuda_aligned<T>(d, cuda_act<T>(dx), cuda_act<T>(dy), cuda_act<T>(z)) &&
                      cuda_aligned(d, cuda_tensor(g));
    float *partial = dg.buffer != NULL ? (float *)(void *)cuda_work(ctx) : NULL;
    WITH_NORM(T, wide, d, backward_rows, ctx, dx, partial, dy, z, rstd, g, run);
    if (partial != NULL)
        SLT_LAUNCH(ctx, add_gains, (unsigned)cuda_blocks(d, CUDA_WARP), dim3(CUDA_WARP, 8),
                   cuda_tensor(dg), (float)beta, partial, cuda_blocks(z.tokens, run), d);
}

void cuda_rmsnorm_backward(struct slt_ctx *ctx, struct slt_act dx, struct slt_tensor dg,
                           double beta, struct slt_act dy, struct slt_act z, struct slt_tensor rstd,
                           struct slt_tensor g)
{
    CUDA_TYPED(z.dtype, norm_backward, ctx, dx, dg, beta, dy, z, rstd, g);
}

// ---- Element by element: a block for each token ----
//
// Addition: 3 times 34 MB, 30 and 21 us; 25 registers. SwiGLU: forward 3 times 90 MB, 80 and 56 us,
// 32 registers; backward 5 times 90 MB, 134 and 93 us, 40 registers.

#define WITH_PACK(T, wide, f, ...)                                                                 \
    do {                                                                                           \
        if (wide)                                                                                  \
            f<T, 16 / sizeof(T)>(__VA_ARGS__);                                                     \
        else                                                                                       \
            f<T, 1>(__VA_ARGS__);                                                                  \
    } while (0)

template <class T, int N>
static __global__ void add_rows(T *y, int64_t ldy, const T *x, int64_t ldx, int64_t d)
{
    const int64_t t = blockIdx.x;
    for (int64_t f = threadIdx.x * N; f < d; f += blockDim.x * N) {
        float a[N], b[N];
        cuda_load<N>(a, &y[t * ldy + f]);
        cuda_load<N>(b, &x[t * ldx + f]);
        for (int i = 0; i < N; i++)
            a[i] += b[i];
        cuda_store<N>(&y[t * ldy + f], a);
    }
}

template <class T, int N>
static void add_packs(struct slt_ctx *ctx, struct slt_act y, struct slt_act x)
{
    SLT_LAUNCH_FLAT(ctx, (add_rows<T, N>), (unsigned)x.tokens, CUDA_BLOCK, cuda_act<T>(y),
                    cuda_ld(y), cuda_act<T>(x), cuda_ld(x), x.features);
}

template <class T> static void add(struct slt_ctx *ctx, struct slt_act y, struct slt_act x)
{
    const bool wide = cuda_aligned<T>(x.features, cuda_act<T>(y), cuda_act<T>(x));
    WITH_PACK(T, wide, add_packs, ctx, y, x);
}

void cuda_add(struct slt_ctx *ctx, struct slt_act y, struct slt_act x)
{
    CUDA_TYPED(x.dtype, add, ctx, y, x);
}

// ---- SwiGLU ----
//
// Rows of up begin gap features behind those of gate. A thread's pack may reach beyond the d
// features, up to the gap: what it finds there does not count, and it leaves zeros, for y in the
// padding of its rows.

static __device__ float sigmoid(float x)
{
    return 1 / (1 + expf(-x));
}

template <class T, int N>
static __global__ void swiglu_rows(T *y, int64_t ldy, const T *gu, int64_t ld, int64_t d,
                                   int64_t gap)
{
    const int64_t t = blockIdx.x;
    for (int64_t f = threadIdx.x * N; f < d; f += blockDim.x * N) {
        float gate[N], up[N];
        cuda_load<N>(gate, &gu[t * ld + f]);
        cuda_load<N>(up, &gu[t * ld + gap + f]);
        for (int i = 0; i < N; i++)
            up[i] = f + i < d ? up[i] * (gate[i] * sigmoid(gate[i])) : 0;
        cuda_store<N>(&y[t * ldy + f], up);
    }
}

template <class T, int N>
static void swiglu_packs(struct slt_ctx *ctx, struct slt_act y, struct slt_act gu)
{
    SLT_LAUNCH_FLAT(ctx, (swiglu_rows<T, N>), (unsigned)y.tokens, CUDA_BLOCK, cuda_act<T>(y),
                    cuda_ld(y), cuda_act<T>(gu), cuda_ld(gu), y.features, gu.features / 2);
}

// Whether packs of 16 bytes cover a row of y (T, d) up to the gap, and nothing else.
template <class T> static bool covers(struct slt_act y, struct slt_act gu)
{
    constexpr int64_t N = 16 / sizeof(T);
    const int64_t gap = gu.features / 2, reach = cuda_blocks(y.features, N) * N;
    return reach - y.features <= (reach == y.features ? 0 : cuda_matrix_of_act(y).padding) &&
           gap % N == 0 && gap >= reach;
}

template <class T> static void swiglu(struct slt_ctx *ctx, struct slt_act y, struct slt_act gu)
{
    const bool wide =
        covers<T>(y, gu) && cuda_aligned<T>(gu.features / 2, cuda_act<T>(y), cuda_act<T>(gu));
    WITH_PACK(T, wide, swiglu_packs, ctx, y, gu);
}

void cuda_swiglu_forward(struct slt_ctx *ctx, struct slt_act y, struct slt_act gu)
{
    CUDA_TYPED(y.dtype, swiglu, ctx, y, gu);
}

template <class T, int N>
static __global__ void swiglu_gradients(T *dgu, int64_t ldd, const T *dy, int64_t ldy, const T *gu,
                                        int64_t ld, int64_t d, int64_t gap)
{
    const int64_t t = blockIdx.x;
    for (int64_t f = threadIdx.x * N; f < gap; f += blockDim.x * N) {
        float gate[N], up[N], grad[N] = {0};
        cuda_load<N>(gate, &gu[t * ld + f]);
        cuda_load<N>(up, &gu[t * ld + gap + f]);
        if (f < d)
            cuda_load<N>(grad, &dy[t * ldy + f]);
        for (int i = 0; i < N; i++) {
            if (f + i >= d)
                gate[i] = up[i] = grad[i] = 0;
            const float s = sigmoid(gate[i]), dup = grad[i] * gate[i] * s;
            gate[i] = grad[i] * up[i] * s * (1 + gate[i] * (1 - s));
            up[i] = dup;
        }
        cuda_store<N>(&dgu[t * ldd + f], gate);
        cuda_store<N>(&dgu[t * ldd + gap + f], up);
    }
}

template <class T, int N>
static void swiglu_backward_packs(struct slt_ctx *ctx, struct slt_act dgu, struct slt_act dy,
                                  struct slt_act gu)
{
    SLT_LAUNCH_FLAT(ctx, (swiglu_gradients<T, N>), (unsigned)dy.tokens, CUDA_BLOCK,
                    cuda_act<T>(dgu), cuda_ld(dgu), cuda_act<T>(dy), cuda_ld(dy), cuda_act<T>(gu),
                    cuda_ld(gu), dy.features, gu.features / 2);
}

template <class T>
static void swiglu_backward(struct slt_ctx *ctx, struct slt_act dgu, struct slt_act dy,
                            struct slt_act gu)
{
    const bool wide = covers<T>(dy, gu) && cuda_aligned<T>(gu.features / 2, cuda_act<T>(dgu),
                                                           cuda_act<T>(dy), cuda_act<T>(gu));
    WITH_PACK(T, wide, swiglu_backward_packs, ctx, dgu, dy, gu);
}

void cuda_swiglu_backward(struct slt_ctx *ctx, struct slt_act dgu, struct slt_act dy,
                          struct slt_act gu)
{
    CUDA_TYPED(dy.dtype, swiglu_backward, ctx, dgu, dy, gu);
}
