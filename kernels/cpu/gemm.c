// oneDNN's sgemm behind the backend's own signature.
#include <oneapi/dnnl/dnnl.h>
#include <omp.h>

#include "kernels/cpu/cpu.h"

// oneDNN leaves C untouched when there is nothing to sum up.
static void scale(float *c, int64_t ldc, int64_t m, int64_t n, float beta)
{
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++)
            c[i * ldc + j] = beta == 0 ? 0 : beta * c[i * ldc + j];
}

void cpu_sgemm(struct slt_ctx *ctx, bool transpose_a, bool transpose_b, int64_t m, int64_t n,
               int64_t k, float alpha, const float *a, int64_t lda, const float *b, int64_t ldb,
               float beta, float *c, int64_t ldc)
{
    if (m == 0 || n == 0)
        return;
    if (k == 0) {
        scale(c, ldc, m, n, beta);
        return;
    }
    // oneDNN uses as many threads as the calling thread's OpenMP setting says.
    const int before = omp_get_max_threads();
    omp_set_num_threads(ctx->threads);
    const dnnl_status_t status = dnnl_sgemm(transpose_a ? 'T' : 'N', transpose_b ? 'T' : 'N', m, n,
                                            k, alpha, a, lda, b, ldb, beta, c, ldc);
    omp_set_num_threads(before);
    if (status != dnnl_success)
        cpu_fail(ctx, status == dnnl_out_of_memory ? SLT_ERR_MEMORY : SLT_ERR_DEVICE,
                 "oneDNN failed in a matrix product");
}
