// Products in plain loops. What the real library refuses or answers with garbage is refused here:
// shapes that do not fit each other, and pointers less aligned than the algorithm was chosen for.
// So is what it is free to refuse: it promises no algorithm for rows of BF16, or of results of
// BF16, that do not start at multiples of 16 bytes. With SLT_EMULATION_EXTENTS set it also has none
// where a row does not end at one, which is what NVIDIA asks for to use tensor cores in full.
#include <cstdlib>

#include "cublasLt.h"
#include <algorithm>
#include <vector>

#include "counters.h"
#include "cuda_bf16.h"

struct emulated_blas {
};

struct emulated_product {
    bool reduced, transpose[2];
};

struct emulated_layout {
    cudaDataType type;
    uint64_t rows, cols;
    int64_t ld;
};

struct emulated_preference {
    uint32_t align[4];
    size_t work_bytes;
};

cublasStatus_t cublasLtCreate(cublasLtHandle_t *handle)
{
    *handle = new emulated_blas();
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle)
{
    delete handle;
    return CUBLAS_STATUS_SUCCESS;
}

// ---- Plans ----

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *product, cublasComputeType_t compute,
                                        cudaDataType scale)
{
    if (scale != CUDA_R_32F)
        return CUBLAS_STATUS_NOT_SUPPORTED;
    *product = new emulated_product{compute == CUBLAS_COMPUTE_32F_FAST_TF32, {false, false}};
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t product,
                                              cublasLtMatmulDescAttributes_t which,
                                              const void *value, size_t bytes)
{
    if (bytes != sizeof(cublasOperation_t))
        return CUBLAS_STATUS_INVALID_VALUE;
    product->transpose[which == CUBLASLT_MATMUL_DESC_TRANSB] =
        *(const cublasOperation_t *)value == CUBLAS_OP_T;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t product)
{
    delete product;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *layout, cudaDataType type,
                                          uint64_t rows, uint64_t cols, int64_t ld)
{
    if (rows == 0 || cols == 0 || ld < (int64_t)rows)
        return CUBLAS_STATUS_INVALID_VALUE;
    *layout = new emulated_layout{type, rows, cols, ld};
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout)
{
    delete layout;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *preference)
{
    *preference = new emulated_preference{{256, 256, 256, 256}, 0};
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                                    cublasLtMatmulPreferenceAttributes_t which,
                                                    const void *value, size_t bytes)
{
    if (which == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES) {
        if (bytes != sizeof(size_t))
            return CUBLAS_STATUS_INVALID_VALUE;
        preference->work_bytes = *(const size_t *)value;
        return CUBLAS_STATUS_SUCCESS;
    }
    if (bytes != sizeof(uint32_t))
        return CUBLAS_STATUS_INVALID_VALUE;
    preference->align[which - CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES] =
        *(const uint32_t *)value;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference)
{
    delete preference;
    return CUBLAS_STATUS_SUCCESS;
}

static bool fits(const emulated_product *p, const emulated_layout *a, const emulated_layout *b,
                 const emulated_layout *c)
{
    const uint64_t m = p->transpose[0] ? a->cols : a->rows, k = p->transpose[0] ? a->rows : a->cols;
    const uint64_t n = p->transpose[1] ? b->rows : b->cols;
    return m == c->rows && n == c->cols && k == (p->transpose[1] ? b->cols : b->rows) &&
           a->type == b->type && (c->type == CUDA_R_32F || a->type == CUDA_R_16BF) &&
           !(p->reduced && a->type != CUDA_R_32F);
}

static uint64_t size_of(cudaDataType type)
{
    return type == CUDA_R_16BF ? 2 : 4;
}

// Whether rows start at multiples of 16 bytes, and end at one if that is asked for.
static bool lies_well(const emulated_layout *l, uint32_t align)
{
    return align >= 16 && (uint64_t)l->ld * size_of(l->type) % 16 == 0 &&
           (getenv("SLT_EMULATION_EXTENTS") == nullptr || l->rows * size_of(l->type) % 16 == 0);
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, cublasLtMatmulDesc_t product,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t preference, int,
                                              cublasLtMatmulHeuristicResult_t *results, int *count)
{
    *count = 0;
    if (c != d || !fits(product, a, b, c))
        return CUBLAS_STATUS_NOT_SUPPORTED;
    if (a->type == CUDA_R_16BF &&
        !(lies_well(a, preference->align[0]) && lies_well(b, preference->align[1]) &&
          lies_well(c, preference->align[2])))
        return CUBLAS_STATUS_NOT_SUPPORTED;
    for (int i = 0; i < 3; i++)
        results->algo.align[i] = preference->align[i];
    if (preference->align[3] < preference->align[2])
        results->algo.align[2] = preference->align[3];
    *count = 1;
    return CUBLAS_STATUS_SUCCESS;
}

// ---- Products ----

// With TF32 a factor is rounded to 10 bits of mantissa.
static double factor(const void *data, cudaDataType type, int64_t i, bool reduced)
{
    if (type == CUDA_R_16BF)
        return (double)__bfloat162float(((const __nv_bfloat16 *)data)[i]);
    const float x = ((const float *)data)[i];
    return reduced ? (double)__uint_as_float((__float_as_uint(x) + 0x1000u) & ~0x1fffu) : (double)x;
}

// op(x) by rows of its second index: at[r * cols + c], or, transposed, of x (cols, rows).
static std::vector<double> unpacked(const void *x, const emulated_layout *l, bool by_rows,
                                    bool reduced)
{
    std::vector<double> at(l->rows * l->cols);
    const uint64_t size = l->type == CUDA_R_16BF ? sizeof(__nv_bfloat16) : sizeof(float);
    for (uint64_t j = 0; j < l->cols; j++)
        emulation::count_read((const char *)x + j * (uint64_t)l->ld * size, l->rows * size,
                              "a product");
    for (uint64_t j = 0; j < l->cols; j++)
        for (uint64_t i = 0; i < l->rows; i++)
            at[by_rows ? i * l->cols + j : j * l->rows + i] =
                factor(x, l->type, (int64_t)i + (int64_t)j * l->ld, reduced);
    return at;
}

// Sums of 8 rows at once, each in the order of k.
static void multiply(const emulated_product *p, float alpha, const void *a,
                     const emulated_layout *a_layout, const void *b,
                     const emulated_layout *b_layout, float beta, void *c,
                     const emulated_layout *c_layout)
{
    const uint64_t m = c_layout->rows, n = c_layout->cols, ld = (uint64_t)c_layout->ld;
    const uint64_t k = p->transpose[0] ? a_layout->rows : a_layout->cols;
    const size_t size = c_layout->type == CUDA_R_16BF ? sizeof(__nv_bfloat16) : sizeof(float);
    constexpr uint64_t N = 8;
    // (k, m) and (n, k)
    const std::vector<double> left = unpacked(a, a_layout, p->transpose[0], p->reduced);
    const std::vector<double> right = unpacked(b, b_layout, p->transpose[1], p->reduced);
    std::vector<double> panel(k * N); // N columns of left, zeros beyond the last
    emulation::count_other("(product)");
    for (uint64_t j = 0; j < n; j++)
        emulation::count_written((char *)c + j * ld * size, m * size);
    for (uint64_t i = 0; i < m; i += N) {
        const uint64_t here = std::min(N, m - i);
        for (uint64_t l = 0; l < k; l++)
            std::copy_n(&left[l * m + i], here, &panel[l * N]);
        for (uint64_t j = 0; j < n; j++) {
            double sum[N] = {};
            for (uint64_t l = 0; l < k; l++)
                for (uint64_t e = 0; e < N; e++)
                    sum[e] += panel[l * N + e] * right[j * k + l];
            for (uint64_t e = 0; e < here; e++) {
                const int64_t at = (int64_t)(i + e + j * ld);
                const double old =
                    beta == 0 ? 0 : (double)beta * factor(c, c_layout->type, at, false);
                const float value = (float)((double)alpha * sum[e] + old);
                if (c_layout->type == CUDA_R_16BF)
                    ((__nv_bfloat16 *)c)[at] = __float2bfloat16_rn(value);
                else
                    ((float *)c)[at] = value;
            }
        }
    }
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t, cublasLtMatmulDesc_t product, const void *alpha,
                              const void *a, cublasLtMatrixLayout_t a_layout, const void *b,
                              cublasLtMatrixLayout_t b_layout, const void *beta, const void *c,
                              cublasLtMatrixLayout_t c_layout, void *d,
                              cublasLtMatrixLayout_t d_layout, const cublasLtMatmulAlgo_t *algo,
                              void *work, size_t work_bytes, cudaStream_t)
{
    if (c != d || c_layout != d_layout || !fits(product, a_layout, b_layout, c_layout) ||
        (uintptr_t)a % algo->align[0] != 0 || (uintptr_t)b % algo->align[1] != 0 ||
        (uintptr_t)c % algo->align[2] != 0 || work == nullptr || work_bytes == 0)
        return CUBLAS_STATUS_INVALID_VALUE;
    const float times = *(const float *)alpha, keep = *(const float *)beta;
    // What describes the product may be gone when it is run.
    const auto how = *product;
    const auto a_shape = *a_layout, b_shape = *b_layout, c_shape = *c_layout;
    emulation::submit(
        [=]() { multiply(&how, times, a, &a_shape, b, &b_shape, keep, d, &c_shape); });
    return CUBLAS_STATUS_SUCCESS;
}

const char *cublasLtGetStatusString(cublasStatus_t)
{
    return "the product is not supported";
}
