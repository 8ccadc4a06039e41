// Conversion between F32 and BF16.
#include "kernels/cuda/rounding.h"

static __global__ void to_bfloat(bf16 *to, const float *from, struct cuda_rounding r,
                                 uint64_t first, int64_t n)
{
    const int64_t i = cuda_index();
    uint32_t word[4];
    if (i >= n)
        return;
    const uint64_t number = first + (uint64_t)i;
    if (r.stochastic)
        cuda_random_block(word, r.key, number / 8, r.lane);
    to[i] = cuda_rounded(from[i], r.stochastic, word, number);
}

static __global__ void from_bfloat(float *to, const bf16 *from, int64_t n)
{
    const int64_t i = cuda_index();
    if (i < n)
        to[i] = cuda_value(from[i]);
}

void cuda_convert(struct slt_ctx *ctx, struct slt_tensor to, struct slt_tensor from,
                  const struct slt_rounding *rounding)
{
    const int64_t n = to.rows * to.cols;
    const unsigned blocks = (unsigned)cuda_blocks(n, CUDA_BLOCK);
    struct cuda_rounding r = {rounding != NULL, {0, 0}, 0, 0};
    if (rounding != NULL) {
        r.key[0] = rounding->key.word[0];
        r.key[1] = rounding->key.word[1];
        r.lane = rounding->lane;
    }
    if (n == 0)
        return;
    if (to.dtype == from.dtype)
        cuda_check(ctx,
                   cudaMemcpyAsync(cuda_pointer<void>(to), cuda_pointer<void>(from),
                                   (size_t)n * slt_dtype_size(to.dtype), cudaMemcpyDeviceToDevice,
                                   ctx->stream),
                   "copying");
    else if (to.dtype == SLT_F32)
        SLT_LAUNCH_FLAT(ctx, from_bfloat, blocks, CUDA_BLOCK, cuda_tensor(to),
                        cuda_pointer<bf16>(from), n);
    else
        SLT_LAUNCH_FLAT(ctx, to_bfloat, blocks, CUDA_BLOCK, cuda_pointer<bf16>(to),
                        cuda_tensor(from), r, rounding != NULL ? rounding->first : 0, n);
}
