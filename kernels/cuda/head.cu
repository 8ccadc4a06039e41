// LM head and cross-entropy by chunks of tokens: logits in F32 by a product, then one kernel that
// reads each row twice and leaves its gradient in place, in the activations' type: a row of BF16
// takes the first half of its row of logits. Only one chunk's logits exist.
//
// dw is read and written once for each chunk: with four of them, of 350m 131 MB each time, 313 us
// at 3.35 TB/s and 218 at 4.8.
//
// Workspace: a copy of w where a product needs one, logits (chunk, V padded), losses (T padded), a
// copy of dw where a product needs one.
#include <cfloat>

#include "kernels/cuda/cuda.h"

// Largest logit so far, and the sum of all exponentials relative to it.
struct running {
    float most, sum;
};

static __device__ __forceinline__ struct running join(struct running a, struct running b)
{
    struct running r = {a.most > b.most ? a.most : b.most, 0};
    r.sum = a.sum * expf(a.most - r.most) + b.sum * expf(b.most - r.most);
    return r;
}

static __device__ struct running join_block(struct running r, float *most, float *sum)
{
    for (int step = CUDA_WARP / 2; step > 0; step /= 2) {
        const struct running other = {__shfl_xor_sync(0xffffffffu, r.most, step),
                                      __shfl_xor_sync(0xffffffffu, r.sum, step)};
        r = join(r, other);
    }
    if (threadIdx.x % CUDA_WARP == 0) {
        most[threadIdx.x / CUDA_WARP] = r.most;
        sum[threadIdx.x / CUDA_WARP] = r.sum;
    }
    __syncthreads();
    r.most = most[0];
    r.sum = sum[0];
    for (unsigned w = 1; w < blockDim.x / CUDA_WARP; w++) {
        const struct running other = {most[w], sum[w]};
        r = join(r, other);
    }
    return r;
}

// The tokens whose logits exist at once.
struct chunk {
    float *logits; // (tokens, V), rows ld apart, a multiple of PACK
    int64_t ld, tokens, vocab;
    float *loss;           // (tokens)
    const int32_t *target; // (tokens)
    const double *scalars;
    bool gradient; // is wanted
};

#define PACK       4    // logits of a thread in a round
#define BLOCK_MOST 1024 // threads for a long row

// A thread's share of the first pass: the maximum is raised before a pack is added, so that each
// logit has one exponential. It starts at what is finite: two infinities have no difference.
static __device__ struct running sum_row(const float *row, int64_t vocab)
{
    struct running r = {-FLT_MAX, 0};
    for (int64_t v = threadIdx.x * PACK; v < vocab; v += blockDim.x * PACK) {
        float x[PACK], most = r.most;
        cuda_load<PACK>(x, &row[v]);
#pragma unroll
        for (int i = 0; i < PACK; i++)
            most = v + i < vocab && x[i] > most ? x[i] : most;
        if (most > r.most)
            r.sum *= expf(r.most - most);
        r.most = most;
#pragma unroll
        for (int i = 0; i < PACK; i++)
            r.sum += v + i < vocab ? expf(x[i] - most) : 0;
    }
    return r;
}

// A block for each token: loss[t] = log sum exp - logit of the target, 0 without one; the logits
// become (softmax - one-hot) * scalars[LOSS_SCALE], zeros behind them. A narrower T trails behind
// what is still to be read: all threads read before any writes. Long rows have blocks as large as
// can be: those that run at once (one or two on an SM, 17 to 34 MB) then leave their rows in the
// second-level cache between the passes.
//
// Bytes moved: the logits in once, the gradient out. Of 350m with 16,384 tokens 2.10 + 1.05 GB:
// 939 us at 3.35 TB/s, 656 at 4.8. 31 registers (sm_90a), so that two blocks fit on an SM; no spills.
template <class T>
static __global__ void __launch_bounds__(BLOCK_MOST)
    cross_entropy_rows(CUDA_ARGUMENT struct chunk c)
{
    __shared__ float most[CUDA_WARP], sum[CUDA_WARP];
    const int64_t t = blockIdx.x, vocab = c.vocab;
    const float *row = c.logits + t * c.ld;
    T *out = (T *)(void *)(c.logits + t * c.ld);
    const struct running r = join_block(sum_row(row, vocab), most, sum);
    const float lse = r.most + logf(r.sum);
    const int32_t want = c.target[t];
    if (threadIdx.x == 0)
        c.loss[t] = want < 0 ? 0 : lse - row[want];
    if (!c.gradient)
        return;
    const float scale = want < 0 ? 0 : (float)c.scalars[SLT_SCALAR_LOSS_SCALE];
    for (int64_t first = 0; first < vocab; first += blockDim.x * PACK) {
        const int64_t v = first + threadIdx.x * PACK;
        float x[PACK] = {0};
        if (want >= 0 && v < vocab) {
            cuda_load<PACK>(x, &row[v]);
#pragma unroll
            for (int i = 0; i < PACK; i++)
                x[i] =
                    v + i >= vocab ? 0 : (expf(x[i] - lse) - (v + i == want ? 1.0f : 0.0f)) * scale;
        }
        __syncthreads(); // this round's logits have been read, and the target's
        if (v < vocab)
            cuda_store<PACK>(&out[v], x);
    }
}

// scalars[LOSS] += the losses, by one block in a fixed order: 66 KB, a launch's own time; 20
// registers.
static __global__ void add_losses(double *scalars, const float *loss, int64_t tokens)
{
    __shared__ double slots[CUDA_WARP];
    double sum = 0;
    for (int64_t t = threadIdx.x; t < tokens; t += blockDim.x)
        sum += (double)loss[t];
    sum = cuda_block_sum(sum, slots);
    if (threadIdx.x == 0)
        scalars[SLT_SCALAR_LOSS] += sum;
}

template <class T> static void cross_entropy(struct slt_ctx *ctx, const struct chunk &c)
{
    const unsigned threads = c.vocab >= 2 * BLOCK_MOST * PACK ? BLOCK_MOST : CUDA_BLOCK;
    SLT_LAUNCH(ctx, cross_entropy_rows<T>, (unsigned)c.tokens, threads, c);
}

// The chunk's logits (n, V) = x w^T.
static void compute_logits(struct slt_ctx *ctx, const struct chunk &c, struct cuda_matrix x,
                           struct cuda_matrix w, int64_t d)
{
    struct cuda_product p = {c.tokens, c.vocab, d};
    p.c = {c.logits, SLT_F32, c.ld};
    p.a = x;
    p.b = w;
    p.transpose_b = true;
    cuda_gemm(ctx, p);
}

// dw (V, d) = beta dw + grad^T x.
static void add_weight_gradient(struct slt_ctx *ctx, struct slt_tensor dw, double beta,
                                const struct chunk &c, struct cuda_matrix grad,
                                struct cuda_matrix x, uint64_t used)
{
    struct cuda_product p = {c.vocab, dw.cols, c.tokens};
    p.c = {cuda_pointer<void>(dw), dw.dtype, dw.ld};
    p.beta = beta;
    p.a = grad;
    p.transpose_a = true;
    p.b = x;
    p.used = used;
    cuda_gemm(ctx, p);
}

// dx (n, d) = grad w.
static void input_gradient(struct slt_ctx *ctx, struct cuda_matrix dx, const struct chunk &c,
                           struct cuda_matrix grad, struct cuda_matrix w, int64_t d)
{
    struct cuda_product p = {c.tokens, d, c.vocab};
    p.c = dx;
    p.a = grad;
    p.b = w;
    cuda_gemm(ctx, p);
}

void cuda_head_loss(struct slt_ctx *ctx, struct slt_tensor scalars, struct slt_act dx,
                    struct slt_tensor dw, double beta, struct slt_act x, struct slt_tensor w,
                    struct slt_tensor targets)
{
    const int64_t tokens = x.tokens, d = x.features, ld = cuda_padded(w.rows);
    const int64_t most = cuda_head_chunk(tokens);
    double *scalar = cuda_pointer<double>(scalars);
    uint64_t used = 0;
    const struct cuda_matrix head = cuda_factor(ctx, w, x.dtype, &used),
                             all = cuda_matrix_of_act(x);
    float *logits = (float *)(void *)cuda_work(ctx, used), *loss = logits + most * ld;
    used += (uint64_t)(most * ld + cuda_padded(tokens)) * sizeof(float);
    // The gradient as it lies in the same rows.
    const struct cuda_matrix grad = {logits, x.dtype, x.dtype == SLT_BF16 ? 2 * ld : ld};
    for (int64_t first = 0; first < tokens; first += most) {
        const int64_t n = tokens - first < most ? tokens - first : most;
        const struct cuda_matrix in = cuda_matrix_rows(all, first);
        const struct chunk c = {logits,
                                ld,
                                n,
                                w.rows,
                                loss + first,
                                cuda_pointer<int32_t>(targets) + first,
                                scalar,
                                dx.buffer != NULL};
        compute_logits(ctx, c, in, head, d);
        CUDA_TYPED(x.dtype, cross_entropy, ctx, c);
        if (dx.buffer == NULL)
            continue;
        if (dw.buffer != NULL)
            add_weight_gradient(ctx, dw, first == 0 ? beta : 1, c, grad, in, used);
        input_gradient(ctx, cuda_matrix_rows(cuda_matrix_of_act(dx), first), c, grad, head, d);
    }
    SLT_LAUNCH(ctx, add_losses, 1, CUDA_BLOCK, scalar, loss, tokens);
}
