// LM head and cross-entropy by chunks of tokens: logits by GEMM, then one kernel that reads a row
// twice and leaves its gradient in place. Only one chunk's logits exist.
//
// Workspace: logits (chunk, V), losses (T).
#include "kernels/cuda/cuda.h"

// A block for each token: loss[t] = log sum exp - logit of the target, 0 without one; the logits
// become (softmax - one-hot) * scalars[LOSS_SCALE].
static __global__ void cross_entropy_rows(float *logits, float *loss, const int32_t *target,
                                          const double *scalars, int64_t vocab, bool gradient)
{
    __shared__ float slots[CUDA_WARP];
    const int64_t t = blockIdx.x;
    float *row = logits + t * vocab;
    float most = -INFINITY, sum = 0;
    for (int64_t v = threadIdx.x; v < vocab; v += blockDim.x)
        most = row[v] > most ? row[v] : most;
    most = cuda_block_max(most, slots);
    for (int64_t v = threadIdx.x; v < vocab; v += blockDim.x)
        sum += expf(row[v] - most);
    const float lse = most + logf(cuda_block_sum(sum, slots));
    const int32_t want = target[t];
    if (threadIdx.x == 0)
        loss[t] = want < 0 ? 0 : lse - row[want];
    if (!gradient)
        return;
    __syncthreads(); // the target's logit has been read
    const float scale = want < 0 ? 0 : (float)scalars[SLT_SCALAR_LOSS_SCALE];
    for (int64_t v = threadIdx.x; v < vocab; v += blockDim.x)
        row[v] = want < 0 ? 0 : (expf(row[v] - lse) - (v == want ? 1.0f : 0.0f)) * scale;
}

// scalars[LOSS] += the losses, by one block in a fixed order.
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

void cuda_head_loss(struct slt_ctx *ctx, struct slt_tensor scalars, struct slt_act dx,
                    struct slt_tensor dw, double beta, struct slt_act x, struct slt_tensor w,
                    struct slt_tensor targets)
{
    const int64_t tokens = x.tokens, d = x.features, vocab = w.rows;
    const int64_t most = tokens < CUDA_HEAD_CHUNK ? tokens : CUDA_HEAD_CHUNK;
    float *logits = (float *)(void *)ctx->work, *loss = logits + most * vocab;
    double *scalar = cuda_pointer<double>(scalars);
    for (int64_t first = 0; first < tokens; first += most) {
        const int64_t n = tokens - first < most ? tokens - first : most;
        const float *in = cuda_act(x) + first * x.width;
        cuda_gemm(ctx, false, true, n, vocab, d, 1, in, x.width, cuda_tensor(w), w.ld, 0, logits,
                  vocab);
        SLT_LAUNCH(ctx, cross_entropy_rows, (unsigned)n, CUDA_BLOCK, logits, loss + first,
                   cuda_pointer<int32_t>(targets) + first, scalar, vocab, dx.buffer != NULL);
        if (dx.buffer == NULL)
            continue;
        if (dw.buffer != NULL)
            cuda_gemm(ctx, true, false, vocab, d, n, 1, logits, vocab, in, x.width,
                      first == 0 ? beta : 1, cuda_tensor(dw), dw.ld);
        cuda_gemm(ctx, false, false, n, d, vocab, 1, logits, vocab, cuda_tensor(w), w.ld, 0,
                  cuda_act(dx) + first * dx.width, dx.width);
    }
    SLT_LAUNCH(ctx, add_losses, 1, CUDA_BLOCK, scalar, loss, tokens);
}
