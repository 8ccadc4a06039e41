// Dense products by cuBLAS, in full float32 or with factors rounded to TF32.
#include "kernels/cuda/cuda.h"

void cuda_allow_reduced(struct slt_ctx *ctx, bool allow)
{
    cuda_check_blas(
        ctx, cublasSetMathMode(ctx->blas, allow ? CUBLAS_TF32_TENSOR_OP_MATH : CUBLAS_DEFAULT_MATH),
        "choosing a format");
}

// cuBLAS is column-major: a row-major matrix is the transpose of what it sees, so that c^T =
// op(b)^T op(a)^T is asked for.
void cuda_gemm(struct slt_ctx *ctx, bool transpose_a, bool transpose_b, int64_t m, int64_t n,
               int64_t k, double alpha, const float *a, int64_t lda, const float *b, int64_t ldb,
               double beta, float *c, int64_t ldc)
{
    const float scale = (float)alpha, keep = (float)beta;
    if (m == 0 || n == 0)
        return;
    cuda_check_blas(ctx,
                    cublasSgemm(ctx->blas, transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N,
                                transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N, (int)n, (int)m, (int)k,
                                &scale, b, (int)ldb, a, (int)lda, &keep, c, (int)ldc),
                    "a product");
}

void cuda_linear_forward(struct slt_ctx *ctx, struct slt_act y, double beta, struct slt_act x,
                         struct slt_tensor w, double alpha)
{
    cuda_gemm(ctx, false, true, x.tokens, w.rows, w.cols, alpha, cuda_act(x), x.width,
              cuda_tensor(w), w.ld, beta, cuda_act(y), y.width);
}

void cuda_linear_backward_input(struct slt_ctx *ctx, struct slt_act dx, double beta,
                                struct slt_act dy, struct slt_tensor w, double alpha)
{
    cuda_gemm(ctx, false, false, dy.tokens, w.cols, w.rows, alpha, cuda_act(dy), dy.width,
              cuda_tensor(w), w.ld, beta, cuda_act(dx), dx.width);
}

void cuda_linear_backward_weight(struct slt_ctx *ctx, struct slt_tensor dw, double beta,
                                 struct slt_act dy, struct slt_act x, double alpha)
{
    cuda_gemm(ctx, true, false, dw.rows, dw.cols, x.tokens, alpha, cuda_act(dy), dy.width,
              cuda_act(x), x.width, beta, cuda_tensor(dw), dw.ld);
}

void cuda_matmul(struct slt_ctx *ctx, struct slt_tensor c, double beta, struct slt_tensor a,
                 bool transpose_a, struct slt_tensor b, bool transpose_b, double alpha)
{
    cuda_gemm(ctx, transpose_a, transpose_b, c.rows, c.cols, transpose_a ? a.rows : a.cols, alpha,
              cuda_tensor(a), a.ld, cuda_tensor(b), b.ld, beta, cuda_tensor(c), c.ld);
}
